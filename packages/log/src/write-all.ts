import { closeSync, fdatasync, fsyncSync, openSync, write, writeSync, writev } from "node:fs";

/** Writes the pieces end to end from `position` on, however many calls it takes. */
export async function writeAll(
  fd: number,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let byteLength = 0;
  for (const piece of pieces) byteLength += piece.length;
  const written = await transfer(pieces, position, (some, at, done) =>
    some.length === 1
      ? write(fd, some[0] as Uint8Array, 0, (some[0] as Uint8Array).length, at, done)
      : writev(fd, some as Uint8Array[], at, done),
  );
  if (written < byteLength) throw new Error("the system wrote nothing, and gave no reason");
}

/**
 * Passes all bytes of `pieces` to `call`, which answers how many of them it has taken, from the
 * first on. No call is given more than {@link MOST_BYTES} or {@link MOST_PIECES}.
 *
 * @returns the bytes taken: fewer only if a call has taken none.
 * @throws `RangeError` if a call answers a count that cannot be true.
 */
export async function transfer(
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
    if (!(count > 0 && count <= byteLength)) {
      throw new RangeError(`The system answers ${count} for ${byteLength} bytes.`);
    }
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

/** Far below 2 GiB, where the counts that Node answers wrap around. */
const MOST_BYTES = 2 ** 28;
/** What one system call takes (IOV_MAX). */
const MOST_PIECES = 1024;

/** Brings the bytes of a file to the disk. */
export function syncFile(fd: number): Promise<void> {
  return new Promise((resolve, reject) =>
    fdatasync(fd, (error) => (error ? reject(error) : resolve())),
  );
}

/** Makes the names in a directory outlast a power failure. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The same on this thread. */
export function writeAtOnce(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const count = writeSync(fd, bytes, done, bytes.length - done, position + done);
    if (count === 0) throw new Error("the system wrote nothing, and gave no reason");
    done += count;
  }
}
