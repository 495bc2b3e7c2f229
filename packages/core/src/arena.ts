import { allocateBytes } from "./bytes.js";

/**
 * Memory for values that grow by appending: each is a chain of extents cut from large slabs, so
 * that a million small appends are bytes in a few blocks and not a million objects. What is freed
 * is joined with its free neighbour (a buddy allocator) and used again before more is taken.
 */
export class Arena {
  #slabs: Slab[] = [];
  /** The first free extent of each size class. */
  readonly #free = new Int32Array(CLASSES).fill(NONE);
  #usedGranules = 0;

  /** Bytes of memory held: slabs, whether in use or free, with their bookkeeping. */
  get memory(): number {
    return this.#slabs.length * SLAB_MEMORY;
  }

  /** Bytes of that in use: the chains' extents with the room left in their last ones. */
  get used(): number {
    return this.#usedGranules * GRANULE_MEMORY;
  }

  /** Adds a copy of `bytes` to the end of `chain`. A chain that cannot grow is left as it was. */
  append(chain: Chain, bytes: Uint8Array): void {
    // Most appends: they fit, and a view of a part would cost more than the copy.
    if (bytes.byteLength <= chain.room) {
      chain.add(bytes);
      return;
    }
    const before = chain.length;
    try {
      for (let done = 0; done < bytes.byteLength; ) {
        if (chain.room === 0) this.#extend(chain, bytes.byteLength - done);
        const length = Math.min(chain.room, bytes.byteLength - done);
        chain.add(bytes.subarray(done, done + length));
        done += length;
      }
    } catch (error) {
      this.truncate(chain, before);
      throw error;
    }
  }

  /** The slab that an extent lies in. */
  block(extent: number): Uint8Array<ArrayBuffer> {
    return extent === NONE ? NO_BLOCK : this.#slab(extent).bytes;
  }

  /** Cuts `chain` back to its first `length` bytes. */
  truncate(chain: Chain, length: number): void {
    const end = length === 0 ? 0 : chain.skip + length;
    let kept = 0;
    let extent = chain.first;
    let last = NONE;
    while (extent !== NONE && kept < end) {
      const slab = this.#slab(extent);
      kept += slab.capacity(extent);
      last = extent;
      extent = slab.next(extent);
    }
    if (last === NONE) chain.first = NONE;
    else this.#slab(last).setNext(last, NONE);
    this.#end(chain, last, kept - end);
    chain.length = length;
    if (length === 0) chain.skip = 0;
    this.release(extent);
  }

  /**
   * Cuts the first `length` bytes off `chain`. Answers the first of the extents that are no part
   * of it any longer, linked one to the next, for {@link release}: until then they keep their bytes.
   */
  cut(chain: Chain, length: number): number {
    const freed = chain.first;
    let left = chain.skip + length;
    let extent = freed;
    let last = NONE;
    while (extent !== NONE) {
      const slab = this.#slab(extent);
      const capacity = slab.capacity(extent);
      // The last extent goes, with the room in it, if nothing is left in the chain.
      if (left < capacity && length < chain.length) break;
      left -= capacity;
      last = extent;
      extent = slab.next(extent);
    }
    if (last === NONE) {
      chain.skip = left;
      chain.length -= length;
      return NONE;
    }
    this.#slab(last).setNext(last, NONE);
    chain.first = extent;
    chain.length -= length;
    chain.skip = extent === NONE ? 0 : left;
    if (extent === NONE) this.#end(chain, NONE, 0);
    return freed;
  }

  /** Frees `extent` and those linked to it. Answers the bytes of memory that were in use for them. */
  release(extent: number): number {
    const before = this.#usedGranules;
    for (let next = extent; next !== NONE; ) {
      const freed = next;
      next = this.#slab(freed).next(freed);
      this.#release(freed);
    }
    if (this.#usedGranules === 0) this.#reset();
    return (before - this.#usedGranules) * GRANULE_MEMORY;
  }

  /** Bytes of memory in use for `extent` and those linked to it. */
  measure(extent: number): number {
    let granules = 0;
    for (let next = extent; next !== NONE; next = this.#slab(next).next(next)) {
      granules += 1 << this.#slab(next).class(next);
    }
    return granules * GRANULE_MEMORY;
  }

  /** Views of the first `length` bytes of `chain`, in order: valid until they are cut and released. */
  *views(chain: Chain, length = chain.length): Generator<Uint8Array, void, undefined> {
    let left = length;
    let skip = chain.skip;
    for (let extent = chain.first; left > 0; extent = this.#slab(extent).next(extent)) {
      const slab = this.#slab(extent);
      const start = slab.start(extent) + skip;
      const taken = Math.min(left, slab.capacity(extent) - skip);
      yield slab.bytes.subarray(start, start + taken);
      left -= taken;
      skip = 0;
    }
  }

  /** Copies the first `length` bytes of `chain` into `target` from `offset` on. */
  copyTo(chain: Chain, target: Uint8Array, offset = 0, length = chain.length): void {
    let at = offset;
    let left = length;
    let { skip } = chain;
    // As `views`, but a generator takes half as long as the copy.
    for (let extent = chain.first; left > 0; ) {
      const slab = this.#slab(extent);
      const start = slab.start(extent) + skip;
      const taken = Math.min(left, slab.capacity(extent) - skip);
      target.set(new Uint8Array(slab.bytes.buffer, start, taken), at);
      at += taken;
      left -= taken;
      skip = 0;
      extent = slab.next(extent);
    }
  }

  /** Extents grow with the chain, to an eighth of it or more, so its last one idles little memory. */
  #extend(chain: Chain, missing: number): void {
    const extent = this.#take(
      Math.max(classFor(missing), classWithin(chain.length / (chain.length < 8192 ? 2 : 4))),
    );
    if (chain.last === NONE) chain.first = extent;
    else this.#slab(chain.last).setNext(chain.last, extent);
    this.#end(chain, extent, this.#slab(extent).capacity(extent));
  }

  /** `last` becomes the last extent of `chain`, with so much room left in it. */
  #end(chain: Chain, last: number, room: number): void {
    chain.last = last;
    chain.room = room;
    if (last === NONE) {
      chain.block = NO_BLOCK;
      return;
    }
    const slab = this.#slab(last);
    chain.block = slab.bytes;
    chain.end = slab.start(last) + slab.capacity(last) - room;
  }

  /** An extent of the class, or a smaller one rather than let memory grow while much is free. */
  #take(wanted: number): number {
    let size = wanted;
    while (size < CLASSES && this.#free[size] === NONE) size++;
    if (size === CLASSES) {
      const granules = this.#slabs.length * GRANULES;
      if ((granules - this.#usedGranules) * SPARE_PART > granules) {
        size = wanted - 1;
        while (this.#free[size] === NONE) size--;
      } else {
        this.#addSlab();
        size = CLASSES - 1;
      }
    }
    const extent = this.#free[size] as number;
    const slab = this.#slab(extent);
    this.#unlink(slab, extent, size);
    // Halve it down to the class; the upper halves stay free.
    while (size > wanted) {
      size--;
      this.#link(slab, extent + (1 << size), size);
    }
    slab.setClass(extent, size);
    slab.setNext(extent, NONE);
    this.#usedGranules += 1 << size;
    return extent;
  }

  #release(freed: number): void {
    const slab = this.#slab(freed);
    let size = slab.class(freed);
    this.#usedGranules -= 1 << size;
    let extent = freed;
    for (; size < CLASSES - 1; size++) {
      const buddy = extent ^ (1 << size);
      if (!slab.isFree(buddy, size)) break;
      this.#unlink(slab, buddy, size);
      extent &= ~(1 << size);
    }
    this.#link(slab, extent, size);
  }

  /** Puts `extent` at the front of its class's list of free ones. */
  #link(slab: Slab, extent: number, size: number): void {
    const next = this.#free[size] as number;
    slab.setFree(extent, size);
    slab.setNext(extent, next);
    slab.setPrevious(extent, NONE);
    if (next !== NONE) this.#slab(next).setPrevious(next, extent);
    this.#free[size] = extent;
  }

  #unlink(slab: Slab, extent: number, size: number): void {
    const next = slab.next(extent);
    const previous = slab.previous(extent);
    if (next !== NONE) this.#slab(next).setPrevious(next, previous);
    if (previous !== NONE) this.#slab(previous).setNext(previous, next);
    else this.#free[size] = next;
    slab.setClass(extent, size); // No longer free.
  }

  #addSlab(): void {
    const slab = new Slab();
    this.#slabs.push(slab);
    this.#link(slab, (this.#slabs.length - 1) * GRANULES, CLASSES - 1);
  }

  /** Nothing is in use: gives the memory back. */
  #reset(): void {
    this.#slabs = [];
    this.#free.fill(NONE);
  }

  #slab(extent: number): Slab {
    return this.#slabs[extent >>> GRANULE_BITS] as Slab;
  }
}

const NO_BLOCK = new Uint8Array(0);

/** A value in an {@link Arena}. */
export class Chain {
  first = NONE;
  last = NONE;
  /** Bytes of the first extent that were cut off. */
  skip = 0;
  /** Bytes that the last extent can still take. */
  room = 0;
  /** Bytes in all. */
  length = 0;
  /**
   * Where the next byte goes: kept here because to find it through the slab's tables at every
   * append doubles the time that appending 100 bytes takes.
   */
  block = NO_BLOCK;
  end = 0;

  /** Adds bytes for which there is room. */
  add(bytes: Uint8Array): void {
    this.block.set(bytes, this.end);
    this.end += bytes.byteLength;
    this.room -= bytes.byteLength;
    this.length += bytes.byteLength;
  }
}

/** Stands for no extent. */
export const NONE = -1;

/** The smallest extent, in bytes; others are twice, four times … as long, up to a whole slab. */
const GRANULE = 64;
const GRANULE_SHIFT = 6;
const CLASSES = 15;
const GRANULE_BITS = CLASSES - 1;
const GRANULES = 1 << GRANULE_BITS;
const SLAB_BYTES = GRANULE * GRANULES; // 1 MiB
/** A granule with its share of the slab's tables. */
const GRANULE_MEMORY = GRANULE + 5;
const SLAB_MEMORY = GRANULE_MEMORY * GRANULES;
/** Memory grows when no more than this part of it is free, in whatever pieces. */
const SPARE_PART = 16;
const FREE = 0x80;

/** The class that holds `bytes`, or for more than 4 KiB the largest that they fill. */
function classFor(bytes: number): number {
  if (bytes > 4096) return classWithin(bytes);
  return bytes <= GRANULE ? 0 : 32 - Math.clz32((bytes - 1) >> GRANULE_SHIFT);
}

/** The largest class of no more than `bytes`, or the smallest of all. */
function classWithin(bytes: number): number {
  const granules = Math.min(bytes, SLAB_BYTES) >> GRANULE_SHIFT;
  return granules === 0 ? 0 : 31 - Math.clz32(granules);
}

/** An extent is known by the number of its first granule, counted through all slabs. */
class Slab {
  readonly bytes = allocateBytes(SLAB_BYTES);
  readonly #words = new Int32Array(this.bytes.buffer);
  readonly #next = new Int32Array(GRANULES);
  readonly #class = new Uint8Array(GRANULES);

  start(extent: number): number {
    return (extent & (GRANULES - 1)) * GRANULE;
  }

  capacity(extent: number): number {
    return GRANULE << this.class(extent);
  }

  class(extent: number): number {
    return this.#class[extent & (GRANULES - 1)] as number;
  }

  /** Also marks the extent as in use. */
  setClass(extent: number, size: number): void {
    this.#class[extent & (GRANULES - 1)] = size;
  }

  isFree(extent: number, size: number): boolean {
    return this.class(extent) === (size | FREE);
  }

  setFree(extent: number, size: number): void {
    this.#class[extent & (GRANULES - 1)] = size | FREE;
  }

  /** The extent that follows in the chain, or in the list of free ones. */
  next(extent: number): number {
    return this.#next[extent & (GRANULES - 1)] as number;
  }

  setNext(extent: number, next: number): void {
    this.#next[extent & (GRANULES - 1)] = next;
  }

  /** A free extent keeps the one before it in its own first bytes, of which no one has need. */
  previous(extent: number): number {
    return this.#words[this.start(extent) >> 2] as number;
  }

  setPrevious(extent: number, previous: number): void {
    this.#words[this.start(extent) >> 2] = previous;
  }
}
