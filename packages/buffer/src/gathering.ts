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
      this.#begin(meeting < this.#enough(keyCount));
    } else if (!this.#isInVain && this.#keys.size >= FEWEST_SAMPLED) {
      const size = this.#byteLength / this.#appends;
      const mostMeeting = (this.#memory / keyCount - KEY_BYTES) / size;
      if (mostMeeting < this.#enough(keyCount)) this.#begin(true);
    }
  }

  /** How many appends have to meet: more to gather again, so that a workload does not go to and fro. */
  #enough(keyCount: number): number {
    if (this.#isInVain) return 1.5 * (1.5 * keyCount < MANY ? ENOUGH : ENOUGH_OF_MANY);
    return keyCount < MANY ? ENOUGH : ENOUGH_OF_MANY;
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
 * to list them all, than they take to gather. An append of 100 bytes to memory takes 0.3 µs for 1,000
 * keys, and a value some 14 µs to spill; a `LogStore` takes 1.1 to 1.5 µs an append in all.
 */
const ENOUGH = 32;
/**
 * The same for {@link MANY} keys, whose bookkeeping and last extents are in no cache of the processor:
 * of 20,000 keys an append to memory takes 1 µs, a copy of 100 bytes to a page last used long ago 0.2 of it.
 * To write 300 MB under 20,000 keys takes 6.6 CPU seconds gathered, 75 appends to a value, and 4.3 of a
 * `LogStore` alone; to list them then 1.3, and 2.0.
 *
 * The price is `get` of many keys where no `entries()` will do: 1,000 of those keys at a time take 6.6 CPU
 * seconds as of a `LogStore` alone, and gathered 2.0.
 */
const ENOUGH_OF_MANY = 128;
const MANY = 16_384;
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
