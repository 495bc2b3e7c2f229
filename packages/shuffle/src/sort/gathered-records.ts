import { releaseBytes } from "@partd/core/author";
import type { KeyedBatch } from "../source/keyed-batch.js";
import type { Block } from "../spill/block.js";
import { LONG_BYTES, longArray } from "../spill/frame.js";
import type { Workspace } from "../spill/workspace.js";
import { freeRows, type KeysInOrder, SORT_COST, sortedOrder, word } from "./sorted-order.js";

/** A record in its place in the order. It is valid until the next one is read. */
export interface SortedRecord {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** The key, and its first 8 bytes: for those who asked for keys. */
  readonly keys: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly high: number;
  readonly low: number;
  /** Whether `bytes` holds only this record with its key, and may be kept. */
  readonly isOwn: boolean;
}

/**
 * Records that are gathered to be sorted in memory, as columns: the bytes of all records lie end to end, those
 * of their keys in memory of their own, and rows tell where each ends. A batch is copied whole: as frames, a
 * record of 120 bytes took more than twice as long.
 */
export class GatheredRecords implements KeysInOrder, SortedRecord {
  readonly #workspace: Workspace;
  readonly #records: Pile;
  readonly #keys: Pile;
  readonly #tail = new KeyTail();
  count = 0;
  /** Where record `i` and its key begin; they end where the next ones begin. */
  #starts = new Float64Array(FIRST_ROWS + 1);
  #keyStarts = new Float64Array(FIRST_ROWS + 1);
  /** The first 8 bytes of the keys; of no use once they are sorted. */
  highs = new Uint32Array(FIRST_ROWS);
  lows = new Uint32Array(FIRST_ROWS);
  #order: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  #charged = 0;

  /** Some of the records in their order, and where they begin and end. */
  #fetched: Uint32Array = new Uint32Array(0);
  readonly #froms = new Float64Array(FETCHED);
  readonly #tos = new Float64Array(FETCHED);

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
    this.#records = new Pile(workspace);
    this.#keys = new Pile(workspace);
  }

  /** Bytes of the blocks that are taken. */
  get byteLength(): number {
    return this.#records.size + this.#keys.size;
  }

  /** Bytes that the rows of this many records more take. */
  rowCostOf(more: number): number {
    return 1.5 * ROW_COST * Math.max(0, this.count + more - this.highs.length);
  }

  /** Adds a batch whose hashes are the first 8 bytes of the keys. The workspace must have room for it. */
  add(batch: KeyedBatch): void {
    const { count, bytes, ends, keys, keyStarts, keyEnds, hashHigh, hashLow } = batch;
    if (count === 0) return;
    this.#tail.add(batch);
    const first = this.count;
    if (first + count > this.highs.length) this.#grow(first + count);
    const start = this.#records.byteLength;
    const keyStart = this.#keys.byteLength - keyStarts[0]!;
    for (let i = 0; i < count; i++) {
      this.#starts[first + i + 1] = start + ends[i]!;
      this.#keyStarts[first + i + 1] = keyStart + keyEnds[i]!;
    }
    this.highs.set(hashHigh.subarray(0, count), first);
    this.lows.set(hashLow.subarray(0, count), first);
    this.#records.append(bytes, 0, ends[count - 1]!);
    this.#keys.append(keys, keyStarts[0]!, keyEnds[count - 1]!);
    this.count = first + count;
  }

  #grow(least: number): void {
    const rows = Math.max(least, Math.ceil(1.5 * this.highs.length));
    this.#starts = grown(this.#starts, new Float64Array(rows + 1));
    this.#keyStarts = grown(this.#keyStarts, new Float64Array(rows + 1));
    this.highs = grown(this.highs, new Uint32Array(rows));
    this.lows = grown(this.lows, new Uint32Array(rows));
    this.#charge(ROW_COST * rows);
  }

  #charge(bytes: number): void {
    this.#workspace.charge(bytes - this.#charged);
    this.#charged = bytes;
  }

  /** The numbers of the records in the order of their keys; stable. Nothing may be added afterwards. */
  async sort(): Promise<Uint32Array> {
    this.#charge(this.#charged + SORT_COST * this.count);
    this.#order = await sortedOrder(this, this.#tail.isSame);
    return this.#order;
  }

  /** Bytes of all records. */
  get recordBytes(): number {
    return this.#starts[this.count]!;
  }

  /** Whether a record is longer than that. */
  hasLonger(bytes: number): boolean {
    for (let i = 0; i < this.count; i++)
      if (this.#starts[i + 1]! - this.#starts[i]! > bytes) return true;
    return false;
  }

  /** Moves the records to other memory, and where they begin, and the last one ends. They are no longer here. */
  moveTo(bytes: Uint8Array, starts: Uint32Array): void {
    for (let i = 0; i <= this.count; i++) starts[i] = this.#starts[i]!;
    this.#records.moveTo(bytes);
  }

  keyLength(index: number): number {
    return this.#keyStarts[index + 1]! - this.#keyStarts[index]!;
  }

  lookAtKey(index: number, from = 0, to = Number.POSITIVE_INFINITY): void {
    const start = this.#keyStarts[index]!;
    const end = this.#keyStarts[index + 1]!;
    this.#keys.look(Math.min(end, start + from), Math.min(end, start + to));
  }

  get keys(): Uint8Array {
    return this.#keys.bytes;
  }

  get keyStart(): number {
    return this.#keys.start;
  }

  get keyEnd(): number {
    return this.#keys.end;
  }

  get high(): number {
    return word(this.keys, this.keyStart, this.keyEnd);
  }

  get low(): number {
    return word(this.keys, this.keyStart + 4, this.keyEnd);
  }

  /**
   * Fetches records, by the first {@link FETCHED} of these numbers or fewer: reads where they lie. Without branches in
   * between, the processor fetches many cache lines at a time.
   */
  fetch(order: Uint32Array): void {
    this.#fetched = order;
    const count = Math.min(FETCHED, order.length);
    for (let i = 0; i < count; i++) {
      this.#froms[i] = this.#starts[order[i]!]!;
      this.#tos[i] = this.#starts[order[i]! + 1]!;
    }
    this.#records.touch(this.#froms, count);
  }

  /** Goes to a fetched record, counted from 0. Its key cannot be read before {@link lookAtFetchedKey}. */
  look(i: number): void {
    this.#records.look(this.#froms[i]!, this.#tos[i]!);
  }

  lookAtFetchedKey(i: number): void {
    this.lookAtKey(this.#fetched[i]!);
  }

  get bytes(): Uint8Array {
    return this.#records.bytes;
  }

  get start(): number {
    return this.#records.start;
  }

  get end(): number {
    return this.#records.end;
  }

  readonly isOwn = false;

  /** Frees all memory at once. The garbage collector would let the rows of several runs pile up. */
  release(): void {
    this.#records.release();
    this.#keys.release();
    const { highs, lows } = this;
    for (const rows of [this.#starts, this.#keyStarts, highs, lows, this.#order]) freeRows(rows);
    this.#charge(0);
  }
}

/** Records that are fetched at a time: they stay in the cache until they are visited. */
export const FETCHED = 64;
const FIRST_ROWS = 1024;
/** Bytes of a row. */
const ROW_COST = 24;

function grown<T extends Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(
  before: T,
  larger: T,
): T {
  larger.set(before);
  freeRows(before);
  return larger;
}

/** Bytes end to end in blocks of a workspace. */
class Pile {
  readonly #workspace: Workspace;
  readonly #blockSize: number;
  readonly #blocks: Block[] = [];
  byteLength = 0;
  /** What {@link look} has found lies in `bytes`, from `start` to `end`. */
  bytes: Uint8Array<ArrayBuffer> = NOTHING;
  start = 0;
  end = 0;
  /** The array of the bytes that were found, if they are many and lie in several blocks. */
  #joined: Uint8Array<ArrayBuffer> | undefined;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
    this.#blockSize = workspace.blockSize;
  }

  /** Bytes of the blocks. */
  get size(): number {
    return this.#blocks.length * this.#blockSize;
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    for (let from = start; from < end; ) {
      if (this.byteLength === this.size) this.#blocks.push(this.#workspace.take());
      const { bytes: block } = this.#blocks[this.#blocks.length - 1]!;
      const room = this.size - this.byteLength;
      const length = Math.min(end - from, room);
      block.set(bytes.subarray(from, from + length), this.#blockSize - room);
      this.byteLength += length;
      from += length;
    }
  }

  /** Finds the bytes from one position to another; frees those found before, if they were joined and are many. */
  look(from: number, to: number): void {
    if (this.#joined) this.#leave();
    const index = Math.floor(from / this.#blockSize);
    this.start = from - index * this.#blockSize;
    this.end = this.start + to - from;
    if (this.end > this.#blockSize) this.#join(index);
    else this.bytes = this.#blocks[index]?.bytes ?? NOTHING;
  }

  /** Copies what lies in several blocks to an array of its own. */
  #join(index: number): void {
    const joined = longArray(this.end - this.start);
    let next = index;
    let from = this.start;
    for (let filled = 0; filled < joined.length; from = 0) {
      const length = Math.min(joined.length - filled, this.#blockSize - from);
      joined.set(this.#blocks[next++]!.bytes.subarray(from, from + length), filled);
      filled += length;
    }
    this.bytes = joined;
    this.start = 0;
    this.end = joined.length;
    if (joined.length >= LONG_BYTES) this.#joined = joined;
  }

  #leave(): void {
    releaseBytes(this.#joined!);
    this.#joined = undefined;
    this.bytes = NOTHING;
  }

  moveTo(bytes: Uint8Array): void {
    const blockSize = this.#blockSize;
    for (let from = 0; from < this.byteLength; from += blockSize) {
      const block = this.#blocks.shift()!;
      bytes.set(block.bytes.subarray(0, Math.min(blockSize, this.byteLength - from)), from);
      this.#workspace.release([block]);
    }
  }

  /** Reads at these positions, and one and two cache lines after them. */
  touch(positions: Float64Array, count: number): number {
    const blocks = this.#blocks;
    const blockSize = this.#blockSize;
    const last = blockSize / 4 - 1;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const index = Math.floor(positions[i]! / blockSize);
      const word = (positions[i]! - index * blockSize) >>> 2;
      const { words } = blocks[index]!;
      sum ^= words[word]! ^ words[Math.min(word + 16, last)]! ^ words[Math.min(word + 32, last)]!;
    }
    return sum;
  }

  release(): void {
    if (this.#joined) this.#leave();
    this.#workspace.release(this.#blocks.splice(0));
  }
}

const NOTHING = new Uint8Array();

/**
 * Tracks whether the first 8 bytes alone tell the keys apart, because all keys have the same length and
 * the same bytes after these. This holds for whole numbers below 2^45, dates and booleans. Keys with
 * equal prefixes are then equal, so ties need no look at their bytes.
 */
class KeyTail {
  isSame = true;
  #first: Uint8Array | undefined;

  add({ count, keys, keyStarts, keyEnds }: KeyedBatch): void {
    if (!this.isSame || count === 0) return;
    if (keyEnds[0]! - keyStarts[0]! > LONGEST) {
      this.isSame = false;
      return;
    }
    const first = this.#first ?? new Uint8Array(keys.subarray(keyStarts[0], keyEnds[0]));
    this.#first = first;
    const { length } = first;
    for (let i = 0; i < count; i++) {
      const start = keyStarts[i]!;
      let same = keyEnds[i]! - start === length;
      for (let at = PREFIX; at < length; at++) same &&= keys[start + at] === first[at];
      if (same) continue;
      this.isSame = false;
      return;
    }
  }
}

/** Bytes of a key that are compared as two words. */
const PREFIX = 8;
/** Bytes of the longest key that is looked at: longer keys are text, whose tails hardly ever agree. */
const LONGEST = 16;
