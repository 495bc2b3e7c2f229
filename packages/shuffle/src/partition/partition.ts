import { chainGroups } from "../group/chain-groups.js";
import { type Group, StoredGroup } from "../group/group.js";
import { GroupOutput } from "../group/group-output.js";
import type { Output } from "../run/output.js";
import { stepping, type Visit } from "../run/walk.js";
import type { RecordCodec } from "../source/input.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import type { Workspace } from "../spill/workspace.js";

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
export class StoredPartition<K, R> extends StoredGroup<number, R> implements Partition<K, R> {
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
