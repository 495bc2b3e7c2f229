import fs from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir, uptime } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";
import { PartdError } from "@partd/core";
import { describeArgument } from "@partd/core/author";
import { makeFolders } from "./folders.js";
import { isToken, processToken, stateOf, uniqueToken } from "./token.js";

/**
 * A directory for data that need not outlast the process. It is removed by `remove()` or at the end
 * of its thread or process. After a kill or a crash of the machine, the next directory of the same
 * kind in the same place removes it.
 */
export class TemporaryDirectory {
  /** The absolute path. Its name contains the owner's token. It does not exist before `make()`. */
  readonly path: string;
  readonly #place: string;
  readonly #prefix: string;
  /**
   * For a worker: a file in `os.tmpdir()` with the directory's name, which contains the path of `#place`.
   * If the worker is terminated, the main thread finds the directory by it.
   */
  readonly #pointer: string | undefined;

  /**
   * @param kind the name's prefix, which tells who uses it, such as `partd-file`.
   * @param place the directory to make it in, resolved now and created if missing. Default:
   *   `os.tmpdir()`.
   */
  constructor(kind: string, place: string = tmpdir()) {
    this.#place = resolve(place);
    this.#prefix = `${kind}-`;
    const name = `${this.#prefix}${uniqueToken()}`;
    this.path = join(this.#place, name);
    const isElsewhere = !isMainThread && this.#place !== resolve(tmpdir());
    this.#pointer = isElsewhere ? join(resolve(tmpdir()), name) : undefined;
  }

  async make(): Promise<void> {
    await removeAbandoned(this.#place, this.#prefix);
    makeFolders(this.path, 0o700);
    if (present.size === 0) process.on("exit", removePresent);
    present.add(this.path);
    if (this.#pointer === undefined) return;
    present.add(this.#pointer);
    // Without the file, the next temporary directory of this kind cleans up.
    await writeFile(this.#pointer, this.#place, { mode: 0o600 }).catch(() => {});
  }

  async remove(): Promise<void> {
    for (const path of [this.path, this.#pointer]) {
      if (path === undefined) continue;
      await rm(path, QUIETLY);
      present.delete(path);
    }
    if (present.size === 0) process.off("exit", removePresent);
  }
}

/** Removes the directories of owners that ended without doing so. */
async function removeAbandoned(place: string, prefix: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(place);
  } catch {
    return; // The directory may be usable but not listable.
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
      // It is another user's, or another process is removing it, too.
    }
  }
}

/**
 * Whether the owner belongs to an earlier boot of this machine: the directory is on a file system
 * to which no other machine can write, and nothing in it changed since this boot.
 */
function isOfEarlierBoot(path: string): boolean {
  if (!LOCAL.has(Number(fs.statfsSync(path, { bigint: true }).type))) return false;
  const booted = Date.now() - uptime() * 1000;
  const isOld = (each: string) => fs.lstatSync(each).mtimeMs < booted;
  return isOld(path) && fs.readdirSync(path).every((name) => isOld(join(path, name)));
}

/** Linux's numbers for ext2 to 4, XFS, Btrfs, F2FS, ZFS, tmpfs and overlayfs. */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630,
]);

/** The directories that this thread has now. */
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
 * A terminated worker runs no code, so its directories are removed when the process exits, by the
 * main thread. That works only if the main thread has loaded this module, too.
 */
if (isMainThread) process.on("exit", removeThoseOfWorkers);

function removeThoseOfWorkers(): void {
  try {
    const place = tmpdir();
    for (const name of fs.readdirSync(place)) {
      const [, token = ""] = name.split(`-${processToken()}-`);
      if (!/^\d+\.\d+-[0-9a-f]{12}$/.test(token)) continue;
      const path = join(place, name);
      // Anyone may have put the file there, so it must not choose the name of what is removed.
      const isPointer = fs.lstatSync(path).isFile();
      if (isPointer) fs.rmSync(join(fs.readFileSync(path, "utf8"), name), QUIETLY);
      fs.rmSync(path, QUIETLY);
    }
  } catch {
    // The next one tries again.
  }
}

const QUIETLY = { recursive: true, force: true, maxRetries: 3 } as const;

/**
 * A store's directory as an absolute path. A relative one is resolved against the current
 * directory.
 *
 * @param store the class's name, for the message.
 * @throws `ERR_PARTD_VALUE` unless `path` is a string of at least one character without NUL, or a
 *   `file:` URL.
 */
export function absolutePath(path: string | URL, store: string): string {
  if (typeof path === "string" && path !== "" && !path.includes("\0")) return resolve(path);
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  const given = describeArgument(path);
  throw new PartdError(
    "ERR_PARTD_VALUE",
    given === "an object"
      ? `new ${store}() takes options behind the path, as in new ${store}(undefined, { dir: tmpdir() }).`
      : `The path of a ${store} is a file: URL, or a string that is not empty and has no NUL character, not ${given}.`,
  );
}

/**
 * Refuses `new FileStore(undefined)`: the path is likely to be a variable that is not set, and the data would
 * be removed at the end of the process.
 *
 * @param given the arguments of the constructor.
 * @throws `ERR_PARTD_VALUE`
 */
export function checkGivenPath(
  store: string,
  given: readonly [
    path?: string | URL | undefined,
    options?: { readonly dir?: string | undefined } | undefined,
  ],
): void {
  const [path, options] = given;
  if (given.length === 0 || path !== undefined || options?.dir !== undefined) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `The path of a ${store} is undefined. For a temporary one, call new ${store}() or new ${store}(undefined, { dir: tmpdir() }).`,
  );
}
