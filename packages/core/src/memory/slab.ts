import { allocateBytes } from "./bytes.js";

/**
 * A block of memory that is divided into extents. An extent is known by the number of its first
 * granule, counted through all slabs.
 */
export class Slab {
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

  /** The predecessor of a free extent, which is kept in its own, unused, first bytes. */
  previous(extent: number): number {
    return this.#words[this.start(extent) >> 2] as number;
  }

  setPrevious(extent: number, previous: number): void {
    this.#words[this.start(extent) >> 2] = previous;
  }

  /** Bytes of memory that the extent takes. */
  memory(extent: number): number {
    return GRANULE_MEMORY << this.class(extent);
  }
}

/** An array that was given away to the arena: one extent, which is full. */
export class AdoptedBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  #next = NONE;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
  }

  start(_extent?: number): number {
    return 0;
  }

  capacity(_extent?: number): number {
    return this.bytes.byteLength;
  }

  next(_extent?: number): number {
    return this.#next;
  }

  setNext(_extent: number, next: number): void {
    this.#next = next;
  }

  memory(_extent?: number): number {
    return this.bytes.buffer.byteLength;
  }
}

/** Stands for no extent. */
export const NONE = -1;

/** The smallest extent, in bytes. Others are 2, 4, 8 … times as long, up to a whole slab. */
const GRANULE = 64;
const GRANULE_SHIFT = 6;
export const CLASSES = 15;
export const GRANULE_BITS = CLASSES - 1;
export const GRANULES = 1 << GRANULE_BITS;
const SLAB_BYTES = GRANULE * GRANULES; // 1 MiB
/** Bytes of a granule with its share of the slab's tables. */
export const GRANULE_MEMORY = GRANULE + 5;
export const SLAB_MEMORY = GRANULE_MEMORY * GRANULES;
const FREE = 0x80;

/** The class of extents that holds `bytes`; above 4 KiB, the largest class that `bytes` fill. */
export function classFor(bytes: number): number {
  if (bytes > 4096) return classWithin(bytes);
  return bytes <= GRANULE ? 0 : 32 - Math.clz32((bytes - 1) >> GRANULE_SHIFT);
}

/** The largest class that `bytes` fill, or the smallest class. */
export function classWithin(bytes: number): number {
  const granules = Math.min(bytes, SLAB_BYTES) >> GRANULE_SHIFT;
  return granules === 0 ? 0 : 31 - Math.clz32(granules);
}
