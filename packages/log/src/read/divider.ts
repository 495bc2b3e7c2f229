import { WASM } from "./divide-wasm.js";
import { SpilledPartition, type SpillFile } from "./spill-file.js";

/**
 * Divides entries among partitions. Each partition's open chunk lies in the memory of `divide.c`, which
 * fills it; here it is written out when it is full.
 *
 * A chunk has bytes from the front: keys and values, end to end; and 32-bit words from the back: the
 * number of bytes, then a word for each definition of a key and each entry. A word up to 1,023 is a
 * definition, and the length of the key; keys are numbered from 1 as they are defined. A word from
 * 1,024 on is an entry: 1,024 times the number of its key, plus its length, 0 for a deletion. What does
 * not fit into a word is 0 and two more words: number and length, with number 0 for a definition. The
 * bytes of an entry may continue at the front of later chunks.
 */
export class Divider {
  readonly memory: DivideMemory;
  readonly partitions: readonly SpilledPartition[];

  /** @param start what the keys begin with; other keys are left out. */
  constructor(count: number, spill: SpillFile, memory: DivideMemory, start: string) {
    const share = 4 * Math.floor(MOST_OPEN / count / 4);
    const capacity = Math.max(SHORTEST_CHUNK, Math.min(LONGEST_CHUNK, share));
    this.memory = memory;
    this.partitions = Array.from({ length: count }, () => new SpilledPartition(spill));
    memory.exports.openPartitions(count, capacity);
    const prefix = Buffer.from(start, "latin1");
    memory.copy(prefix, memory.exports.prefix(prefix.length));
  }

  /** Writes a key that is longer than a chunk. */
  async writeKey(partition: number, key: Buffer): Promise<void> {
    const { length } = key;
    const end = 4 * Math.ceil(length / 4);
    const chunk = Buffer.alloc(end + 16);
    key.copy(chunk);
    new Uint32Array(chunk.buffer, chunk.byteOffset + end, 4).set([length, 0, 0, length]);
    await this.#write(partition, [chunk]);
  }

  /** Begins an entry whose bytes come piece by piece, by {@link addPiece}. */
  async begin(partition: number, number: number, length: number): Promise<void> {
    const { exports } = this.memory;
    if (exports.room(partition) < ENTRY_BYTES) await this.flush(partition);
    exports.beginEntry(partition, number, length);
  }

  async addPiece(partition: number, bytes: Buffer): Promise<void> {
    const { memory } = this;
    for (let done = 0; done < bytes.length; ) {
      let room = memory.exports.room(partition);
      if (room <= 0) {
        await this.flush(partition);
        room = memory.exports.room(partition);
      }
      const taken = Math.min(bytes.length - done, room);
      memory.copy(bytes.subarray(done, done + taken), memory.out(0));
      memory.exports.advance(partition, taken);
      done += taken;
    }
  }

  /** Writes out a partition's open chunk. @returns false if it is empty. */
  async flush(partition: number): Promise<boolean> {
    const { memory } = this;
    if (memory.exports.endChunk(partition) === 0) return false;
    const pieces = [
      memory.slice(memory.out(0), memory.out(1)),
      memory.slice(memory.out(2), memory.out(3)),
    ];
    await this.#write(partition, pieces);
    return true;
  }

  /** Writes the last chunks; nothing may be added afterwards. */
  async end(spill: SpillFile): Promise<void> {
    for (let i = 0; i < this.partitions.length; i++) await this.flush(i);
    this.memory.exports.closePartitions();
    await spill.settle();
  }

  async #write(partition: number, pieces: readonly Buffer[]): Promise<void> {
    await (this.partitions[partition] as SpilledPartition).write(pieces);
  }
}

/** The most bytes that the words of an entry or a definition take. */
const ENTRY_BYTES = 16;
/** Bytes of a chunk, within the limits that all open chunks together allow. */
const LONGEST_CHUNK = 64 * 1024;
const SHORTEST_CHUNK = 16 * 1024;
const MOST_OPEN = 16 * 2 ** 20;

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
