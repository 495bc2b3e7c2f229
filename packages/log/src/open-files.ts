import { constants, fstatSync, openSync, read, readSync, readv } from "node:fs";
import { checkCount, closeFile, errnoOf, isOutOfFiles } from "@partd/disk";

/** A file that is kept open for its next read. */
export interface OpenFile {
  /**
   * Closes the file, unless it is being read or could not be opened again.
   *
   * @param scarce whether the process has no descriptor left: then files that are needed soon are
   *   closed too.
   */
  closeIfIdle(scarce: boolean): void;
}

/** A file that is open while it is read. */
export interface ReadableFile {
  /** Runs `read` with the descriptor, which stays open meanwhile. */
  reading<T>(read: (fd: number) => Promise<T>): Promise<T>;
}

/** Opens a file; if the process has no descriptor left, first closes idle ones. */
export function openOrMakeRoom(path: string, flags: "r" | "wx" | "wx+"): number {
  const mode = flags === "r" ? READ : flags;
  try {
    return openSync(path, mode);
  } catch (error) {
    if (!isOutOfFiles(error)) throw error;
    // Keep fewer open from now on.
    mostOpen = Math.min(mostOpen, open.size >> 1);
    closeIdle();
    return openSync(path, mode);
  }
}

/** Notes that a file is open, until {@link forget}. */
export function remember(file: OpenFile): void {
  open.add(file);
}

export function forget(file: OpenFile): void {
  open.delete(file);
}

/** Whether more files are open than are kept for the next read. */
export function areTooManyOpen(): boolean {
  return open.size > mostOpen;
}

/** Closes files that are not being read. @returns whether there were any. */
export function closeIdle(): boolean {
  const before = open.size;
  for (const file of open) file.closeIfIdle(true);
  return open.size < before;
}

/** Whether the file still has a name by which it can be opened again. */
export function isNamed(fd: number): boolean {
  return fstatSync(fd).nlink > 0;
}

/** The first bytes of a file, padded with zeros; `undefined` if it is missing. */
export function firstBytes(path: string, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  let fd: number;
  try {
    fd = openSync(path, READ);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    readSync(fd, bytes, 0, length, 0);
    return bytes;
  } finally {
    closeFile(fd);
  }
}

/** Does not wait for the other end if a named pipe is in the place of a file. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** The open files of this process, and how many of them it keeps for the next read. */
const open = new Set<OpenFile>();
let mostOpen = 256;

/**
 * Reads a short piece in this thread.
 *
 * @returns the bytes read; 0 if the thread pool should read it, because the piece is long or the disk
 *   is slow at the moment.
 */
export function readAtOnce(fd: number, piece: Uint8Array, position: number): number {
  const now = performance.now();
  if (piece.length > AT_ONCE || now < slowUntil) return 0;
  const count = readSync(fd, piece, 0, piece.length, position);
  const end = performance.now();
  if (end - now > SLOW_MS) slowUntil = end + STAY_SLOW_MS;
  return count;
}

/** The most bytes that are read in this thread. */
export const AT_ONCE = 64 * 1024;
/** A read that takes this long has waited for the disk: the next ones go to the thread pool. */
const SLOW_MS = 5;
const STAY_SLOW_MS = 250;
let slowUntil = 0;

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
