import { releaseBytes } from "@partd/core/author";
import { decodeGroupKeys } from "@partd/records";
import type { KeyedBatch } from "../source/keyed-batch.js";

/** Keys with their hashes. */
export type Keyed = Omit<KeyedBatch, "bytes" | "ends">;

/** Keys with memory of their own. */
export interface Adopted extends Keyed {
  readonly keys: Uint8Array<ArrayBuffer>;
  readonly keyEnds: Uint32Array<ArrayBuffer>;
}

/** Numbers encoded keys from 0, in the order in which they first come. */
export class KeyIndex {
  count = 0;
  /** The keys end to end, and where each ends. */
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  #ends: Uint32Array<ArrayBuffer> = new Uint32Array(256);
  /**
   * Four words a slot, within one cache line: both halves of the key's hash, its number plus 1 (0: the
   * slot is free), and where it begins.
   */
  #slots = new Uint32Array(2048);

  /** Bytes of the keys, with their table and room to grow. */
  get byteLength(): number {
    return 1.5 * this.#length + BYTES_PER_KEY * this.count;
  }

  /** Bytes of its arrays, which stay as long as they are when keys are forgotten. */
  get capacity(): number {
    return this.#bytes.byteLength + this.#ends.byteLength + this.#slots.byteLength;
  }

  /** Whether its keys have reached the most bytes that it can address. */
  get isFull(): boolean {
    return this.#length > MOST_BYTES;
  }

  get #length(): number {
    return this.count === 0 ? 0 : this.#ends[this.count - 1]!;
  }

  /** Forgets all keys, and keeps the memory. */
  clear(): void {
    this.count = 0;
    this.#slots.fill(0);
  }

  /** Forgets all keys, and gives their memory back at once. */
  release(): void {
    for (const array of [this.#bytes, this.#ends, this.#slots])
      releaseBytes(new Uint8Array(array.buffer));
    this.count = 0;
    this.#bytes = new Uint8Array(4096);
    this.#ends = new Uint32Array(256);
    this.#slots = new Uint32Array(2048);
  }

  /**
   * Writes the number of each record's key, or {@link NO_NUMBER}.
   *
   * @param isClosed whether new keys get no number.
   * @returns how many records have no number.
   */
  number(batch: Keyed, into: Uint32Array, isClosed: boolean): number {
    const { count } = batch;
    let without = 0;
    for (let from = 0; from < count; from += AT_ONCE) {
      const to = Math.min(count, from + AT_ONCE);
      into[from] = this.#touch(batch, from, to); // Use the result, or the compiler would drop the call.
      without += this.#numberSome(batch, from, to, into, isClosed);
    }
    return without;
  }

  /**
   * Prefetch: reads the slot and the key of each record. Without a branch in between, the processor
   * fetches many at a time, which halves the time of what follows.
   */
  #touch({ hashLow }: Keyed, from: number, to: number): number {
    const slots = this.#slots;
    const bytes = this.#bytes;
    const mask = slots.length - 1;
    let sum = 0;
    for (let i = from; i < to; i++) sum ^= bytes[slots[((hashLow[i]! << 2) & mask) + 3]!]!;
    return sum;
  }

  #numberSome(
    { keys, keyStarts, keyEnds, hashLow, hashHigh }: Keyed,
    first: number,
    end: number,
    into: Uint32Array,
    isClosed: boolean,
  ): number {
    let slots = this.#slots;
    let bytes = this.#bytes;
    let without = 0;
    records: for (let i = first; i < end; i++) {
      const low = hashLow[i]!;
      const high = hashHigh[i]!;
      const start = keyStarts[i]!;
      const length = keyEnds[i]! - start;
      const mask = slots.length - 1;
      let slot = (low << 2) & mask;
      search: for (; slots[slot + 2] !== 0; slot = (slot + 4) & mask) {
        if (slots[slot] !== low || slots[slot + 1] !== high) continue;
        const number = slots[slot + 2]! - 1;
        const from = slots[slot + 3]!;
        if (this.#ends[number]! - from !== length) continue;
        for (let at = 0; at < length; at++) {
          if (bytes[from + at] !== keys[start + at]) continue search;
        }
        into[i] = number;
        continue records;
      }
      if (isClosed) {
        into[i] = NO_NUMBER;
        without++;
        continue;
      }
      into[i] = this.count;
      this.#add(slot, keys, start, length, low, high);
      slots = this.#slots;
      bytes = this.#bytes;
    }
    return without;
  }

  #add(
    slot: number,
    keys: Uint8Array,
    start: number,
    length: number,
    low: number,
    high: number,
  ): void {
    const from = this.#length;
    const number = this.count++;
    if (from + length > this.#bytes.length) {
      this.#bytes = grown(this.#bytes, new Uint8Array(Math.ceil(1.5 * (from + length))));
    }
    for (let i = 0; i < length; i++) this.#bytes[from + i] = keys[start + i]!;
    if (number === this.#ends.length) {
      this.#ends = grown(this.#ends, new Uint32Array(Math.ceil(number * 1.5)));
    }
    this.#ends[number] = from + length;
    this.#put(this.#slots, slot, low, high, number + 1, from);
    if (8 * this.count > this.#slots.length) this.#widen();
  }

  #put(
    slots: Uint32Array,
    slot: number,
    low: number,
    high: number,
    mark: number,
    start: number,
  ): void {
    slots[slot] = low;
    slots[slot + 1] = high;
    slots[slot + 2] = mark;
    slots[slot + 3] = start;
  }

  #widen(): void {
    const old = this.#slots;
    const slots = new Uint32Array(2 * old.length);
    const mask = slots.length - 1;
    for (let from = 0; from < old.length; from += 4) {
      const mark = old[from + 2]!;
      if (mark === 0) continue;
      const low = old[from]!;
      let slot = (low << 2) & mask;
      while (slots[slot + 2] !== 0) slot = (slot + 4) & mask;
      this.#put(slots, slot, low, old[from + 1]!, mark, old[from + 3]!);
    }
    this.#slots = slots;
    freeLarge(old);
  }

  /** All keys, by number, as views of the index's own memory. */
  get keyed(): Keyed {
    const { count } = this;
    const starts = new Uint32Array(count);
    for (let number = 1; number < count; number++) starts[number] = this.#ends[number - 1]!;
    const lows = new Uint32Array(count);
    const highs = new Uint32Array(count);
    const slots = this.#slots;
    for (let slot = 0; slot < slots.length; slot += 4) {
      const mark = slots[slot + 2]!;
      if (mark === 0) continue;
      lows[mark - 1] = slots[slot]!;
      highs[mark - 1] = slots[slot + 1]!;
    }
    return {
      count,
      ...this.encoded(0, count),
      keyStarts: starts,
      hashLow: lows,
      hashHigh: highs,
    };
  }

  /**
   * Takes over distinct keys into an empty index; each keeps its number.
   *
   * @param keyed its keys lie end to end, and belong to the index from now on.
   */
  adopt({ count, keys, keyEnds, hashLow, hashHigh }: Adopted): void {
    if (count === 0) return;
    this.count = count;
    this.#bytes = keys;
    this.#ends = keyEnds;
    const slots = new Uint32Array(Math.max(2048, 4 * 2 ** Math.ceil(Math.log2(2 * count + 1))));
    this.#slots = slots;
    const mask = slots.length - 1;
    for (let number = 0, from = 0; number < count; number++) {
      const low = hashLow[number]!;
      let slot = (low << 2) & mask;
      while (slots[slot + 2] !== 0) slot = (slot + 4) & mask;
      this.#put(slots, slot, low, hashHigh[number]!, number + 1, from);
      from = keyEnds[number]!;
    }
  }

  /** The keys of some numbers, end to end, in the index's own memory. */
  encoded(
    first: number,
    behind: number,
  ): { readonly keys: Uint8Array; readonly keyEnds: Uint32Array } {
    const start = first === 0 ? 0 : this.#ends[first - 1]!;
    const keyEnds = this.#ends.subarray(first, behind);
    return {
      keys: this.#bytes.subarray(start, behind === 0 ? 0 : this.#ends[behind - 1]),
      keyEnds: start === 0 ? keyEnds : keyEnds.map((end) => end - start),
    };
  }

  /** The keys of some numbers, decoded. */
  keys(first: number, behind: number): unknown[] {
    return decodeGroupKeys(this.#bytes, this.#ends, first, behind);
  }

  /** Calls `use` with the place of the key of that number. */
  at<T>(number: number, use: (bytes: Uint8Array, start: number, end: number) => T): T {
    return use(this.#bytes, number === 0 ? 0 : this.#ends[number - 1]!, this.#ends[number]!);
  }
}

/** Stands for no number. */
export const NO_NUMBER = 0xffff_ffff;

/** The slots of this many records stay in the cache until they are used. */
const AT_ONCE = 512;

/** Half of the bytes that 32 bits address, so that one more batch does no harm. */
const MOST_BYTES = 2 ** 31;

/** An end with its room to grow, and two to four slots; while slots are copied, the old half is there, too. */
const BYTES_PER_KEY = 6 + 64;

function grown<A extends Uint8Array | Uint32Array>(from: A, to: A): A {
  to.set(from);
  freeLarge(from);
  return to;
}

/** Frees a large array at once: the garbage collector would come late. */
function freeLarge({ buffer }: Uint8Array | Uint32Array): void {
  if (buffer.byteLength >= LARGE) releaseBytes(new Uint8Array(buffer as ArrayBuffer));
}

/** Bytes of an array that is freed at once. */
const LARGE = 1 << 20;
