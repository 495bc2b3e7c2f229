import { rmSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { isToken, stateOf, uniqueToken } from "./process-token.js";

/**
 * A directory under `os.tmpdir()`, or in a folder of the user's choice. It goes with `remove()`, with
 * the end of the process or, if that was killed, with the next one of the same kind that is made there.
 */
export class TemporaryDirectory {
  /** Its name says whose it is. Nothing is there before `make()`. */
  readonly path: string;
  readonly #prefix: string;
  readonly #folder: string;

  /**
   * @param kind who uses it, such as `partd-file`: the name begins with it.
   * @param folder where it lies; made if need be.
   */
  constructor(kind: string, folder: string = tmpdir()) {
    this.#prefix = `${kind}-`;
    this.#folder = resolve(folder);
    this.path = join(this.#folder, `${this.#prefix}${uniqueToken()}`);
  }

  async make(): Promise<void> {
    await removeAbandoned(this.#folder, this.#prefix);
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    if (present.size === 0) process.on("exit", removePresent);
    present.add(this.path);
  }

  async remove(): Promise<void> {
    await rm(this.path, QUIETLY);
    present.delete(this.path);
    if (present.size === 0) process.off("exit", removePresent);
  }
}

/** Removes the directories of processes that ended without a chance to do so themselves. */
async function removeAbandoned(folder: string, prefix: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch {
    return; // It is not there yet, or can be used but not listed.
  }
  for (const name of names) {
    if (!name.startsWith(prefix)) continue;
    const token = name.slice(prefix.length);
    if (!isToken(token) || stateOf(token) !== "ended") continue;
    try {
      await rm(join(folder, name), QUIETLY);
    } catch {
      // Another user's, or another process is removing it, too.
    }
  }
}

/** What this process has at present. */
const present = new Set<string>();

function removePresent(): void {
  for (const path of present) {
    try {
      rmSync(path, QUIETLY);
    } catch {
      // The next one tries again.
    }
  }
}

const QUIETLY = { recursive: true, force: true, maxRetries: 3 } as const;
