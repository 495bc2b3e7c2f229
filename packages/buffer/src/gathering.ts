import type { Batch } from "@partd/core/author";

/**
 * Decides whether gathering in memory pays: how many appends to the same key would meet there before
 * memory is full. If there are so many keys that few appends meet, a store that takes small values well
 * gets them at once.
 *
 * The estimate samples one key in 64, by hash, over windows of as many appends as fit into memory.
 * Within a window the number of keys only grows, so too many keys are noticed long before memory is
 * full.
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

  /** @param memory how many bytes of appends make a window. */
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

  /**
   * How many appends have to meet. Resuming takes half as many again, so that it does not oscillate.
   */
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

/** Batches of fewer keys are always gathered: an append costs as much as 20 keys. */
export const MANY_KEYS = 256;
/** Batches of values above this size are not sampled: copying them takes longer than finding keys. */
export const SMALL_VALUE = 4096;

/**
 * The least number of appends meeting in one value that makes gathering faster than writing each to a
 * `LogStore` and listing them all. An append of 100 bytes to memory takes 0.3 µs with 1,000 keys, and
 * spilling a value some 14 µs; a `LogStore` takes 1.1 to 1.5 µs an append in all.
 */
const ENOUGH = 32;
/**
 * The same for {@link MANY} keys, whose bookkeeping and last extents no longer fit into the processor's
 * caches. With 20,000 keys an append to memory takes 1 µs, 0.2 of it for copying 100 bytes to a cold
 * page. Writing 300 MB under 20,000 keys takes 6.6 CPU seconds gathered, at 75 appends a value, and 4.3
 * with a `LogStore` alone; listing them takes 1.3 and 2.0.
 *
 * The cost is a slower `get` of many keys, where `entries()` cannot be used: 1,000 of those keys at a
 * time take 6.6 CPU seconds from a `LogStore` alone, and 2.0 gathered.
 */
const ENOUGH_OF_MANY = 128;
const MANY = 16_384;
/** A sample of this many keys stands for 2,000 keys or more, to within a fifth. */
const FEWEST_SAMPLED = 32;
const SAMPLED = 63;
/** Bytes of memory that a key takes besides its value. */
const KEY_BYTES = 350;

/** FNV-1a over UTF-16 units. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return hash ^ (hash >>> 15);
}
