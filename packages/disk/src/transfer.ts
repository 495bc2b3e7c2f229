import fs from "node:fs";

/**
 * The most bytes of one call. Far below 2 GiB, because Node returns the count of `writev` as an
 * int32 that wraps, and Linux moves at most 2 GiB less a page.
 */
const SLICE = 64 * 2 ** 20;
/** The most pieces of one call: IOV_MAX of Linux and macOS. */
const MOST_PIECES = 1024;

/** Writes the pieces end to end from `position` on, in as many calls as needed. */
export async function writePieces(
  fd: number,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let at = position;
  for (let next = 0, skip = 0; next < pieces.length; ) {
    const { slice, byteLength } = sliceOf(pieces, next, skip);
    if (byteLength > 0) {
      const count = checkCount("write", await writeSome(fd, slice, at), byteLength);
      at += count;
      skip += count;
    } else next += slice.length;
    for (let piece = pieces[next]; piece && skip >= piece.length; piece = pieces[next]) {
      skip -= piece.length;
      next++;
    }
  }
}

/** Writes one piece in this thread. */
export function writeAllSync(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(bytes.length - done, SLICE);
    done += checkCount("write", fs.writeSync(fd, bytes, done, length, position + done), length);
  }
}

/** Fills `bytes` from `position` on, up to the end of the file. @returns the bytes read. */
export async function readAll(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  for (let done = 0; ; ) {
    const length = Math.min(bytes.length - done, SLICE);
    if (length === 0) return done;
    const count = await new Promise<number>((resolve, reject) => {
      fs.read(fd, bytes, done, length, position + done, (error, count) =>
        error ? reject(error) : resolve(count),
      );
    });
    if (count === 0) return done;
    done += checkCount("read", count, length);
  }
}

/** Does the same in this thread. */
export function readAllSync(fd: number, bytes: Uint8Array, position: number): number {
  for (let done = 0; ; ) {
    const length = Math.min(bytes.length - done, SLICE);
    if (length === 0) return done;
    const count = fs.readSync(fd, bytes, done, length, position + done);
    if (count === 0) return done;
    done += checkCount("read", count, length);
  }
}

/**
 * @throws an EIO error for an impossible count: a loop that trusts it would never end, or leave
 *   bytes out.
 */
export function checkCount(syscall: "read" | "write", count: number, asked: number): number {
  if (count > 0 && count <= asked) return count;
  const message = `${syscall} moved ${count} bytes where ${asked} were asked for`;
  throw Object.assign(new Error(message), { code: "EIO", syscall });
}

/** Flushes a file's bytes to the disk. */
export function syncFile(fd: number): Promise<void> {
  return new Promise((resolve, reject) =>
    fs.fdatasync(fd, (error) => (error ? reject(error) : resolve())),
  );
}

/** Flushes a directory's names to the disk, so that they survive a power failure. */
export function syncDirectory(directory: string): void {
  let fd: number;
  try {
    fd = fs.openSync(directory, "r");
  } catch (error) {
    if (process.platform === "win32") return; // Windows neither has nor needs this.
    throw error;
  }
  try {
    fs.fsyncSync(fd);
  } catch (error) {
    if (process.platform !== "win32") throw error;
  } finally {
    closeFile(fd);
  }
}

/**
 * Closes a descriptor, which cannot fail: even if the call does, the descriptor is gone. A network file
 * system reports there that it could not write back, which is not a breach: without `fsync` an append
 * promises less, and with it the bytes are on the disk already.
 */
export function closeFile(fd: number): void {
  try {
    fs.closeSync(fd);
  } catch {
    // See above.
  }
}

/** As many pieces as one call may write; the first without its `skip` bytes already written. */
function sliceOf(
  pieces: readonly Uint8Array[],
  from: number,
  skip: number,
): { slice: Uint8Array[]; byteLength: number } {
  const slice: Uint8Array[] = [];
  let byteLength = 0;
  for (let i = from; i < pieces.length && slice.length < MOST_PIECES && byteLength < SLICE; i++) {
    const piece = pieces[i] as Uint8Array;
    const start = i === from ? skip : 0;
    const rest = piece.subarray(start, Math.min(piece.length, start + SLICE - byteLength));
    slice.push(rest);
    byteLength += rest.length;
  }
  return { slice, byteLength };
}

function writeSome(fd: number, pieces: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, count: number) => (error ? reject(error) : resolve(count));
    const [first] = pieces as [Uint8Array];
    if (pieces.length === 1) fs.write(fd, first, 0, first.length, position, done);
    else fs.writev(fd, pieces, position, done);
  });
}

/**
 * Keeps the process alive when a write reaches a limit of file sizes (`ulimit -f`): the system
 * would end it with the signal SIGXFSZ. With a listener, the write fails with EFBIG, as on a full
 * disk. The listener stays, because the signal may arrive after its write has failed.
 */
export function surviveSizeLimit(): void {
  if (isListening || process.platform === "win32") return;
  isListening = true;
  process.on("SIGXFSZ", () => {});
}

let isListening = false;
