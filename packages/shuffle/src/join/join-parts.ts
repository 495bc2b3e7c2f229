import { fitsInMemory } from "../group/chain-groups.js";
import { GroupTable } from "../group/group-table.js";
import type { Run } from "../run/run.js";
import type { Input } from "../source/input.js";
import type { KeyedBatch } from "../source/keyed-batch.js";
import { withShortKeys } from "../source/short-keys.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import { appendBatch, DEEPEST_LEVEL, Fan } from "../spill/fan.js";
import type { JoinSink } from "./join-sink.js";
import type { KindRules } from "./kind.js";

/** A left side whose records the sink decodes. */
export type LeftInput = Pick<Input<unknown>, "batches" | "consumed">;

/**
 * A hash join, part by part. If the right side fits in memory, each record of the left side is looked
 * up there. Otherwise both sides are spread by the same hash and joined part by part; parts that cannot
 * be spread, because they have one key, are joined with one piece of the right side at a time.
 */
export class JoinParts {
  readonly #run: Run;
  readonly #rules: KindRules;
  readonly #left: LeftInput;
  readonly #sink: JoinSink;

  constructor(run: Run, rules: KindRules, left: LeftInput, sink: JoinSink) {
    this.#run = run;
    this.#rules = rules;
    this.#left = left;
    this.#sink = sink;
  }

  /**
   * Yields when the sink is full, after each batch of the left side, and when everything has been joined.
   *
   * @param right one chain that fits in memory, or those of a fan of level 0.
   */
  async *join(right: readonly Chain[]): AsyncGenerator<void> {
    const [only] = right;
    if (only && right.length === 1) {
      yield* this.#lookUp(only, this.#readLeft());
      return;
    }
    const fan = new Fan(this.#run.workspace, 0);
    for await (const batch of this.#readLeft()) {
      await appendBatch(this.#run.workspace, batch, (low, high) => fan.chainOf(low, high));
    }
    yield* this.#parts(fan.ended(), right, 1);
  }

  async *#readLeft(): AsyncGenerator<KeyedBatch> {
    for await (const batch of this.#left.batches(this.#run.reading)) {
      this.#run.signal?.throwIfAborted();
      this.#run.progress.read(batch, this.#left.consumed);
      yield withShortKeys(batch);
    }
  }

  async *#parts(
    left: readonly Chain[],
    right: readonly Chain[],
    level: number,
  ): AsyncGenerator<void> {
    for (const [index, part] of left.entries()) yield* this.#part(part, right[index]!, level);
  }

  async *#part(left: Chain, right: Chain, level: number): AsyncGenerator<void> {
    const { workspace } = this.#run;
    if (fitsInMemory(workspace, right)) {
      yield* this.#lookUp(right, batchesOf(this.#run, left, true));
      await left.discard();
      return;
    }
    await workspace.unload(left);
    await workspace.unload(right);
    if (right.isUniform || level > DEEPEST_LEVEL) {
      yield* this.#piecewise(left, right);
      return;
    }
    const leftFan = new Fan(workspace, level, right);
    const rightFan = new Fan(workspace, level, right);
    await leftFan.drain(left);
    await rightFan.drain(right);
    yield* this.#parts(leftFan.ended(), rightFan.ended(), level + 1);
  }

  /**
   * Joins a right side in memory, which is used up.
   *
   * @param seen for each record on the left, whether it has met a partner. It is passed if the right
   *   side comes in pieces, when it is not yet known which records have no partner.
   */
  async *#lookUp(
    right: Chain,
    left: AsyncIterable<KeyedBatch>,
    seen?: Uint8Array,
  ): AsyncGenerator<void> {
    const { workspace } = this.#run;
    const rules = this.#rules;
    const sink = this.#sink;
    const cost = GroupTable.cost(right.records);
    workspace.charge(cost);
    try {
      const table = new GroupTable(await right.load(), workspace.blockSize);
      await table.build();
      sink.begin();
      const matched = new Uint8Array(rules.unmatchedRight ? table.count : 0);
      let groups = new Int32Array(0);
      let number = 0;
      for await (const batch of left) {
        const { count, bytes, ends } = batch;
        if (groups.length < count) groups = new Int32Array(2 * count);
        table.findAll(batch, groups);
        for (let i = 0, start = 0; i < count; i++, number++) {
          const end = ends[i]!;
          const group = groups[i]!;
          sink.take(bytes, start, end);
          start = end;
          if (group < 0) {
            if (!seen) this.#unmatchedLeft();
          } else {
            const isNew = !seen || seen[number] === 0;
            if (seen) seen[number] = 1;
            if (rules.unmatchedRight) matched[group] = 1;
            if (rules.matchedLeft && isNew) sink.alone();
            if (rules.pairs) {
              for (let more = table.first(group); more; more = table.next()) {
                sink.pair(table.frame);
                if (sink.isFull) yield;
              }
            }
          }
          if (sink.isFull) yield;
        }
        // The next batch of a pipe may be long in coming.
        yield;
      }
      for (let group = 0; group < matched.length; group++) {
        if (matched[group] === 1) continue;
        for (let more = table.first(group); more; more = table.next()) {
          sink.unmatchedRight(table.frame);
          if (sink.isFull) yield;
        }
      }
      yield;
    } finally {
      workspace.uncharge(cost);
      await right.discard();
    }
  }

  /**
   * Joins two parts of one key that need not fit in memory: reads the left part once for each piece of
   * the right part.
   */
  async *#piecewise(left: Chain, right: Chain): AsyncGenerator<void> {
    const { workspace } = this.#run;
    const seen = new Uint8Array(left.records);
    workspace.charge(seen.length);
    const reader = new ChainReader(workspace, right, { consume: true });
    try {
      let piece = workspace.chain();
      for await (const batch of reader.batches()) {
        const target = piece;
        await appendBatch(workspace, batch, () => target);
        if (piece.length * 2 < workspace.capacity && fitsInMemory(workspace, piece)) continue;
        yield* this.#lookUp(piece, batchesOf(this.#run, left, false), seen);
        piece = workspace.chain();
      }
      yield* this.#lookUp(piece, batchesOf(this.#run, left, false), seen);
      yield* this.#withoutPartner(left, seen);
    } finally {
      workspace.uncharge(seen.length);
      await reader.close();
      await right.discard();
      await left.discard();
    }
  }

  async *#withoutPartner(left: Chain, seen: Uint8Array): AsyncGenerator<void> {
    if (this.#rules.unmatchedLeft === "none") return;
    let number = 0;
    for await (const { count, bytes, ends } of batchesOf(this.#run, left, false)) {
      for (let i = 0, start = 0; i < count; i++) {
        this.#sink.take(bytes, start, ends[i]!);
        start = ends[i]!;
        if (seen[number++] === 0) this.#unmatchedLeft();
      }
      yield;
    }
  }

  /** Adds the record on the left that was taken last, which has no partner. */
  #unmatchedLeft(): void {
    const { unmatchedLeft } = this.#rules;
    if (unmatchedLeft === "pair") this.#sink.unmatchedLeft();
    else if (unmatchedLeft === "alone") this.#sink.alone();
  }
}

async function* batchesOf(run: Run, chain: Chain, consume: boolean): AsyncGenerator<KeyedBatch> {
  const reader = new ChainReader(run.workspace, chain, { consume });
  try {
    yield* reader.batches();
  } finally {
    await reader.close();
  }
}
