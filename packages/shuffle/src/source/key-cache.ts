import { encodeGroupKey, hashKey } from "./key.js";
import type { HashedKey } from "./keyed-batch.js";

/** Encoded keys of late: most records have a key that was seen a moment ago. */
export class KeyCache {
  readonly #seen = new Map<unknown, HashedKey>();

  get(key: unknown): HashedKey {
    if (typeof key === "object" || Object.is(key, -0)) return hashed(key);
    let known = this.#seen.get(key);
    if (!known) {
      known = hashed(key);
      if (known.bytes.length > LONGEST) return known;
      if (this.#seen.size >= MOST) this.#seen.clear();
      this.#seen.set(key, known);
    }
    return known;
  }
}

function hashed(key: unknown): HashedKey {
  const bytes = encodeGroupKey(key);
  const { low, high } = hashKey(bytes, 0, bytes.length);
  return { bytes, low, high };
}

/** About 4 MB with keys of 100 bytes. */
const MOST = 16_384;
const LONGEST = 200;
