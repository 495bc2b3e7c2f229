import { releaseBytes } from "@partd/core/author";
import { MAPPED_BYTES } from "./frame.js";

/**
 * The unit of memory and of spilling: a fixed number of bytes, viewed as bytes and as words. Words have
 * the machine's own byte order, because blocks are never read on another machine.
 */
export class Block {
  slab: Slab;
  bytes: Uint8Array<ArrayBuffer>;
  words: Uint32Array<ArrayBuffer>;

  constructor(slab: Slab, offset: number, byteLength: number) {
    const { buffer } = slab.bytes;
    this.slab = slab;
    this.bytes = new Uint8Array(buffer, offset, byteLength);
    this.words = new Uint32Array(buffer, offset, byteLength / 4);
  }

  /** Takes the memory of another block, which gets this one's. */
  moveTo(place: Block): void {
    const { slab, bytes, words } = this;
    place.bytes.set(bytes);
    this.slab = place.slab;
    this.bytes = place.bytes;
    this.words = place.words;
    place.slab = slab;
    place.bytes = bytes;
    place.words = words;
  }
}

/** Memory that blocks are cut from, front to back. */
export class Slab {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #blockSize: number;
  readonly #free: Block[] = [];
  /** Blocks that have been taken so far, which are the first ones. */
  touched = 0;
  used = 0;

  constructor(blockSize: number, blocks: number) {
    this.#blockSize = blockSize;
    // Not cleared: clearing takes as long as filling, and would touch all pages.
    this.bytes = new Uint8Array(Buffer.allocUnsafeSlow(blockSize * blocks).buffer);
  }

  get isFull(): boolean {
    return this.#free.length === 0 && this.touched * this.#blockSize === this.bytes.length;
  }

  take(): Block {
    this.used++;
    return this.#free.pop() ?? new Block(this, this.touched++ * this.#blockSize, this.#blockSize);
  }

  release(block: Block): void {
    this.used--;
    this.#free.push(block);
  }
}

/**
 * Blocks, cut from slabs of more than 32 MiB that are given back whole: glibc's malloc unmaps such an array
 * when it is freed, and keeps shorter ones. With an array for each block, a record of 203 MB behind 430 MB
 * of others took 517 MiB.
 */
export class BlockPool {
  readonly #blockSize: number;
  readonly #slabBlocks: number;
  readonly #slabs: Slab[] = [];
  /** The index of the first slab that may have a free block. */
  #open = 0;
  /** Blocks that take memory: a page of a slab does so once it is written. */
  #touched = 0;

  /** @param most blocks that are likely to be taken at a time. */
  constructor(blockSize: number, most: number) {
    this.#blockSize = blockSize;
    this.#slabBlocks = Math.max(1, Math.min(most, Math.ceil(MAPPED_BYTES / blockSize)));
  }

  /** A block with any content, from the first slab that has one, so that later slabs become unused. */
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
   * Gives back unused slabs, until less than one slab takes memory beyond `most` blocks.
   *
   * @param movable blocks whose arrays no one holds: they are moved out of slabs that have few.
   * @param isTight whether to keep at most a few blocks beyond `most`. If always, a sort took 5 to 10 % more
   *   CPU.
   */
  shrink(most: number, movable: () => Iterable<Block>, isTight = false): void {
    const spare = isTight ? Math.min(TIGHT_SPARE, this.#slabBlocks) : this.#slabBlocks;
    if (this.#touched - most < spare) return;
    this.#gather(movable());
    this.#dropUnused(most, isTight);
    if (isTight && this.#touched - most >= spare && this.#unused >= spare) {
      this.#renew(movable());
      this.#dropUnused(most, isTight);
    }
  }

  #dropUnused(most: number, isTight: boolean): void {
    for (let i = this.#slabs.length - 1; i >= 0; i--) {
      const { used, touched } = this.#slabs[i]!;
      if (used === 0 && this.#touched - most >= (isTight ? 1 : touched)) this.#drop(i);
    }
  }

  /** Moves blocks from slabs with few to slabs with many. */
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

  /** Blocks that take memory and are not in use. */
  get #unused(): number {
    return this.#slabs.reduce((sum, { touched, used }) => sum + touched - used, 0);
  }

  /** Moves the blocks of slabs that are mostly unused to a new one, which takes memory for these alone. */
  #renew(movable: Iterable<Block>): void {
    const fresh = new Slab(this.#blockSize, this.#slabBlocks);
    for (const block of movable) {
      const { slab } = block;
      if (fresh.isFull) break;
      if (slab === fresh || 2 * slab.used > slab.touched) continue;
      const place = this.#takeOf(fresh);
      block.moveTo(place);
      slab.release(place);
    }
    if (fresh.used > 0) this.#slabs.push(fresh);
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

/** Fewer blocks beyond the bound are not worth a move. */
const TIGHT_SPARE = 4;
