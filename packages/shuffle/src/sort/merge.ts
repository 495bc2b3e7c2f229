import type { Chain } from "../spill/chain.js";
import { ChainReader } from "../spill/chain-reader.js";
import type { Workspace } from "../spill/workspace.js";

/**
 * Merges sorted chains, which are used up. Among equal keys, frames of an earlier chain come first, so
 * that a sort is stable.
 */
export class Merge {
  readonly #workspace: Workspace;
  readonly #chains: readonly Chain[];
  readonly #heap: ChainReader[] = [];
  readonly #rank = new Map<ChainReader, number>();
  readonly #readers: ChainReader[];

  constructor(workspace: Workspace, chains: readonly Chain[]) {
    this.#workspace = workspace;
    this.#chains = chains;
    const longest = Math.max(0, ...chains.map((chain) => chain.longest));
    const room = workspace.capacity - workspace.blocksFor(longest);
    const ahead = Math.max(1, Math.floor(room / (4 * chains.length)));
    this.#readers = chains.map(
      (chain) => new ChainReader(workspace, chain, { ahead, consume: true, keysFirst: true }),
    );
  }

  /**
   * How many chains, from the first on, can be merged at a time: at least two. Each takes two blocks in
   * memory and, of a record whose key lies in several blocks, its frame. The longest of these frames does
   * not count: it is held in every merge that has it.
   */
  static width(workspace: Workspace, chains: readonly Chain[]): number {
    const { blockSize, capacity } = workspace;
    const most = Math.min(MOST_CHAINS, chains.length, capacity >>> 2);
    const room = capacity * blockSize * FRAMES_SHARE;
    let frames = 0;
    let longest = 0;
    let width = 0;
    for (; width < most; width++) {
      frames += chains[width]!.longestOfLongKeys;
      longest = Math.max(longest, chains[width]!.longestOfLongKeys);
      if (frames - longest > room) break;
    }
    return Math.min(chains.length, Math.max(2, width));
  }

  async start(): Promise<void> {
    await this.#workspace.makeRoomToRead(this.#chains);
    for (const [rank, reader] of this.#readers.entries()) {
      this.#rank.set(reader, rank);
      if (await reader.read()) this.#push(reader);
    }
    await this.first?.whole();
  }

  /**
   * The reader with the next frame; `undefined` at the end. Other readers may have read only their
   * frame's key.
   */
  get first(): ChainReader | undefined {
    return this.#heap[0];
  }

  /** Leaves the first frame. @returns a promise if its chain has to be read first. */
  next(): Promise<void> | undefined {
    const reader = this.#heap[0]!;
    // This reader, possibly at its end, would keep it until the merge is closed.
    reader.leaveFrame();
    if (!reader.next()) return this.#read(reader);
    this.#sink();
    return this.#heap[0]!.whole() as Promise<void> | undefined;
  }

  async #read(reader: ChainReader): Promise<void> {
    if (await reader.read()) this.#sink();
    else {
      const last = this.#heap.pop()!;
      if (last === reader) return;
      this.#heap[0] = last;
      this.#sink();
    }
    await this.#heap[0]!.whole();
  }

  #push(reader: ChainReader): void {
    const heap = this.#heap;
    let index = heap.push(reader) - 1;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      if (!this.#isBefore(reader, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = reader;
  }

  #sink(): void {
    const heap = this.#heap;
    const reader = heap[0]!;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#isBefore(heap[child]!, reader)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = reader;
  }

  #isBefore(left: ChainReader, right: ChainReader): boolean {
    if (left.high !== right.high) return left.high < right.high;
    if (left.low !== right.low) return left.low < right.low;
    const order = compareKeys(left, right);
    return order === 0 ? this.#rank.get(left)! < this.#rank.get(right)! : order < 0;
  }

  async close(): Promise<void> {
    for (const reader of this.#readers) await reader.close();
    for (const chain of this.#chains) await chain.discard();
  }
}

/** With more chains the longer heap costs more than a second merge. */
const MOST_CHAINS = 128;
/** The share of memory for the present frames of all chains. */
const FRAMES_SHARE = 0.5;

function compareKeys(left: ChainReader, right: ChainReader): number {
  const leftLength = left.keyEnd - left.keyStart;
  const rightLength = right.keyEnd - right.keyStart;
  const length = Math.min(leftLength, rightLength);
  for (let i = 0; i < length; i++) {
    const difference = left.bytes[left.keyStart + i]! - right.bytes[right.keyStart + i]!;
    if (difference !== 0) return difference;
  }
  return leftLength - rightLength;
}
