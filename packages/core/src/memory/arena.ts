import {
  AdoptedBuffer,
  CLASSES,
  classFor,
  classWithin,
  GRANULE_BITS,
  GRANULE_MEMORY,
  GRANULES,
  NONE,
  SLAB_MEMORY,
  Slab,
} from "./slab.js";

/**
 * Memory for values that grow by appending. Each value is a chain of extents cut from large slabs,
 * so a million small appends are bytes in a few blocks and not a million objects. Freed extents are
 * merged with free neighbours (a buddy allocator) and used again before more memory is taken.
 */
export class Arena {
  /** Our slabs and, among them, adopted arrays. */
  #slabs: (Slab | AdoptedBuffer | undefined)[] = [];
  /** How many of `#slabs` are ours. */
  #own = 0;
  /** Bytes of the adopted arrays, and the free places in `#slabs`. */
  #given = 0;
  #places: number[] = [];
  /** The first free extent of each size class. */
  readonly #free = new Int32Array(CLASSES).fill(NONE);
  #usedGranules = 0;

  /** Bytes of memory held: slabs, whether in use or free, with their bookkeeping. */
  get memory(): number {
    return this.#own * SLAB_MEMORY + this.#given;
  }

  /** Bytes of the memory in use: the chains' extents, including the room left in the last ones. */
  get used(): number {
    return this.#usedGranules * GRANULE_MEMORY + this.#given;
  }

  /**
   * Adds `bytes` to the end of `chain`. They are copied; if they are `owned`, large ones may be
   * kept. If memory cannot be had, the chain is left as it was.
   */
  append(chain: Chain, bytes: Uint8Array, owned = false): void {
    // Not `byteLength`, here and in `add`: it takes 7 ns each time.
    const { length } = bytes;
    // Most appends fit, and a `subarray` would cost more than the copy.
    if (length <= chain.room) {
      chain.add(bytes);
      return;
    }
    const before = chain.length;
    try {
      for (let done = 0; done < length; ) {
        if (chain.room === 0) {
          if (owned && this.#adopt(chain, bytes, done)) return;
          this.#extend(chain, length - done);
        }
        const taken = Math.min(chain.room, length - done);
        chain.add(bytes.subarray(done, done + taken));
        done += taken;
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
   * Cuts the first `length` bytes off `chain`. Returns the first of the extents that no longer
   * belong to it, linked one to the next, for {@link release}; they keep their bytes until then.
   */
  cut(chain: Chain, length: number): number {
    const freed = chain.first;
    let left = chain.skip + length;
    let extent = freed;
    let last = NONE;
    while (extent !== NONE) {
      const slab = this.#slab(extent);
      const capacity = slab.capacity(extent);
      // If nothing is left in the chain, the last extent goes too, with its free room.
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

  /**
   * Frees `extent` and those linked to it. Returns how many bytes of memory were in use for them.
   */
  release(extent: number): number {
    const before = this.used;
    for (let next = extent; next !== NONE; ) {
      const freed = next;
      const slab = this.#slab(freed);
      next = slab.next(freed);
      if (slab instanceof AdoptedBuffer) this.#giveUp(freed, slab);
      else this.#release(freed, slab);
    }
    if (this.used === 0) this.#reset();
    return before - this.used;
  }

  /** Bytes of memory in use for `extent` and those linked to it. */
  measure(extent: number): number {
    let bytes = 0;
    for (let next = extent; next !== NONE; next = this.#slab(next).next(next)) {
      bytes += this.#slab(next).memory(next);
    }
    return bytes;
  }

  /**
   * Views of the first `length` bytes of `chain`, in order. They are valid until cut and released.
   */
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
    // The same loop as in `views`: the generator would add half the time of the copy.
    for (let extent = chain.first; left > 0; ) {
      const slab = this.#slab(extent);
      const start = slab.start(extent) + skip;
      const taken = Math.min(left, slab.capacity(extent) - skip);
      target.set(new Uint8Array(slab.bytes.buffer, slab.bytes.byteOffset + start, taken), at);
      at += taken;
      left -= taken;
      skip = 0;
      extent = slab.next(extent);
    }
  }

  /**
   * Adds an extent of an eighth of the chain or more, so that little memory idles in the last
   * extent.
   */
  #extend(chain: Chain, missing: number): void {
    // A short chain grows by half: at a quarter it would be extended twice as often, and extending
    // takes as long as 5 appends.
    const grown = chain.length / (chain.length < SHORT ? 2 : 4);
    const extent = this.#take(Math.max(classFor(missing), classWithin(grown)));
    this.#add(chain, extent, this.#slab(extent).capacity(extent));
  }

  /** Makes an extent of the bytes from `start` on, if they are many and most of their buffer. */
  #adopt(chain: Chain, bytes: Uint8Array, start: number): boolean {
    const { buffer } = bytes;
    const rest = bytes.length - start;
    if (rest < LARGE || rest < buffer.byteLength * 0.875 || !(buffer instanceof ArrayBuffer)) {
      return false;
    }
    const adopted = new AdoptedBuffer(new Uint8Array(buffer, bytes.byteOffset + start, rest));
    const place = this.#places.pop() ?? this.#slabs.length;
    this.#slabs[place] = adopted;
    this.#given += adopted.memory();
    this.#add(chain, place * GRANULES, 0);
    chain.length += rest;
    return true;
  }

  #giveUp(extent: number, adopted: AdoptedBuffer): void {
    const place = extent >>> GRANULE_BITS;
    this.#slabs[place] = undefined;
    this.#places.push(place);
    this.#given -= adopted.memory();
  }

  #add(chain: Chain, extent: number, room: number): void {
    if (chain.last === NONE) chain.first = extent;
    else this.#slab(chain.last).setNext(chain.last, extent);
    this.#end(chain, extent, room);
  }

  /** Makes `last` the last extent of `chain`, with `room` bytes left in it. */
  #end(chain: Chain, last: number, room: number): void {
    chain.last = last;
    chain.room = room;
    if (last === NONE) {
      chain.block = NO_BLOCK;
      return;
    }
    const slab = this.#slab(last);
    chain.block = slab.bytes;
    // Without room it is not used, and might exceed 2 GiB.
    chain.end = room === 0 ? 0 : slab.start(last) + slab.capacity(last) - room;
  }

  /**
   * Returns an extent of the wanted class, or a smaller one if much memory is free in small pieces.
   */
  #take(wanted: number): number {
    let size = wanted;
    while (size < CLASSES && this.#free[size] === NONE) size++;
    if (size === CLASSES) {
      const granules = this.#own * GRANULES;
      if ((granules - this.#usedGranules) * SPARE_PART > granules) {
        size = wanted - 1;
        while (this.#free[size] === NONE) size--;
      } else {
        this.#addSlab();
        size = CLASSES - 1;
      }
    }
    const extent = this.#free[size] as number;
    const slab = this.#slab(extent) as Slab;
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

  #release(freed: number, slab: Slab): void {
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

  /** Puts `extent` at the front of its class's free list. */
  #link(slab: Slab, extent: number, size: number): void {
    const next = this.#free[size] as number;
    slab.setFree(extent, size);
    slab.setNext(extent, next);
    slab.setPrevious(extent, NONE);
    if (next !== NONE) (this.#slab(next) as Slab).setPrevious(next, extent);
    this.#free[size] = extent;
  }

  #unlink(slab: Slab, extent: number, size: number): void {
    const next = slab.next(extent);
    const previous = slab.previous(extent);
    if (next !== NONE) (this.#slab(next) as Slab).setPrevious(next, previous);
    if (previous !== NONE) this.#slab(previous).setNext(previous, next);
    else this.#free[size] = next;
    slab.setClass(extent, size); // No longer free.
  }

  #addSlab(): void {
    const slab = new Slab();
    const place = this.#places.pop() ?? this.#slabs.length;
    this.#slabs[place] = slab;
    this.#own++;
    this.#link(slab, place * GRANULES, CLASSES - 1);
  }

  /** Gives all memory back. Nothing may be in use. */
  #reset(): void {
    this.#slabs = [];
    this.#own = 0;
    this.#places = [];
    this.#free.fill(NONE);
  }

  #slab(extent: number): Slab | AdoptedBuffer {
    return this.#slabs[extent >>> GRANULE_BITS] as Slab | AdoptedBuffer;
  }
}

const NO_BLOCK = new Uint8Array(0);

/** A value in an {@link Arena}. */
export class Chain {
  first = NONE;
  last = NONE;
  /** Bytes at the start of the first extent that were cut off. */
  skip = 0;
  /** Free bytes in the last extent. */
  room = 0;
  /** Bytes in all. */
  length = 0;
  /**
   * Where the next byte goes. Kept here, because finding it through the slab's tables doubles the
   * time of appending 100 bytes.
   */
  block = NO_BLOCK;
  end = 0;

  /** Adds bytes that fit into `room`. */
  add(bytes: Uint8Array): void {
    const { length } = bytes;
    this.block.set(bytes, this.end);
    this.end += length;
    this.room -= length;
    this.length += length;
  }
}

/** Memory grows only if no more than this fraction of it (1 / 16) is free, in whatever pieces. */
const SPARE_PART = 16;
/** Chains below this many bytes are short. */
const SHORT = 8192;
/** Arrays from this many bytes on are adopted: that costs as much as copying a tenth of these. */
const LARGE = 262_144;
