import type { Batch } from "@partd/core/author";

/**
 * Tells whether memory is worth its work: how many appends to one key would meet in it before it is
 * full. Where there are so many keys that few do, a store that takes small values as well as large
 * ones gets them at once.
 *
 * Estimated from one key in 64, by hash, over windows of as many appends as memory has room for.
 */
export class Gathering {
  readonly #memory: number;
  /** Hashes of the sampled keys of this window. */
  #keys = new Set<number>();
  #appends = 0;
  #byteLength = 0;
  #isInVain = false;

  /** @param memory bytes that are full at the end of a window. */
  constructor(memory: number) {
    this.#memory = memory;
  }

  /** Whether few appends meet, so that batches of many keys are better written at once. */
  get isInVain(): boolean {
    return this.#isInVain;
  }

  /** Counts a batch. It takes about 20 ns a key, a hundredth of what a log takes to write it. */
  add({ keys, byteLength }: Batch): void {
    for (let i = 0; i < keys.length; i++) {
      const hash = hashOf(keys[i] as string);
      if ((hash & SAMPLED) !== 0) continue;
      this.#keys.add(hash);
      this.#appends++;
    }
    this.#byteLength += byteLength;
    if (this.#byteLength + (SAMPLED + 1) * this.#keys.size * KEY_BYTES > this.#memory)
      this.#judge();
  }

  /** The window is over. */
  #judge(): void {
    const meeting = this.#appends / Math.max(1, this.#keys.size);
    this.#isInVain = meeting < (this.#isInVain ? ENOUGH : TOO_FEW);
    this.#keys = new Set();
    this.#appends = 0;
    this.#byteLength = 0;
  }
}

/** Batches of fewer keys are gathered all the same: an append has its own cost, as that of 20 keys. */
export const MANY_KEYS = 256;
/** Values of so many bytes are not looked at: to copy them takes longer than to find their keys. */
export const SMALL_VALUE = 4096;

/**
 * Appends that meet in one value, below which a `LogStore` takes less time to write each by itself, and
 * to list them all, than they take to gather.
 *
 * Of 500 MB in appends of 100 bytes through 200 MB, written and listed by `entries()`, in CPU seconds a
 * GB on a busy machine: to 100,000 keys, where 12 meet, 31 to 36 gathered, 25 to 30 passed on, 24 to 27
 * by the `LogStore` alone. To 50,000, where 28 meet, 24 to 31 gathered and 24 to 27 passed on, which is
 * no difference, and 18 to 22 alone. What was passed on takes `get`, of 1,000 keys at a time, two to
 * three times as long as what was gathered; of the `LogStore` alone it takes the most.
 */
const TOO_FEW = 16;
/** To gather again, so that a workload in between does not go to and fro. */
const ENOUGH = 24;
const SAMPLED = 63;
/** Bytes of memory that a key takes, beyond its value's. */
const KEY_BYTES = 350;

/** FNV-1a, of UTF-16 units. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
