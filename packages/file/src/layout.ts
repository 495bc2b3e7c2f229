import { createHash } from "node:crypto";
import { constants, type Dirent, openSync, promises, rmSync } from "node:fs";
import { join } from "node:path";
import { decodeKey, PartdError } from "@partd/core";
import { Pace } from "@partd/core/author";
import { errnoOf, makeFolders, refuseLink, uniqueToken } from "@partd/disk";
import { type Disk, isAbsent, isUnusable, type Laps, STRICT } from "./disk.js";

/** A key's open file, and whether it is aside. */
export interface Opened {
  readonly fd: number;
  readonly aside: boolean;
  /** Whether the file may only be read. */
  readonly readOnly?: boolean;
}

/**
 * The paths in a store's directory. A key's bytes are in `<directory>/<encoded key>`; the parts of
 * a tuple are folders. If that path is impossible, because `x` is a key besides `tuple("x", "y")`
 * or a name is too long for the file system, they are in
 * `.partd/aside/<SHA-256 of the encoded key>`, beside a `.key` file that holds the encoded key.
 *
 * Use it only while holding the lock. A key is never in both places.
 */
export class Layout {
  readonly directory: string;
  readonly #disk: Disk;
  readonly #aside: string;
  readonly #fsync: boolean;
  #hasAside = false;
  /** Folders of tuples that are not symbolic links, as of this lease. */
  readonly #checked = new Set<string>();

  /** @param fsync whether this class flushes its own writes to the disk. */
  constructor(disk: Disk, directory: string, fsync: boolean) {
    this.directory = directory;
    this.#disk = disk;
    this.#fsync = fsync;
    this.#aside = this.own("aside");
  }

  /** The path of one of the store's own files. */
  own(name: string): string {
    return join(this.directory, ".partd", name);
  }

  /** @throws `ERR_PARTD_IO` if a symbolic link stands in the place of one of a tuple's folders. */
  path(key: string, aside: boolean): string {
    if (aside) return join(this.#aside, digest(key));
    if (key.includes("/")) this.#checkFolders(key);
    return `${this.directory}/${key}`;
  }

  /** Creates the directory if it is missing, and makes a data set of it. */
  async make(): Promise<void> {
    for (const name of ["", "lock", "aside"]) refuseLink(this.own(name));
    await this.#refuseLog();
    if (await this.#disk.exists(this.own(""))) return;
    if (await this.#holdsOthers()) await this.#adopt();
    else makeFolders(this.own(""));
  }

  /** @throws `ERR_PARTD_IO` if files that are not a store's would be removed with the data set. */
  async checkDroppable(): Promise<void> {
    const note = this.own(ADOPTED);
    if (!(await this.#disk.exists(note))) return;
    throw new PartdError(
      "ERR_PARTD_IO",
      `${this.directory} held other files before a store was opened on it, and drop() would delete those, too: nothing was done. delete() the keys that are to go; or, if every file in it may go, remove ${note} and call drop() again.`,
      { path: note },
    );
  }

  /** Call this when the lock was taken: another process may have put keys aside. */
  async refresh(): Promise<void> {
    this.#hasAside = await this.#disk.exists(this.#aside);
    this.#checked.clear();
  }

  /** Opens a key's file for reading and, if allowed, writing. Undefined if it is missing. */
  async open(key: string): Promise<Opened | undefined> {
    const usual = await this.#openIfThere(this.path(key, false), false);
    if (usual || !this.#hasAside) return usual;
    return this.#openIfThere(this.path(key, true), true);
  }

  /** Opens a key's file in this thread, if it is in its usual place; -1 if not. */
  openHere(key: string): number {
    try {
      return openSync(this.path(key, false), READ_WRITE | NOATIME);
    } catch {
      return -1;
    }
  }

  /**
   * Opens or creates a key's file in this thread, if it can only be in its usual place and the folders of
   * its tuple are there; -1 if not.
   */
  openOrCreateHere(key: string, laps: Laps): number {
    if (this.#hasAside || !this.#disk.namesHere) return -1;
    try {
      return laps.open(this.path(key, false), CREATE);
    } catch {
      return -1;
    }
  }

  /** Bytes of a key's file, without opening it. */
  async size(key: string): Promise<number> {
    for (const aside of this.#hasAside ? [false, true] : [false]) {
      const stats = await this.#disk.stat(this.path(key, aside));
      if (stats?.isFile()) return stats.size;
    }
    return 0;
  }

  /** Opens a key's file for reading and writing, and creates it if it is missing. */
  async openOrCreate(key: string): Promise<Opened> {
    if (this.#hasAside) {
      const opened = await this.open(key);
      if (opened && !opened.readOnly) return opened;
      if (opened) await this.#disk.close(opened.fd);
    }
    const path = this.path(key, false);
    for (let attempt = 0; ; attempt++) {
      try {
        return { fd: await this.#disk.open(path, CREATE), aside: false };
      } catch (error) {
        if (errnoOf(error) === "ENOENT" && attempt === 0 && key.includes("/")) {
          if (await this.#makeFolders(key)) continue;
        } else if (!isUnusable(error)) throw error;
        return { fd: await this.#createAside(key), aside: true };
      }
    }
  }

  /**
   * Removes a key's file with `discard`, which renames it, and then the empty folders of its tuple.
   */
  async remove(key: string, discard: (path: string) => Promise<boolean>): Promise<void> {
    if (await discard(this.path(key, false))) await this.#prune(key);
    else if (this.#hasAside) await this.#removeAside(key, discard);
  }

  /** Does the same for a file that a failed append created. */
  async removeAt(
    key: string,
    aside: boolean,
    discard: (path: string) => Promise<boolean>,
  ): Promise<void> {
    if (aside) await this.#removeAside(key, discard);
    else if (await discard(this.path(key, false))) await this.#prune(key);
  }

  /** Removes empty folders of tuples, also those that a process has left that was killed as it removed a key. */
  async removeFolders(): Promise<void> {
    const folders = [""];
    for (const folder of folders) {
      const path = folder === "" ? this.directory : `${this.directory}/${folder}`;
      for await (const entry of entriesOf(path)) {
        const text = folder === "" ? entry.name : `${folder}/${entry.name}`;
        if (entry.isDirectory() && isEncodedKey(text)) folders.push(text);
      }
    }
    const pace = new Pace();
    for (const folder of folders.slice(1).reverse()) {
      try {
        await this.#disk.rmdir(`${this.directory}/${folder}`);
      } catch {
        // It holds other files.
      }
      if (pace.due) await pace.rest();
    }
  }

  /** The folders whose entries change when a key's file is created: its own and those above it. */
  foldersOf(key: string, aside: boolean): string[] {
    if (aside) return [this.#aside, this.own(""), this.directory];
    const folders = [this.directory];
    for (let i = key.indexOf("/"); i >= 0; i = key.indexOf("/", i + 1)) {
      folders.push(`${this.directory}/${key.slice(0, i)}`);
    }
    return folders;
  }

  /**
   * Lists the encoded keys in the directory. Files that are not a key's are left out.
   *
   * @param options with `empty`, keys of empty files are included, which read as absent.
   * @throws `ERR_PARTD_CORRUPT` if the key of a file aside cannot be known.
   */
  async keys(
    options: { readonly empty?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<string[]> {
    const { empty = false, signal } = options;
    const found: string[] = [];
    const pace = new Pace();
    const consider = async (key: string, aside: boolean) => {
      const stats = await this.#disk.stat(this.path(key, aside));
      if (empty || (stats?.isFile() && stats.size > 0)) found.push(key);
      if (!pace.due) return;
      await pace.rest();
      signal?.throwIfAborted();
    };
    const folders = [""];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const path = folder === "" ? this.directory : `${this.directory}/${folder}`;
      for await (const entry of entriesOf(path)) {
        const text = folder === "" ? entry.name : `${folder}/${entry.name}`;
        if (!isEncodedKey(text)) continue;
        if (entry.isDirectory()) folders.push(text);
        else await consider(text, false);
      }
    }
    for (const key of await this.#keysAside()) await consider(key, true);
    return found;
  }

  /**
   * Whether the directory, in which no store has been, has files that look like keys. Python's partd
   * leaves its lock beside the files that it writes.
   */
  async #holdsOthers(): Promise<boolean> {
    let names: string[];
    try {
      names = await this.#disk.readdir(this.directory);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw error;
    }
    return names.some(isEncodedKey) && !names.includes(PYTHON_LOCK);
  }

  /** @throws `ERR_PARTD_IO` if a LogStore is there: its segments would pass for keys, and go with `drop()`. */
  async #refuseLog(): Promise<void> {
    if (!(await this.#disk.exists(join(this.directory, LOG)))) return;
    throw new PartdError(
      "ERR_PARTD_IO",
      `${this.directory} is a data set of a LogStore, whose files a FileStore would take for keys; open it with LogStore, or choose another directory.`,
      { path: this.directory },
    );
  }

  /**
   * Makes a data set beside the files that are there, and notes that. The folder appears with its note in
   * it, because another process may do the same.
   */
  async #adopt(): Promise<void> {
    const draft = join(this.directory, `.partd~${uniqueToken()}`);
    await this.#disk.makeFolder(draft);
    try {
      const text =
        "The directory held other files before: drop() is refused while this file is here.\n";
      await this.#disk.writeText(join(draft, ADOPTED), text, this.#fsync);
      await this.#disk.rename(draft, this.own(""));
    } catch (error) {
      rmSync(draft, { recursive: true, force: true });
      if (!(await this.#disk.exists(this.own("")))) throw error;
    }
  }

  #checkFolders(key: string): void {
    for (let i = key.indexOf("/"); i >= 0; i = key.indexOf("/", i + 1)) {
      const folder = key.slice(0, i);
      if (this.#checked.has(folder)) continue;
      refuseLink(`${this.directory}/${folder}`);
      if (this.#checked.size >= MOST_CHECKED) this.#checked.clear();
      this.#checked.add(folder);
    }
  }

  async #keysAside(): Promise<string[]> {
    if (!this.#hasAside) return [];
    const keys: string[] = [];
    for (const name of await this.#disk.readdir(this.#aside)) {
      if (!/^[0-9a-f]{64}$/.test(name)) continue;
      const path = join(this.#aside, name);
      const key = await this.#keyOf(path);
      if (key !== undefined && digest(key) === name && isEncodedKey(key)) keys.push(key);
      else if (((await this.#disk.stat(path))?.size ?? 0) > 0) {
        throw new PartdError(
          "ERR_PARTD_CORRUPT",
          `${path} holds the bytes of a key whose name is not in ${path}.key, as it should be, so that the keys cannot be listed. get() of that key still works, and puts nothing right; write the encoded key to that file, or move both away.`,
          { path: `${path}.key` },
        );
      }
    }
    return keys;
  }

  async #keyOf(path: string): Promise<string | undefined> {
    try {
      return await this.#disk.readText(`${path}.key`, LONGEST_KEY);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  async #createAside(key: string): Promise<number> {
    const path = this.path(key, true);
    if (!this.#hasAside) {
      await this.#disk.makeFolder(this.#aside);
      this.#hasAside = true;
    }
    // Write the name first: bytes without one could not be listed.
    await this.#disk.writeText(`${path}.key`, key, this.#fsync);
    return this.#disk.open(path, CREATE);
  }

  async #removeAside(key: string, discard: (path: string) => Promise<boolean>): Promise<void> {
    const path = this.path(key, true);
    await discard(path);
    await discard(`${path}.key`);
  }

  /**
   * Creates the folders of a tuple.
   *
   * @returns false if one is impossible, because a file is in its place or its name is too long.
   */
  async #makeFolders(key: string): Promise<boolean> {
    try {
      for (const folder of this.foldersOf(key, false).slice(1)) await this.#disk.makeFolder(folder);
      return true;
    } catch (error) {
      if (isUnusable(error)) return false;
      throw error;
    }
  }

  async #prune(key: string): Promise<void> {
    for (let i = key.lastIndexOf("/"); i > 0; i = key.lastIndexOf("/", i - 1)) {
      try {
        await this.#disk.rmdir(`${this.directory}/${key.slice(0, i)}`);
      } catch {
        return; // Not empty.
      }
    }
  }

  async #openIfThere(path: string, aside: boolean): Promise<Opened | undefined> {
    for (const flags of OPENING) {
      try {
        const readOnly = flags === READ_ONLY;
        return { fd: await this.#disk.open(path, flags), aside, readOnly };
      } catch (error) {
        if (isAbsent(error)) return undefined;
        const isRefused = /^(EACCES|EPERM)$/.test(errnoOf(error) ?? "");
        if (!isRefused || flags === READ_ONLY) throw error;
      }
    }
    return undefined;
  }
}

/** Whether a path inside the directory is a key's. Other files are not the store's. */
export function isEncodedKey(text: string): boolean {
  try {
    decodeKey(text);
    return true;
  } catch {
    return false;
  }
}

/** Reads a few entries at a time, because a folder may hold millions. */
async function* entriesOf(path: string): AsyncGenerator<Dirent, void, undefined> {
  try {
    yield* await promises.opendir(path, { bufferSize: 1024 });
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** The digest of an encoded key, which is ASCII. */
function digest(key: string): string {
  return createHash("sha256").update(key, "latin1").digest("hex");
}

/** Written where a data set is made in a directory that holds other files. */
const ADOPTED = "adopted";
const PYTHON_LOCK = ".lock";
/** The folder of a LogStore. */
const LOG = ".partd-log";
const READ_ONLY = constants.O_RDONLY | STRICT;
const READ_WRITE = constants.O_RDWR | STRICT;
/**
 * Without this flag, a file's first read updates its access time, which costs as much as the read.
 */
const NOATIME = constants.O_NOATIME ?? 0;
/** How a file is opened, until one is allowed: only its owner may use `O_NOATIME`. */
const OPENING = [READ_WRITE | NOATIME, READ_WRITE, READ_ONLY];
const CREATE = READ_WRITE | constants.O_CREAT;
/** The most folders that are remembered, which take 2 MB. */
const MOST_CHECKED = 16_384;
/** In bytes. No store writes a longer key. */
const LONGEST_KEY = 2 ** 28;
