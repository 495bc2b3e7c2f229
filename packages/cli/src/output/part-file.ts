import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { UsageError } from "../command/failure.js";

export interface PartFileOptions {
  /** Its name in the folder. */
  readonly name: string;
  /** What the file begins with. */
  readonly header: Uint8Array | undefined;
  /** The most bytes, including the header. Default: no limit; so it is for `maxRows`. */
  readonly maxBytes: number | undefined;
  /** The most records. */
  readonly maxRows: number | undefined;
}

/**
 * One file of a {@link PartFolder}. Most are small, and there may be 100,000: synchronous calls take 20
 * µs, and calls through the thread pool 200.
 */
export class PartFile {
  readonly name: string;
  rows = 0;
  /** Bytes including the header. */
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
   * How many of the records from `row` on, which begin at byte `from`, still fit. A file without any
   * always takes one.
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

/**
 * What is written to an existing file before the first added record: the header if the file is empty, a
 * line ending if its last line has none, otherwise nothing.
 *
 * @throws `UsageError` if the file begins with another header.
 */
export function appendStart(path: string, header: Uint8Array | undefined): Uint8Array | undefined {
  const names = Buffer.from(header ?? [])
    .toString()
    .trimEnd();
  const { beginning, last } = endsOf(path, Buffer.byteLength(names) + LONGER);
  if (last === undefined) return header;
  const found = beginning.toString().replace(/^\uFEFF/, "");
  const isSame = found.startsWith(names) && /^(?:\r?\n|\r?$)/.test(found.slice(names.length));
  if (header !== undefined && !isSame) {
    const [columns = ""] = found.split(/\r?\n/, 1);
    throw new UsageError(
      `${path} begins with ${columns}, and the records have ${names}: --append takes records of the same columns`,
    );
  }
  return last === LF ? undefined : Buffer.of(LF);
}

/** The first bytes of a file, at most `length`, and the last byte, if there is one. */
function endsOf(path: string, length: number): { beginning: Buffer; last: number | undefined } {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const beginning = Buffer.alloc(Math.min(size, length));
    readSync(file, beginning, 0, beginning.byteLength, 0);
    const last = Buffer.alloc(Math.min(size, 1));
    readSync(file, last, 0, last.byteLength, size - last.byteLength);
    return { beginning, last: last[0] };
  } finally {
    closeSync(file);
  }
}

const LF = 0x0a;

/** Bytes read beyond the header: a byte order mark, a line ending, and some of a longer header, to show it. */
const LONGER = 32;
