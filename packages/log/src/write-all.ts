import { closeSync, fdatasync, fsyncSync, openSync, write, writeSync, writev } from "node:fs";

/** Writes the pieces end to end from `position` on, however many calls it takes. */
export async function writeAll(
  fd: number,
  pieces: readonly Uint8Array[],
  position: number,
): Promise<void> {
  let rest = pieces;
  let at = position;
  while (rest.length > 0) {
    let count = await new Promise<number>((resolve, reject) => {
      const done = (error: Error | null, written: number) =>
        error ? reject(error) : resolve(written);
      if (rest.length === 1)
        write(fd, rest[0] as Uint8Array, 0, (rest[0] as Uint8Array).length, at, done);
      else writev(fd, rest, at, done);
    });
    at += count;
    let whole = 0;
    while (whole < rest.length && count >= (rest[whole] as Uint8Array).length) {
      count -= (rest[whole++] as Uint8Array).length;
    }
    rest = rest.slice(whole);
    if (count > 0) rest = [(rest[0] as Uint8Array).subarray(count), ...rest.slice(1)];
  }
}

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
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}
