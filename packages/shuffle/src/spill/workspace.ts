import { type Block, BlockPool } from "./block.js";
import { Chain, type ChainMemory } from "./chain.js";
import { LONG_BYTES } from "./frame.js";
import type { TapeSpace } from "./tape.js";

/**
 * The memory of one run, cut into blocks, and the chains that live in it. When memory runs short, the
 * chain with the most blocks is spilled to its tape while work goes on.
 */
export class Workspace implements ChainMemory {
  readonly blockSize: number;
  readonly signal: AbortSignal | undefined;
  readonly #space: TapeSpace;
  readonly #memory: number;
  readonly #chains = new Set<Chain>();
  readonly #pool: BlockPool;
  #taken = 0;
  /** Bytes of callers' own memory: see {@link charge}. */
  #charged = 0;
  /** Bytes of `#charged` that are for long records. */
  #records = 0;
  /** Memory that the source takes for a long record, in bytes. */
  #source = 0;
  /** Spills that are under way. */
  #spills = 0;
  #failure: unknown;
  bytesSpilled = 0;

  /**
   * @param memory bytes for blocks and for what callers charge.
   * @param growing how many chains grow at the same time, if more than {@link width}.
   */
  constructor(memory: number, space: TapeSpace, signal?: AbortSignal, growing = 0) {
    this.#memory = memory;
    this.#space = space;
    this.signal = signal;
    let blockSize = SMALLEST_BLOCK;
    const blocks = Math.max(BLOCKS, 4 * growing);
    while (blockSize < LARGEST_BLOCK && blockSize * blocks <= memory) blockSize *= 2;
    this.blockSize = blockSize;
    this.#pool = new BlockPool(blockSize, this.capacity);
  }

  /** Bytes for blocks and for what callers charge. */
  get byteLength(): number {
    return this.#memory;
  }

  /** The most blocks that memory has room for, including those in use. */
  get capacity(): number {
    return Math.max(FEWEST_BLOCKS, Math.floor((this.#memory - this.#charged) / this.blockSize));
  }

  /** How many chains may grow at the same time: each has a block that is not full. */
  get width(): number {
    const blocks = Math.floor(this.#memory / this.blockSize);
    return Math.max(2, Math.min(WIDEST, blocks >>> 3));
  }

  chain(): Chain {
    const chain = new Chain(this);
    this.#chains.add(chain);
    return chain;
  }

  forget(chain: Chain): void {
    this.#chains.delete(chain);
  }

  take(): Block {
    this.#taken++;
    return this.#pool.take();
  }

  release(blocks: readonly Block[]): void {
    this.#taken -= blocks.length;
    for (const block of blocks) this.#pool.release(block);
    this.#shrink();
  }

  #shrink(): void {
    this.#pool.shrink(this.capacity, () => this.#movable(), this.#records > 0);
  }

  /**
   * Counts `bytes` of the caller's own memory, such as an index, against the bound, until {@link
   * uncharge}. A caller whose memory changes charges the difference, which may be negative.
   */
  charge(bytes: number): void {
    this.#charged += bytes;
    this.#shrink();
  }

  /** The same for a long record. While one is charged, unused memory is given back. */
  chargeRecord(bytes: number): void {
    this.#records += bytes;
    this.charge(bytes);
  }

  uncharge(bytes: number): void {
    this.charge(-bytes);
  }

  /** Bytes that {@link makeRoom} has made room for. */
  get sourceBytes(): number {
    return this.#source;
  }

  /**
   * Counts the memory that the source takes for a long record, in place of the previous one's, and
   * spills until there is room; the source waits for it. It may resolve without room, as {@link
   * reserve} does.
   */
  async makeRoom(bytes: number): Promise<void> {
    const more = bytes - this.#source;
    this.#source = bytes;
    this.chargeRecord(more);
    if (more > 0) await this.reserve(0);
  }

  /**
   * Makes room for the longest frame of chains that are to be read. This comes before blocks are taken to
   * read ahead: those cannot move, and each could keep a slab in memory beside the frame.
   */
  async makeRoomToRead(chains: readonly Chain[]): Promise<void> {
    const longest = Math.max(...chains.map((chain) => chain.longest));
    if (longest < LONG_BYTES) return;
    for (const chain of chains) chain.pinned = false;
    this.chargeRecord(longest);
    try {
      await this.reserve(0);
    } finally {
      this.chargeRecord(-longest);
      for (const chain of chains) chain.pinned = true;
    }
  }

  *#movable(): Generator<Block> {
    for (const chain of this.#chains) yield* chain.movable;
  }

  /** How many blocks this many bytes take. */
  blocksFor(bytes: number): number {
    return Math.ceil(bytes / this.blockSize);
  }

  /**
   * Makes room for `count` blocks by spilling. Returns `undefined` if there is room already, so that a
   * hot loop need not await. Resolves without room if nothing is left to spill: the blocks then exceed
   * the bound a little.
   */
  reserve(count: number): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const room = this.capacity - this.#taken;
    // A spill takes time: begin before it is needed.
    if (room - count < this.capacity >>> 3) this.#spill();
    return room >= count ? undefined : this.#wait(count);
  }

  async #wait(count: number): Promise<void> {
    while (this.capacity - this.#taken < count) {
      this.signal?.throwIfAborted();
      this.#spill();
      const spills = [...this.#chains].map((chain) => chain.spilling).filter((spill) => spill);
      // Nothing can be spilled: exceed the bound a little.
      if (spills.length === 0) return;
      await Promise.race(spills);
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  /** Begins as many spills as may run at a time, of the chains with the most blocks. */
  #spill(): void {
    while (this.#spills < MOST_SPILLS) {
      let largest: Chain | undefined;
      for (const chain of this.#chains) {
        if (chain.spillable > (largest?.spillable ?? 0)) largest = chain;
      }
      if (!largest) return;
      this.#spillOldest(largest);
    }
  }

  /** Spills all blocks of a sealed chain to its tape. */
  async unload(chain: Chain): Promise<void> {
    chain.seal();
    for (;;) {
      while (chain.spilling) await chain.spilling;
      if (this.#failure !== undefined) throw this.#failure;
      if (chain.spillable === 0) return;
      this.#spillOldest(chain);
    }
  }

  /** Begins to write the oldest blocks of a chain to its tape. */
  #spillOldest(chain: Chain): void {
    const most = Math.ceil(MOST_BYTES / this.blockSize);
    const blocks = chain.blocks.slice(0, Math.min(chain.spillable, most));
    chain.tape ??= this.#space.tape();
    this.#spills++;
    chain.spilling = chain.tape.append(blocks).then(
      () => {
        chain.blocks.splice(0, blocks.length);
        chain.tapeBlocks += blocks.length;
        this.bytesSpilled += blocks.length * this.blockSize;
        this.#endSpill(chain);
        this.release(blocks);
      },
      (error: unknown) => {
        this.#failure ??= error;
        this.#endSpill(chain);
      },
    );
  }

  #endSpill(chain: Chain): void {
    chain.spilling = undefined;
    this.#spills--;
  }

  /** Waits for running spills, and removes what was spilled. */
  async close(): Promise<void> {
    for (const chain of this.#chains) await chain.spilling;
    this.#chains.clear();
    this.#pool.close();
    await this.#space.close();
  }
}

/** How many blocks memory holds, unless their size would leave these bounds. */
const BLOCKS = 512;
const SMALLEST_BLOCK = 1 << 10;
const LARGEST_BLOCK = 256 << 10;
/** With fewer blocks nothing would work: a few chains grow, and one is read. */
const FEWEST_BLOCKS = 16;
/** The most chains that grow at a time: 128 of 256 KiB are 32 MiB that cannot be spilled. */
const WIDEST = 128;
/** Two spills at a time keep the disk busy while blocks are chosen. */
const MOST_SPILLS = 2;
/** The most bytes of a spill: large enough for the disk, small enough to free blocks soon. */
const MOST_BYTES = 4 << 20;
