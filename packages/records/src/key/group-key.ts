import { isAscii } from "node:buffer";
import { PartdError } from "@partd/core";

/** A value that records are grouped by. Equal values are one key: 1 and "1" are two, 0 and -0 one. */
export type GroupKey =
  | string
  | number
  | boolean
  | bigint
  | null
  | undefined
  | Date
  | Uint8Array
  | readonly GroupKey[];

/**
 * Encodes a key as bytes. Two keys have equal bytes if and only if they are equal.
 *
 * A key that JSON can hold is the text of `JSON.stringify` in UTF-8: `"ann"`, `12.5`, `true`,
 * `null`, `["ann",1]`. Any other key begins with a byte below 0x20, with which no JSON text begins:
 *
 * | byte | then | for |
 * |---|---|---|
 * | 0 | nothing | `undefined`: the field is missing |
 * | 1 | decimal digits | a bigint |
 * | 2 | milliseconds since 1970 as `String()` writes them | a Date |
 * | 3 | the bytes | a Uint8Array |
 * | 4 | each item's key after its length (32 bits, big-endian) | a list with an item of this table |
 * | 5 | `NaN`, `Infinity` or `-Infinity` | these numbers |
 *
 * @throws `ERR_PARTD_KEY` for objects, functions and symbols, and for lists more than {@link DEEPEST_LIST} deep.
 */
export function encodeGroupKey(key: unknown): Uint8Array {
  return encodeAt(key, 0);
}

/**
 * The deepest nesting of lists in a key: at 100,000 the stack would overflow, and a list inside itself
 * has no end.
 */
export const DEEPEST_LIST = 100;

function encodeAt(key: unknown, depth: number): Uint8Array {
  if (isJsonKey(key, depth)) return encoder.encode(JSON.stringify(key));
  switch (typeof key) {
    case "undefined":
      return Uint8Array.of(KEY_TAG.missing);
    case "bigint":
      return tagged(KEY_TAG.bigint, encoder.encode(String(key)));
    case "number":
      return tagged(KEY_TAG.number, encoder.encode(String(key)));
    case "object":
      break;
    default:
      throw unfit(`a ${typeof key}`);
  }
  if (key instanceof Date) return tagged(KEY_TAG.date, encoder.encode(String(key.getTime())));
  if (key instanceof Uint8Array) return tagged(KEY_TAG.bytes, key);
  if (!Array.isArray(key)) throw unfit("an object");
  if (depth === DEEPEST_LIST) throw unfit(`a list in lists more than ${DEEPEST_LIST} deep`);
  return encodeList(Array.from(key, (item: unknown) => encodeAt(item, depth + 1)));
}

/** Encodes a list from its encoded items. */
export function encodeList(items: readonly Uint8Array[]): Uint8Array {
  if (items.length === 0) return Uint8Array.of(0x5b, 0x5d);
  const isJson = items.every((item) => item[0]! >= 0x20);
  const gap = isJson ? 1 : 4;
  const result = new Uint8Array(items.reduce((sum, item) => sum + item.length + gap, 1));
  if (isJson) {
    // Fill `[` before the items, commas between them, and `]` after them.
    result.fill(0x2c);
    result[0] = 0x5b;
    result[result.length - 1] = 0x5d;
  } else {
    result[0] = KEY_TAG.list;
  }
  const view = new DataView(result.buffer);
  let at = 1;
  for (const item of items) {
    if (!isJson) {
      view.setUint32(at, item.length);
      at += 4;
    }
    result.set(item, at);
    at += item.length + (isJson ? 1 : 0);
  }
  return result;
}

/** Decodes a key of {@link encodeGroupKey}. */
export function decodeGroupKey(bytes: Uint8Array, start = 0, end = bytes.length): GroupKey {
  const tag = bytes[start]!;
  const text = (from: number) => decoder.decode(bytes.subarray(from, end));
  // Not by JSON.parse, which would need a copy: the text may be as long as a record.
  if (tag === QUOTE && end - start > LONG && bytes.subarray(start, end).indexOf(BACKSLASH) < 0) {
    const inside = bytes.subarray(start + 1, end - 1);
    // V8 keeps such a text outside of its heap, and collects it sooner: of 20 texts of 20 MB each, 130 MB
    // were in memory at a time, and 400 MB of those of a TextDecoder.
    return isAscii(inside) ? latin1Slice.call(inside) : decoder.decode(inside);
  }
  if (tag >= 0x20) return JSON.parse(text(start)) as GroupKey;
  switch (tag) {
    case KEY_TAG.missing:
      return undefined;
    case KEY_TAG.bigint:
      return BigInt(text(start + 1));
    case KEY_TAG.number:
      return Number(text(start + 1));
    case KEY_TAG.date:
      return new Date(Number(text(start + 1)));
    case KEY_TAG.bytes:
      return new Uint8Array(bytes.subarray(start + 1, end));
    case KEY_TAG.list:
      return decodeList(bytes, start + 1, end);
    default:
      throw new PartdError("ERR_PARTD_CORRUPT", `A key begins with the unknown byte ${tag}.`);
  }
}

/** Decodes keys that lie end to end: the one with the number `n` ends at `ends[n]`. */
export function decodeGroupKeys(
  bytes: Uint8Array,
  ends: ArrayLike<number>,
  first: number,
  behind: number,
): GroupKey[] {
  if (first === behind) return [];
  const start = first === 0 ? 0 : ends[first - 1]!;
  // As one JSON list, which takes a quarter of the time.
  const list = new Uint8Array(ends[behind - 1]! - start + behind - first + 1);
  let at = 0;
  for (let n = first, from = start; n < behind; n++) {
    if (bytes[from]! < 0x20) {
      return Array.from({ length: behind - first }, (_, i) => {
        const number = first + i;
        return decodeGroupKey(bytes, number === 0 ? 0 : ends[number - 1]!, ends[number]!);
      });
    }
    const end = ends[n]!;
    list[at++] = n === first ? 0x5b : 0x2c;
    while (from < end) list[at++] = bytes[from++]!;
  }
  list[at] = 0x5d;
  return JSON.parse(decoder.decode(list)) as GroupKey[];
}

function decodeList(bytes: Uint8Array, start: number, end: number): GroupKey[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const items: GroupKey[] = [];
  for (let at = start; at < end; ) {
    const next = at + 4 + view.getUint32(at);
    items.push(decodeGroupKey(bytes, at + 4, next));
    at = next;
  }
  return items;
}

export const KEY_TAG = { missing: 0, bigint: 1, date: 2, bytes: 3, list: 4, number: 5 } as const;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LONG = 64 << 10;

const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array): string;
};
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function isJsonKey(key: unknown, depth: number): boolean {
  if (key === null || typeof key === "string" || typeof key === "boolean") return true;
  if (typeof key === "number") return Number.isFinite(key);
  if (!Array.isArray(key) || depth === DEEPEST_LIST) return false;
  const isWhole = Object.keys(key).length === key.length;
  return isWhole && key.every((item) => isJsonKey(item, depth + 1));
}

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(1 + bytes.length);
  result[0] = tag;
  result.set(bytes, 1);
  return result;
}

function unfit(what: string): PartdError {
  return new PartdError(
    "ERR_PARTD_KEY",
    `A record's key is ${what}: group by text, numbers, bigints, booleans, null, dates, bytes or lists of them.`,
  );
}
