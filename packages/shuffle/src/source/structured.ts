import { deserialize, serialize } from "node:v8";
import { PartdError } from "@partd/core";

/**
 * Encodes a value to bytes, so that its memory can be counted and spilled. What JSON carries exactly is
 * a line of JSON, which is a third faster both ways. Anything else (`Date`, `Map`, bigint, `undefined`,
 * cycles …) is V8's structured clone, which begins with the byte 0xFF, as no JSON does.
 *
 * @throws `ERR_PARTD_CODEC` for functions, symbols and other values that cannot be cloned.
 */
export function encodeStructured(value: unknown): string | Uint8Array {
  budget = MOST_PARTS;
  if (isJson(value, 0)) return `${JSON.stringify(value)}\n`;
  try {
    return serialize(value);
  } catch (cause) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `A record cannot be stored: ${reasonOf(cause)}. Records hold data that structuredClone() can copy.`,
      { cause },
    );
  }
}

/** V8's own messages end with a full stop, or two of them. */
function reasonOf(cause: unknown): string {
  return String(cause instanceof Error ? cause.message : cause).replace(/\.+$/, "");
}

export function decodeStructured(bytes: Uint8Array, start: number, end: number): unknown {
  if (bytes[start] === V8_FORMAT) return deserialize(Buffer.from(bytes.subarray(start, end)));
  return JSON.parse(utf8Slice.call(bytes, start, end));
}

/** @throws `ERR_PARTD_CODEC` if a record is not stored as a line of JSON. */
export function checkJsonLine(bytes: Uint8Array, start: number): void {
  if (bytes[start] !== V8_FORMAT) return;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    "A record holds what JSON cannot carry, such as a Date, a Map or undefined: read the records themselves, not their bytes.",
  );
}

const V8_FORMAT = 0xff;

/**
 * Deeper or larger values may be cyclic, or share parts many times: V8's format keeps those as they
 * are.
 */
const DEEPEST = 100;
const MOST_PARTS = 100_000;
let budget = 0;

/** Whether `JSON.parse(JSON.stringify(value))` is an equal value. */
function isJson(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0);
    case "object":
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth === DEEPEST || --budget < 0) return false;
  if (Array.isArray(value)) {
    if (Object.getPrototypeOf(value) !== Array.prototype) return false;
    if (Object.keys(value).length !== value.length) return false;
    for (const item of value) if (!isJson(item, depth + 1)) return false;
    return true;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return false;
  const record = value as Record<string, unknown>;
  for (const name in record) if (!isJson(record[name], depth + 1)) return false;
  return true;
}

/**
 * Buffer's own method, for any array of bytes: a `TextDecoder` takes three times as long for short
 * text.
 */
const { utf8Slice } = Buffer.prototype as unknown as {
  utf8Slice(this: Uint8Array, start: number, end: number): string;
};
