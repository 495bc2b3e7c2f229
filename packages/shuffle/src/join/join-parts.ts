import { fitsInMemory } from "../group/chain-groups.js";
import { GroupTable } from "../group/group-table.js";
import type { Run } from "../run/run.js";
import type { Input, RecordCodec } from "../source/input.js";
import type { KeyedBatch } from "../source/keyed-batch.js";
import { matchesNothing } from "../source/no-match.js";
import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import { appendBatch, Fan } from "../spill/fan.js";
import type { LoadedChain } from "../spill/loaded-chain.js";
import type { KindRules } from "./kind.js";

/**
 * A hash join, part by part. A right side that fits in memory is looked up record by record of the left
 * one; else both are spread by the same hash and joined part by part, and parts that cannot be
 * spread, since they are of one key, a piece of the right side at a time.
 */
export class JoinParts {
  readonly #run: Run;
  readonly #rules: KindRules;
  readonly #left: Input<unknown>;
  readonly #right: Input<unknown>;

  constructor(run: Run, rules: KindRules, left: Input<unknown>, right: Input<unknown>) {
    this.#run = run;
    this.#rules = rules;
    this.#left = left;
    this.#right = right;
  }

  /** @param right one chain that fits in memory, or those of a fan of level 0. */
  async *join(right: readonly Chain[]): AsyncGenerator<readonly unknown[]> {
    const [only] = right;
    if (only && right.length === 1) {
      yield* this.#lookUp(only, this.#readLeft());
      return;
    }
    const fan = new Fan(this.#run.workspace, 0);
    for await (const batch of this.#readLeft()) {
      await appendBatch(this.#run.workspace, batch, (low, high) => fan.chainOf(low, high));
    }
    yield* this.#parts(fan.chains, right, 1);
  }

  async *#readLeft(): AsyncGenerator<KeyedBatch> {
    for await (const batch of this.#left.batches(this.#run.signal)) {
      this.#run.signal?.throwIfAborted();
      this.#run.progress.read(batch, this.#left.consumed);
      yield batch;
    }
  }

  async *#parts(
    left: readonly Chain[],
    right: readonly Chain[],
    level: number,
  ): AsyncGenerator<readonly unknown[]> {
    for (const [index, part] of left.entries()) yield* this.#part(part, right[index]!, level);
  }

  async *#part(left: Chain, right: Chain, level: number): AsyncGenerator<readonly unknown[]> {
    const { workspace } = this.#run;
    if (fitsInMemory(workspace, right)) {
      yield* this.#lookUp(right, batchesOf(this.#run, left, true));
      await left.discard();
      return;
    }
    await workspace.unload(left);
    await workspace.unload(right);
    if (right.isUniform || level > DEEPEST) {
      yield* this.#piecewise(left, right);
      return;
    }
    const leftFan = new Fan(workspace, level, right);
    const rightFan = new Fan(workspace, level, right);
    await leftFan.drain(left);
    await rightFan.drain(right);
    yield* this.#parts(leftFan.chains, rightFan.chains, level + 1);
  }

  /**
   * Joins a right side in memory, which is used up.
   *
   * @param seen of each record on the left, whether it has met a partner: given where the right side comes in
   *   pieces, so that nothing can be said of those without one yet.
   */
  async *#lookUp(
    right: Chain,
    left: AsyncIterable<KeyedBatch>,
    seen?: Uint8Array,
  ): AsyncGenerator<readonly unknown[]> {
    const { workspace } = this.#run;
    const rules = this.#rules;
    const cost = GroupTable.cost(right.records);
    workspace.borrow(cost);
    try {
      const table = new GroupTable(await right.load(), workspace.blockSize);
      await table.build();
      const matched = new Uint8Array(rules.lonelyRight ? table.count : 0);
      const partners = new DecodedOfLate(this.#right);
      let results: unknown[] = [];
      let number = 0;
      for await (const batch of left) {
        const { count, bytes, ends, keys, keyStarts, keyEnds, hashLow, hashHigh } = batch;
        for (let i = 0; i < count; i++, number++) {
          const start = i === 0 ? 0 : ends[i - 1]!;
          const keyStart = keyStarts[i]!;
          const keyEnd = keyEnds[i]!;
          const group = matchesNothing(keys, keyStart, keyEnd)
            ? -1
            : table.find(keys, keyStart, keyEnd, hashLow[i]!, hashHigh[i]!);
          if (group < 0) {
            if (seen || rules.lonelyLeft === "none") continue;
            const record = this.#left.decode(bytes, start, ends[i]!);
            results.push(rules.lonelyLeft === "pair" ? [record, undefined] : record);
          } else {
            const isNew = !seen || seen[number] === 0;
            if (seen) seen[number] = 1;
            if (rules.lonelyRight) matched[group] = 1;
            if (rules.matchedLeft && isNew) results.push(this.#left.decode(bytes, start, ends[i]!));
            if (rules.pairs) {
              const record = this.#left.decode(bytes, start, ends[i]!);
              for (const partner of table.records(group)) {
                results.push([record, partners.get(partner)]);
                if (results.length < RESULTS_AT_ONCE) continue;
                yield results;
                results = [];
              }
            }
          }
          if (results.length < RESULTS_AT_ONCE) continue;
          yield results;
          results = [];
        }
      }
      for (let group = 0; group < matched.length; group++) {
        if (matched[group] === 1) continue;
        for (const { bytes, keyEnd, end } of table.records(group)) {
          results.push([undefined, this.#right.decode(bytes, keyEnd, end)]);
          if (results.length < RESULTS_AT_ONCE) continue;
          yield results;
          results = [];
        }
      }
      if (results.length > 0) yield results;
    } finally {
      workspace.borrow(-cost);
      await right.discard();
    }
  }

  /** Joins two parts of one key, neither of which need fit in memory: the left one is read once for each piece. */
  async *#piecewise(left: Chain, right: Chain): AsyncGenerator<readonly unknown[]> {
    const { workspace } = this.#run;
    const seen = new Uint8Array(left.records);
    workspace.borrow(seen.length);
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
      workspace.borrow(-seen.length);
      await reader.close();
      await right.discard();
      await left.discard();
    }
  }

  async *#withoutPartner(left: Chain, seen: Uint8Array): AsyncGenerator<readonly unknown[]> {
    const { lonelyLeft } = this.#rules;
    if (lonelyLeft === "none") return;
    let number = 0;
    for await (const { count, bytes, ends } of batchesOf(this.#run, left, false)) {
      const results: unknown[] = [];
      for (let i = 0; i < count; i++) {
        if (seen[number++] === 1) continue;
        const record = this.#left.decode(bytes, i === 0 ? 0 : ends[i - 1]!, ends[i]!);
        results.push(lonelyLeft === "pair" ? [record, undefined] : record);
      }
      if (results.length > 0) yield results;
    }
  }
}

/**
 * Records on the right that were decoded a moment ago, since a few of them have most partners. Pairs may share
 * such a record.
 */
class DecodedOfLate {
  readonly #codec: RecordCodec<unknown>;
  readonly #addresses = new Float64Array(SLOTS).fill(-1);
  readonly #records: unknown[] = new Array(SLOTS);

  constructor(codec: RecordCodec<unknown>) {
    this.#codec = codec;
  }

  get({ address, bytes, keyEnd, end }: LoadedChain): unknown {
    if (end - keyEnd > LONGEST) return this.#codec.decode(bytes, keyEnd, end);
    const slot = Math.imul(address, 0x9e3779b1) >>> SHIFT;
    if (this.#addresses[slot] !== address) {
      this.#addresses[slot] = address;
      this.#records[slot] = this.#codec.decode(bytes, keyEnd, end);
    }
    return this.#records[slot];
  }
}

/** A few MB with records of 1 KiB at most. */
const SHIFT = 32 - 12;
const SLOTS = 1 << 12;
const LONGEST = 1 << 10;

const RESULTS_AT_ONCE = 512;
const DEEPEST = 8;

async function* batchesOf(run: Run, chain: Chain, consume: boolean): AsyncGenerator<KeyedBatch> {
  const reader = new ChainReader(run.workspace, chain, { consume });
  try {
    yield* reader.batches();
  } finally {
    await reader.close();
  }
}
