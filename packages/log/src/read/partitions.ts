import { Pace } from "@partd/core/author";
import { StoredIndex } from "../index/stored-index.js";
import type { DivideMemory } from "./divide-memory.js";
import { Divider } from "./divider.js";
import { type EntryBatch, Grouping, HELD_BYTES, KEPT_BYTES, type LongEntry } from "./grouping.js";
import { LoneEntries } from "./lone-entries.js";
import { type Extent, RecordCursor } from "./record-cursor.js";
import { SpillFile } from "./spill-file.js";

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

/** The records of several segments in the order of appends. */
class RecordsInOrder {
  /** What `compact` made comes first, in its order. */
  readonly #bases: RecordCursor[];
  readonly #pending: RecordCursor[];
  readonly #open: RecordCursor[] = [];
  #last: RecordCursor | undefined;

  constructor(cursors: readonly RecordCursor[]) {
    this.#bases = cursors.filter(({ isBase }) => isBase);
    this.#pending = cursors.filter(({ isBase }) => !isBase).sort((a, b) => a.stamp - b.stamp);
  }

  /** A cursor at the next record, which has to be read before another one is asked for. */
  async next(): Promise<RecordCursor | undefined> {
    for (;;) {
      const [base] = this.#bases;
      if (!base) break;
      if (await base.next()) return base;
      this.#bases.shift();
    }
    const open = this.#open;
    if (this.#last && !(await this.#last.next())) open.splice(open.indexOf(this.#last), 1);
    let first = this.#first();
    for (;;) {
      const [next] = this.#pending;
      if (!next || (first && next.stamp > first.stamp)) break;
      this.#pending.shift();
      if (await next.next()) open.push(next);
      first = this.#first();
    }
    this.#last = first;
    return first;
  }

  #first(): RecordCursor | undefined {
    let first: RecordCursor | undefined;
    // Two writers may have taken the same stamp: then the order in the manifest decides.
    for (const cursor of this.#open) if (!first || cursor.isBefore(first)) first = cursor;
    return first;
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
