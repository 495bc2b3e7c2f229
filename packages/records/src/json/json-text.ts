import { PartdError } from "@partd/core";

/**
 * The record as JSON, by the rules of `JSON.stringify`: a Date becomes ISO text through its `toJSON`,
 * and a property that is `undefined` is left out.
 *
 * @throws `ERR_PARTD_VALUE`, with the place, for what `JSON.stringify` would silently change or drop:
 *   NaN and infinities, functions, symbols, undefined items, invalid Dates, and objects that do not
 *   keep their content in properties, such as a Map; also for a bigint and for a cycle.
 */
export function jsonText(record: unknown): string {
  // Checking plain data takes a fifth of the time of a replacer.
  if (isPlain(record, 0)) return JSON.stringify(record);
  const places: Place[] = [];
  let text: string | undefined;
  try {
    text = JSON.stringify(record, function (this: unknown, key: string, value: unknown) {
      while (places.length > 0 && places.at(-1)!.value !== this) places.pop();
      const loss = lossOf(this, key, value);
      if (loss !== undefined) {
        const path = [...places, { holder: this, key, value }].slice(1).map(stepOf).join("");
        throw refusal(`${path || "it"} ${loss}`);
      }
      if (typeof value === "object") places.push({ holder: this, key, value });
      return value;
    });
  } catch (error) {
    if (error instanceof PartdError) throw error;
    throw refusal((error as Error).message, error);
  }
  if (text === undefined)
    throw refusal(`it is ${record === undefined ? "" : "a "}${typeof record}`);
  return text;
}

/** A position of the traversal: a value and its holder. */
interface Place {
  readonly holder: unknown;
  readonly key: string;
  readonly value: unknown;
}

function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object": {
      if (value === null) return true;
      if (depth > DEEP) return false; // It may hold itself.
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) if (!isPlain(value[i], depth + 1)) return false;
        return true;
      }
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Date.prototype) return !Number.isNaN((value as Date).getTime());
      if (prototype !== Object.prototype && prototype !== null) return false;
      for (const name in value) {
        const part = (value as Record<string, unknown>)[name];
        if (part !== undefined && !isPlain(part, depth + 1)) return false;
      }
      return true;
    }
    default:
      return false;
  }
}

const DEEP = 64;

/** What JSON would lose of a value, which may come from `toJSON`; `undefined` if nothing. */
function lossOf(holder: unknown, key: string, value: unknown): string | undefined {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? undefined : `is ${value}`;
    case "undefined":
      return Array.isArray(holder) ? "is undefined" : undefined;
    case "bigint":
    case "function":
    case "symbol":
      return `is a ${typeof value}`;
    case "object": {
      if (value === null) {
        const given = (holder as Record<string, unknown>)[key];
        return given instanceof Date ? "is an invalid Date" : undefined;
      }
      if (Array.isArray(value)) return undefined;
      const tag = Object.prototype.toString.call(value).slice(8, -1);
      return tag === "Object" ? undefined : `is of the class ${value.constructor?.name ?? tag}`;
    }
    default:
      return undefined;
  }
}

function stepOf({ holder, key }: Place): string {
  if (Array.isArray(holder)) return `[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function refusal(reason: string, cause?: unknown): PartdError {
  return new PartdError("ERR_PARTD_VALUE", `JSON cannot hold a record: ${reason}.`, { cause });
}
