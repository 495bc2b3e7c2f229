import { Pace } from "@partd/core/author";
import { type EntryBatch, Grouping, KEPT_BYTES, type LongEntry } from "./grouping.js";
import { Partition } from "./partition.js";
import { type Extent, RecordCursor } from "./record-cursor.js";
import { SpillFile } from "./spill-file.js";

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
   * @param onBytes called with bytes that were read, at first of the segments, then of the
   * partitions.
   * @param memory bytes up to which there is no file, for tests. Partitions are a third of it.
   */
  constructor(
    directory: string,
    extents: readonly Extent[],
    onBytes: (bytes: number) => void = () => {},
    signal?: AbortSignal,
    memory = KEPT_BYTES,
  ) {
    this.#extents = extents;
    this.#signal = signal;
    this.#onBytes = onBytes;
    const total = extents.reduce((sum, { end }) => sum + end, 0);
    const count = Math.max(1, Math.min(MOST_PARTITIONS, Math.ceil((3 * total) / memory)));
    this.#spill = new SpillFile(total > memory ? directory : undefined);
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
    for (const partition of this.#partitions) await partition.end();
    await this.#spill.settle();
  }

  /** Each key once, in the order of their hashes by partitions. */
  async *entries(): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
    const grouping = new Grouping();
    for (const partition of this.#partitions) {
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

  async #read(cursor: RecordCursor, pace: Pace): Promise<void> {
    this.#signal?.throwIfAborted();
    this.#onBytes(await cursor.divide());
    if (pace.due) await pace.rest();
  }
}

const MOST_PARTITIONS = 1024;
const CHUNK_BYTES = 64 * 1024;
