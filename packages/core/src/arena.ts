/**
 * Memory for values that grow by appending: each is a chain of extents cut from large slabs, so
 * that a million small appends are bytes in a few blocks and not a million objects. What is freed
 * is used again before more is taken.
 */
export class Arena {
  #slabs: Slab[] = [];
  /** First granule of the newest slab that was never handed out. */
  #fresh = GRANULES;
  /** Freed extents by size class. */
  #free: number[][] = Array.from({ length: CLASSES }, () => []);
  #usedGranules = 0;

  /** Bytes of memory held: slabs, whether in use or free, with their bookkeeping. */
  get memory(): number {
    return this.#slabs.length * (SLAB_BYTES + GRANULES * 5);
  }

  /** Bytes of extents in use: the chains' lengths and the room left in their last extents. */
  get used(): number {
    return this.#usedGranules * GRANULE;
  }

  /** Adds a copy of `bytes` to the end of `chain`. A chain that cannot grow is left as it was. */
  append(chain: Chain, bytes: Uint8Array): void {
    const before = chain.length;
    try {
      for (let done = 0; done < bytes.byteLength; ) {
        if (chain.room === 0) this.#extend(chain, bytes.byteLength - done);
        const slab = this.#slab(chain.last);
        const start = slab.start(chain.last) + slab.capacity(chain.last) - chain.room;
        const length = Math.min(chain.room, bytes.byteLength - done);
        // A view costs more than copying what is small, and mostly there is no need of one.
        slab.bytes.set(
          done === 0 && length === bytes.byteLength ? bytes : bytes.subarray(done, done + length),
          start,
        );
        done += length;
        chain.room -= length;
        chain.length += length;
      }
    } catch (error) {
      this.truncate(chain, before);
      throw error;
    }
  }

  /** Cuts `chain` back to its first `length` bytes. */
  truncate(chain: Chain, length: number): void {
    let kept = 0;
    let extent = chain.first;
    let previous = NONE;
    while (extent !== NONE && kept < length) {
      kept += this.#slab(extent).capacity(extent);
      previous = extent;
      extent = this.#slab(extent).next(extent);
    }
    if (previous === NONE) chain.first = NONE;
    else this.#slab(previous).setNext(previous, NONE);
    chain.last = previous;
    chain.room = kept - length;
    chain.length = length;
    while (extent !== NONE) {
      const next = this.#slab(extent).next(extent);
      this.#release(extent);
      extent = next;
    }
    if (this.#usedGranules === 0) this.#reset();
  }

  /** Views of the first `length` bytes of `chain`, in order: valid until it is truncated. */
  *views(chain: Chain, length = chain.length): Generator<Uint8Array, void, undefined> {
    let left = length;
    for (let extent = chain.first; left > 0; extent = this.#slab(extent).next(extent)) {
      const slab = this.#slab(extent);
      const start = slab.start(extent);
      const taken = Math.min(left, slab.capacity(extent));
      yield slab.bytes.subarray(start, start + taken);
      left -= taken;
    }
  }

  /** Copies the first `target.byteLength` bytes of `chain` to `target`. */
  copyTo(chain: Chain, target: Uint8Array): void {
    let offset = 0;
    for (const view of this.views(chain, target.byteLength)) {
      target.set(view, offset);
      offset += view.byteLength;
    }
  }

  /** Each extent is as long as a quarter of the chain, so at most a fifth of its memory is idle. */
  #extend(chain: Chain, missing: number): void {
    const extent = this.#take(sizeClass(Math.max(missing, chain.length >> 2)));
    if (chain.last === NONE) chain.first = extent;
    else this.#slab(chain.last).setNext(chain.last, extent);
    chain.last = extent;
    chain.room = this.#slab(extent).capacity(extent);
  }

  /** An extent of the class, or a smaller one where only smaller ones are free. */
  #take(wanted: number): number {
    const extent = this.#takeFree(wanted) ?? this.#takeFresh(wanted);
    const slab = this.#slab(extent);
    slab.setNext(extent, NONE);
    this.#usedGranules += slab.capacity(extent) / GRANULE;
    return extent;
  }

  #takeFree(wanted: number): number | undefined {
    for (let size = wanted; size < CLASSES; size++) {
      const extent = this.#free[size]?.pop();
      if (extent === undefined) continue;
      // Halve it down to the class; the upper halves stay free.
      const slab = this.#slab(extent);
      for (let half = size; half > wanted; ) {
        half--;
        const upper = extent + (1 << half);
        slab.setClass(upper, half);
        this.#free[half]?.push(upper);
      }
      slab.setClass(extent, wanted);
      return extent;
    }
    // Freed pieces are not joined again, so a chain takes small ones rather than let memory grow.
    for (let size = wanted - 1; size >= Math.max(0, wanted - 4); size--) {
      const extent = this.#free[size]?.pop();
      if (extent !== undefined) return extent;
    }
    return undefined;
  }

  #takeFresh(wanted: number): number {
    let size = wanted;
    if (this.#fresh === GRANULES) {
      this.#slabs.push(new Slab());
      this.#fresh = 0;
    }
    // The end of a slab goes to whoever comes next, in the largest piece that fits.
    while (1 << size > GRANULES - this.#fresh) size--;
    const extent = (this.#slabs.length - 1) * GRANULES + this.#fresh;
    this.#fresh += 1 << size;
    this.#slab(extent).setClass(extent, size);
    return extent;
  }

  #release(extent: number): void {
    const slab = this.#slab(extent);
    this.#usedGranules -= slab.capacity(extent) / GRANULE;
    this.#free[slab.class(extent)]?.push(extent);
  }

  /** Nothing is in use: gives the memory back. */
  #reset(): void {
    this.#slabs = [];
    this.#fresh = GRANULES;
    this.#free = Array.from({ length: CLASSES }, () => []);
  }

  #slab(extent: number): Slab {
    return this.#slabs[extent >>> GRANULE_BITS] as Slab;
  }
}

/** A value in an {@link Arena}. */
export class Chain {
  first = NONE;
  last = NONE;
  /** Bytes that the last extent can still take. */
  room = 0;
  /** Bytes in all. */
  length = 0;
}

/** The smallest extent, in bytes; others are twice, four times … as long. */
const GRANULE = 64;
const CLASSES = 11; // 64 B to 64 KiB
const GRANULE_BITS = 14;
const GRANULES = 1 << GRANULE_BITS;
const SLAB_BYTES = GRANULE * GRANULES; // 1 MiB
const NONE = -1;

function sizeClass(bytes: number): number {
  const granules = Math.ceil(bytes / GRANULE);
  return Math.min(CLASSES - 1, granules <= 1 ? 0 : 32 - Math.clz32(granules - 1));
}

/** An extent is known by the number of its first granule, counted through all slabs. */
class Slab {
  readonly bytes = new Uint8Array(SLAB_BYTES);
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

  setClass(extent: number, size: number): void {
    this.#class[extent & (GRANULES - 1)] = size;
  }

  /** The extent that follows in the chain. */
  next(extent: number): number {
    return this.#next[extent & (GRANULES - 1)] as number;
  }

  setNext(extent: number, next: number): void {
    this.#next[extent & (GRANULES - 1)] = next;
  }
}
