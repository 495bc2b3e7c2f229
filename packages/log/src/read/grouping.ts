import { Pace } from "@partd/core/author";
import type { DivideMemory } from "./divide-memory.js";
import type { SpilledPartition } from "./spill-file.js";

/** Keys with their whole values. */
export type EntryBatch = readonly (readonly [key: string, value: Uint8Array])[];

/** A key whose value is too long to be held in memory. */
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
 * Groups the entries of partitions by key, one partition after another in the same memory. A first pass
 * numbers the keys and sums up the lengths of their values; a second pass lays each value's bytes
 * together.
 */
export class Grouping {
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
export const KEPT_BYTES = 48 * 2 ** 20;
/** Values that are held at a time; a longer one is returned in pieces. */
export const HELD_BYTES = 32 * 2 ** 20;
/** The most bytes that small values share. */
export const SHARED_BYTES = 16 * 1024;
export const BATCH_KEYS = 512;
export const BATCH_BYTES = 2 ** 20;
