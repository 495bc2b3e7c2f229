import { PartdError } from "@partd/core";
import { decodeGroupKey } from "@partd/records";
import type { Run } from "../run/run.js";
import { BatchWriter, type KeyedBatch } from "../source/keyed-batch.js";
import { withShortKeys } from "../source/short-keys.js";
import { decodeStructured, encodeStructured } from "../source/structured.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import { appendBatch, Fan } from "../spill/fan.js";
import { LONG_BYTES } from "../spill/frame.js";
import type { Workspace } from "../spill/workspace.js";
import { ShareResult } from "../threads/share-threads.js";
import type { Aggregate } from "./aggregates.js";
import type { Column, Numbered } from "./columns.js";
import { type Adopted, type Keyed, KeyIndex, NO_NUMBER } from "./key-index.js";

/** The keys of some records, and the values to aggregate: a list for each column. */
export interface FoldBatch {
  readonly keyed: KeyedBatch;
  readonly values: readonly (ArrayLike<unknown> | undefined)[];
}

/**
 * Keys end to end, as `encodeGroupKey` of `@partd/records` encodes them: key `n` ends at `keyEnds[n]`, and has
 * the value `values[n]`. Valid until the next entries are asked for.
 */
export interface EncodedEntries {
  readonly keys: Uint8Array;
  readonly keyEnds: Uint32Array;
  readonly values: Float64Array;
}

/** The keys of a share, end to end, with their states in each aggregate. */
export interface FoldedShare {
  readonly keyed: Adopted;
  readonly states: readonly unknown[];
}

/**
 * Aggregates by key in one pass. As many keys as fit have their states in memory; the values of further
 * keys are spilled by hash, and each part is aggregated likewise. So few keys never touch a disk, and
 * the values of each key are taken in the order of the source.
 *
 * @param resultsOf what is yielded of the table's keys, before the table takes others.
 */
export async function* fold<T>(
  run: Run,
  batches: AsyncIterable<FoldBatch | ShareResult<FoldedShare>>,
  aggregates: readonly Aggregate<never, unknown>[],
  resultsOf: (table: FoldTable) => AsyncIterable<T>,
): AsyncGenerator<T> {
  const table = new FoldTable(run, aggregates);
  let chains = yield* foldLevel(run, table, batches, resultsOf, 0);
  run.progress.write();
  // Depth first: what was spilled of a part is aggregated before the next part.
  const levels: { readonly chains: Chain[]; readonly level: number }[] = [];
  for (let level = 1; ; ) {
    if (chains.length > 0) levels.push({ chains: [...chains], level });
    const deepest = levels.at(-1);
    if (!deepest) return;
    const chain = deepest.chains.shift();
    chains = [];
    if (!chain) {
      levels.pop();
      continue;
    }
    if (chain.records === 0) {
      await chain.discard();
      continue;
    }
    level = deepest.level + 1;
    const spilled = spilledBatches(run, chain, aggregates);
    chains = yield* foldLevel(run, table, spilled, resultsOf, deepest.level);
  }
}

/** Yields the results of the keys that the table has room for, and returns the values of the others. */
async function* foldLevel<T>(
  run: Run,
  table: FoldTable,
  batches: AsyncIterable<FoldBatch | ShareResult<FoldedShare>>,
  resultsOf: (table: FoldTable) => AsyncIterable<T>,
  level: number,
): AsyncGenerator<T, readonly Chain[]> {
  table.begin(level);
  for await (const batch of batches) {
    run.signal?.throwIfAborted();
    if (batch instanceof ShareResult) await table.merge(batch);
    else await table.add(batch);
  }
  yield* resultsOf(table);
  return table.overflow();
}

/** The states of keys. One table serves all levels, because released memory is not free at once. */
export class FoldTable {
  readonly #run: Run;
  readonly #aggregates: readonly Aggregate<never, unknown>[];
  /** Holds digests in place of long keys. */
  readonly #index = new KeyIndex();
  #longKeys: LongKeys;
  #columns: readonly Column<unknown>[] = [];
  #bytesPerKey = 0;
  #level = 0;
  #charged = 0;
  /** Receives the values of keys that have no room here; `undefined` as long as new keys have. */
  #fan: Fan | undefined;
  readonly #spilling = new BatchWriter();
  #numbers = new Uint32Array(0);

  constructor(run: Run, aggregates: readonly Aggregate<never, unknown>[]) {
    this.#run = run;
    this.#aggregates = aggregates;
    this.#longKeys = new LongKeys(run.workspace);
  }

  begin(level: number): void {
    this.#level = level;
    this.#fan = undefined;
    this.#index.clear();
    this.#longKeys = new LongKeys(this.#run.workspace);
    this.#columns = this.#aggregates.map((aggregate) => aggregate.column());
    this.#bytesPerKey = this.#columns.reduce((sum, { bytesPerKey }) => sum + bytesPerKey, 0);
  }

  async add({ keyed, values }: FoldBatch): Promise<void> {
    const index = this.#index;
    const isClosed = this.#fan !== undefined;
    if (this.#numbers.length < keyed.count) this.#numbers = new Uint32Array(2 * keyed.count);
    const before = index.count;
    const short = withShortKeys(keyed);
    const without = index.number(short, this.#numbers, isClosed);
    if (short !== keyed) await this.#longKeys.add(keyed, this.#numbers, before);
    const numbered: Numbered = {
      count: keyed.count,
      numbers: this.#numbers,
      keys: index.count,
      key: (number) => index.at(number, decodeGroupKey),
    };
    for (const [i, column] of this.#columns.entries()) column.add(numbered, values[i] ?? NO_VALUES);
    if (without > 0) await this.#spill(keyed, values);
    // Once it is full it stays so: a key whose values were spilled must not get a state.
    if (this.#isFull()) this.#fan ??= new Fan(this.#run.workspace, this.#level);
  }

  /** Merges the states of a share, unless some of its keys may have been spilled already. */
  async merge(share: ShareResult<FoldedShare>): Promise<void> {
    if (this.#fan) return;
    const { keyed, states } = share.value;
    const index = this.#index;
    const numbers = new Uint32Array(keyed.count);
    const before = index.count;
    const short = withShortKeys(keyed);
    if (before === 0 && short === keyed) {
      index.adopt(keyed);
      for (let i = 0; i < keyed.count; i++) numbers[i] = i;
    } else index.number(short, numbers, false);
    if (short !== keyed) await this.#longKeys.add(keyed, numbers, before);
    const { count: keys } = index;
    const numbered = { count: keyed.count, numbers, keys, key: () => undefined };
    for (const [i, column] of this.#columns.entries()) column.merge!(numbered, states[i] as never);
    share.isTaken = true;
    if (this.#isFull()) this.#fan = new Fan(this.#run.workspace, this.#level);
  }

  #isFull(): boolean {
    let bytes = this.#index.byteLength + this.#index.count * this.#bytesPerKey;
    for (const { heldBytes } of this.#columns) bytes += heldBytes ?? 0;
    const { workspace } = this.#run;
    workspace.charge(bytes - this.#charged);
    this.#charged = bytes;
    // Only a caller's own states cannot be plain data, and have no bound.
    const areOwn = this.#columns.some(({ states }) => states === undefined);
    if (areOwn && bytes > workspace.byteLength * MOST_STATES) throw this.#tooLarge(bytes);
    return this.#index.isFull || bytes > workspace.byteLength * TABLE_SHARE;
  }

  #tooLarge(bytes: number): PartdError {
    const { count } = this.#index;
    return new PartdError(
      "ERR_PARTD_VALUE",
      `The states of ${count} ${count === 1 ? "key" : "keys"} have grown to about ${Math.round(bytes / 1e6)} MB, and memory is ${this.#run.memory} bytes: read the records of each key with groupBy, which streams them, let a state keep less, or raise memory.`,
    );
  }

  /** Spills the values of the records whose keys have no number. */
  async #spill(keyed: KeyedBatch, values: FoldBatch["values"]): Promise<void> {
    const { keys, keyStarts, keyEnds, hashLow, hashHigh } = keyed;
    for (let i = 0; i < keyed.count; i++) {
      if (this.#numbers[i] !== NO_NUMBER) continue;
      const record = values.flatMap((column) => (column ? [column[i]] : []));
      // A long key goes to the chain directly, without another copy.
      if (keyEnds[i]! - keyStarts[i]! >= LONG_BYTES) {
        await this.#flush();
        const bytes = record.length === 0 ? NOTHING : Buffer.from(encodeStructured(record));
        const [low, high] = [hashLow[i]!, hashHigh[i]!];
        const chain = this.#fan!.chainOf(low, high);
        await chain.appendLarge(
          keys,
          keyStarts[i]!,
          keyEnds[i]!,
          bytes,
          0,
          bytes.length,
          low,
          high,
        );
        continue;
      }
      this.#spilling.addRecord(record.length === 0 ? "" : encodeStructured(record));
      this.#spilling.add(keys, keyStarts[i]!, keyEnds[i]!, hashLow[i]!, hashHigh[i]!);
      if (this.#spilling.isFull) await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    const fan = this.#fan!;
    const batch = this.#spilling;
    await appendBatch(this.#run.workspace, batch, (low, high) => fan.chainOf(low, high));
    batch.clear();
  }

  /** The keys with their results, one for each aggregate. */
  async *results(): AsyncGenerator<readonly (readonly [key: unknown, results: unknown[]])[]> {
    const index = this.#index;
    const resultsOf = (number: number) => this.#columns.map((column) => column.result(number));
    let from = 0;
    for await (const [number, longKey] of this.#longKeys.read(index.count)) {
      for (; from < number; from += RESULTS_AT_ONCE) {
        const keys = index.keys(from, Math.min(number, from + RESULTS_AT_ONCE));
        yield keys.map((key, i) => [key, resultsOf(from + i)] as const);
      }
      if (longKey) yield [[decodeGroupKey(longKey), resultsOf(number)]];
      from = number + 1;
    }
  }

  /** The keys as they are encoded, with the states of an aggregate whose states are numbers. */
  async *encoded(): AsyncGenerator<EncodedEntries> {
    const index = this.#index;
    const [column] = this.#columns;
    const values = column!.states!(index.count) as Float64Array;
    let from = 0;
    for await (const [number, longKey] of this.#longKeys.read(index.count)) {
      if (from < number) {
        yield { ...index.encoded(from, number), values: values.subarray(from, number) };
      }
      if (longKey) {
        const keyEnds = Uint32Array.of(longKey.length);
        yield { keys: longKey, keyEnds, values: values.subarray(number, number + 1) };
      }
      from = number + 1;
    }
  }

  async overflow(): Promise<readonly Chain[]> {
    if (this.#spilling.count > 0) await this.#flush();
    return this.#fan?.ended() ?? [];
  }
}

/** The long keys of a table, in the order of their numbers: in a chain, which can be spilled. */
class LongKeys {
  readonly #workspace: Workspace;
  readonly #numbers: number[] = [];
  readonly #chain: Chain;

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
    this.#chain = workspace.chain();
  }

  /** Adds the long ones among the keys of a batch whose numbers are new: `next` or more. */
  async add({ count, keys, keyStarts, keyEnds }: Keyed, numbers: Uint32Array, next: number) {
    for (let i = 0; i < count; i++) {
      const number = numbers[i]!;
      if (number === NO_NUMBER || number < next) continue;
      next = number + 1;
      const bytes = keys.subarray(keyStarts[i], keyEnds[i]);
      if (bytes.length < LONG_BYTES) continue;
      this.#numbers.push(number);
      await this.#chain.appendLarge(bytes, 0, 0, bytes, 0, bytes.length, 0, 0);
    }
  }

  /** Yields each number with its key, which is valid until the next one; at last `count`, without a key. */
  async *read(count: number): AsyncGenerator<readonly [number: number, key?: Uint8Array]> {
    // The decoded keys will take as much memory again.
    const { byteLength } = this.#workspace;
    if (this.#chain.byteLength > byteLength / 8) await this.#workspace.unload(this.#chain);
    const reader = new ChainReader(this.#workspace, this.#chain, { consume: true });
    try {
      for (const number of this.#numbers) {
        await reader.read();
        yield [number, reader.bytes.subarray(reader.keyEnd, reader.end)];
      }
    } finally {
      await reader.close();
      await this.#chain.discard();
    }
    yield [count];
  }
}

/** The share for the states of keys; the rest is for growing chains, and batches. */
const TABLE_SHARE = 0.4;
/**
 * The limit of a caller's own states, as a multiple of memory: they can be neither spilled nor started
 * anew. Sizes are estimates, up to twice what V8 takes.
 */
const MOST_STATES = 1.25;
/** How many results are yielded at a time. */
const RESULTS_AT_ONCE = 1024;
const NO_VALUES: readonly unknown[] = [];
const NOTHING = new Uint8Array();

/** Bytes of values that are decoded at once. */
export const BATCH_BYTES = 256 << 10;

async function* spilledBatches(
  run: Run,
  chain: Chain,
  aggregates: readonly Aggregate<never, unknown>[],
): AsyncGenerator<FoldBatch> {
  const reader = new ChainReader(run.workspace, chain, { consume: true });
  const keyed = new BatchWriter();
  const columns = (): (unknown[] | undefined)[] =>
    aggregates.map(({ value }) => (value === undefined ? undefined : []));
  let values = columns();
  let byteLength = 0;
  try {
    while (await reader.advance()) {
      while (reader.next()) {
        const { bytes, keyStart, keyEnd, end, low, high } = reader;
        if (reader.isLong && keyed.count > 0) {
          yield { keyed, values };
          keyed.clear();
          values = columns();
          byteLength = 0;
        }
        keyed.addRecord("");
        keyed.add(bytes, keyStart, keyEnd, low, high);
        const record = end > keyEnd ? (decodeStructured(bytes, keyEnd, end) as unknown[]) : [];
        let next = 0;
        for (const column of values) column?.push(record[next++]);
        byteLength += end - keyEnd;
        if (!keyed.isFull && byteLength < BATCH_BYTES && !reader.isLong) continue;
        if (reader.isLong) reader.leaveFrame();
        yield { keyed, values };
        keyed.clear();
        values = columns();
        byteLength = 0;
      }
    }
    yield { keyed, values };
  } finally {
    await reader.close();
    await chain.discard();
  }
}
