import { readdir, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

/** Bytes that this user may still write at `path`, which need not exist; Infinity if unknown. */
export async function freeBytes(path: string): Promise<number> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (folder === dirname(folder)) return Number.POSITIVE_INFINITY;
      if (code !== "ENOENT" && code !== "ENOTDIR") return Number.POSITIVE_INFINITY;
    }
  }
}

/** Bytes of all files below a directory. */
export async function usedBytes(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) bytes += await usedBytes(path);
    // A file that is deleted meanwhile counts as 0.
    else if (entry.isFile())
      bytes += await stat(path).then(
        ({ size }) => size,
        () => 0,
      );
  }
  return bytes;
}
