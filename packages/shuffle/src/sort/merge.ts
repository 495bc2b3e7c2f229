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
  /** Two readers whose keys agree as far as they have been read, so that the heap may be out of order. */
  #tie: readonly [ChainReader, ChainReader] | undefined;
  readonly #orders = new KnownOrders();

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

  /** How many of some chains can be merged at a time: at least two. Each takes two blocks in memory. */
  static width({ capacity }: Workspace, chains: readonly Chain[]): number {
    return Math.min(chains.length, MOST_CHAINS, Math.max(2, capacity >>> 2));
  }

  async start(): Promise<void> {
    await this.#workspace.makeRoomToRead(this.#chains);
    for (const [rank, reader] of this.#readers.entries()) {
      this.#rank.set(reader, rank);
      if (!(await reader.read())) continue;
      this.#push(reader);
      await this.#settled();
    }
    await this.first?.whole();
  }

  /**
   * The reader with the next frame; `undefined` at the end. Other readers may have read only the beginning
   * of their frames.
   */
  get first(): ChainReader | undefined {
    return this.#heap[0];
  }

  /** Leaves the first frame. @returns a promise if its chain has to be read first. */
  next(): Promise<void> | undefined {
    const reader = this.#heap[0]!;
    // A reader at its end would otherwise keep the frame until the merge is closed.
    reader.leaveFrame();
    this.#orders.forget(reader);
    if (!reader.next()) return this.#read(reader);
    this.#sink();
    if (this.#tie) return this.#settled().then(() => this.#heap[0]!.whole() as Promise<void>);
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
    await this.#settled();
    await this.#heap[0]!.whole();
  }

  /** While two keys tie in the parts read so far, reads on, compares them, and orders the heap again. */
  async #settled(): Promise<void> {
    while (this.#tie) {
      const [left, right] = this.#tie;
      this.#orders.add(left, right, await compareByPieces(left, right));
      this.#tie = undefined;
      this.#heap.sort((a, b) => (this.#isBefore(a, b) ? -1 : 1));
    }
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
    const order = this.#orders.of(left, right) ?? this.#compareKeys(left, right);
    if (order === undefined) {
      this.#tie ??= [left, right];
      return true;
    }
    return order === 0 ? this.#rank.get(left)! < this.#rank.get(right)! : order < 0;
  }

  /** The order of two frames by their keys; `undefined` if more of a key has to be read for that. */
  #compareKeys(left: ChainReader, right: ChainReader): number | undefined {
    const leftLength = left.keyEnd - left.keyStart;
    const rightLength = right.keyEnd - right.keyStart;
    const length = Math.min(leftLength, rightLength);
    let order = 0;
    for (let i = 0; i < length && order === 0; i++) {
      order = left.bytes[left.keyStart + i]! - right.bytes[right.keyStart + i]!;
    }
    if (order === 0) {
      if (!left.isKeyWhole && leftLength === length) return undefined;
      if (!right.isKeyWhole && rightLength === length) return undefined;
      order = leftLength - rightLength;
    }
    // Without this, the two would be compared again for each frame that comes before both.
    if (length > REMEMBERED_KEY) this.#orders.add(left, right, order);
    return order;
  }

  async close(): Promise<void> {
    for (const reader of this.#readers) await reader.close();
    for (const chain of this.#chains) await chain.discard();
  }
}

/** With more chains the longer heap costs more than a second merge. */
const MOST_CHAINS = 128;

/** From this length on, comparing two keys costs more than remembering their order. */
const REMEMBERED_KEY = 4096;

/** The order of two frames by their keys, which are read piece by piece. */
async function compareByPieces(left: ChainReader, right: ChainReader): Promise<number> {
  const [lefts, rights] = [left.keyPieces(), right.keyPieces()];
  try {
    let [a, b] = [NOTHING, NOTHING];
    for (;;) {
      if (a.length === 0) a = (await lefts.next()).value ?? NOTHING;
      if (b.length === 0) b = (await rights.next()).value ?? NOTHING;
      const length = Math.min(a.length, b.length);
      if (length === 0) return a.length - b.length;
      const order = Buffer.compare(a.subarray(0, length), b.subarray(0, length));
      if (order !== 0) return order;
      a = a.subarray(length);
      b = b.subarray(length);
    }
  } finally {
    await lefts.return(undefined);
    await rights.return(undefined);
  }
}

const NOTHING = new Uint8Array();

/** The orders of pairs of long keys. */
class KnownOrders {
  readonly #orders = new Map<ChainReader, Map<ChainReader, number>>();

  add(left: ChainReader, right: ChainReader, order: number): void {
    this.#of(left).set(right, order);
    this.#of(right).set(left, -order);
  }

  of(left: ChainReader, right: ChainReader): number | undefined {
    return this.#orders.size === 0 ? undefined : this.#orders.get(left)?.get(right);
  }

  /** Call this when the reader leaves its frame. */
  forget(reader: ChainReader): void {
    if (this.#orders.size === 0) return;
    for (const other of this.#orders.get(reader)?.keys() ?? [])
      this.#orders.get(other)!.delete(reader);
    this.#orders.delete(reader);
  }

  #of(reader: ChainReader): Map<ChainReader, number> {
    const orders = this.#orders.get(reader) ?? new Map<ChainReader, number>();
    this.#orders.set(reader, orders);
    return orders;
  }
}
