import { releaseBytes } from "@partd/core/author";
import { type Block, Slab } from "./block.js";

/**
 * Blocks, cut from slabs that are given back whole. The malloc of glibc maps and unmaps an array of more than 32 MiB by
 * itself, and keeps shorter ones once they are freed: with blocks of their own, a record of 203 MB behind 430 MB of
 * others took 517 MiB.
 */
export class BlockPool {
  readonly #blockSize: number;
  readonly #slabBlocks: number;
  readonly #slabs: Slab[] = [];
  /** Slabs before it have no block to give. */
  #open = 0;
  /** Blocks that take memory: a page of a slab does so once it is written. */
  #touched = 0;

  /** @param most blocks that are likely to be taken at a time. */
  constructor(blockSize: number, most: number) {
    this.#blockSize = blockSize;
    this.#slabBlocks = Math.max(1, Math.min(most, Math.ceil(SLAB_BYTES / blockSize)));
  }

  /** A block whose bytes are not set, of the first slab that has one: later slabs become free. */
  take(): Block {
    while (this.#slabs[this.#open]?.isFull) this.#open++;
    let slab = this.#slabs[this.#open];
    if (!slab) {
      slab = new Slab(this.#blockSize, this.#slabBlocks);
      this.#slabs.push(slab);
    }
    return this.#takeOf(slab);
  }

  release(block: Block): void {
    block.slab.release(block);
    this.#open = Math.min(this.#open, this.#slabs.indexOf(block.slab));
  }

  /**
   * Gives back slabs as long as `most` blocks and no whole slab beyond them take memory.
   *
   * @param movable blocks whose arrays no one holds, which are moved out of slabs that have few.
   */
  shrink(most: number, movable: Iterable<Block>): void {
    if (this.#touched - most < this.#slabBlocks) return;
    this.#gather(movable);
    for (let i = this.#slabs.length - 1; i >= 0; i--) {
      const { used, touched } = this.#slabs[i]!;
      if (used === 0 && this.#touched - most >= touched) this.#drop(i);
    }
  }

  /** Slabs with many blocks get those of slabs with few. */
  #gather(movable: Iterable<Block>): void {
    const blocks = new Map<Slab, Block[]>(this.#slabs.map((slab) => [slab, []]));
    for (const block of movable) blocks.get(block.slab)!.push(block);
    const slabs = [...blocks].sort(([a], [b]) => b.used - a.used);
    let into = 0;
    for (let from = slabs.length - 1; from > into; from--) {
      const [slab, moved] = slabs[from]!;
      for (const block of moved) {
        while (into < from && slabs[into]![0].isFull) into++;
        if (into === from) break;
        const place = this.#takeOf(slabs[into]![0]);
        block.moveTo(place);
        slab.release(place);
      }
    }
    this.#open = 0;
  }

  #takeOf(slab: Slab): Block {
    const { touched } = slab;
    const block = slab.take();
    this.#touched += slab.touched - touched;
    return block;
  }

  #drop(index: number): void {
    const [slab] = this.#slabs.splice(index, 1);
    this.#touched -= slab!.touched;
    this.#open = 0;
    releaseBytes(slab!.bytes);
  }

  /** Gives back all slabs of which no block is in use. */
  close(): void {
    for (let i = this.#slabs.length - 1; i >= 0; i--) {
      if (this.#slabs[i]!.used === 0) this.#drop(i);
    }
  }
}

/** More than what glibc's malloc ever keeps, see `M_MMAP_THRESHOLD` of mallopt(3). */
const SLAB_BYTES = (32 << 20) + (256 << 10);
