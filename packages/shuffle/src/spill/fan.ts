import type { KeyedBatch } from "../source/keyed-batch.js";
import type { Chain } from "./chain.js";
import { ChainReader } from "./chain-reader.js";
import { frameCost } from "./frame.js";
import type { Workspace } from "./workspace.js";

/**
 * Spreads frames over chains by hash, so that all frames of a key go to the same chain, in order. Each
 * level uses other bits of the hash.
 */
export class Fan {
  readonly #chains: readonly Chain[];
  readonly #workspace: Workspace;
  readonly #level: number;
  /** A chain for the hash that most bytes of the parent chain have. */
  readonly #heavy: Chain | undefined;
  readonly #heavyLow: number;
  readonly #heavyHigh: number;
  readonly #width: number;

  /** @param parent the chain that is to be spread, if there is one. */
  constructor(workspace: Workspace, level: number, parent?: Chain) {
    this.#workspace = workspace;
    this.#level = level;
    this.#width = workspace.width;
    this.#chains = Array.from({ length: this.#width }, () => workspace.chain());
    this.#heavyLow = parent?.majorityLow ?? 0;
    this.#heavyHigh = parent?.majorityHigh ?? 0;
    if (!parent) return;
    this.#heavy = workspace.chain();
    this.#chains = [...this.#chains, this.#heavy];
  }

  chainOf(low: number, high: number): Chain {
    if (this.#heavy && low === this.#heavyLow && high === this.#heavyHigh) return this.#heavy;
    return this.#chains[mix(low, high, this.#level) % this.#width]!;
  }

  /** The chains, which do not grow any more: their last blocks can be spilled, too. */
  ended(): readonly Chain[] {
    for (const chain of this.#chains) chain.seal();
    return this.#chains;
  }

  /** Moves all frames of `chain`, which is empty afterwards. */
  async drain(chain: Chain): Promise<void> {
    const workspace = this.#workspace;
    const reader = new ChainReader(workspace, chain, { consume: true });
    const large = workspace.blockSize * LARGE_BLOCKS;
    try {
      while (await reader.advance()) {
        await workspace.reserve(LARGE_BLOCKS + 2);
        while (reader.next()) {
          const { bytes, keyStart, keyEnd, end, low, high } = reader;
          const child = this.chainOf(low, high);
          if (end - keyStart < large) {
            child.append(bytes, keyStart, keyEnd, bytes, keyEnd, end, low, high);
          } else {
            await child.appendLarge(bytes, keyStart, keyEnd, bytes, keyEnd, end, low, high);
            reader.leaveFrame();
          }
        }
      }
    } finally {
      await reader.close();
      await chain.discard();
    }
  }
}

/** The last level that divides keys: with 16 chains or more at each, up to 10^9 keys are apart by then. */
export const DEEPEST_LEVEL = 8;

/** The chain that a record goes to; `undefined` if it is left out. */
type ChainOf = (low: number, high: number, index: number) => Chain | undefined;

/** Appends a batch to the chains that `chainOf` returns, and makes room as it goes. */
export async function appendBatch(
  workspace: Workspace,
  batch: KeyedBatch,
  chainOf: ChainOf,
): Promise<void> {
  // Only a batch with a huge record is charged: the share for batches has room for the others.
  const held = Math.max(0, hugeBytes(batch) - workspace.sourceBytes);
  workspace.charge(held);
  try {
    await appendRecords(workspace, batch, chainOf);
  } finally {
    workspace.uncharge(held);
  }
}

/** Bytes of a batch of 8 MiB or more, which has a huge record; 0 for other batches. */
export function hugeBytes({ count, ends }: KeyedBatch): number {
  const byteLength = ends[count - 1] ?? 0;
  return byteLength < HUGE ? 0 : byteLength;
}

const HUGE = 8 << 20;

async function appendRecords(
  workspace: Workspace,
  batch: KeyedBatch,
  chainOf: ChainOf,
): Promise<void> {
  const { count, bytes, ends, keys, keyStarts, keyEnds, hashLow, hashHigh } = batch;
  const most = workspace.blockSize * Math.max(LARGE_BLOCKS, workspace.capacity >>> 4);
  let start = 0;
  let index = 0;
  while (index < count) {
    let cost = 0;
    let until = index;
    while (until < count && cost < most) {
      const from = until === 0 ? 0 : ends[until - 1]!;
      const next = frameCost(keyEnds[until]! - keyStarts[until]!, ends[until]! - from);
      if (cost > 0 && cost + next > most) break;
      cost += next;
      until++;
    }
    if (cost > most) {
      const low = hashLow[index]!;
      const high = hashHigh[index]!;
      const end = ends[index]!;
      const chain = chainOf(low, high, index);
      await chain?.appendLarge(
        keys,
        keyStarts[index]!,
        keyEnds[index]!,
        bytes,
        start,
        end,
        low,
        high,
      );
      start = end;
      index++;
      continue;
    }
    const waiting = workspace.reserve(workspace.blocksFor(cost) + 2);
    if (waiting) await waiting;
    for (; index < until; index++) {
      const low = hashLow[index]!;
      const high = hashHigh[index]!;
      const end = ends[index]!;
      chainOf(low, high, index)?.append(
        keys,
        keyStarts[index]!,
        keyEnds[index]!,
        bytes,
        start,
        end,
        low,
        high,
      );
      start = end;
    }
  }
}

/** A frame of this many blocks is appended piece by piece. */
const LARGE_BLOCKS = 4;

/** 32 bits of a hash, different for each level. */
function mix(low: number, high: number, level: number): number {
  let h = Math.imul(low ^ Math.imul(high, 0x9e3779b1 + 2 * level), 0x85ebca6b + 2 * level);
  h ^= h >>> 15;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 13)) >>> 0;
}
