import { Pace } from "@partd/core/author";
import { VarintReader, writeVarint } from "../format/layout.js";
import { UNKNOWN_KEY } from "../format/scan.js";
import { KeyTable, NONE } from "../index/key-table.js";
import type { SpillFile } from "./spill-file.js";

/** A key with its value, in one piece or, if it is too long for that, in several. */
export interface Entry {
  readonly key: string;
  readonly length: number;
  readonly value: Uint8Array | undefined;
  pieces(): AsyncIterable<Uint8Array>;
}

/**
 * What the segments hold of some keys: entries of varints, in the order of writing, in chunks.
 * `0 n` says that the next entries are of segment `n`. Any other entry is the number of its key in
 * that segment and partition, from 1; if it is the next new one, the key's length and bytes; the
 * length of the value, 0 for a deletion; and its bytes, which may go on in the next chunk.
 */
export class Partition {
  readonly #spill: SpillFile;
  readonly #capacity: number;
  #buffer: Buffer;
  #length = 0;
  readonly #positions: number[] = [];
  readonly #lengths: number[] = [];
  #segment = NONE;
  /** Of the segment with each number, how many keys have been defined. */
  readonly #defined: number[] = [];
  #rows = 0;
  byteLength = 0;

  constructor(spill: SpillFile, capacity: number) {
    this.#spill = spill;
    this.#capacity = capacity;
    this.#buffer = spill.chunk(capacity);
  }

  /** Begins an entry; false if the chunk is full: see {@link beginLater}. */
  begin(segment: number, keys: KeyTable, key: number, number: number, length: number): boolean {
    const isNew = number > (this.#defined[segment] ?? 0);
    const room = isNew ? 40 + keys.byteLength(key) : 40;
    if (this.#length + room > this.#buffer.length) return false;
    const buffer = this.#buffer;
    let at = this.#length;
    if (segment !== this.#segment) {
      this.#segment = segment;
      buffer[at++] = 0;
      at = writeVarint(buffer, at, segment);
    }
    at = writeVarint(buffer, at, number);
    if (isNew) {
      this.#defined[segment] = number;
      at = writeVarint(buffer, at, keys.byteLength(key));
      at = keys.copy(key, buffer, at);
    }
    this.#length = writeVarint(buffer, at, length);
    this.#rows++;
    return true;
  }

  async beginLater(
    segment: number,
    keys: KeyTable,
    key: number,
    number: number,
    length: number,
  ): Promise<void> {
    await this.flush(keys.byteLength(key) + 40);
    this.begin(segment, keys, key, number, length);
  }

  /** Adds bytes of the entry; false if the chunk is full: see {@link addLater}. */
  add(bytes: Buffer, from: number, length: number): boolean {
    if (this.#length + length > this.#buffer.length) return false;
    bytes.copy(this.#buffer, this.#length, from, from + length);
    this.#length += length;
    return true;
  }

  async addLater(bytes: Buffer, from: number, length: number): Promise<void> {
    for (let done = 0; done < length; ) {
      if (this.#length === this.#buffer.length) await this.flush();
      const taken = Math.min(length - done, this.#buffer.length - this.#length);
      this.add(bytes, from + done, taken);
      done += taken;
    }
  }

  async flush(room = 0): Promise<void> {
    if (this.#length > 0) {
      this.#positions.push(await this.#spill.write(this.#buffer, this.#length));
      this.#lengths.push(this.#length);
      this.byteLength += this.#length;
      this.#length = 0;
      this.#buffer = EMPTY;
    }
    if (this.#buffer.length < Math.max(room, this.#capacity)) {
      this.#buffer = this.#spill.chunk(Math.max(room, this.#capacity));
    }
  }

  async *entries(): AsyncGenerator<Entry, void, undefined> {
    this.#buffer = EMPTY;
    const kept: Buffer[] | undefined = this.byteLength <= KEPT_BYTES ? [] : undefined;
    const values = new Values(this.#rows);
    await this.#scan(values, (row, length) => values.count(row, length), kept);
    for (let from = 0; from < values.size; ) {
      const to = values.open(from);
      if (to > from) {
        await this.#scan(values, undefined, kept);
        for (let slot = from; slot < to; slot++) {
          const entry = values.take(slot);
          if (entry) yield entry;
        }
        from = to;
        continue;
      }
      const key = values.key(from);
      const length = values.lengthOf(from);
      const slot = from++;
      if (key === UNKNOWN_KEY) continue;
      yield { key, length, value: undefined, pieces: () => this.#pieces(values, slot) };
    }
  }

  /** The pieces of a value that is too long to be held. */
  async *#pieces(values: Values, slot: number): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const { row, bytes } of this.#rowsOf(values)) {
      if (values.slotOf(row) === slot && row >= values.firstRow(slot)) yield new Uint8Array(bytes);
    }
  }

  async *#rowsOf(values: Values): AsyncGenerator<{ row: number; bytes: Buffer }, void, undefined> {
    const reader = new ChunkReader(values, undefined);
    for (let i = 0; i < this.#positions.length; i++) {
      const found: { row: number; bytes: Buffer }[] = [];
      const chunk = await this.#spill.read(
        this.#positions[i] as number,
        this.#lengths[i] as number,
      );
      reader.read(chunk, (row, bytes, from, to) =>
        found.push({ row, bytes: bytes.subarray(from, to) }),
      );
      yield* found;
    }
  }

  async #scan(
    values: Values,
    onRow: ((row: number, length: number) => void) | undefined,
    kept: Buffer[] | undefined,
  ): Promise<void> {
    const pace = new Pace();
    const reader = new ChunkReader(values, onRow);
    const isFirst = onRow !== undefined;
    for (let i = 0; i < this.#positions.length; i++) {
      let chunk = isFirst ? undefined : kept?.[i];
      if (!chunk) {
        chunk = await this.#spill.read(this.#positions[i] as number, this.#lengths[i] as number);
        if (isFirst) kept?.push(chunk);
      }
      reader.read(
        chunk,
        isFirst ? undefined : (row, bytes, from, to) => values.add(row, bytes, from, to),
      );
      if (pace.due) await pace.rest();
    }
  }
}

/** Reads the entries of a partition, chunk after chunk. */
class ChunkReader {
  readonly #values: Values;
  /** Given in the first pass: the keys' numbers are told to `values` then. */
  readonly #onRow: ((row: number, length: number) => void) | undefined;
  readonly #slots: number[][] = [];
  /** How many keys of each segment there were. */
  readonly #defined: number[] = [];
  #segment = 0;
  #row = 0;
  /** Bytes of the value that are in the next chunk. */
  #left = 0;

  constructor(values: Values, onRow: ((row: number, length: number) => void) | undefined) {
    this.#values = values;
    this.#onRow = onRow;
  }

  read(
    chunk: Buffer,
    onBytes: ((row: number, bytes: Buffer, from: number, to: number) => void) | undefined,
  ): void {
    let at = Math.min(this.#left, chunk.length);
    if (at > 0) onBytes?.(this.#row - 1, chunk, 0, at);
    this.#left -= at;
    const reader = new VarintReader(chunk);
    while (at < chunk.length) {
      reader.at = at;
      let number = reader.next();
      if (number === 0) {
        this.#segment = reader.next();
        number = reader.next();
      }
      const defined = this.#defined[this.#segment] ?? 0;
      if (number > defined) {
        this.#defined[this.#segment] = number;
        const length = reader.next();
        if (this.#onRow) {
          this.#slots[this.#segment] ??= [];
          const slots = this.#slots[this.#segment] as number[];
          slots.push(this.#values.number(chunk.toString("latin1", reader.at, reader.at + length)));
        }
        reader.at += length;
      }
      const length = reader.next();
      const row = this.#row++;
      if (this.#onRow) {
        this.#values.assign(row, (this.#slots[this.#segment] as number[])[number - 1] as number);
        this.#onRow(row, length);
      }
      at = reader.at;
      const end = Math.min(chunk.length, at + length);
      if (end > at) onBytes?.(row, chunk, at, end);
      this.#left = length - (end - at);
      at = end;
    }
  }
}

/** The values of a partition's keys, as many at a time as memory is meant for. */
class Values {
  readonly #keys = new KeyTable();
  readonly #slotOf: Uint32Array;
  #lengths = new Float64Array(64);
  /** From which row on a key's bytes count: behind its last deletion. */
  #first = new Uint32Array(64);
  #from = 0;
  #to = 0;
  #values: Uint8Array[] = [];
  #filled = new Float64Array(0);

  constructor(rows: number) {
    this.#slotOf = new Uint32Array(rows);
  }

  get size(): number {
    return this.#keys.size;
  }

  number(key: string): number {
    return this.#keys.number(key);
  }

  key(slot: number): string {
    return this.#keys.text(slot);
  }

  lengthOf(slot: number): number {
    return this.#lengths[slot] as number;
  }

  slotOf(row: number): number {
    return this.#slotOf[row] as number;
  }

  firstRow(slot: number): number {
    return this.#first[slot] as number;
  }

  assign(row: number, slot: number): void {
    this.#slotOf[row] = slot;
  }

  count(row: number, length: number): void {
    const slot = this.#slotOf[row] as number;
    if (slot >= this.#lengths.length) {
      const lengths = new Float64Array(Math.max(slot + 1, this.#lengths.length * 2));
      lengths.set(this.#lengths);
      this.#lengths = lengths;
      const first = new Uint32Array(lengths.length);
      first.set(this.#first);
      this.#first = first;
    }
    if (length === 0) {
      this.#lengths[slot] = 0;
      this.#first[slot] = row + 1;
    } else (this.#lengths[slot] as number) += length;
  }

  /** Makes room for the values from `from` on, and answers the slot behind them. */
  open(from: number): number {
    let to = from;
    let sum = 0;
    for (; to < this.size; to++) {
      const length = this.#lengths[to] as number;
      if (length > LONGEST_HELD || sum + length > HELD_BYTES) break;
      sum += length;
    }
    this.#from = from;
    this.#to = to;
    this.#filled = new Float64Array(to - from);
    this.#values = [];
    let slab = new ArrayBuffer(0);
    let used = 0;
    for (let slot = from; slot < to; slot++) {
      const length = this.#lengths[slot] as number;
      if (length > SLAB / 4) {
        this.#values.push(new Uint8Array(length));
        continue;
      }
      if (used + length > slab.byteLength) {
        slab = new ArrayBuffer(SLAB);
        used = 0;
      }
      this.#values.push(new Uint8Array(slab, used, length));
      used += length;
    }
    return to;
  }

  add(row: number, bytes: Buffer, from: number, to: number): void {
    const slot = this.#slotOf[row] as number;
    if (slot < this.#from || slot >= this.#to || row < (this.#first[slot] as number)) return;
    const i = slot - this.#from;
    const at = this.#filled[i] as number;
    bytes.copy(this.#values[i] as Uint8Array, at, from, to);
    this.#filled[i] = at + to - from;
  }

  /** The value of a slot, if it has any bytes. */
  take(slot: number): Entry | undefined {
    const value = this.#values[slot - this.#from] as Uint8Array;
    const key = this.key(slot);
    if (value.length === 0 || key === UNKNOWN_KEY) return undefined;
    return { key, length: value.length, value, pieces: () => onePiece(value) };
  }
}

async function* onePiece(value: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield value;
}

/** Partitions of this length are kept in memory between the first pass and the second. */
export const KEPT_BYTES = 48 * 2 ** 20;
/** Values that are held at a time; a longer one is given in pieces. */
const HELD_BYTES = 32 * 2 ** 20;
const LONGEST_HELD = 32 * 2 ** 20;
/** Small values share memory in pieces of this length: one that is kept keeps no more alive. */
const SLAB = 16 * 1024;

const EMPTY = Buffer.alloc(0);
