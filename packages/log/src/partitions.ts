import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Pace } from "@partd/core/author";
import { crc32, readAll, systemError, uniqueToken, writePieces } from "@partd/disk";
import { RECORD_HEAD, readHead, SEGMENT_HEADER, VarintReader, writeVarint } from "./format.js";
import { damagedRange } from "./gather.js";
import { GrowingIndex } from "./growing-index.js";
import { KeyTable, NONE } from "./key-table.js";
import { decodeTable, findHead, UNKNOWN_KEY } from "./scan.js";
import type { Segment } from "./segment.js";
import { Window } from "./window.js";

/** A segment, as far as it is read. */
export interface Extent {
  readonly segment: Segment;
  readonly end: number;
}

/** A key with its value, in one piece or, if it is too long for that, in several. */
export interface Entry {
  readonly key: string;
  readonly length: number;
  readonly value: Uint8Array | undefined;
  pieces(): AsyncIterable<Uint8Array>;
}

/** A record table is damaged: only the segment's index knows what it held. */
export class UnreadableTable extends Error {}

/**
 * All keys with their values, out of segments of any size, in linear time: the segments are read
 * once from front to back, and what they hold is divided by the hashes of the keys into partitions
 * that fit in memory. These lie in a file that has no name any more, so that nothing is left of it
 * whatever ends the process.
 */
export class Partitions {
  readonly #extents: readonly Extent[];
  readonly #signal: AbortSignal | undefined;
  readonly #onBytes: (bytes: number) => void;
  readonly #spill: SpillFile;
  readonly #partitions: Partition[];

  /**
   * @param directory where the file is made.
   * @param onBytes called with bytes that were read, at first of the segments, then of the partitions.
   */
  constructor(
    directory: string,
    extents: readonly Extent[],
    onBytes: (bytes: number) => void = () => {},
    signal?: AbortSignal,
  ) {
    this.#extents = extents;
    this.#signal = signal;
    this.#onBytes = onBytes;
    const total = extents.reduce((sum, { end }) => sum + end, 0);
    const count = Math.max(1, Math.min(MOST_PARTITIONS, Math.ceil(total / PARTITION_BYTES)));
    this.#spill = new SpillFile(total > KEPT_BYTES ? directory : undefined);
    const chunk = count > 256 ? CHUNK_BYTES / 4 : CHUNK_BYTES;
    this.#partitions = Array.from({ length: count }, () => new Partition(this.#spill, chunk));
  }

  /** @throws {@link UnreadableTable}, or `ERR_PARTD_CORRUPT` where bytes of values are damaged. */
  async fill(): Promise<void> {
    const pace = new Pace();
    const cursors = this.#extents.map((extent, i) => new RecordCursor(extent, i, this.#partitions));
    // What `compact` made comes before all else, in its order.
    for (const cursor of cursors) {
      if (cursor.isBase) while (await cursor.next()) await this.#read(cursor, pace);
    }
    const pending = cursors.filter(({ isBase }) => !isBase).sort((a, b) => a.stamp - b.stamp);
    const open: RecordCursor[] = [];
    for (;;) {
      let first: RecordCursor | undefined;
      // Two writers may have taken the same stamp: then the place in the manifest decides.
      for (const cursor of open) if (!first || cursor.isBefore(first)) first = cursor;
      const [next] = pending;
      if (next && (!first || next.stamp <= first.stamp)) {
        pending.shift();
        if (await next.next()) open.push(next);
      } else if (first) {
        await this.#read(first, pace);
        if (!(await first.next())) open.splice(open.indexOf(first), 1);
      } else break;
    }
    for (const partition of this.#partitions) await partition.flush();
    await this.#spill.settle();
  }

  /** Each key once, in the order of their hashes by partitions. */
  async *entries(): AsyncGenerator<Entry, void, undefined> {
    for (const partition of this.#partitions) {
      this.#signal?.throwIfAborted();
      yield* partition.entries();
      this.#onBytes(partition.byteLength);
    }
  }

  async close(): Promise<void> {
    await this.#spill.close();
  }

  async #read(cursor: RecordCursor, pace: Pace): Promise<void> {
    this.#signal?.throwIfAborted();
    this.#onBytes(await cursor.divide());
    if (pace.due) await pace.rest();
  }
}

/** Goes through the records of a segment, and divides what they hold. */
class RecordCursor {
  readonly isBase: boolean;
  /** Of the record, or of the first one before it is read. */
  stamp: number;
  readonly #segment: Segment;
  readonly #number: number;
  readonly #partitions: readonly Partition[];
  #opened: Window | undefined;
  readonly #end: number;
  /** One record at a time is decoded into it; only its keys stay. */
  #index = new GrowingIndex();
  /** Of each key: its partition, and the number that it has there in this segment, plus 1. */
  #partitionOf = new Uint16Array(64);
  #numberIn = new Uint32Array(64);
  readonly #numbers: Uint32Array;
  #at = SEGMENT_HEADER;
  #next = 0;
  #entries = 0;

  constructor({ segment, end }: Extent, number: number, partitions: readonly Partition[]) {
    this.#segment = segment;
    this.#number = number;
    this.#partitions = partitions;
    this.#end = end;
    this.isBase = segment.isBase;
    this.stamp = segment.index?.firstStamp ?? 0;
    this.#numbers = new Uint32Array(partitions.length);
  }

  /** Goes to the next record, if there is one. */
  async next(): Promise<boolean> {
    const { path, seed, unreadable } = this.#segment;
    this.#at = Math.max(this.#at, this.#next);
    for (;;) {
      const at = this.#at;
      if (at + RECORD_HEAD > this.#end) break;
      const head = readHead(await this.#window.read(at, RECORD_HEAD), seed, at);
      if (head) {
        const payload = at + RECORD_HEAD + head.tableLength;
        const end = payload + head.payloadLength;
        if (end > this.#end) break;
        const table = await this.#window.read(at + RECORD_HEAD, head.tableLength);
        if (crc32(table) === head.tableCrc) {
          decodeTable(table, head, payload, this.#index, path);
          this.#next = end;
          this.#entries = head.entries;
          this.stamp = head.stamp;
          return true;
        }
      }
      // Known to be lost, and read on by who wants what is left; or not known as yet.
      const gap = unreadable.find(({ offset }) => offset === at);
      if (!gap) throw new UnreadableTable(path);
      this.#at = Math.max(gap.end, at + 1);
      if (!(await this.#isHead(this.#at))) {
        this.#at = (await findHead(this.#window, this.#segment, this.#at, this.#end)) ?? this.#end;
      }
    }
    this.#index = new GrowingIndex();
    this.#opened = undefined;
    return false;
  }

  isBefore(other: RecordCursor): boolean {
    return this.stamp === other.stamp ? this.#number < other.#number : this.stamp < other.stamp;
  }

  /** Divides the record, and answers its length in bytes. */
  async divide(): Promise<number> {
    const { columns, keys } = this.#index;
    const { key: keyColumn, group: groupColumn, delta, length: lengths } = columns;
    this.#makeRoom(keys.size);
    let group = -1;
    let bytes: Buffer = EMPTY;
    for (let row = 0; row < this.#entries; row++) {
      const key = keyColumn[row] as number;
      if (this.#numberIn[key] === 0) this.#assign(key);
      const partition = this.#partitions[this.#partitionOf[key] as number] as Partition;
      const length = lengths[row] as number;
      if (
        !partition.begin(this.#number, this.#index.keys, key, this.#numberIn[key] as number, length)
      )
        await partition.beginLater(
          this.#number,
          this.#index.keys,
          key,
          this.#numberIn[key] as number,
          length,
        );
      if (length === 0) continue;
      let from = delta[row] as number;
      for (let left = length, at = groupColumn[row] as number; left > 0; at++, from = 0) {
        if (at !== group) {
          group = at;
          bytes = await this.#readGroup(at, key);
        }
        const taken = Math.min(left, bytes.length - from);
        if (!partition.add(bytes, from, taken)) await partition.addLater(bytes, from, taken);
        left -= taken;
      }
    }
    const byteLength = this.#next - this.#at;
    this.#at = this.#next;
    return byteLength;
  }

  async #readGroup(group: number, key: number): Promise<Buffer> {
    const { start, groupLength, crc } = this.#index.columns;
    const length = groupLength[group] as number;
    const position = start[group] as number;
    const bytes = this.#window.has(position, length) ?? (await this.#window.read(position, length));
    if (crc32(bytes) !== crc[group]) {
      throw damagedRange(this.#segment, position, length, this.#index.keys.text(key) || "?");
    }
    return bytes;
  }

  get #window(): Window {
    this.#opened ??= new Window(this.#segment.fd, this.#end);
    return this.#opened;
  }

  async #isHead(at: number): Promise<boolean> {
    if (at + RECORD_HEAD > this.#end) return false;
    return !!readHead(await this.#window.read(at, RECORD_HEAD), this.#segment.seed, at);
  }

  #assign(key: number): void {
    const hash = this.#index.keys.orderHash(key);
    const partition = Math.floor((hash / 2 ** 32) * this.#partitions.length);
    this.#partitionOf[key] = partition;
    // Marked as new until it is written once: see `Partition.begin`.
    this.#numberIn[key] = ++this.#numbers[partition]!;
  }

  #makeRoom(keys: number): void {
    if (keys <= this.#numberIn.length) return;
    const size = Math.max(keys, 2 * this.#numberIn.length);
    const partitionOf = new Uint16Array(size);
    partitionOf.set(this.#partitionOf);
    this.#partitionOf = partitionOf;
    const numberIn = new Uint32Array(size);
    numberIn.set(this.#numberIn);
    this.#numberIn = numberIn;
  }
}

const EMPTY = Buffer.alloc(0);

/**
 * What the segments hold of some keys: entries of varints, in the order of writing, in chunks.
 * `0 n` says that the next entries are of segment `n`. Any other entry is the number of its key in
 * that segment and partition, from 1; if it is the next new one, the key's length and bytes; the
 * length of the value, 0 for a deletion; and its bytes, which may go on in the next chunk.
 */
class Partition {
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

/** Chunks, in a file without a name, or in memory if there is no directory for it. */
class SpillFile {
  readonly #directory: string | undefined;
  readonly #chunks: Buffer[] = [];
  #fd: number | undefined;
  #end = 0;
  readonly #writing = new Set<Promise<void>>();
  readonly #free: Buffer[] = [];

  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  chunk(length: number): Buffer {
    const free = this.#free.pop();
    return free && free.length >= length ? free : Buffer.allocUnsafeSlow(length);
  }

  /** Writes while the caller goes on; the buffer is not to be used any more. */
  async write(buffer: Buffer, length: number): Promise<number> {
    const directory = this.#directory;
    if (directory === undefined) return this.#chunks.push(buffer.subarray(0, length)) - 1;
    const position = this.#end;
    this.#end += length;
    this.#fd ??= openUnnamed(directory);
    const work: Promise<void> = writePieces(this.#fd, [buffer.subarray(0, length)], position).then(
      () => {
        this.#writing.delete(work);
        if (this.#free.length < MOST_WRITING) this.#free.push(buffer);
      },
    );
    work.catch(() => {}); // `settle` and the next ones tell.
    this.#writing.add(work);
    if (this.#writing.size >= MOST_WRITING) await this.#settled(Promise.race(this.#writing));
    return position;
  }

  async settle(): Promise<void> {
    await this.#settled(Promise.all(this.#writing));
    this.#free.length = 0;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const chunk = this.#chunks[position];
    if (chunk) return chunk;
    const bytes = Buffer.allocUnsafeSlow(length);
    const count = await readAll(this.#fd as number, bytes, position);
    if (count < length) throw new Error(`The spilled bytes in ${this.#directory} were cut short.`);
    return bytes;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#writing);
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  async #settled(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      throw systemError({ action: "spill to", path: this.#directory ?? "memory" }, error);
    }
  }
}

function openUnnamed(directory: string): number {
  const path = join(directory, `spill-${uniqueToken()}`);
  try {
    const fd = openSync(path, "wx+");
    rmSync(path);
    return fd;
  } catch (error) {
    throw systemError({ action: "make", path: path }, error);
  }
}

/** Bytes of segments that become a partition, and how many there are at most. */
const PARTITION_BYTES = 16 * 2 ** 20;
const MOST_PARTITIONS = 1024;
const CHUNK_BYTES = 64 * 1024;
/** Chunks that are being written at a time. */
const MOST_WRITING = 4;
/** Partitions of this length are kept in memory between the first pass and the second. */
const KEPT_BYTES = 48 * 2 ** 20;
/** Values that are held at a time; a longer one is given in pieces. */
const HELD_BYTES = 32 * 2 ** 20;
const LONGEST_HELD = 32 * 2 ** 20;
/** Small values share memory in pieces of this length: one that is kept keeps no more alive. */
const SLAB = 16 * 1024;
