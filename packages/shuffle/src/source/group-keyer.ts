import { type By, keyFunction } from "./by.js";
import type { Keyer } from "./input.js";
import { encodeGroupKey, hashKey } from "./key.js";
import type { HashedKey } from "./keyed-batch.js";

/** Keys by which records are grouped. Those of late are kept: most keys were seen a moment ago. */
export class GroupKeyer<R> implements Keyer<R> {
  readonly #seen = new Map<unknown, HashedKey>();
  readonly #key: (record: R) => unknown;

  constructor(by: By<R>) {
    this.#key = keyFunction(by);
  }

  keyOf(record: R): HashedKey {
    const key = this.#key(record);
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
