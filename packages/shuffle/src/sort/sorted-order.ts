import { Pace } from "@partd/core/author";
import type { LoadedChain } from "../spill/loaded-chain.js";

/**
 * The addresses of a chain's frames in the order of their keys; stable. A radix sort over the first 8
 * bytes of the keys, then, among frames that share them, over the next 8.
 *
 * @param isDecided whether keys that share their first 8 bytes are equal.
 */
export async function sortedOrder(
  chain: LoadedChain,
  records: number,
  isDecided: boolean,
): Promise<Uint32Array> {
  const sort = new RadixSort(chain, records, isDecided);
  await sort.run();
  return sort.addresses;
}

/** Bytes of memory for sorting this many records. */
export function sortCost(records: number): number {
  return records * 24;
}

class RadixSort {
  readonly #chain: LoadedChain;
  readonly #isDecided: boolean;
  addresses: Uint32Array;
  #highs: Uint32Array;
  #lows: Uint32Array;
  #nextAddresses: Uint32Array;
  #nextHighs: Uint32Array;
  #nextLows: Uint32Array;
  readonly #counts = new Uint32Array(BUCKETS);
  readonly #pace = new Pace();

  constructor(chain: LoadedChain, records: number, isDecided: boolean) {
    this.#chain = chain;
    this.#isDecided = isDecided;
    this.addresses = new Uint32Array(records);
    this.#highs = new Uint32Array(records);
    this.#lows = new Uint32Array(records);
    this.#nextAddresses = new Uint32Array(records);
    this.#nextHighs = new Uint32Array(records);
    this.#nextLows = new Uint32Array(records);
  }

  async run(): Promise<void> {
    const chain = this.#chain;
    let count = 0;
    for (let more = chain.lookAtKey(0, 0, 0); more; more = chain.lookAtKey(chain.following, 0, 0)) {
      this.addresses[count] = chain.address;
      this.#highs[count] = chain.high;
      this.#lows[count++] = chain.low;
      if (this.#pace.due) await this.#pace.rest();
    }
    await this.#sort(0, count, 8);
  }

  /**
   * Sorts frames `from` to `to`. Their keys agree except in 8 bytes before `depth`, and their prefixes
   * are set.
   */
  async #sort(from: number, to: number, depth: number): Promise<void> {
    await this.#byPrefix(from, to);
    if (this.#isDecided) return;
    for (let start = from; start < to; ) {
      const high = this.#highs[start]!;
      const low = this.#lows[start]!;
      let end = start + 1;
      while (end < to && this.#highs[end] === high && this.#lows[end] === low) end++;
      if (end - start > 1) await this.#sortTies(start, end, depth);
      start = end;
      if (this.#pace.due) await this.#pace.rest();
    }
  }

  /** Sorts frames whose keys agree in the first `depth` bytes, or are shorter and equal. */
  async #sortTies(from: number, to: number, depth: number): Promise<void> {
    const chain = this.#chain;
    let longest = 0;
    let uneven = false;
    let differ = false;
    let length = -1;
    for (let i = from; i < to; i++) {
      chain.lookAtKey(this.addresses[i]!, depth, depth + 8);
      const keyLength = chain.keyEnd - chain.keyStart;
      if (keyLength > longest) longest = keyLength;
      if (length >= 0 && length !== keyLength) uneven = true;
      length = keyLength;
      this.#highs[i] = word(chain.bytes, chain.keyStart + depth, chain.keyEnd);
      this.#lows[i] = word(chain.bytes, chain.keyStart + depth + 4, chain.keyEnd);
      if (this.#highs[i] !== this.#highs[from] || this.#lows[i] !== this.#lows[from]) differ = true;
    }
    if (differ) return this.#sort(from, to, depth + 8);
    // Most ties are equal keys, with nothing left to compare.
    const next =
      longest > depth + 8 ? await this.#agreement(from, to, depth + 8, longest) : longest;
    if (next < longest) return this.#sortTies(from, to, next - (next % 8));
    if (uneven) this.#byLength(from, to);
  }

  /**
   * In how many bytes the keys agree, padded with zeros: at least `depth`, and Infinity if they do not
   * differ. A key of megabytes is read once, in parts, not copied for each 8 bytes.
   */
  async #agreement(from: number, to: number, depth: number, longest: number): Promise<number> {
    for (let start = depth; start < longest; start += AT_ONCE) {
      const agreement = await this.#agreementWithin(from, to, start, start + AT_ONCE);
      if (agreement < start + AT_ONCE) return agreement;
    }
    return Number.POSITIVE_INFINITY;
  }

  async #agreementWithin(from: number, to: number, depth: number, until: number): Promise<number> {
    const chain = this.#chain;
    chain.lookAtKey(this.addresses[from]!, depth, until);
    const { bytes, keyStart, keyEnd } = chain;
    const isLong = keyEnd - keyStart > TIMED_KEY;
    let agreement = until;
    for (let i = from + 1; i < to && agreement > depth; i++) {
      chain.lookAtKey(this.addresses[i]!, depth, until);
      const shift = chain.keyStart - keyStart;
      const end = Math.min(keyStart + agreement, Math.max(keyEnd, chain.keyEnd - shift));
      let at = keyStart + depth;
      for (; at < end; at++) {
        const byte = at < keyEnd ? bytes[at] : 0;
        if (byte !== (at + shift < chain.keyEnd ? chain.bytes[at + shift] : 0)) break;
      }
      if (at < end) agreement = at - keyStart;
      if (isLong ? this.#pace.isOver : this.#pace.due) await this.#pace.rest();
    }
    return agreement;
  }

  /** Sorts keys that differ only in the zeros at their end. */
  #byLength(from: number, to: number): void {
    const lengthOf = (address: number) => {
      this.#chain.lookAtKey(address, 0, 0);
      return this.#chain.keyEnd - this.#chain.keyStart;
    };
    const sorted = Array.from(this.addresses.subarray(from, to), (address) => ({
      address,
      length: lengthOf(address),
    })).sort((a, b) => a.length - b.length);
    for (const [i, { address }] of sorted.entries()) this.addresses[from + i] = address;
  }

  async #byPrefix(from: number, to: number): Promise<void> {
    if (to - from < SHORT) return this.#insert(from, to);
    for (let digit = 0; digit < 6; digit++) {
      this.#pass(from, to, digit < 3 ? this.#lows : this.#highs, (digit % 3) * BITS);
      if (this.#pace.isOver) await this.#pace.rest();
    }
  }

  /** Sorts by one digit: the low three digits are in `lows`, the others in `highs`. */
  #pass(from: number, to: number, digits: Uint32Array, shift: number): void {
    const counts = this.#counts.fill(0);
    for (let i = from; i < to; i++) counts[(digits[i]! >>> shift) & MASK]!++;
    if (counts[(digits[from]! >>> shift) & MASK] === to - from) return;
    let sum = from;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const count = counts[bucket]!;
      counts[bucket] = sum;
      sum += count;
    }
    for (let i = from; i < to; i++) {
      const target = counts[(digits[i]! >>> shift) & MASK]!++;
      this.#nextAddresses[target] = this.addresses[i]!;
      this.#nextHighs[target] = this.#highs[i]!;
      this.#nextLows[target] = this.#lows[i]!;
    }
    this.addresses.set(this.#nextAddresses.subarray(from, to), from);
    this.#highs.set(this.#nextHighs.subarray(from, to), from);
    this.#lows.set(this.#nextLows.subarray(from, to), from);
  }

  #insert(from: number, to: number): void {
    for (let i = from + 1; i < to; i++) {
      const address = this.addresses[i]!;
      const high = this.#highs[i]!;
      const low = this.#lows[i]!;
      let j = i - 1;
      while (
        j >= from &&
        (this.#highs[j]! > high || (this.#highs[j] === high && this.#lows[j]! > low))
      ) {
        this.addresses[j + 1] = this.addresses[j]!;
        this.#highs[j + 1] = this.#highs[j]!;
        this.#lows[j + 1] = this.#lows[j]!;
        j--;
      }
      this.addresses[j + 1] = address;
      this.#highs[j + 1] = high;
      this.#lows[j + 1] = low;
    }
  }
}

/** Three digits cover 32 bits; their counts stay in the first-level cache. */
const BITS = 11;
const BUCKETS = 1 << BITS;
const MASK = BUCKETS - 1;
/** Bytes of a key that are compared at a time. */
const AT_ONCE = 64 << 10;
/** From this length on, comparing a key takes so long that the clock is read after each. */
const TIMED_KEY = 4096;
/** Below this count, insertion takes less time than six passes. */
const SHORT = 48;

/** Four bytes as an unsigned number, with zeros beyond `end`. */
export function word(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < start + 4; i++) value = (value << 8) | (i < end ? bytes[i]! : 0);
  return value >>> 0;
}
