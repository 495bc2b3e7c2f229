import type { SpillFile } from "./spill-file.js";

/** What the segments hold of some keys: chunks, in the order of writing. */
export class Partition {
  readonly #spill: SpillFile;
  readonly #positions: number[] = [];
  readonly #lengths: number[] = [];
  #byteLength = 0;

  constructor(spill: SpillFile) {
    this.#spill = spill;
  }

  /** Bytes of all chunks. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Bytes of each chunk. */
  get lengths(): readonly number[] {
    return this.#lengths;
  }

  /** Writes a chunk. */
  async write(pieces: readonly Buffer[]): Promise<void> {
    const length = pieces.reduce((sum, { length }) => sum + length, 0);
    this.#positions.push(await this.#spill.write(pieces, length));
    this.#lengths.push(length);
    this.#byteLength += length;
  }

  /** Reads one chunk. */
  async readChunk(index: number, bytes: Buffer): Promise<void> {
    await this.#spill.read(this.#positions[index] as number, bytes);
  }

  /** Reads all chunks, end to end. */
  async read(bytes: Buffer): Promise<void> {
    let reads: Promise<void>[] = [];
    for (let i = 0, start = 0; i < this.#positions.length; i++) {
      const end = start + (this.#lengths[i] as number);
      const part = bytes.subarray(start, end);
      const reading = this.#spill.read(this.#positions[i] as number, part);
      if (reading) reads.push(reading);
      if (reads.length === MOST_READING) {
        await Promise.all(reads);
        reads = [];
      }
      start = end;
    }
    await Promise.all(reads);
  }
}

/** Chunks that are read at a time. */
const MOST_READING = 8;
