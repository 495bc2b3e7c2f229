import { checkOptionNames, type OptionNames } from "@partd/core/author";
import { chainGroups } from "../group/chain-groups.js";
import { type Group, StoredGroup } from "../group/group.js";
import { GroupOutput } from "../group/group-output.js";
import type { Output } from "../run/output.js";
import { RUN_OPTIONS, Run, type RunOptions } from "../run/run.js";
import { stepping, type Visit } from "../run/walk.js";
import type { By, KeyOf } from "../source/by.js";
import { GroupKeyer } from "../source/group-keyer.js";
import { type Input, inputOf, type RecordCodec, type Source } from "../source/input.js";
import type { MissingOption } from "../source/missing.js";
import { withShortKeys } from "../source/short-keys.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import { appendBatch } from "../spill/fan.js";
import type { Workspace } from "../spill/workspace.js";
import { type Partitioner, type PartitionFinder, partitionFinder } from "./partitioner.js";

export interface ShuffleOptions<R, B extends By<R>> extends RunOptions, MissingOption {
  /** The key of a record: a field's name, several names, or a function. */
  readonly by: B;
  /** How many partitions, from 1 to 65,536. Default: 64, or as many as the range has. */
  readonly partitions?: number | undefined;
  /** Default: `"hash"`. */
  readonly partitioner?: Partitioner<KeyOf<R, B>> | undefined;
}

const OPTIONS: OptionNames<ShuffleOptions<unknown, By<unknown>>> = {
  by: true,
  missing: true,
  partitions: true,
  partitioner: true,
  ...RUN_OPTIONS,
};

/**
 * Divides the records into partitions: all records of a key go to the same one, in the order of the
 * source. Partitions come in the order of their numbers, including empty ones.
 *
 * ```ts
 * for await (const partition of shuffle(events, { by: "user", partitions: 8 })) {
 *   for await (const event of partition) console.log(partition.index, event);
 * }
 * ```
 *
 * @throws what {@link RunOptions} lists; `ERR_PARTD_VALUE` if a partitioner returns a number that is
 *   not a partition's.
 */
export function shuffle<R, const B extends By<R>>(
  source: Source<R>,
  options: ShuffleOptions<R, B>,
): Output<Partition<KeyOf<R, B>, R>> {
  checkOptionNames("shuffle", options, OPTIONS);
  const finder = partitionFinder(options.partitioner as Partitioner<never>, options.partitions);
  const input = inputOf(source, new GroupKeyer(options.by, options));
  return new GroupOutput(
    (signal) => partitions<KeyOf<R, B>, R>(input, finder, { ...options, signal }),
    options.signal,
  );
}

async function* partitions<K, R>(
  input: Input<R>,
  finder: PartitionFinder,
  options: RunOptions,
): AsyncGenerator<readonly StoredPartition<K, R>[]> {
  const run = new Run("shuffle", options, await input.byteLength(), finder.count);
  const { workspace, progress, signal } = run;
  try {
    const chains = Array.from({ length: finder.count }, () => workspace.chain());
    for await (const batch of input.batches(run.reading)) {
      signal?.throwIfAborted();
      const { keys, keyStarts, keyEnds } = batch;
      await appendBatch(
        workspace,
        input.withKey ? withShortKeys(batch) : batch,
        (low, high, i) => chains[finder.find(keys, keyStarts[i]!, keyEnds[i]!, low, high)]!,
      );
      progress.read(batch, input.consumed);
    }
    progress.write();
    for (const chain of chains) chain.seal();
    for (const [index, chain] of chains.entries()) {
      yield [new StoredPartition<K, R>(index, workspace, chain, input)];
      await chain.discard();
    }
    progress.done();
  } finally {
    await run.close();
  }
}

/**
 * The records of one partition, in the order of the source. They can be read once, until the next
 * partition is asked for.
 */
export interface Partition<K, R> extends Omit<Group<number, R>, "key"> {
  /** Its number, from 0. */
  readonly index: number;
  /** Its records by key, instead of the records themselves. */
  groups(): Output<Group<K, R>>;
}

/** A partition of a run. */
class StoredPartition<K, R> extends StoredGroup<number, R> implements Partition<K, R> {
  readonly index: number;
  readonly #workspace: Workspace;
  readonly #chain: Chain;
  readonly #codec: RecordCodec<R>;

  constructor(index: number, workspace: Workspace, chain: Chain, codec: RecordCodec<R>) {
    super(
      index,
      stepping((visit) => walkChain(workspace, chain, visit)),
      codec,
      workspace.signal,
    );
    this.index = index;
    this.#workspace = workspace;
    this.#chain = chain;
    this.#codec = codec;
  }

  groups(): Output<Group<K, R>> {
    return new GroupOutput(() => {
      this.take();
      return chainGroups<K, R>(this.#workspace, this.#chain, this.#codec, 1);
    }, this.#workspace.signal);
  }
}

async function* walkChain(workspace: Workspace, chain: Chain, visit: Visit): AsyncGenerator<void> {
  const reader = new ChainReader(workspace, chain, { consume: true });
  try {
    while (await reader.advance()) {
      while (reader.next()) {
        visit(reader.bytes, reader.keyEnd, reader.end, reader.isOwn);
        if (reader.isLong) yield;
      }
      yield;
    }
  } finally {
    await reader.close();
  }
}
