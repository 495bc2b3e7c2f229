import { read, readv } from "node:fs";
import { checkCount, readAll } from "@partd/disk";

/** A file that is open while it is read. */
export interface ReadableFile {
  /** Runs `read` with the descriptor, which stays open meanwhile. */
  reading<T>(read: (fd: number) => Promise<T>): Promise<T>;
}

/** A segment that is read in long stretches, from front to back. */
export class Window {
  readonly file: ReadableFile;
  readonly #size: number;
  readonly #allocate: (length: number) => Buffer;
  readonly #stretch: number;
  #bytes: Buffer = EMPTY;
  #start = 0;

  /**
   * @param size bytes after this are not read.
   * @param allocate memory for a stretch, which may be that of the previous one. If a stretch is
   *   detached from its memory, it is read again.
   * @param stretch bytes that are read at a time, or more if more are asked for.
   */
  constructor(
    file: ReadableFile,
    size: number,
    allocate: (length: number) => Buffer = Buffer.allocUnsafeSlow,
    stretch = STRETCH,
  ) {
    this.file = file;
    this.#size = size;
    this.#allocate = allocate;
    this.#stretch = stretch;
  }

  /** The stretch, if an earlier read has fetched it. */
  has(offset: number, length: number): Buffer | undefined {
    const at = offset - this.#start;
    if (at < 0 || at + length > this.#bytes.length) return undefined;
    return this.#bytes.subarray(at, at + length);
  }

  /** Reads the stretch; it is shorter at the end of the file. */
  async read(offset: number, length: number): Promise<Buffer> {
    const found = this.has(offset, length);
    if (found) return found;
    const wanted = Math.max(0, Math.min(Math.max(length, this.#stretch), this.#size - offset));
    this.#bytes = EMPTY;
    const bytes = this.#allocate(wanted);
    const filled = await this.file.reading((fd) => readAll(fd, bytes, offset));
    this.#bytes = bytes.subarray(0, filled);
    this.#start = offset;
    return this.#bytes.subarray(0, Math.min(length, filled));
  }

  /** What is in memory from `offset` on: `least` bytes or more, fewer at the end of the file. */
  async from(offset: number, least: number): Promise<Buffer> {
    if (!this.has(offset, least)) await this.read(offset, least);
    return this.#bytes.subarray(offset - this.#start);
  }
}

const STRETCH = 2 ** 20;
const EMPTY = Buffer.alloc(0);

/** Fills the pieces from `position` on. @returns the bytes read, fewer only at the end of the file. */
export async function readPieces(
  fd: number,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<number> {
  return fill(pieces, position, (some, at, done) =>
    some.length === 1
      ? read(fd, some[0] as Uint8Array, 0, (some[0] as Uint8Array).length, at, done)
      : readv(fd, some as Uint8Array[], at, done),
  );
}

/** The same as `readPieces`, with a `call` that returns how many bytes it has filled. */
export async function fill(
  pieces: readonly Uint8Array[],
  position: number,
  call: (
    some: readonly Uint8Array[],
    at: number,
    done: (error: Error | null, count: number) => void,
  ) => void,
): Promise<number> {
  let total = 0;
  let next = 0;
  /** Bytes of the next piece that are done. */
  let part = 0;
  for (;;) {
    const some: Uint8Array[] = [];
    let byteLength = 0;
    for (let i = next; i < pieces.length && some.length < MOST_PIECES; i++) {
      const piece = pieces[i] as Uint8Array;
      const from = i === next ? part : 0;
      const length = Math.min(piece.length - from, MOST_BYTES - byteLength);
      if (length === 0 && piece.length > 0) break;
      some.push(length === piece.length ? piece : piece.subarray(from, from + length));
      byteLength += length;
    }
    if (byteLength === 0) return total;
    let count = await new Promise<number>((resolve, reject) => {
      call(some, position + total, (error, count) => (error ? reject(error) : resolve(count)));
    });
    if (count === 0) return total;
    checkCount("read", count, byteLength);
    total += count;
    for (; next < pieces.length; next++) {
      const left = (pieces[next] as Uint8Array).length - part;
      if (count < left) break;
      count -= left;
      part = 0;
    }
    part += count;
  }
}

/** Far below 2 GiB, where Node's counts wrap around. */
const MOST_BYTES = 2 ** 28;
/** The most pieces of one system call (IOV_MAX). */
const MOST_PIECES = 1024;
