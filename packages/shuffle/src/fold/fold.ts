import type { Run } from "../run/run.js";
import { decodeGroupKey } from "../source/key.js";
import { BatchWriter, type KeyedBatch } from "../source/keyed-batch.js";
import { decodeStructured, encodeStructured } from "../source/structured.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import { appendBatch, Fan } from "../spill/fan.js";
import type { Aggregate, Column } from "./aggregates.js";
import { KeyIndex } from "./key-index.js";

/** Keys of some records, and of each record the values to aggregate: a list for each column. */
export interface FoldBatch {
  readonly keyed: KeyedBatch;
  readonly values: readonly (readonly unknown[] | undefined)[];
}

/**
 * Aggregates by key in one pass. Keys have their states in memory, as many as fit; the values of the keys
 * beyond are spilled by hash, and each part is aggregated likewise. So few keys never touch a disk, and
 * the values of each key are taken in the order of the source.
 *
 * @returns keys with their results, one for each aggregate.
 */
export async function* fold(
  run: Run,
  batches: AsyncIterable<FoldBatch>,
  aggregates: readonly Aggregate<never, unknown>[],
  level = 0,
): AsyncGenerator<readonly (readonly [key: unknown, results: unknown[]])[]> {
  const table = new FoldTable(run, aggregates, level);
  try {
    for await (const batch of batches) {
      run.signal?.throwIfAborted();
      await table.add(batch);
    }
    if (level === 0) run.progress.write();
    yield* table.results();
  } finally {
    table.release();
  }
  for (const chain of await table.overflow()) {
    if (chain.records === 0) await chain.discard();
    else yield* fold(run, spilledBatches(run, chain, aggregates), aggregates, level + 1);
  }
}

class FoldTable {
  readonly #run: Run;
  readonly #index = new KeyIndex();
  readonly #columns: readonly Column<unknown>[];
  readonly #bytesPerKey: number;
  readonly #level: number;
  #borrowed = 0;
  /** Values of keys that have no room here. */
  #spilling: { readonly fan: Fan; readonly batch: BatchWriter } | undefined;

  constructor(run: Run, aggregates: readonly Aggregate<never, unknown>[], level: number) {
    this.#run = run;
    this.#level = level;
    this.#columns = aggregates.map((aggregate) => aggregate.column());
    this.#bytesPerKey = this.#columns.reduce((sum, { bytesPerKey }) => sum + bytesPerKey, 0);
  }

  async add({ keyed, values }: FoldBatch): Promise<void> {
    const { count, keys, keyStarts, keyEnds, hashLow, hashHigh } = keyed;
    const index = this.#index;
    const columns = this.#columns;
    let isFull = this.#spilling !== undefined || this.#isFull();
    for (let i = 0; i < count; i++) {
      const start = keyStarts[i]!;
      const end = keyEnds[i]!;
      const low = hashLow[i]!;
      const high = hashHigh[i]!;
      let number = index.find(keys, start, end, low, high);
      const isNew = number < 0;
      if (isNew) {
        if (isFull) {
          await this.#spill(keyed, i, values);
          continue;
        }
        number = index.add(keys, start, end, low, high);
        if ((number & 1023) === 0) isFull = this.#isFull();
      }
      const key = () => decodeGroupKey(keys, start, end);
      for (let column = 0; column < columns.length; column++) {
        columns[column]!.add(number, values[column]?.[i], isNew, key);
      }
    }
    await this.#flush(false);
  }

  /** Once it is full it stays so: a key whose values have been spilled must not get a state. */
  #isFull(): boolean {
    const bytes = this.#index.byteLength + this.#index.count * this.#bytesPerKey;
    const { workspace } = this.#run;
    workspace.borrow(bytes - this.#borrowed);
    this.#borrowed = bytes;
    return bytes > workspace.byteLength * TABLE_SHARE;
  }

  async #spill(keyed: KeyedBatch, i: number, values: FoldBatch["values"]): Promise<void> {
    this.#spilling ??= { fan: new Fan(this.#run.workspace, this.#level), batch: new BatchWriter() };
    const { batch } = this.#spilling;
    const record = values.map((column) => column?.[i]);
    batch.add(record.length === 0 ? "" : encodeStructured(record), {
      bytes: keyed.keys.subarray(keyed.keyStarts[i], keyed.keyEnds[i]),
      low: keyed.hashLow[i]!,
      high: keyed.hashHigh[i]!,
    });
    if (batch.isFull) await this.#flush(true);
  }

  async #flush(always: boolean): Promise<void> {
    const spilling = this.#spilling;
    if (!spilling || !(always || spilling.batch.isFull)) return;
    const { fan, batch } = spilling;
    await appendBatch(this.#run.workspace, batch, (low, high) => fan.chainOf(low, high));
    batch.clear();
  }

  async *results(): AsyncGenerator<readonly (readonly [unknown, unknown[]])[]> {
    const index = this.#index;
    for (let from = 0; from < index.count; from += RESULTS_AT_ONCE) {
      const results: [unknown, unknown[]][] = [];
      const to = Math.min(index.count, from + RESULTS_AT_ONCE);
      for (let number = from; number < to; number++) {
        results.push([
          index.at(number, decodeGroupKey),
          this.#columns.map((column) => column.result(number)),
        ]);
      }
      yield results;
    }
  }

  release(): void {
    this.#run.workspace.borrow(-this.#borrowed);
    this.#borrowed = 0;
  }

  async overflow(): Promise<readonly Chain[]> {
    await this.#flush(true);
    return this.#spilling?.fan.chains ?? [];
  }
}

/** What the states of keys may take; the rest is for chains that grow, and batches. */
const TABLE_SHARE = 0.5;
const RESULTS_AT_ONCE = 1024;

async function* spilledBatches(
  run: Run,
  chain: Chain,
  aggregates: readonly Aggregate<never, unknown>[],
): AsyncGenerator<FoldBatch> {
  const reader = new ChainReader(run.workspace, chain, { consume: true });
  const keyed = new BatchWriter();
  const width = aggregates.length;
  let values: unknown[][] = aggregates.map(() => []);
  try {
    while (await reader.advance()) {
      while (reader.next()) {
        const { bytes, keyStart, keyEnd, end, low, high } = reader;
        keyed.add("", { bytes: bytes.subarray(keyStart, keyEnd), low, high });
        const record = end > keyEnd ? (decodeStructured(bytes, keyEnd, end) as unknown[]) : [];
        for (let column = 0; column < width; column++) values[column]!.push(record[column]);
        if (!keyed.isFull) continue;
        yield { keyed, values };
        keyed.clear();
        values = aggregates.map(() => []);
      }
    }
    yield { keyed, values };
  } finally {
    await reader.close();
    await chain.discard();
  }
}
