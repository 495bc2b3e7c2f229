import { checkIntegerOption, type OptionNames } from "@partd/core/author";
import { RecordOutput } from "../run/record-output.js";
import { RUN_OPTIONS, Run } from "../run/run.js";
import type { Visit } from "../run/walk.js";
import { byteLengthOf, inputOf, type Source } from "../source/input.js";
import { BatchWriter, type KeyedBatch, selected } from "../source/keyed-batch.js";
import { hugeBytes } from "../spill/fan.js";
import type { SortOptions } from "./sort.js";
import { batchesToSort } from "./sort-input.js";
import { checkSortOptions, SortKeyer } from "./sort-key.js";
import { Sorter } from "./sorter.js";

export interface TopOptions<R> extends Omit<SortOptions<R>, "checkpoint"> {
  /** How many records: a whole number, 0 or more. */
  readonly n: number;
}

const OPTIONS: OptionNames<TopOptions<unknown>> = {
  n: true,
  by: true,
  threads: true,
  ...RUN_OPTIONS,
};

/**
 * Yields the first `n` records in the order of `sort`, without sorting the others.
 *
 * ```ts
 * await top(events, { n: 10, by: { by: "ms", order: "desc" } }).toArray(); // The ten slowest.
 * ```
 *
 * @throws what {@link RunOptions} lists.
 */
export function top<R>(source: Source<R>, options: TopOptions<R>): RecordOutput<R> {
  checkSortOptions("top", options, OPTIONS);
  checkIntegerOption("n", options.n, 0, Number.MAX_SAFE_INTEGER);
  const keyer = new SortKeyer<R>("top", options.by);
  return new RecordOutput(
    (visit, signal) => firstInOrder(source, keyer, { ...options, signal }, visit),
    inputOf(source, keyer),
    options.signal,
  );
}

async function* firstInOrder<R>(
  source: Source<R>,
  keyer: SortKeyer<R>,
  options: TopOptions<R>,
  visit: Visit,
): AsyncGenerator<void> {
  const run = new Run("top", options, await byteLengthOf(source));
  const { workspace, progress, signal } = run;
  try {
    const candidates = new Candidates(options.n, workspace.byteLength / 4);
    const sorter = new Sorter(workspace);
    const reading = { ...run.reading, makeRoom: (bytes: number) => sorter.makeRoom(bytes) };
    for await (const batch of batchesToSort(run, reading, source, keyer, options.threads)) {
      signal?.throwIfAborted();
      // A long record would be copied twice as a candidate.
      if (candidates.areTooLarge || hugeBytes(batch) > 0) {
        for (const kept of candidates.take()) await sorter.add(kept);
        await sorter.add(candidates.among(batch));
      } else candidates.add(batch);
    }
    progress.write();
    for (const kept of candidates.take()) await sorter.add(kept);
    let left = options.n;
    for await (const _ of sorter.walk(({ bytes, start, end, isOwn }) => {
      if (left-- > 0) visit(bytes, start, end, isOwn);
    })) {
      yield;
      if (left <= 0) break;
    }
    progress.done();
  } finally {
    await run.close();
  }
}

/** The records that may be among the first `n`; those behind `n` others are dropped now and then. */
class Candidates {
  readonly #n: number;
  readonly #mostBytes: number;
  #kept: Candidate[] = [];
  #byteLength = 0;
  #sequence = 0;
  /** Whether they have ever taken too much memory: from then on records are sorted as they come. */
  areTooLarge = false;
  /** Records after this one are not among the first. */
  #bound: Candidate | undefined;

  constructor(n: number, mostBytes: number) {
    this.#n = n;
    this.#mostBytes = mostBytes;
  }

  add(batch: KeyedBatch): void {
    const { count, bytes, ends, keys, keyStarts, keyEnds, hashLow, hashHigh } = batch;
    if (this.#n === 0) return;
    for (let i = 0; i < count; i++) {
      if (this.#bound && !isBefore(batch, i, this.#bound)) continue;
      const record = new Uint8Array(bytes.subarray(i === 0 ? 0 : ends[i - 1]!, ends[i]!));
      const candidate = {
        key: new Uint8Array(keys.subarray(keyStarts[i], keyEnds[i])),
        low: hashLow[i]!,
        high: hashHigh[i]!,
        record,
        sequence: this.#sequence++,
      };
      this.#kept.push(candidate);
      this.#byteLength += cost(candidate);
      if (this.#kept.length >= 2 * this.#n + SLACK || this.#isFull) this.#prune();
    }
    this.areTooLarge ||= this.#isFull;
  }

  /** The records of a batch that may be among the first. */
  among(batch: KeyedBatch): KeyedBatch {
    const bound = this.#bound;
    if (!bound) return batch;
    const indices: number[] = [];
    for (let i = 0; i < batch.count; i++) if (isBefore(batch, i, bound)) indices.push(i);
    return selected(batch, indices);
  }

  #prune(): void {
    if (this.#kept.length < this.#n) return;
    this.#kept.sort(compare);
    this.#kept.length = this.#n;
    this.#bound = this.#kept[this.#n - 1];
    this.#byteLength = this.#kept.reduce((sum, candidate) => sum + cost(candidate), 0);
  }

  get #isFull(): boolean {
    return this.#byteLength > this.#mostBytes;
  }

  /** All candidates, in the order of the source, as batches. */
  *take(): Generator<KeyedBatch> {
    const kept = this.#kept.sort((a, b) => a.sequence - b.sequence);
    this.#kept = [];
    this.#byteLength = 0;
    const batch = new BatchWriter();
    for (const { key, low, high, record } of kept) {
      batch.addRecord(record);
      batch.add(key, 0, key.length, low, high);
      if (!batch.isFull) continue;
      yield batch;
      batch.clear();
    }
    if (batch.count > 0) yield batch;
  }
}

interface Candidate {
  readonly key: Uint8Array;
  readonly low: number;
  readonly high: number;
  readonly record: Uint8Array;
  readonly sequence: number;
}

/** Candidates that are kept beyond twice `n`: with a small `n`, pruning would be frequent. */
const SLACK = 1000;

/** Whether the key of a record is before that of a candidate. */
function isBefore(
  { keys, keyStarts, keyEnds, hashHigh }: KeyedBatch,
  i: number,
  { key, high }: Candidate,
): boolean {
  if (hashHigh[i]! > high) return false;
  return Buffer.compare(keys.subarray(keyStarts[i], keyEnds[i]), key) < 0;
}

function compare(left: Candidate, right: Candidate): number {
  return Buffer.compare(left.key, right.key) || left.sequence - right.sequence;
}

/** A candidate's bytes, and 1000 for its objects and their arrays. */
function cost({ key, record }: Candidate): number {
  return key.length + record.length + 1000;
}
