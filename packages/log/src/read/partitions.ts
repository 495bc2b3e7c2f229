import { Pace } from "@partd/core/author";
import { StoredIndex } from "../index/stored-index.js";
import { type DivideMemory, Divider } from "./divider.js";
import {
  BATCH_BYTES,
  BATCH_KEYS,
  type EntryBatch,
  HELD_BYTES,
  LoneEntries,
  LongEntry,
  SHARED_BYTES,
} from "./entry-batch.js";
import { type Extent, RecordCursor, RecordsInOrder } from "./record-cursor.js";
import { type SpilledPartition, SpillFile } from "./spill-file.js";

export interface PartitionsOptions {
  /** What the keys begin with. Default: nothing. */
  readonly start?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes that were read, first of the segments, then of the partitions. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  /** Whether values of a single entry may be yielded without a partition. Default true. */
  readonly passesLone?: boolean | undefined;
  /**
   * Bytes up to which no file is needed, for tests. Partitions are a 16th of it, 3 MiB: random accesses
   * within that much memory still hit a processor's caches. With 16 MiB it takes a third more CPU time.
   */
  readonly memory?: number | undefined;
}

/**
 * All keys with their values, from segments of any size, in linear time. The segments are read once
 * from front to back, and their entries are divided by the hashes of the keys into partitions that fit
 * in memory. The partitions lie in an unlinked file, so that nothing is left of it however the process
 * ends.
 *
 * If most of the bytes are what `compact` has made, a value of a single entry is yielded as it is read. A
 * first pass over the tables of the records counts the entries of each key.
 */
export class Partitions {
  readonly #extents: readonly Extent[];
  readonly #signal: AbortSignal | undefined;
  readonly #onBytes: (bytes: number) => void;
  readonly #spill: SpillFile;
  readonly #divider: Divider;
  readonly #lone: LoneEntries | undefined;

  /**
   * @param directory where the file is made.
   * @param divideMemory an instance for this object alone.
   */
  constructor(
    directory: string,
    extents: readonly Extent[],
    divideMemory: DivideMemory,
    options: PartitionsOptions = {},
  ) {
    const { start = "", signal, onBytes = () => {}, memory = KEPT_BYTES } = options;
    const { passesLone = true } = options;
    this.#extents = extents;
    this.#signal = signal;
    this.#onBytes = onBytes;
    const total = bytesOf(extents);
    const count = Math.max(1, Math.min(MOST_PARTITIONS, Math.ceil((16 * total) / memory)));
    this.#spill = new SpillFile(total > memory ? directory : undefined);
    this.#divider = new Divider(count, this.#spill, divideMemory, start);
    if (passesLone && isMostlyBase(extents)) this.#lone = new LoneEntries();
  }

  /**
   * Divides the entries, and yields the values of single entries.
   *
   * @throws `UnreadableTable`, or `ERR_PARTD_CORRUPT` if bytes of values are damaged.
   */
  async *fill(): AsyncGenerator<EntryBatch, void, undefined> {
    const pace = new Pace();
    const lone = this.#lone;
    if (lone) await this.#countEntries(pace);
    const records = new RecordsInOrder(
      this.#extents.map((extent, i) => new RecordCursor(extent, i, this.#divider, lone)),
    );
    for (let cursor = await records.next(); cursor; cursor = await records.next()) {
      this.#signal?.throwIfAborted();
      while (!(await cursor.divide())) yield* this.#handOut();
      this.#onBytes(cursor.byteLength);
      if (pace.due) await pace.rest();
    }
    yield* this.#handOut();
    await this.#divider.end(this.#spill);
  }

  /** Yields each of the other keys once, partition by partition, in the order of the hashes. */
  async *entries(): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
    const grouping = new Grouping(this.#divider.memory);
    for (const partition of this.#divider.partitions) {
      this.#signal?.throwIfAborted();
      for await (const some of grouping.entries(partition)) {
        yield some;
        this.#signal?.throwIfAborted();
      }
      this.#onBytes(partition.byteLength);
    }
  }

  async close(): Promise<void> {
    await this.#spill.close();
  }

  /** Counts the entries of each key: reads the tables alone. */
  async #countEntries(pace: Pace): Promise<void> {
    const lines = Math.ceil(Math.log2((keysOf(this.#extents) + 1) / KEYS_A_LINE));
    this.#divider.memory.exports.openSightings(Math.max(1, Math.min(lines, MOST_LINES)));
    for (const [i, extent] of this.#extents.entries()) {
      const cursor = new RecordCursor(extent, i, this.#divider, undefined, TABLE_STRETCH);
      while (await cursor.next()) {
        this.#signal?.throwIfAborted();
        await cursor.sight(HELD_BYTES, pace);
        if (pace.due) await pace.rest();
      }
    }
  }

  *#handOut(): Generator<EntryBatch, void, undefined> {
    if (!this.#lone || this.#lone.isEmpty) return;
    this.#signal?.throwIfAborted();
    this.#onBytes(this.#lone.byteLength);
    yield this.#lone.take();
  }
}

/** Whether counting is worth its cost: most bytes are what `compact` made, and few keys came later. */
function isMostlyBase(extents: readonly Extent[]): boolean {
  const bases = extents.filter(({ segment }) => segment.isBase);
  const others = extents.filter(({ segment }) => !segment.isBase);
  const touched = keysOf(others) / keysOf(bases);
  const alone = bytesOf(bases) * (1 - touched);
  return alone > bytesOf(others) && alone > WORTH_A_KEY * keysOf(others);
}

function bytesOf(extents: readonly Extent[]): number {
  return extents.reduce((sum, { end }) => sum + end, 0);
}

function keysOf(extents: readonly Extent[]): number {
  const counts = extents.map(({ segment: { index } }) =>
    index instanceof StoredIndex ? index.keyCount : (index?.keys.size ?? 0),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

const MOST_PARTITIONS = 1024;
/**
 * Bytes of single entries for each key of later segments. With fewer, those keys cost more than the bytes
 * gain: with 520 MB in 1,800,000 keys, a tenth of them appended to later, 0.2 of 1.4 CPU seconds.
 */
const WORTH_A_KEY = 4096;
/** 8 to 16 keys share 256 counters: about one key in 100 is mistaken for one of several entries. */
const KEYS_A_LINE = 16;
/** The logarithm: lines of 64 bytes, 32 MiB of them. */
const MOST_LINES = 19;
/** Bytes that are read at once for the tables. */
const TABLE_STRETCH = 64 * 1024;

/**
 * Groups the entries of partitions by key, one partition after another in the same memory. A first pass
 * numbers the keys and sums up the lengths of their values; a second pass lays each value's bytes
 * together.
 */
class Grouping {
  readonly #memory: DivideMemory;

  constructor(memory: DivideMemory) {
    this.#memory = memory;
  }

  /** The pieces of a long entry have to be read before the next entry is asked for. */
  async *entries(
    partition: SpilledPartition,
  ): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
    const memory = this.#memory;
    const { exports } = memory;
    const chunks = new Chunks(partition, memory);
    await chunks.load();
    const pace = new Pace();
    exports.beginSlots();
    exports.beginPass();
    for (let i = 0; i < chunks.count; i++) {
      await chunks.begin(i);
      while (exports.count(SOME)) if (pace.isOver) await pace.rest();
    }
    for (let from = 0; from < new Slots(memory).size; ) {
      const { to, byteLength } = new Slots(memory).fitting(from);
      if (to === from) {
        yield this.#longEntry(chunks, from++);
        continue;
      }
      const values = exports.area(VALUES, byteLength) >>> 0;
      const ends = exports.layOut(from, to, values) >>> 0;
      exports.beginPass();
      for (let i = 0; i < chunks.count; i++) {
        await chunks.begin(i);
        while (exports.copy(SOME, from, to)) if (pace.isOver) await pace.rest();
      }
      for (let slot = from; slot < to; ) {
        const batch: (readonly [string, Uint8Array])[] = [];
        const slots = new Slots(memory, { values, ends, from, to });
        slot = slots.take(slot, batch);
        if (batch.length > 0) yield batch;
        if (pace.isOver) await pace.rest();
      }
      from = to;
    }
  }

  #longEntry(chunks: Chunks, slot: number): LongEntry {
    const memory = this.#memory;
    const slots = new Slots(memory);
    async function* pieces(): AsyncGenerator<Uint8Array, void, undefined> {
      memory.exports.beginPass();
      for (let i = 0; i < chunks.count; i++) {
        await chunks.begin(i);
        while (memory.exports.nextRange(slot)) {
          yield new Uint8Array(memory.slice(memory.out(0), memory.out(1)));
        }
      }
    }
    return new LongEntry(slots.key(slot), slots.length(slot), pieces);
  }
}

/** The chunks of a partition: all in memory or, if there are too many, one at a time. */
class Chunks {
  readonly count: number;
  readonly #partition: SpilledPartition;
  readonly #memory: DivideMemory;
  readonly #isKept: boolean;
  /** Where the next chunk lies. */
  #next = 0;

  constructor(partition: SpilledPartition, memory: DivideMemory) {
    this.#partition = partition;
    this.#memory = memory;
    this.count = partition.lengths.length;
    this.#isKept = partition.byteLength <= KEPT_BYTES;
  }

  async load(): Promise<void> {
    if (!this.#isKept) return;
    const { byteLength } = this.#partition;
    const start = this.#memory.exports.area(CHUNKS, byteLength) >>> 0;
    await this.#partition.read(this.#memory.slice(start, start + byteLength));
  }

  /** Loads a chunk to be read. Chunks are loaded from the first to the last. */
  async begin(index: number): Promise<void> {
    const { exports } = this.#memory;
    const length = this.#partition.lengths[index] as number;
    const size = this.#isKept ? this.#partition.byteLength : length;
    const area = exports.area(CHUNKS, size) >>> 0;
    if (index === 0 || !this.#isKept) this.#next = area;
    const end = this.#next + length;
    if (!this.#isKept) {
      await this.#partition.readChunk(index, this.#memory.slice(this.#next, end));
    }
    exports.beginChunk(this.#next, end);
    this.#next = end;
  }
}

/** The keys of the partition, and their values once they are laid out. Valid until memory grows. */
class Slots {
  readonly size: number;
  readonly #bytes: Buffer;
  readonly #keys: Buffer;
  readonly #starts: Uint32Array;
  readonly #lengths: Float64Array;
  readonly #values: number;
  readonly #ends: Uint32Array;
  readonly #from: number;
  readonly #to: number;

  constructor(memory: DivideMemory, { values, ends, from, to } = NOT_LAID_OUT) {
    memory.exports.slots();
    const { buffer } = memory.bytes;
    this.size = memory.out(0);
    this.#bytes = memory.bytes;
    this.#starts = new Uint32Array(buffer, memory.out(2), this.size + 1);
    const keys = memory.out(1);
    this.#keys = memory.slice(keys, keys + (this.#starts[this.size] as number));
    this.#lengths = new Float64Array(buffer, memory.out(3), this.size);
    this.#values = values;
    this.#ends = new Uint32Array(buffer, ends, to - from);
    this.#from = from;
    this.#to = to;
  }

  key(slot: number): string {
    return this.#keys.toString("latin1", this.#starts[slot], this.#starts[slot + 1]);
  }

  length(slot: number): number {
    return this.#lengths[slot] as number;
  }

  /** The slot behind those, from `from` on, whose values fit into memory together. */
  fitting(from: number): { readonly to: number; readonly byteLength: number } {
    let byteLength = 0;
    let to = from;
    for (; to < this.size; to++) {
      const more = byteLength + this.length(to);
      if (more > HELD_BYTES) break;
      byteLength = more;
    }
    return { to, byteLength };
  }

  /** Adds the values from `slot` on to the batch. @returns the slot behind them. */
  take(slot: number, batch: (readonly [string, Uint8Array])[]): number {
    const ends = this.#ends;
    const from = this.#from;
    let next = slot;
    for (let bytes = 0; next < this.#to && batch.length < BATCH_KEYS && bytes < BATCH_BYTES; ) {
      // Small values share memory; one that the caller keeps holds no more than this.
      const start = (ends[next - from] as number) - this.length(next);
      let stop = next + 1;
      while (stop < this.#to && (ends[stop - from] as number) - start <= SHARED_BYTES) stop++;
      const end = ends[stop - 1 - from] as number;
      const shared = this.#bytes.subarray(this.#values + start, this.#values + end);
      const { buffer } = new Uint8Array(shared);
      for (let at = 0; next < stop; next++) {
        const length = this.length(next);
        if (length === 0) continue;
        batch.push([this.key(next), new Uint8Array(buffer, at, length)]);
        at += length;
      }
      bytes += end - start;
    }
    return next;
  }
}

const NOT_LAID_OUT = { values: 0, ends: 0, from: 0, to: 0 };

/** The areas of memory. */
const CHUNKS = 0;
const VALUES = 1;
/** Entries that are processed at once: some 50 µs. */
const SOME = 2048;
/** Partitions up to this length stay in memory between the two passes. */
const KEPT_BYTES = 48 * 2 ** 20;
