import { closeSync, openSync, writeSync } from "node:fs";

export interface PartFileOptions {
  readonly name: string;
  readonly header: Uint8Array | undefined;
  readonly maxBytes: number | undefined;
  readonly maxRows: number | undefined;
}

/**
 * One file of a {@link PartFolder}. Most are small, and 100,000 of them may be written: calls that
 * wait for the disk here take 20 µs, those of the thread pool 200.
 */
export class PartFile {
  readonly name: string;
  rows = 0;
  /** With the header. */
  bytes = 0;
  readonly #maxBytes: number;
  readonly #maxRows: number;
  #descriptor: number | undefined;

  constructor(path: string, { name, header, maxBytes, maxRows }: PartFileOptions) {
    this.name = name;
    this.#maxBytes = maxBytes ?? Number.POSITIVE_INFINITY;
    this.#maxRows = maxRows ?? Number.POSITIVE_INFINITY;
    this.#descriptor = openSync(path, "w");
    if (header !== undefined) this.write(header, 0);
  }

  /**
   * How many of the records from `row` on, which begin at byte `from`, the file still takes. One is
   * always taken by a file without any.
   */
  room(ends: ArrayLike<number>, row: number, from: number): number {
    const left = ends.length - row;
    if (this.#maxBytes === Number.POSITIVE_INFINITY) {
      return Math.min(left, this.#maxRows - this.rows);
    }
    let count = 0;
    while (
      count < left &&
      this.rows + count < this.#maxRows &&
      this.bytes + (ends[row + count] as number) - from <= this.#maxBytes
    ) {
      count++;
    }
    return count === 0 && this.rows === 0 ? 1 : count;
  }

  write(bytes: Uint8Array, rows: number): void {
    const descriptor = this.#descriptor as number;
    for (let done = 0; done < bytes.byteLength; ) done += writeSync(descriptor, bytes, done);
    this.rows += rows;
    this.bytes += bytes.byteLength;
  }

  close(): void {
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
