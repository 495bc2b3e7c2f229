import { mkdtemp, readdir, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";

/**
 * The directories of all rounds. They are removed at the very end: a file system such as ext4 makes
 * new files twenty times slower for a minute after many were removed, which would decide the figures
 * of whoever comes next.
 */
export class Scratch {
  readonly #parent: string;
  readonly #directories: string[] = [];

  constructor(parent: string) {
    this.#parent = parent;
  }

  async directory(): Promise<string> {
    const directory = await mkdtemp(join(this.#parent, "partd-bench-"));
    this.#directories.push(directory);
    return directory;
  }

  /** Gives back the space, but not the names, of what the rounds so far have left. */
  async empty(): Promise<void> {
    for (const directory of this.#directories) {
      for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        if ((await stat(path)).size >= LARGE) await truncate(path);
      }
    }
  }

  async remove(): Promise<void> {
    for (const directory of this.#directories.splice(0)) {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

const LARGE = 2 ** 20;
