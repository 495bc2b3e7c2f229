import { Pace } from "@partd/core/author";
import { decodeGroupKey } from "@partd/records";
import type { Walk } from "../run/walk.js";
import type { KeyedBatch } from "../source/keyed-batch.js";
import { isDigest, isDigestOfNothing } from "../source/short-keys.js";
import type { Block } from "../spill/block.js";
import { LoadedChain } from "../spill/loaded-chain.js";
import { sameBytes } from "../spill/same-bytes.js";

/**
 * Finds the groups of a chain in memory: a hash table has the first frame of each group, and from there
 * each frame links to the next one of its group, in a word of its header. So a record costs nothing
 * besides its frame, and a group 24 to 40 bytes.
 */
export class GroupTable {
  count = 0;
  readonly #chain: LoadedChain;
  /** A second cursor, for the frames that a key is compared with. */
  readonly #other: LoadedChain;
  /**
   * Two words a slot, side by side for the cache: a group's hash; its index plus 1, or 0 if the slot is
   * free.
   */
  #slots = new Uint32Array(128);
  #firsts = new Uint32Array(32);
  #lasts = new Uint32Array(32);
  /** The address of the frame that `next` goes to. */
  #next = NO_LINK;

  constructor(blocks: readonly Block[], blockSize: number) {
    this.#chain = new LoadedChain(blocks, blockSize);
    this.#other = new LoadedChain(blocks, blockSize);
  }

  /** The most bytes that the table of this many records takes. */
  static cost(records: number): number {
    return records * 40;
  }

  async build(): Promise<void> {
    const pace = new Pace();
    const chain = this.#chain;
    for (let more = chain.lookAtKey(0); more; more = chain.lookAtKey(chain.following)) {
      this.#add(chain);
      if (pace.due) await pace.rest();
    }
  }

  #add(frame: LoadedChain): void {
    const hash = hashOf(frame.low, frame.high);
    const { address } = frame;
    frame.setLink(address, NO_LINK);
    const mask = this.#slots.length - 1;
    let slot = slotOf(hash) & mask;
    for (; this.#slots[slot + 1] !== 0; slot = (slot + 2) & mask) {
      if (this.#slots[slot] !== hash) continue;
      const index = this.#slots[slot + 1]! - 1;
      if (!this.#hasKey(index, frame.bytes, frame.keyStart, frame.keyEnd)) continue;
      frame.setLink(this.#lasts[index]!, address);
      this.#lasts[index] = address;
      return;
    }
    this.#begin(slot, address, hash);
  }

  #hasKey(index: number, keys: Uint8Array, start: number, end: number): boolean {
    const other = this.look(index);
    return sameBytes(other.bytes, other.keyStart, other.keyEnd, keys, start, end);
  }

  #begin(slot: number, address: number, hash: number): void {
    const index = this.count++;
    if (index === this.#firsts.length) {
      this.#firsts = grown(this.#firsts);
      this.#lasts = grown(this.#lasts);
    }
    this.#firsts[index] = address;
    this.#lasts[index] = address;
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = index + 1;
    if (this.count * 4 > this.#slots.length) this.#widen();
  }

  #widen(): void {
    const old = this.#slots;
    const slots = new Uint32Array(old.length * 2);
    const mask = slots.length - 1;
    for (let from = 0; from < old.length; from += 2) {
      if (old[from + 1] === 0) continue;
      let slot = slotOf(old[from]!) & mask;
      while (slots[slot + 1] !== 0) slot = (slot + 2) & mask;
      slots[slot] = old[from]!;
      slots[slot + 1] = old[from + 1]!;
    }
    this.#slots = slots;
  }

  /**
   * Writes the group of each record's key; -1 if there is none, or if the key matches nothing in a
   * join.
   */
  findAll(batch: KeyedBatch, into: Int32Array): void {
    const { count } = batch;
    if (this.count === 0) {
      into.fill(-1, 0, count);
      return;
    }
    for (let from = 0; from < count; from += AT_ONCE) {
      const to = Math.min(count, from + AT_ONCE);
      into[from] = this.#touch(batch, from, to); // Use the result, or the compiler would drop the call.
      this.#findSome(batch, from, to, into);
    }
  }

  /**
   * Prefetch: reads what finding will read. Without branches in between, the processor fetches many
   * lines at a time.
   */
  #touch({ hashLow, hashHigh }: KeyedBatch, from: number, to: number): number {
    const slots = this.#slots;
    const firsts = this.#firsts;
    const chain = this.#other;
    const mask = slots.length - 1;
    let sum = 0;
    for (let i = from; i < to; i++) {
      const slot = slotOf(hashOf(hashLow[i]!, hashHigh[i]!)) & mask;
      sum ^= chain.link(firsts[slots[slot + 1]! - 1] ?? 0);
    }
    return sum;
  }

  #findSome(batch: KeyedBatch, from: number, to: number, into: Int32Array): void {
    const { keys, keyStarts, keyEnds, hashLow, hashHigh } = batch;
    const slots = this.#slots;
    const mask = slots.length - 1;
    records: for (let i = from; i < to; i++) {
      const start = keyStarts[i]!;
      const end = keyEnds[i]!;
      const hash = hashOf(hashLow[i]!, hashHigh[i]!);
      into[i] = -1;
      for (let slot = slotOf(hash) & mask; slots[slot + 1] !== 0; slot = (slot + 2) & mask) {
        if (slots[slot] !== hash) continue;
        const index = slots[slot + 1]! - 1;
        if (!this.#hasKey(index, keys, start, end)) continue;
        if (!matchesNothing(keys, start, end)) into[i] = index;
        continue records;
      }
    }
  }

  /** The frame of the last {@link first} or {@link next}. */
  get frame(): LoadedChain {
    return this.#chain;
  }

  /** Goes to the first frame of a group. */
  first(index: number): boolean {
    this.#next = this.#firsts[index]!;
    return this.next();
  }

  /** Goes to the next frame of the group. @returns false at its end. */
  next(): boolean {
    if (this.#next === NO_LINK) return false;
    this.#chain.look(this.#next);
    this.#next = this.#chain.link(this.#next);
    return true;
  }

  /** Goes to the key of a group's first frame. @returns its cursor, which the next look moves. */
  look(index: number): LoadedChain {
    this.#other.lookAtKey(this.#firsts[index]!);
    return this.#other;
  }

  /** Calls `use` with the first record of a group, beside the frame of {@link first} and {@link next}. */
  withFirst<T>(index: number, use: (frame: LoadedChain) => T): T {
    this.#other.look(this.#firsts[index]!);
    const result = use(this.#other);
    this.#other.leave();
    return result;
  }

  /** Frees the frame that was looked at last, if it is long. */
  leave(): void {
    this.#chain.leave();
  }

  /** Visits the records of a group. */
  walk(index: number): Walk {
    const chain = this.#chain;
    let address = this.#firsts[index]!;
    return (visit) => () => {
      chain.leave();
      let bytes = 0;
      while (address !== NO_LINK && bytes < BYTES_AT_ONCE) {
        chain.look(address);
        address = chain.link(address);
        bytes += chain.end - chain.keyEnd;
        visit(chain.bytes, chain.keyEnd, chain.end);
      }
      return address !== NO_LINK;
    };
  }
}

/** 32 bits of a hash in which the chains of one level still differ. */
function hashOf(low: number, high: number): number {
  return (low ^ Math.imul(high, 0x9e3779b1)) >>> 0;
}

/** The first word of a slot. */
function slotOf(hash: number): number {
  return (Math.imul(hash, 0x85ebca6b) >>> 7) << 1;
}

const NO_LINK = 0xffff_ffff;
/**
 * This many records are prefetched at a time, so that their lines are still in the cache when they are
 * used.
 */
const AT_ONCE = 512;
/** Bytes of records visited at a time: decoding them takes half a millisecond to a few. */
const BYTES_AT_ONCE = 128 << 10;

function grown(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.ceil(array.length * 1.5));
  larger.set(array);
  return larger;
}

/** Whether a key matches nothing in a join: it is missing or `null`, or a list with such an item. */
function matchesNothing(keys: Uint8Array, start: number, end: number): boolean {
  const first = keys[start];
  if (first === QUOTE) return false;
  if (isDigest(keys, start)) return isDigestOfNothing(keys, start);
  const key = decodeGroupKey(keys, start, end);
  return isNothing(key) || (Array.isArray(key) && key.some(isNothing));
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined;
}

/** The first byte of text, as nearly all keys are. */
const QUOTE = 0x22;
