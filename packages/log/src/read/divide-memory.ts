import { WASM } from "./divide-wasm.js";

/**
 * An instance of `packages/wasm/src/divide.c`, which runs the loops over single entries, and views of
 * its memory. An entry of 100 bytes takes half the time of the same loops in JavaScript.
 */
export class DivideMemory {
  readonly exports: DivideExports;
  #bytes: Buffer = Buffer.alloc(0);
  #out = new Uint32Array(0);
  readonly #outAt: number;

  /** `undefined` if the runtime has no WebAssembly with SIMD, or no room for its memory. */
  static open(): DivideMemory | undefined {
    try {
      module ??= new WebAssembly.Module(Buffer.from(WASM, "base64"));
      return new DivideMemory(new WebAssembly.Instance(module));
    } catch {
      return undefined;
    }
  }

  private constructor({ exports }: WebAssembly.Instance) {
    this.exports = exports as unknown as DivideExports;
    this.#outAt = this.exports.out();
    this.exports.seed(SEED);
  }

  /**
   * The whole memory, from address 0. The view is valid until the next call, which may grow the memory.
   */
  get bytes(): Buffer {
    if (this.#bytes.length === 0) this.#view();
    return this.#bytes;
  }

  /** A second result of the last call. */
  out(index: number): number {
    if (this.#out.length === 0) this.#view();
    return this.#out[index] as number;
  }

  copy(bytes: Uint8Array, address: number): void {
    this.bytes.set(bytes, address >>> 0); // Addresses above 2 GiB come out negative.
  }

  slice(start: number, end: number): Buffer {
    return this.bytes.subarray(start, end);
  }

  words(address: number, count: number): Uint32Array {
    return new Uint32Array(this.bytes.buffer, address, count);
  }

  /** Views are empty after the memory has grown. */
  #view(): void {
    const { buffer } = this.exports.memory;
    this.#bytes = Buffer.from(buffer);
    this.#out = new Uint32Array(buffer, this.#outAt, 8);
  }
}

/** The functions of `divide.c`, which are documented there. */
export interface DivideExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  out(): number;
  seed(value: number): void;
  prefix(length: number): number;
  openPartitions(count: number, capacity: number): void;
  room(partition: number): number;
  advance(partition: number, length: number): void;
  endChunk(partition: number): number;
  beginEntry(partition: number, number: number, length: number): void;
  closePartitions(): void;
  openSegment(): number;
  closeSegment(segment: number): void;
  window(segment: number, length: number): number;
  table(segment: number, length: number): number;
  collect(
    segment: number,
    from: number,
    end: number,
    most: number,
    mostKey: number,
    bytes: number,
    limit: number,
  ): Result;
  openSightings(logarithm: number): void;
  sight(
    segment: number,
    from: number,
    end: number,
    most: number,
    mostKey: number,
    longest: number,
  ): Result;
  loneEntries(): number;
  divide(segment: number): Result;
  definedAlone(segment: number): void;
  lastPlace(): number;
  keyAt(offset: number): number;
  beginSlots(): void;
  beginPass(): void;
  beginChunk(start: number, end: number): void;
  count(some: number): number;
  slots(): void;
  layOut(from: number, to: number, target: number): number;
  copy(some: number, from: number, to: number): number;
  nextRange(slot: number): number;
  gather(ranges: number, count: number, ends: number, runs: number, target: number): number;
  area(which: number, length: number): number;
}

export const Result = { ok: 0, cutShort: 1, badKey: 2, tooLong: 3 } as const;
export type Result = (typeof Result)[keyof typeof Result];

/** Secret, so that no one can choose keys that collide. */
const SEED = Math.floor(Math.random() * 2 ** 32);

let module: WebAssembly.Module | undefined;
