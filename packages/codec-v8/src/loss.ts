import { deserialize, serialize } from "node:v8";
import { placeOf } from "@partd/core/author";

/**
 * What of `list` a structured clone silently leaves out: `loss` is `"[2].url is a URL, …"`, or
 * `undefined` where it keeps all. What the serializer refuses by itself is not looked for, but for
 * depth. `plain` says that there are only objects, lists without holes, and what `typeof` tells.
 */
export function checkLoss(list: readonly unknown[]): { loss: string | undefined; plain: boolean } {
  const check = new LossCheck();
  const reason = check.reason(list);
  if (reason === undefined) return { loss: undefined, plain: check.plain };
  const place = placeOf(list, (part) => new LossCheck().reason(part) !== undefined);
  return { loss: `${place || "the list"} ${reason}`, plain: false };
}

/** Node and browsers read as many levels with the stack that they have by default. */
export const MAX_DEPTH = 1000;

class LossCheck {
  plain = true;
  #depth = 0;
  #visits = 0;
  /** Objects under way or done, from the first on that may be shared by many or in a cycle. */
  #seen: Set<object> | undefined;

  /** Why a value would not read back, or `undefined`. */
  reason(value: unknown): string | undefined {
    if (typeof value !== "object" || value === null) return undefined;
    if (this.#depth === MAX_DEPTH) return `is nested more than ${MAX_DEPTH} deep`;
    if (this.#seen !== undefined || this.#depth >= SHALLOW || ++this.#visits > FEW) {
      this.#seen ??= new Set();
      if (this.#seen.size > MOST_SEEN) this.#seen.clear();
      if (this.#seen.has(value)) return undefined;
      this.#seen.add(value);
    }
    this.#depth++;
    const reason = this.#reasonOf(value);
    this.#depth--;
    if (this.#depth === 0) this.#seen = undefined;
    return reason;
  }

  #reasonOf(value: object): string | undefined {
    if (Array.isArray(value)) return this.#arrayReason(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return this.#partsReason(value);
    this.plain = false;
    const tag = Object.prototype.toString.call(value);
    switch (tag) {
      case "[object Object]":
        if (Object.keys(value).length === 0) return classReason(value);
        return this.#partsReason(value);
      case "[object Map]":
        for (const [key, item] of value as Map<unknown, unknown>) {
          const reason = this.reason(key) ?? this.reason(item);
          if (reason !== undefined) return reason;
        }
        return ownReason(value);
      case "[object Set]":
        for (const item of value as Set<unknown>) {
          const reason = this.reason(item);
          if (reason !== undefined) return reason;
        }
        return ownReason(value);
      case "[object Error]":
        return this.#errorReason(value as Error);
      case "[object ArrayBuffer]":
      case "[object Date]":
      case "[object RegExp]":
      case "[object Boolean]":
      case "[object Number]":
      case "[object BigInt]":
        return ownReason(value);
      case "[object String]":
        return Object.keys(value).length > String(value).length ? EXTRA : ownSymbols(value);
      default:
        return ArrayBuffer.isView(value) ? undefined : classReason(value);
    }
  }

  #arrayReason(array: readonly unknown[]): string | undefined {
    for (let i = 0; i < array.length && i <= MOST_ITEMS_BY_INDEX; i++) {
      const item = array[i];
      if (typeof item !== "object" || item === null) {
        if (item === undefined) this.plain = false; // Perhaps a hole.
        continue;
      }
      const reason = this.reason(item);
      if (reason !== undefined) return reason;
    }
    // Also where most are holes, and what else is there: a clone keeps both.
    if (array.length > MOST_ITEMS_BY_INDEX) {
      this.plain = false;
      return this.#partsReason(array);
    }
    return ownSymbols(array);
  }

  #partsReason(object: object): string | undefined {
    for (const name of Object.keys(object)) {
      const part = (object as Record<string, unknown>)[name];
      if (typeof part !== "object" || part === null) continue;
      const reason = this.reason(part);
      if (reason !== undefined) return reason;
    }
    return ownSymbols(object);
  }

  /** A clone has the message, the stack, one of seven names, and on most runtimes the cause. */
  #errorReason(error: Error): string | undefined {
    if (!ERROR_NAMES.has(error.name)) {
      return `is an error named ${JSON.stringify(String(error.name).slice(0, 60))}, which would be "Error"`;
    }
    if (Array.isArray((error as AggregateError).errors)) {
      return "is an AggregateError, whose errors would be lost";
    }
    if ("cause" in error) {
      if (!keepsCause()) return "is an error whose cause this runtime does not carry";
      const reason = this.reason(error.cause);
      if (reason !== undefined) return reason;
    }
    return ownReason(error);
  }
}

/** Up to so many levels and objects none is remembered: what is shared is looked at again, which is cheaper. */
const SHALLOW = 8;
const FEW = 1e6;
/** A Set holds 2^24. */
const MOST_SEEN = 2 ** 23;
/** Beyond it the indices that there are, as an array may be nearly all holes. */
const MOST_ITEMS_BY_INDEX = 2 ** 24;
const EXTRA = "has properties of its own, which would be lost; keep them in an object beside it";
const ERROR_NAMES: ReadonlySet<string> = new Set([
  "Error",
  "EvalError",
  "RangeError",
  "ReferenceError",
  "SyntaxError",
  "TypeError",
  "URIError",
]);

function ownReason(value: object): string | undefined {
  return Object.keys(value).length > 0 ? EXTRA : ownSymbols(value);
}

function ownSymbols(value: object): string | undefined {
  if (Object.getOwnPropertySymbols(value).length === 0) return undefined;
  return "has a property whose name is a symbol, which would be lost";
}

function classReason(value: object): string {
  const name = value.constructor?.name || Object.prototype.toString.call(value).slice(8, -1);
  return `is a ${name}, whose content would be lost; append what it is made of`;
}

let cause: boolean | undefined;

function keepsCause(): boolean {
  cause ??= (deserialize(serialize(new Error("", { cause: 1 }))) as Error).cause === 1;
  return cause;
}
