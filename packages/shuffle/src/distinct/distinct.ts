import { createHash } from "node:crypto";
import { checkOptionNames, type OptionNames } from "@partd/core/author";
import { hashKey, type Records } from "@partd/records";
import { KeyIndex, NO_NUMBER } from "../fold/key-index.js";
import type { Reading } from "../run/record-limit.js";
import { RecordOutput } from "../run/record-output.js";
import { RUN_OPTIONS, Run, type RunOptions } from "../run/run.js";
import type { Visit } from "../run/walk.js";
import type { By } from "../source/by.js";
import { GroupKeyer } from "../source/group-keyer.js";
import {
  type Input,
  inputOf,
  type Keyer,
  keyedBy,
  type Scans,
  type Source,
  scanAll,
} from "../source/input.js";
import type { KeyColumns } from "../source/key-columns.js";
import type { KeyedBatch } from "../source/keyed-batch.js";
import type { MissingOption } from "../source/missing.js";
import { encodeStructured } from "../source/structured.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import { appendBatch, Fan } from "../spill/fan.js";
import { keyedBatches, readAll } from "./distinct-input.js";

export interface DistinctOptions<R> extends RunOptions, MissingOption {
  /**
   * Records with the same key count as the same. Default: the whole record, including the order of its
   * fields.
   */
  readonly by?: By<R> | undefined;
  /**
   * How many threads read, if `by` is fields of plain files. Default: the number of processors, at most
   * 4 and at most one for each 128 MB of `memory`; one for less than 64 MiB of input.
   */
  readonly threads?: number | undefined;
}

const OPTIONS: OptionNames<DistinctOptions<unknown>> = {
  by: true,
  missing: true,
  threads: true,
  ...RUN_OPTIONS,
};

/**
 * Yields the first record of each key. Records come in the order of the source as long as the keys fit
 * in memory; those with further keys come afterwards.
 *
 * ```ts
 * for await (const event of distinct(events, { by: "user" })) { … } // The first event of each user.
 * ```
 *
 * @throws what {@link RunOptions} lists.
 */
export function distinct<R>(source: Source<R>, options: DistinctOptions<R> = {}): RecordOutput<R> {
  checkOptionNames("distinct", options, OPTIONS);
  const { by } = options;
  if (by === undefined) {
    const input = inputOf(source, new WholeRecordKeyer<R>());
    return new RecordOutput(
      (visit, signal) =>
        firsts(
          input,
          (run, reading) => readAll(run, input, reading),
          { ...options, signal },
          visit,
        ),
      input,
      options.signal,
    );
  }
  const keyer = new GroupKeyer(by, options);
  const input = inputOf(source, keyer);
  const read = (run: Run, reading: Reading) =>
    keyedBatches(run, reading, source, input, keyer, options.threads);
  return new RecordOutput(
    (visit, signal) => firsts(input, read, { ...options, signal }, visit),
    input,
    options.signal,
  );
}

async function* firsts<R>(
  input: Input<R>,
  read: (run: Run, reading: Reading) => AsyncIterable<KeyedBatch>,
  options: RunOptions,
  visit: Visit,
): AsyncGenerator<void> {
  const run = new Run("distinct", options, await input.byteLength());
  try {
    const known = new KnownKeys(run, visit);
    const reading = { ...run.reading, makeRoom: (bytes: number) => known.makeRoom(bytes) };
    yield* known.firstOfEach(read(run, reading), 0);
    run.progress.done();
  } finally {
    await run.close();
  }
}

/**
 * Keeps keys while they fit in memory. Records with further keys are spilled by hash, and each part is
 * then read in the same way.
 */
class KnownKeys {
  readonly #run: Run;
  readonly #visit: Visit;
  /** One index for all levels, so that it is allocated once. */
  readonly #index = new KeyIndex();
  #charged = 0;
  /** Receives records with new keys once no more keys can be kept. */
  #fan: Fan | undefined;

  constructor(run: Run, visit: Visit) {
    this.#run = run;
    this.#visit = visit;
  }

  /** Makes room for a long record of the source, if need be by spilling the keys. */
  async makeRoom(bytes: number): Promise<void> {
    const { workspace } = this.#run;
    if (bytes + this.#charged > workspace.byteLength) await this.#spillKeys();
    await workspace.makeRoom(bytes);
  }

  /**
   * Spills each key, as a record without bytes, to the chain that gets its records from now on: there it
   * comes before them.
   */
  async #spillKeys(): Promise<void> {
    const { workspace } = this.#run;
    const { keyed } = this.#index;
    if (keyed.count === 0) return;
    this.#fan ??= new Fan(workspace, 0);
    const fan = this.#fan;
    const batch = { ...keyed, bytes: NOTHING, ends: new Uint32Array(keyed.count) };
    await appendBatch(workspace, batch, (low, high) => fan.chainOf(low, high));
    this.#index.release();
    this.#charge(0);
  }

  #charge(bytes: number): void {
    this.#run.workspace.charge(bytes - this.#charged);
    this.#charged = bytes;
  }

  /** @param longest bytes of the longest record, if that is known: memory must have room for it, too. */
  async *firstOfEach(
    batches: AsyncIterable<KeyedBatch>,
    level: number,
    longest = 0,
  ): AsyncGenerator<void> {
    const { workspace, signal, progress } = this.#run;
    const index = this.#index;
    this.#fan = undefined;
    let numbers = new Uint32Array(0);
    const { byteLength } = workspace;
    const most = Math.min(
      byteLength * INDEX_SHARE,
      Math.max(byteLength * LEAST_SHARE, byteLength - longest),
    );
    if (index.capacity > most) index.release();
    else index.clear();
    try {
      for await (const batch of batches) {
        signal?.throwIfAborted();
        if (numbers.length < batch.count) numbers = new Uint32Array(2 * batch.count);
        const beyond = visitNew(index, batch, numbers, this.#visit, this.#fan !== undefined);
        if (beyond > 0) {
          this.#fan ??= new Fan(workspace, level);
          const fan = this.#fan;
          await appendBatch(workspace, batch, (low, high, i) => {
            return numbers[i] === NO_NUMBER ? fan.chainOf(low, high) : undefined;
          });
        }
        yield;
        if (this.#fan) continue;
        this.#charge(index.byteLength);
        if (index.isFull || this.#charged > most) this.#fan = new Fan(workspace, level);
      }
    } finally {
      this.#charge(0);
    }
    if (level === 0) progress.write();
    for (const chain of this.#fan?.ended() ?? []) {
      if (chain.records === 0) await chain.discard();
      else yield* this.firstOfEach(spilled(this.#run, chain), level + 1, chain.longest);
    }
  }
}

/** The share of memory that the index of keys may take. */
const INDEX_SHARE = 0.5;
/** The share that the index gets beside a long record: keys that are divided once more fit in it. */
const LEAST_SHARE = 1 / 16;
const NOTHING = new Uint8Array();

/**
 * Visits records with new keys.
 *
 * @param numbers gets the keys' numbers, or {@link NO_NUMBER} for new keys if the index is full.
 * @returns how many records have no number.
 */
function visitNew(
  index: KeyIndex,
  batch: KeyedBatch,
  numbers: Uint32Array,
  visit: Visit,
  isFull: boolean,
): number {
  const { count, bytes, ends } = batch;
  let next = index.count;
  const without = index.number(batch, numbers, isFull);
  for (let i = 0; i < count && next < index.count; i++) {
    if (numbers[i] !== next) continue;
    const start = i === 0 ? 0 : ends[i - 1]!;
    // Only a key that was known before has no bytes.
    if (start < ends[i]!) visit(bytes, start, ends[i]!);
    next++;
  }
  return without;
}

async function* spilled(run: Run, chain: Chain): AsyncGenerator<KeyedBatch> {
  const reader = new ChainReader(run.workspace, chain, { consume: true });
  try {
    yield* reader.batches();
  } finally {
    await reader.close();
    await chain.discard();
  }
}

/** Keys a record by itself. */
class WholeRecordKeyer<R> implements Keyer<R> {
  /** Takes the record's bytes without its line ending. */
  scan(records: Records<R>, reading: Reading): Scans {
    const toKeyed = keyedBy(({ bytes, ends }, i, columns) => {
      const start = i === 0 ? 0 : ends[i - 1]!;
      let end = ends[i]!;
      if (bytes[end - 1] === LF) end--;
      if (bytes[end - 1] === CR) end--;
      addWhole(columns, bytes.subarray(start, end));
      return true;
    });
    return scanAll(records, [], reading, toKeyed);
  }

  writeKey(record: R, columns: KeyColumns): true {
    const encoded = encodeStructured(record);
    if (typeof encoded !== "string") addWhole(columns, encoded);
    else if (encoded.length < DIGESTED_RECORD) columns.addText(encoded);
    else addWhole(columns, Buffer.from(encoded));
    return true;
  }
}

/**
 * Keys a long record by its digest: with the record itself as the key, one of 200 MB was in memory five
 * times. A digest's hash is not that of its own bytes, so no short record has the same key.
 */
function addWhole(columns: KeyColumns, record: Uint8Array): void {
  if (record.length < DIGESTED_RECORD) {
    columns.addKey(record);
    return;
  }
  const digest = createHash("sha256").update(record).digest();
  const { low, high } = hashKey(digest, 0, digest.length);
  columns.add(digest, 0, digest.length, ~low >>> 0, ~high >>> 0);
}

/** From this length on, the digest stands for the record. */
const DIGESTED_RECORD = 64 << 10;

const LF = 0x0a;
const CR = 0x0d;
