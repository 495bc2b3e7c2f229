import { Pace } from "@partd/core/author";
import { ChunkReader } from "./chunk-reader.js";
import { type Chunk, NO_SPAN, type Partition, Span } from "./partition.js";
import { NO_SLOTS, Slots } from "./slots.js";

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
  #bytes = NO_SPAN;
  /** Values, end to end. */
  #values = NO_SPAN;
  /** What the partition before had. */
  #before = NO_SLOTS;

  async *entries(partition: Partition): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
    let kept: readonly Chunk[] | undefined;
    if (partition.byteLength <= KEPT_BYTES) {
      this.#bytes = roomFor(partition.byteLength, this.#bytes);
      kept = await partition.read(this.#bytes);
    }
    const chunks = () => kept ?? partition.chunks();
    const slots = new Slots(this.#before);
    const pace = new Pace();
    const first = new ChunkReader(slots);
    for await (const chunk of chunks()) {
      first.begin(chunk);
      while (first.count()) if (pace.isOver) await pace.rest();
    }
    this.#before = { size: slots.size, defined: slots.defined };
    for (let from = 0; from < slots.size; ) {
      const to = fitting(slots, from);
      if (to === from) {
        const slot = from++;
        yield new LongEntry(slots.key(slot), slots.length(slot), () =>
          piecesOf(partition, slots, slot),
        );
        continue;
      }
      const ends = slots.layOut(from, to);
      this.#values = roomFor(slots.bytesOf(from, to), this.#values);
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

/** The slot behind those whose values, from `from` on, are held together. */
function fitting(slots: Slots, from: number): number {
  let to = from;
  for (let sum = 0; to < slots.size; to++) {
    sum += slots.length(to);
    if (sum > HELD_BYTES) break;
  }
  return to;
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
    const { bytes } = chunk.bytes;
    for (const [from, to] of reader.rangesOf(slot)) yield new Uint8Array(bytes.subarray(from, to));
  }
}

function roomFor(length: number, span: Span): Span {
  if (span.bytes.length >= length) return span;
  return new Span(Buffer.allocUnsafeSlow(4 * Math.ceil((length * 1.25) / 4)));
}

/** Partitions up to this length are kept in memory between the first pass and the second. */
export const KEPT_BYTES = 48 * 2 ** 20;
/** Values that are held at a time; a longer one is given in pieces. */
const HELD_BYTES = 32 * 2 ** 20;
/** Of small values. */
const SHARED_BYTES = 16 * 1024;
const BATCH_KEYS = 512;
const BATCH_BYTES = 2 ** 20;
