import fs from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { tmpdir, uptime } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import { PartdError } from "@partd/core";
import { isToken, processToken, stateOf, uniqueToken } from "./token.js";

/**
 * A directory for what need not outlast the process. It goes with `remove()`, with the end of its
 * thread or process or, if that was killed or the machine went down, with the next one of the same
 * kind that is made in the same place.
 */
export class TemporaryDirectory {
  /** Absolute. Its name says whose it is. Nothing is there before `make()`. */
  readonly path: string;
  readonly #place: string;
  readonly #prefix: string;

  /**
   * @param kind who uses it, such as `partd-file`: the name begins with it.
   * @param place the directory in which it is made, looked up now; made if need be. Default: `os.tmpdir()`.
   */
  constructor(kind: string, place: string = tmpdir()) {
    this.#place = resolve(place);
    this.#prefix = `${kind}-`;
    this.path = join(this.#place, `${this.#prefix}${uniqueToken()}`);
  }

  async make(): Promise<void> {
    await removeAbandoned(this.#place, this.#prefix);
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

/** Removes the directories of owners that ended without a chance to do so themselves. */
async function removeAbandoned(place: string, prefix: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(place);
  } catch {
    return; // It may be one that can be used, but not listed.
  }
  for (const name of names) {
    if (!name.startsWith(prefix)) continue;
    const token = name.slice(prefix.length);
    if (!isToken(token)) continue;
    const path = join(place, name);
    try {
      const state = stateOf(token);
      if (state === "ended" || (state === "unknown" && isOfEarlierBoot(path)))
        await rm(path, QUIETLY);
    } catch {
      // Another user's, or another process is removing it, too.
    }
  }
}

/**
 * Whether its owner belongs to an earlier boot of this machine: it lies on a file system that no
 * other machine can write to, and nothing in it has changed since this boot.
 */
function isOfEarlierBoot(path: string): boolean {
  if (!LOCAL.has(Number(fs.statfsSync(path, { bigint: true }).type))) return false;
  const booted = Date.now() - uptime() * 1000;
  const isOld = (each: string) => fs.lstatSync(each).mtimeMs < booted;
  return isOld(path) && fs.readdirSync(path).every((name) => isOld(join(path, name)));
}

/** Linux's numbers of ext2 to 4, XFS, Btrfs, F2FS, ZFS, tmpfs and overlayfs. */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630,
]);

/** What this thread has at present. */
const present = new Set<string>();

function removePresent(): void {
  for (const path of present) {
    try {
      fs.rmSync(path, QUIETLY);
    } catch {
      // The next one tries again.
    }
  }
}

/**
 * A worker that is terminated runs nothing any more, and only the main thread sees the process end,
 * so that one listens from the start, where it has loaded this at all.
 */
if (isMainThread) process.on("exit", removeThoseOfWorkers);

function removeThoseOfWorkers(): void {
  try {
    const place = tmpdir();
    for (const name of fs.readdirSync(place)) {
      const [, token = ""] = name.split(`-${processToken()}-`);
      if (!/^\d+\.\d+-[0-9a-f]{12}$/.test(token)) continue;
      fs.rmSync(join(place, name), QUIETLY);
    }
  } catch {
    // The next one tries again.
  }
}

const QUIETLY = { recursive: true, force: true, maxRetries: 3 } as const;

/**
 * A store's directory as an absolute path: what is relative counts from where the process is now.
 *
 * @param store the class's name, for the message.
 * @throws `ERR_PARTD_IO` if it is neither a string of at least one character nor a `file:` URL.
 */
export function absolutePath(path: string | URL, store: string): string {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return resolve(path);
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  throw new PartdError(
    "ERR_PARTD_IO",
    `A ${store}'s path is a string or a file: URL, not ${JSON.stringify(String(path))}.`,
  );
}
