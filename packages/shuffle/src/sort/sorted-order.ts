import { Pace, releaseBytes } from "@partd/core/author";
import { LONG_BYTES } from "../spill/frame.js";

/** Keys that are to be sorted. */
export interface KeysInOrder {
  readonly count: number;
  /** The first 8 bytes of the keys, which sorting uses up. */
  readonly highs: Uint32Array;
  readonly lows: Uint32Array;
  /** In bytes. */
  keyLength(index: number): number;
  /** Makes a part of a key, as far as it has one, the bytes of `keys` from `keyStart` to `keyEnd`. */
  lookAtKey(index: number, from: number, to: number): void;
  readonly keys: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
}

/**
 * The numbers of the keys in their order; stable. A radix sort over the first 8 bytes of the keys, then,
 * among keys that share them, over the next 8.
 *
 * @param isDecided whether keys that share their first 8 bytes are equal.
 */
export async function sortedOrder(
  keys: KeysInOrder,
  isDecided: boolean,
): Promise<Uint32Array<ArrayBuffer>> {
  const sort = new RadixSort(keys, isDecided);
  try {
    await sort.run();
    return sort.order;
  } finally {
    sort.free();
  }
}

/** Frees an array at once, if it is long. */
export function freeRows({ buffer }: { readonly buffer: ArrayBuffer }): void {
  if (buffer.byteLength >= LONG_BYTES) releaseBytes(new Uint8Array(buffer));
}

/** Bytes of memory for sorting a key, beside its first 8 bytes. */
export const SORT_COST = 16;

class RadixSort {
  readonly #keys: KeysInOrder;
  readonly #isDecided: boolean;
  readonly order: Uint32Array<ArrayBuffer>;
  readonly #highs: Uint32Array;
  readonly #lows: Uint32Array;
  readonly #nextOrder: Uint32Array<ArrayBuffer>;
  readonly #nextHighs: Uint32Array<ArrayBuffer>;
  readonly #nextLows: Uint32Array<ArrayBuffer>;
  readonly #counts = new Uint32Array(BUCKETS);
  readonly #pace = new Pace();

  constructor(keys: KeysInOrder, isDecided: boolean) {
    const { count, highs, lows } = keys;
    this.#keys = keys;
    this.#isDecided = isDecided;
    this.order = new Uint32Array(count);
    for (let i = 0; i < count; i++) this.order[i] = i;
    this.#highs = highs;
    this.#lows = lows;
    this.#nextOrder = new Uint32Array(count);
    this.#nextHighs = new Uint32Array(count);
    this.#nextLows = new Uint32Array(count);
  }

  async run(): Promise<void> {
    await this.#sort(0, this.order.length, 8);
  }

  /** Frees what only sorting needs. */
  free(): void {
    for (const rows of [this.#nextOrder, this.#nextHighs, this.#nextLows]) freeRows(rows);
  }

  /**
   * Sorts keys `from` to `to`. They agree except in 8 bytes before `depth`, and their prefixes
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

  /** Sorts keys that agree in the first `depth` bytes, or are shorter and equal. */
  async #sortTies(from: number, to: number, depth: number): Promise<void> {
    const keys = this.#keys;
    let longest = 0;
    let uneven = false;
    let differ = false;
    let length = -1;
    for (let i = from; i < to; i++) {
      const index = this.order[i]!;
      const keyLength = keys.keyLength(index);
      if (keyLength > longest) longest = keyLength;
      if (length >= 0 && length !== keyLength) uneven = true;
      length = keyLength;
      keys.lookAtKey(index, depth, depth + 8);
      this.#highs[i] = word(keys.keys, keys.keyStart, keys.keyEnd);
      this.#lows[i] = word(keys.keys, keys.keyStart + 4, keys.keyEnd);
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
    const others = this.#keys;
    others.lookAtKey(this.order[from]!, depth, until);
    const { keys, keyStart, keyEnd } = others;
    const isLong = others.keyLength(this.order[from]!) > TIMED_KEY;
    let agreement = until - depth;
    for (let i = from + 1; i < to && agreement > 0; i++) {
      others.lookAtKey(this.order[i]!, depth, until);
      const length = Math.max(keyEnd - keyStart, others.keyEnd - others.keyStart);
      const end = Math.min(agreement, length);
      let at = 0;
      for (; at < end; at++) {
        const byte = keyStart + at < keyEnd ? keys[keyStart + at] : 0;
        const other = others.keyStart + at;
        if (byte !== (other < others.keyEnd ? others.keys[other] : 0)) break;
      }
      if (at < end) agreement = at;
      if (isLong ? this.#pace.isOver : this.#pace.due) await this.#pace.rest();
    }
    return depth + agreement;
  }

  /** Sorts keys that differ only in the zeros at their end. */
  #byLength(from: number, to: number): void {
    const sorted = Array.from(this.order.subarray(from, to)).sort(
      (a, b) => this.#keys.keyLength(a) - this.#keys.keyLength(b),
    );
    this.order.set(sorted, from);
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
      this.#nextOrder[target] = this.order[i]!;
      this.#nextHighs[target] = this.#highs[i]!;
      this.#nextLows[target] = this.#lows[i]!;
    }
    this.order.set(this.#nextOrder.subarray(from, to), from);
    this.#highs.set(this.#nextHighs.subarray(from, to), from);
    this.#lows.set(this.#nextLows.subarray(from, to), from);
  }

  #insert(from: number, to: number): void {
    for (let i = from + 1; i < to; i++) {
      const index = this.order[i]!;
      const high = this.#highs[i]!;
      const low = this.#lows[i]!;
      let j = i - 1;
      while (
        j >= from &&
        (this.#highs[j]! > high || (this.#highs[j] === high && this.#lows[j]! > low))
      ) {
        this.order[j + 1] = this.order[j]!;
        this.#highs[j + 1] = this.#highs[j]!;
        this.#lows[j + 1] = this.#lows[j]!;
        j--;
      }
      this.order[j + 1] = index;
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
  if (start + 4 <= end) {
    const low = (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!;
    return ((bytes[start]! << 24) | low) >>> 0;
  }
  let value = 0;
  for (let i = start; i < start + 4; i++) value = (value << 8) | (i < end ? bytes[i]! : 0);
  return value >>> 0;
}
