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
 * A key as bytes, equal for equal keys alone: JSON for what JSON has; else a byte below 0x20, with which no
 * JSON begins, and what {@link TAG} says.
 *
 * @throws `ERR_PARTD_KEY` for objects, functions and symbols.
 */
export function encodeGroupKey(key: unknown): Uint8Array {
  if (isJsonKey(key)) return Buffer.from(JSON.stringify(key));
  switch (typeof key) {
    case "undefined":
      return Uint8Array.of(TAG.missing);
    case "bigint":
      return tagged(TAG.bigint, Buffer.from(String(key)));
    case "number":
      return tagged(TAG.number, Buffer.from(String(key)));
    case "object":
      break;
    default:
      throw unfit(`a ${typeof key}`);
  }
  if (key instanceof Date) return tagged(TAG.date, Buffer.from(String(key.getTime())));
  if (key instanceof Uint8Array) return tagged(TAG.bytes, key);
  if (!Array.isArray(key)) throw unfit("an object");
  const items = key.map(encodeGroupKey);
  return tagged(TAG.list, Buffer.concat(items.flatMap((item) => [lengthOf(item), item])));
}

export function decodeGroupKey(bytes: Uint8Array, start: number, end: number): unknown {
  const tag = bytes[start]!;
  if (tag >= 0x20) return JSON.parse(text(bytes, start, end));
  switch (tag) {
    case TAG.missing:
      return undefined;
    case TAG.bigint:
      return BigInt(text(bytes, start + 1, end));
    case TAG.number:
      return Number(text(bytes, start + 1, end));
    case TAG.date:
      return new Date(Number(text(bytes, start + 1, end)));
    case TAG.bytes:
      return new Uint8Array(bytes.subarray(start + 1, end));
    default:
      return decodeList(bytes, start + 1, end);
  }
}

function decodeList(bytes: Uint8Array, start: number, end: number): unknown[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const items: unknown[] = [];
  for (let at = start; at < end; ) {
    const next = at + 4 + view.getUint32(at);
    items.push(decodeGroupKey(bytes, at + 4, next));
    at = next;
  }
  return items;
}

const TAG = {
  missing: 0,
  /** Decimal digits. */
  bigint: 1,
  /** Milliseconds since 1970, in decimal digits. */
  date: 2,
  bytes: 3,
  /** Items, each behind its length as 32 bits, the highest first. */
  list: 4,
  /** NaN, Infinity or -Infinity. */
  number: 5,
} as const;

function isJsonKey(key: unknown): boolean {
  if (key === null || typeof key === "string" || typeof key === "boolean") return true;
  if (typeof key === "number") return Number.isFinite(key);
  return Array.isArray(key) && key.every(isJsonKey);
}

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(1 + bytes.length);
  result[0] = tag;
  result.set(bytes, 1);
  return result;
}

function lengthOf(item: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(item.length);
  return length;
}

function text(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString();
}

function unfit(what: string): PartdError {
  return new PartdError(
    "ERR_PARTD_KEY",
    `A record's key is ${what}: group by text, numbers, bigints, booleans, null, dates, bytes or lists of them.`,
  );
}

const hash = { low: 0, high: 0 };

/** 64 bits of a key, in an object that the next call uses again. */
export function hashKey(
  bytes: Uint8Array,
  start: number,
  end: number,
): { readonly low: number; readonly high: number } {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let i = start; i < end; i++) {
    low = Math.imul(low ^ bytes[i]!, 0x01000193);
    high = Math.imul(high ^ bytes[i]!, 0x85ebca6b) + 0x7f4a7c15;
    high ^= high >>> 13;
  }
  hash.low = finish(low ^ high, 0x7feb352d);
  hash.high = finish(high, 0x846ca68b);
  return hash;
}

function finish(value: number, factor: number): number {
  const mixed = Math.imul(value ^ (value >>> 16), factor);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

export function partitionOf(low: number, _high: number, count: number): number {
  return low % count;
}

/** What a field holds; dots lead into objects. `undefined` where there is nothing. */
export function valueAt(record: unknown, field: string): unknown {
  if (!field.includes(".")) return fieldOf(record, field);
  return field.split(".").reduce(fieldOf, record);
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  // Plain data has no field `constructor`; an object of a class may have its fields from there.
  const isPlain = Object.getPrototypeOf(value) === Object.prototype;
  if (isPlain && !Object.hasOwn(value, name)) return undefined;
  return (value as { [name: string]: unknown })[name];
}
