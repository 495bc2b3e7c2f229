import { Pace } from "@partd/core/author";
import { VarintReader } from "../format/layout.js";
import { KeyTable } from "../index/key-table.js";
import { NO_SPAN, type Partition, Span } from "./partition.js";

/** Keys with their values, each whole. */
export type EntryBatch = readonly (readonly [key: string, value: Uint8Array])[];

/** A key whose value is too long to be held. */
export class LongEntry {
  readonly key: string;
  readonly length: number;
  readonly pieces: () => AsyncIterable<Uint8Array>;

  constructor(key: string, length: number, pieces: () => AsyncIterable<Uint8Array>) {
    this.key = key;
    this.length = length;
    this.pieces = pieces;
  }
}

/**
 * Groups the entries of one partition after another by their keys, in memory that serves them all:
 * a first pass numbers the keys and sums up the lengths of their values, a second one lays each
 * value's bytes together.
 */
export class Grouping {
  /** A partition, end to end. */
  #bytes: Buffer = EMPTY;
  /** Values, end to end. */
  #values = NO_SPAN;

  async *entries(partition: Partition): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
    let whole: Buffer | undefined;
    if (partition.byteLength <= KEPT_BYTES) {
      this.#bytes = roomFor(partition.byteLength, this.#bytes);
      whole = this.#bytes.subarray(0, partition.byteLength);
      await partition.readAll(whole);
    }
    const chunks = () => (whole ? [whole] : partition.chunks());
    const slots = new Slots(partition.rows);
    const pace = new Pace();
    const first = new ChunkReader(slots);
    for await (const chunk of chunks()) {
      first.begin(chunk);
      while (first.count()) if (pace.isOver) await pace.rest();
    }
    for (let from = 0; from < slots.size; ) {
      const to = slots.fitting(from);
      if (to === from) {
        const slot = from++;
        yield new LongEntry(slots.key(slot), slots.length(slot), () =>
          piecesOf(partition, slots, slot),
        );
        continue;
      }
      const ends = slots.layOut(from, to);
      const size = slots.bytesOf(from, to);
      if (size > this.#values.bytes.length) this.#values = new Span(roomFor(size, EMPTY));
      const second = new ChunkReader(slots);
      for await (const chunk of chunks()) {
        second.begin(chunk);
        while (second.copy(this.#values, ends, from, to)) if (pace.isOver) await pace.rest();
      }
      for (let slot = from; slot < to; ) {
        const batch: (readonly [string, Uint8Array])[] = [];
        slot = this.#take(slots, ends, slot, from, to, batch);
        if (batch.length > 0) yield batch;
        if (pace.isOver) await pace.rest();
      }
      from = to;
    }
  }

  /** Adds the values from `slot` on to the batch, and answers the slot behind them. */
  #take(
    slots: Slots,
    ends: Float64Array,
    slot: number,
    from: number,
    to: number,
    batch: (readonly [string, Uint8Array])[],
  ): number {
    let next = slot;
    for (let bytes = 0; next < to && batch.length < BATCH_KEYS && bytes < BATCH_BYTES; ) {
      // Small values share memory: one that is kept keeps no more than this alive.
      const start = (ends[next - from] as number) - slots.length(next);
      let stop = next + 1;
      while (stop < to && (ends[stop - from] as number) - start <= SHARED_BYTES) stop++;
      const end = ends[stop - 1 - from] as number;
      const { buffer } = new Uint8Array(this.#values.bytes.subarray(start, end));
      for (let at = 0; next < stop; next++) {
        const length = slots.length(next);
        if (length === 0) continue;
        batch.push([slots.key(next), new Uint8Array(buffer, at, length)]);
        at += length;
      }
      bytes += end - start;
    }
    return next;
  }
}

/** The pieces of a value that is too long to be held. */
async function* piecesOf(
  partition: Partition,
  slots: Slots,
  slot: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ChunkReader(slots);
  for await (const chunk of partition.chunks()) {
    reader.begin(chunk);
    for (const [from, to] of reader.rangesOf(slot)) yield new Uint8Array(chunk.subarray(from, to));
  }
}

/** Reads the entries of a partition, chunk after chunk, some at a time. */
class ChunkReader {
  readonly #slots: Slots;
  /** The slots of each segment's keys, as they are defined: in the first pass only. */
  readonly #slotsOf: number[][] = [];
  /** How many keys of each segment there were. */
  readonly #defined: number[] = [];
  #segment = 0;
  #row = 0;
  /** Bytes of the value that are in the next chunk. */
  #left = 0;
  #chunk = NO_SPAN;
  #reader = new VarintReader(EMPTY);
  /** Where the value of the entry begins that was read last. */
  #from = 0;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  begin(chunk: Buffer): void {
    this.#chunk = new Span(chunk);
    this.#reader = new VarintReader(chunk);
  }

  /** Numbers keys and counts bytes; false at the end of the chunk. */
  count(): boolean {
    const chunk = this.#chunk;
    const reader = this.#reader;
    const slots = this.#slots;
    this.#skip();
    for (let i = 0; i < SOME_ROWS; i++) {
      if (reader.at >= chunk.bytes.length) return false;
      const number = this.#number();
      this.#slotsOf[this.#segment] ??= [];
      const known = this.#slotsOf[this.#segment] as number[];
      if (number > known.length) {
        const length = reader.next();
        const end = reader.at + length;
        known.push(slots.number(chunk.bytes, reader.at, end));
        reader.at = end;
      }
      const length = reader.next();
      slots.add(this.#row++, known[number - 1] as number, length);
      this.#pass(length);
    }
    return true;
  }

  /** Copies values to `target`, where those before end at `ends`; false at the end of the chunk. */
  copy(target: Span, ends: Float64Array, from: number, to: number): boolean {
    const chunk = this.#chunk;
    const slots = this.#slots;
    const reader = this.#reader;
    if (this.#left > 0) {
      // Of the entry with which the chunk before ended.
      const row = this.#row - 1;
      const start = reader.at;
      this.#skip();
      if (slots.counts(row, from, to)) {
        const at = slots.slotOf(row) - from;
        target.copy(ends[at] as number, chunk, start, reader.at - start);
        (ends[at] as number) += reader.at - start;
      }
    }
    for (let i = 0; i < SOME_ROWS; i++) {
      if (reader.at >= chunk.bytes.length) return false;
      this.#next();
      const row = this.#row - 1;
      if (!slots.counts(row, from, to)) continue;
      const start = this.#from;
      const length = reader.at - start;
      const at = slots.slotOf(row) - from;
      target.copy(ends[at] as number, chunk, start, length);
      (ends[at] as number) += length;
    }
    return true;
  }

  /** Where the bytes of one value lie in the chunk. */
  *rangesOf(slot: number): Generator<readonly [from: number, to: number], void, undefined> {
    const slots = this.#slots;
    const reader = this.#reader;
    if (this.#left > 0) {
      const start = reader.at;
      this.#skip();
      if (slots.counts(this.#row - 1, slot, slot + 1)) yield [start, reader.at];
    }
    while (reader.at < this.#chunk.bytes.length) {
      this.#next();
      if (reader.at === this.#from) continue;
      if (slots.counts(this.#row - 1, slot, slot + 1)) yield [this.#from, reader.at];
    }
  }

  /** Goes through the next entry, after the first pass. */
  #next(): void {
    const reader = this.#reader;
    const number = this.#number();
    if (number > (this.#defined[this.#segment] ?? 0)) {
      this.#defined[this.#segment] = number;
      const length = reader.next();
      reader.at += length;
    }
    const length = reader.next();
    this.#row++;
    this.#from = reader.at;
    this.#pass(length);
  }

  #number(): number {
    const number = this.#reader.next();
    if (number !== 0) return number;
    this.#segment = this.#reader.next();
    return this.#reader.next();
  }

  #pass(length: number): void {
    const reader = this.#reader;
    const end = reader.at + length;
    if (end <= this.#chunk.bytes.length) {
      reader.at = end;
      return;
    }
    this.#left = end - this.#chunk.bytes.length;
    reader.at = this.#chunk.bytes.length;
  }

  #skip(): void {
    const left = this.#left;
    this.#left = 0;
    this.#pass(left);
  }
}

/** The keys of a partition, and how long their values are. */
class Slots {
  readonly #keys = new KeyTable();
  readonly #slotOf: Uint32Array;
  #lengths = new Float64Array(1024);
  /**
   * From which row on a key's bytes count, behind its last deletion: nothing until there is one.
   */
  #first: Uint32Array | undefined;

  constructor(rows: number) {
    this.#slotOf = new Uint32Array(rows);
  }

  get size(): number {
    return this.#keys.size;
  }

  number(bytes: Buffer, from: number, to: number): number {
    return this.#keys.numberOf(bytes, from, to);
  }

  key(slot: number): string {
    return this.#keys.text(slot);
  }

  length(slot: number): number {
    return this.#lengths[slot] as number;
  }

  slotOf(row: number): number {
    return this.#slotOf[row] as number;
  }

  /** Whether the row is part of a value of the slots `from` to `to`. */
  counts(row: number, from: number, to: number): boolean {
    const slot = this.#slotOf[row] as number;
    if (slot < from || slot >= to) return false;
    return this.#first === undefined || row >= (this.#first[slot] as number);
  }

  add(row: number, slot: number, length: number): void {
    this.#slotOf[row] = slot;
    if (slot >= this.#lengths.length) this.#grow();
    if (length > 0) (this.#lengths[slot] as number) += length;
    else {
      this.#lengths[slot] = 0;
      this.#first ??= new Uint32Array(this.#lengths.length);
      this.#first[slot] = row + 1;
    }
  }

  /** The slot behind those whose values, from `from` on, are held together. */
  fitting(from: number): number {
    let to = from;
    for (let sum = 0; to < this.size; to++) {
      sum += this.#lengths[to] as number;
      if (sum > HELD_BYTES) break;
    }
    return to;
  }

  /** Where each value of the slots begins, when they are laid end to end. */
  layOut(from: number, to: number): Float64Array {
    const starts = new Float64Array(to - from);
    for (let slot = from, at = 0; slot < to; slot++) {
      starts[slot - from] = at;
      at += this.#lengths[slot] as number;
    }
    return starts;
  }

  bytesOf(from: number, to: number): number {
    let sum = 0;
    for (let slot = from; slot < to; slot++) sum += this.#lengths[slot] as number;
    return sum;
  }

  #grow(): void {
    const lengths = new Float64Array(2 * this.#lengths.length);
    lengths.set(this.#lengths);
    this.#lengths = lengths;
    if (!this.#first) return;
    const first = new Uint32Array(lengths.length);
    first.set(this.#first);
    this.#first = first;
  }
}

function roomFor(length: number, buffer: Buffer): Buffer {
  if (buffer.length >= length) return buffer;
  return Buffer.allocUnsafeSlow(Math.ceil(length * 1.25));
}

/** Partitions up to this length are kept in memory between the first pass and the second. */
export const KEPT_BYTES = 48 * 2 ** 20;
/** Values that are held at a time; a longer one is given in pieces. */
const HELD_BYTES = 32 * 2 ** 20;
/** Of small values. */
const SHARED_BYTES = 16 * 1024;
const BATCH_KEYS = 512;
const BATCH_BYTES = 2 ** 20;
/** Entries that are read in one go: some 100 µs. */
const SOME_ROWS = 1024;

const EMPTY = Buffer.alloc(0);
