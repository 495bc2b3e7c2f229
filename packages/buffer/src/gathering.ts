import type { Batch } from "@partd/core/author";

/**
 * Tells whether memory is worth its work: how many appends to one key would meet in it before it is
 * full. Where there are so many keys that few do, a store that takes small values as well as large
 * ones gets them at once.
 *
 * Estimated from one key in 64, by hash, over windows of as many appends as memory has room for. The
 * number of keys only grows within a window, and so bounds how many appends can meet in it: that
 * there are too many keys shows long before memory is full.
 */
export class Gathering {
  readonly #memory: number;
  /** Hashes of the sampled keys of this window. */
  #keys = new Set<number>();
  /** Appends to sampled keys. */
  #sampled = 0;
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
      this.#sampled++;
    }
    this.#appends += keys.length;
    this.#byteLength += byteLength;
    const keyCount = (SAMPLED + 1) * this.#keys.size;
    if (this.#byteLength + keyCount * KEY_BYTES > this.#memory) {
      const meeting = this.#sampled / Math.max(1, this.#keys.size);
      const enough = this.#isInVain ? ENOUGH : TOO_FEW;
      this.#begin(meeting < enough);
    } else if (!this.#isInVain && this.#keys.size >= FEWEST_SAMPLED) {
      const size = this.#byteLength / this.#appends;
      const mostMeeting = (this.#memory / keyCount - KEY_BYTES) / size;
      if (mostMeeting < TOO_FEW) this.#begin(true);
    }
  }

  /** Begins a window. */
  #begin(isInVain: boolean): void {
    this.#isInVain = isInVain;
    this.#keys = new Set();
    this.#sampled = this.#appends = this.#byteLength = 0;
  }
}

/** Batches of fewer keys are gathered all the same: an append has its own cost, as that of 20 keys. */
export const MANY_KEYS = 256;
/** Values of so many bytes are not looked at: to copy them takes longer than to find their keys. */
export const SMALL_VALUE = 4096;

/**
 * Appends that meet in one value, below which a `LogStore` takes less time to write each by itself, and
 * to list them all, than they take to gather. An append of 100 bytes to memory takes 0.5 µs for 1,000
 * keys and 1.3 µs for 20,000, whose bookkeeping and last extents are in no cache of the processor, and
 * a value takes some 14 µs to spill; a `LogStore` takes 1.1 to 1.5 µs an append in all.
 *
 * The price is `get` of many keys where no `entries()` will do: of 500 MB under 50,000 keys, where 28
 * meet, 1,000 keys at a time take 22 CPU seconds as of a `LogStore` alone, and gathered 6.
 */
const TOO_FEW = 32;
/** To gather again, so that a workload in between does not go to and fro. */
const ENOUGH = 48;
/** Keys of a sample that tells of 2,000 keys or more, to within a fifth. */
const FEWEST_SAMPLED = 32;
const SAMPLED = 63;
/** Bytes of memory that a key takes, beyond its value's. */
const KEY_BYTES = 350;

/** FNV-1a, of UTF-16 units. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
