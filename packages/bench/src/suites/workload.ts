/** `key-0`, `key-1` … as in `python/stores.py`. */
export function keysOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `key-${i}`);
}

/** Bytes that are neither all equal nor slow to make. */
export function bytesOf(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => ((i % 251) * 7) % 251);
}

/** One append's worth: the same value under each key. */
export function batchOf(keys: readonly string[], value: Uint8Array): Map<string, Uint8Array> {
  return new Map(keys.map((key) => [key, value]));
}
