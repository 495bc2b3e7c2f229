import { Partition, Span } from "./partition.js";
import type { SpillFile } from "./spill-file.js";

/**
 * Divides entries among partitions. The chunk that is open in each of them lies in one stretch of
 * memory, of which plain numbers say how far it is filled: an entry of 100 bytes touches no object.
 *
 * A chunk is bytes from the front: keys and values, end to end; and 32-bit words from the back: how
 * many bytes there are, then a word for each definition of a key and each entry. Up to 1,023 it is a
 * definition, and the length of the key; keys are numbered from 1 as they are defined. From 1,024
 * on it is an entry: 1,024 times the number of its key, plus its length, 0 for a deletion. 0 stands
 * before two words for what is longer: number and length, with number 0 for a definition. The bytes
 * of an entry may go on at the front of later chunks.
 */
export class Divider {
  readonly partitions: readonly Partition[];
  readonly #spill: SpillFile;
  /** Of a chunk, in bytes. */
  readonly #capacity: number;
  readonly #bytes: Span;
  readonly #words: Uint32Array;
  /** Where in `bytes` the next ones of each partition go. */
  readonly #fronts: Uint32Array;
  /** The word of each partition that was used last, of all words. */
  readonly #backs: Uint32Array;
  readonly #defined: Uint32Array;

  constructor(count: number, spill: SpillFile) {
    this.#spill = spill;
    const share = 4 * Math.floor(MOST_OPEN / count / 4);
    this.#capacity = Math.max(SHORTEST_CHUNK, Math.min(LONGEST_CHUNK, share));
    this.partitions = Array.from({ length: count }, () => new Partition(spill));
    this.#bytes = new Span(Buffer.allocUnsafeSlow(count * this.#capacity));
    this.#words = new Uint32Array(this.#bytes.bytes.buffer);
    this.#fronts = new Uint32Array(count);
    this.#backs = new Uint32Array(count);
    this.#defined = new Uint32Array(count);
    for (let i = 0; i < count; i++) this.#beginChunk(i);
  }

  /** Defines a key, and gives its number; 0 if the chunk is full: see {@link defineLater}. */
  define(partition: number, table: Span, from: number, length: number): number {
    const front = this.#fronts[partition] as number;
    let back = this.#backs[partition] as number;
    if (front + length + ENTRY_BYTES > 4 * back) return 0;
    const words = this.#words;
    if (length < SHORT) words[--back] = length;
    else {
      words[--back] = 0;
      words[--back] = 0;
      words[--back] = length;
    }
    this.#bytes.copy(front, table, from, length);
    this.#fronts[partition] = front + length;
    this.#backs[partition] = back;
    return ++this.#defined[partition]!;
  }

  async defineLater(partition: number, table: Span, from: number, length: number): Promise<number> {
    await this.flush(partition);
    const number = this.define(partition, table, from, length);
    if (number > 0) return number;
    // A chunk of its own.
    const end = 4 * Math.ceil(length / 4);
    const chunk = Buffer.alloc(end + 16);
    table.bytes.copy(chunk, 0, from, from + length);
    new Uint32Array(chunk.buffer, chunk.byteOffset + end, 4).set([length, 0, 0, length]);
    await this.#write(partition, [chunk]);
    return ++this.#defined[partition]!;
  }

  /** Adds an entry with all its bytes; false if the chunk is full: see {@link flush}. */
  add(partition: number, number: number, length: number, bytes: Span, from: number): boolean {
    const front = this.#fronts[partition] as number;
    if (front + length + ENTRY_BYTES > 4 * (this.#backs[partition] as number)) return false;
    this.#begin(partition, number, length);
    this.#bytes.copy(front, bytes, from, length);
    this.#fronts[partition] = front + length;
    return true;
  }

  /** Begins an entry whose bytes come one piece after another, by {@link addPiece}. */
  async begin(partition: number, number: number, length: number): Promise<void> {
    if (this.#room(partition) < ENTRY_BYTES) await this.flush(partition);
    this.#begin(partition, number, length);
  }

  async addPiece(partition: number, { bytes }: Span): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      if (this.#room(partition) <= 0) await this.flush(partition);
      const front = this.#fronts[partition] as number;
      const taken = Math.min(bytes.length - done, this.#room(partition));
      bytes.copy(this.#bytes.bytes, front, done, done + taken);
      this.#fronts[partition] = front + taken;
      done += taken;
    }
  }

  /** Ends the open chunk of a partition. */
  async flush(partition: number): Promise<void> {
    const start = partition * this.#capacity;
    const end = start + this.#capacity;
    const front = this.#fronts[partition] as number;
    const back = 4 * (this.#backs[partition] as number);
    if (front === start && back === end - 4) return;
    this.#words[end / 4 - 1] = front - start;
    const { bytes } = this.#bytes;
    const pieces = [bytes.subarray(start, 4 * Math.ceil(front / 4)), bytes.subarray(back, end)];
    await this.#write(partition, pieces);
    this.#beginChunk(partition);
  }

  /** The last chunks are written: no more comes. */
  async end(): Promise<void> {
    for (let i = 0; i < this.partitions.length; i++) await this.flush(i);
    await this.#spill.settle();
  }

  #begin(partition: number, number: number, length: number): void {
    const words = this.#words;
    let back = this.#backs[partition] as number;
    if (length < SHORT && number < MOST_SHORT) words[--back] = number * SHORT + length;
    else {
      words[--back] = 0;
      words[--back] = number;
      words[--back] = length;
    }
    this.#backs[partition] = back;
  }

  /** Bytes that fit into the open chunk. */
  #room(partition: number): number {
    return 4 * (this.#backs[partition] as number) - (this.#fronts[partition] as number);
  }

  #beginChunk(partition: number): void {
    this.#fronts[partition] = partition * this.#capacity;
    // The topmost is for the number of bytes.
    this.#backs[partition] = ((partition + 1) * this.#capacity) / 4 - 1;
  }

  async #write(partition: number, pieces: readonly Buffer[]): Promise<void> {
    const length = pieces.reduce((sum, { length }) => sum + length, 0);
    (this.partitions[partition] as Partition).addChunk(
      await this.#spill.write(pieces, length),
      length,
    );
  }
}

/** Lengths and numbers below these are written in one word. */
export const SHORT = 1024;
const MOST_SHORT = 2 ** 32 / SHORT;
/** Words of an entry or a definition take no more. */
const ENTRY_BYTES = 16;
/** Bytes of a chunk: as many as all open ones may take together allow. */
const LONGEST_CHUNK = 64 * 1024;
const SHORTEST_CHUNK = 16 * 1024;
const MOST_OPEN = 16 * 2 ** 20;
