// STUB until @partd/records lands
export type GroupKey = unknown;
export function encodeGroupKey(key: unknown): Uint8Array {
  if (key === undefined) return new Uint8Array([0]);
  if (typeof key === "bigint") return Buffer.from(`\u0001${key}`);
  if (key instanceof Date) return Buffer.from(`\u0002${key.getTime()}`);
  return Buffer.from(JSON.stringify(key));
}
export function decodeGroupKey(bytes: Uint8Array, start: number, end: number): unknown {
  const text = Buffer.from(bytes.subarray(start, end)).toString();
  if (text[0] === "\u0000") return undefined;
  if (text[0] === "\u0001") return BigInt(text.slice(1));
  if (text[0] === "\u0002") return new Date(Number(text.slice(1)));
  return JSON.parse(text);
}
export const hash = { low: 0, high: 0 };
export function hashKey(bytes: Uint8Array, start: number, end: number, seed = 0): typeof hash {
  let a = 0x811c9dc5 ^ seed;
  let b = 0x9e3779b9 ^ seed;
  for (let i = start; i < end; i++) {
    a = Math.imul(a ^ bytes[i]!, 16777619);
    b = Math.imul(b ^ bytes[i]!, 0x85ebca6b) + i - start;
  }
  a ^= a >>> 16; a = Math.imul(a, 0x7feb352d); a ^= a >>> 15;
  b ^= b >>> 16; b = Math.imul(b, 0x846ca68b); b ^= b >>> 15;
  hash.low = a >>> 0;
  hash.high = b >>> 0;
  return hash;
}
export function partitionOf(low: number, _high: number, n: number): number { return low % n; }
export function valueAt(record: unknown, field: string): unknown {
  let value = record;
  for (const part of field.split(".")) value = (value as any)?.[part];
  return value;
}
