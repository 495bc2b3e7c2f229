import { type KeyedBatch, slice } from "../source/keyed-batch.js";
import type { Workspace } from "../spill/workspace.js";
import { type Arranger, GROUPED_BYTES, GROUPED_ROWS, MOST_RANGES } from "./arranger.js";
import { GatheredRecords } from "./gathered-records.js";
import { SORT_COST } from "./sorted-order.js";

/**
 * Records that are gathered to be sorted in memory, in ranges of their keys. A range is sorted and read by itself,
 * so the processor finds most of its records in its caches. The first batch tells where the ranges begin: if later
 * ones differ, the ranges become uneven, and a sort takes as long as with one range.
 */
export class KeyRanges {
  readonly #workspace: Workspace;
  readonly #arranger: Arranger | undefined;
  readonly #ranges: GatheredRecords[];
  #splitters: readonly number[] = [];
  count = 0;

  /** @param arranger divides the records. Without it there is one range. */
  constructor(workspace: Workspace, arranger: Arranger | undefined) {
    this.#workspace = workspace;
    this.#arranger = arranger;
    this.#ranges = [new GatheredRecords(workspace)];
  }

  /** Bytes of the blocks that are taken. */
  get byteLength(): number {
    let sum = 0;
    for (const { byteLength } of this.#ranges) sum += byteLength;
    return sum;
  }

  /** Bytes for sorting this many records more, beside those of records and keys. */
  costOf(more: number): number {
    let rows = 0;
    let largest = 0;
    for (const range of this.#ranges) {
      rows += range.rowCostOf(more);
      largest = Math.max(largest, range.count);
    }
    return rows + SORT_COST * (largest + more);
  }

  /** The most blocks that so many bytes more take. */
  blocksFor(byteLength: number): number {
    return this.#workspace.blocksFor(byteLength) + 2 * this.#ranges.length;
  }

  /** Adds a batch whose hashes are the first 8 bytes of the keys. The workspace must have room for it. */
  add(batch: KeyedBatch): void {
    if (this.count === 0) this.#divide(batch);
    this.count += batch.count;
    if (this.#ranges.length === 1) {
      this.#ranges[0]!.add(batch);
      return;
    }
    for (let from = 0; from < batch.count; ) {
      const to = endOfPiece(batch, from);
      this.#addPiece(slice(batch, from, to));
      from = to;
    }
  }

  #addPiece(piece: KeyedBatch): void {
    if (piece.count === 1) {
      const key = prefix(piece.hashHigh[0]!, piece.hashLow[0]!);
      const range = this.#splitters.findIndex((splitter) => key < splitter);
      this.#ranges.at(range)!.add(piece);
      return;
    }
    const recordsOf = this.#arranger!.group(piece);
    for (const [i, range] of this.#ranges.entries()) range.add(recordsOf(i));
  }

  #divide(sample: KeyedBatch): void {
    const most = Math.min(MOST_RANGES, Math.floor(this.#workspace.capacity / LEAST_BLOCKS));
    if (!this.#arranger || most < 2 || sample.count < LEAST_SAMPLE) return;
    this.#splitters = splittersOf(sample, most);
    if (this.#splitters.length === 0) return;
    this.#arranger.divide(this.#splitters);
    for (const _ of this.#splitters) this.#ranges.push(new GatheredRecords(this.#workspace));
  }

  /** The ranges in their order, which have to be released. Nothing may be added afterwards. */
  *take(): Generator<GatheredRecords> {
    for (let range = this.#ranges.shift(); range; range = this.#ranges.shift()) yield range;
  }

  release(): void {
    for (const range of this.take()) range.release();
  }
}

/** Blocks of memory for a range at least: it has two that are not full. */
const LEAST_BLOCKS = 32;
/** Where a batch has fewer records, they are so long that their order in memory hardly matters. */
const LEAST_SAMPLE = 256;

/** Where the records end that can be grouped at a time: at least one, however long. */
function endOfPiece({ count, ends, keyStarts, keyEnds }: KeyedBatch, from: number): number {
  const start = from === 0 ? 0 : ends[from - 1]!;
  const fits = (last: number) =>
    ends[last]! - start <= GROUPED_BYTES && keyEnds[last]! - keyStarts[from]! <= GROUPED_BYTES;
  const most = Math.min(count, from + GROUPED_ROWS);
  if (fits(most - 1)) return most;
  let to = from + 1;
  while (fits(to)) to++;
  return to;
}

/** Keys at which at most `most` ranges of about as many records begin, without the first range. */
function splittersOf({ count, hashHigh, hashLow }: KeyedBatch, most: number): number[] {
  const sample = new Float64Array(count);
  for (let i = 0; i < count; i++) sample[i] = prefix(hashHigh[i]!, hashLow[i]!);
  sample.sort();
  const splitters = new Set<number>();
  for (let i = 1; i < most; i++) splitters.add(sample[Math.floor((i * count) / most)]!);
  splitters.delete(sample[0]!);
  return [...splitters];
}

/** The first 53 bits of a key: what a number holds. */
function prefix(high: number, low: number): number {
  return high * 2 ** 21 + (low >>> 11);
}
