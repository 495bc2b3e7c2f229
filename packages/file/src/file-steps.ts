import { constants, type Stats } from "node:fs";
import { errnoOf, type Steps } from "./disk.js";

export function* exists(path: string): Steps<boolean> {
  try {
    yield ["access", path];
    return true;
  } catch {
    return false;
  }
}

/** Removes a file, unless there is none. */
export function* unlinkIfThere(path: string): Steps<boolean> {
  try {
    yield ["unlink", path];
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    // Where unlink refuses a folder with EPERM, as POSIX has it.
    if (errnoOf(error) === "EPERM") {
      const stats = (yield ["stat", path, QUIET]) as Stats | undefined;
      if (!stats || stats.isDirectory()) return false;
    }
    throw error;
  }
}

/** Writes all of `bytes` at `position`, however many calls it takes. */
export function* writeAll(fd: number, bytes: Uint8Array, position: number): Steps<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(bytes.byteLength - done, SLICE);
    done += (yield ["write", fd, bytes, done, length, position + done]) as number;
  }
}

/** Fills `bytes` from `position` on, as far as the file reaches. */
export function* readAll(fd: number, bytes: Uint8Array, position: number): Steps<number> {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(bytes.byteLength - done, SLICE);
    const count = (yield ["read", fd, bytes, done, length, position + done]) as number;
    if (count === 0) break;
    done += count;
  }
  return done;
}

export function* readText(path: string): Steps<string> {
  const fd = (yield ["open", path, constants.O_RDONLY]) as number;
  try {
    const { size } = (yield ["fstat", fd]) as Stats;
    const bytes = Buffer.allocUnsafe(size);
    const count = yield* readAll(fd, bytes, 0);
    return bytes.toString("latin1", 0, count);
  } finally {
    yield ["close", fd];
  }
}

export function* writeText(path: string, text: string, fsync: boolean): Steps<void> {
  const fd = (yield [
    "open",
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC,
    0o666,
  ]) as number;
  try {
    yield* writeAll(fd, Buffer.from(text, "latin1"), 0);
    if (fsync) yield ["fdatasync", fd];
  } finally {
    yield ["close", fd];
  }
}

/** Nothing is there, or what is there is no file. */
export function isAbsent(error: unknown): boolean {
  return errnoOf(error) === "ENOENT" || isUnusable(error);
}

/** No file of that name can be there. */
export function isUnusable(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "EISDIR" || code === "ENOTDIR" || code === "ENAMETOOLONG";
}

/** Brings a file's bytes to the disk. */
export function* syncFile(fd: number): Steps<void> {
  yield ["fdatasync", fd];
}

/** Brings the names that folders hold to the disk; of folders that are gone there is none. */
export function* syncFolders(paths: Iterable<string>): Steps<void> {
  for (const path of paths) {
    let fd: number;
    try {
      fd = (yield ["open", path, constants.O_RDONLY]) as number;
    } catch (error) {
      if (isAbsent(error)) continue;
      throw error;
    }
    try {
      yield ["fsync", fd];
    } catch (error) {
      // Windows has no such thing, nor need of it.
      if (errnoOf(error) !== "EPERM" && errnoOf(error) !== "EINVAL") throw error;
    } finally {
      yield ["close", fd];
    }
  }
}

const QUIET = { throwIfNoEntry: false } as const;
/** Bytes a call moves at most: an aborted operation and a lost lock are noticed in between. */
export const SLICE = 8 * 2 ** 20;
