import { createHash } from "node:crypto";
import { constants, openSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { decodeKey } from "@partd/core";
import { errnoOf, type Steps } from "./disk.js";
import { exists, isAbsent, isUnusable, readText, unlinkIfThere, writeText } from "./file-steps.js";

/** A key's file, open, and which of its two possible places it is in. */
export interface Opened {
  readonly fd: number;
  readonly aside: boolean;
  /** Whether the file may only be read. */
  readonly readOnly?: boolean;
}

/**
 * Where things lie in a store's directory. A key's bytes are in `<directory>/<encoded key>`, a
 * tuple's parts being folders. Where that cannot be, because `x` is a key of its own besides
 * `tuple("x", "y")` or a name is too long for the file system, they are in
 * `.partd/aside/<SHA-256 of the encoded key>`, beside a `.key` file that holds the encoded key.
 *
 * All steps here are for whoever holds the lock. A key is only ever in one of the places.
 */
export class Layout {
  readonly directory: string;
  readonly #aside: string;
  readonly #fsync: boolean;
  #hasAside = false;

  /** @param fsync whether what it writes itself is to be brought to the disk at once. */
  constructor(directory: string, fsync: boolean) {
    this.directory = directory;
    this.#fsync = fsync;
    this.#aside = this.own("aside");
  }

  /** The path of one of the store's own files. */
  own(name: string): string {
    return join(this.directory, ".partd", name);
  }

  path(key: string, aside: boolean): string {
    return aside ? join(this.#aside, digest(key)) : `${this.directory}/${key}`;
  }

  /** Makes the directory, if there is none. */
  *make(): Steps<void> {
    yield ["mkdir", this.own(""), { recursive: true }];
  }

  /** To be run when the lock was taken: another process may have put keys aside. */
  *refresh(): Steps<void> {
    this.#hasAside = yield* exists(this.#aside);
  }

  /** Opens a key's file for reading and, if that is allowed, writing; nothing if it is not there. */
  *open(key: string): Steps<Opened | undefined> {
    return (
      (yield* openIfThere(this.path(key, false), false)) ??
      (this.#hasAside ? yield* openIfThere(this.path(key, true), true) : undefined)
    );
  }

  /** The same in this thread, if it is in its usual place; -1 if not. */
  openHere(key: string): number {
    try {
      return openSync(`${this.directory}/${key}`, READ_WRITE | NOATIME);
    } catch {
      return -1;
    }
  }

  /** Opens a key's file for reading and writing, and makes an empty one if there is none. */
  *openOrCreate(key: string): Steps<Opened> {
    if (this.#hasAside) {
      const opened = yield* this.open(key);
      if (opened && !opened.readOnly) return opened;
      if (opened) yield ["close", opened.fd];
    }
    const path = this.path(key, false);
    for (let attempt = 0; ; attempt++) {
      try {
        return { fd: (yield ["open", path, CREATE, 0o666]) as number, aside: false };
      } catch (error) {
        if (errnoOf(error) === "ENOENT" && attempt === 0 && key.includes("/")) {
          if (yield* this.#makeFolder(dirname(path))) continue;
        } else if (!isUnusable(error)) throw error;
        return { fd: yield* this.#createAside(key), aside: true };
      }
    }
  }

  /** Removes a key's file, and the folders of its tuple that are empty then. */
  *remove(key: string): Steps<boolean> {
    if (yield* unlinkIfThere(this.path(key, false))) {
      yield* this.#prune(key);
      return true;
    }
    return this.#hasAside ? yield* this.#removeAside(key) : false;
  }

  /** Removes what an append that failed has created. */
  *removeAt(key: string, aside: boolean): Steps<void> {
    if (aside) yield* this.#removeAside(key);
    else if (yield* unlinkIfThere(this.path(key, false))) yield* this.#prune(key);
  }

  /** The folders whose entries change when a key's file is created: its own, and those above. */
  foldersOf(key: string, aside: boolean): string[] {
    if (aside) return [this.#aside, this.own(""), this.directory];
    const folders = [this.directory];
    for (let i = key.indexOf("/"); i >= 0; i = key.indexOf("/", i + 1)) {
      folders.push(`${this.directory}/${key.slice(0, i)}`);
    }
    return folders;
  }

  /** The path of a folder of tuples, given as the beginning of an encoded key; all for "". */
  folder(text: string): string {
    return text === "" ? this.directory : `${this.directory}/${text}`;
  }

  /** The keys that lie aside. */
  *listAside(): Steps<string[]> {
    if (!this.#hasAside) return [];
    const keys: string[] = [];
    for (const name of (yield ["readdir", this.#aside]) as string[]) {
      if (!name.endsWith(".key")) continue;
      const key = yield* readText(join(this.#aside, name));
      if (`${digest(key)}.key` === name) keys.push(key);
    }
    return keys;
  }

  /** Length of a key's file in bytes; none is none. */
  *lengthOf(key: string, aside: boolean): Steps<number> {
    const stats = (yield ["stat", this.path(key, aside), QUIET]) as Stats | undefined;
    return stats?.isFile() ? stats.size : 0;
  }

  *#createAside(key: string): Steps<number> {
    const path = this.path(key, true);
    if (!this.#hasAside) {
      yield ["mkdir", this.#aside, { recursive: true }];
      this.#hasAside = true;
    }
    // The name first: bytes without one could not be listed.
    yield* writeText(`${path}.key`, key, this.#fsync);
    return (yield ["open", path, CREATE, 0o666]) as number;
  }

  *#removeAside(key: string): Steps<boolean> {
    const path = this.path(key, true);
    const removed = yield* unlinkIfThere(path);
    yield* unlinkIfThere(`${path}.key`);
    return removed;
  }

  /** @returns false where the folder cannot be, since one of its parts is a file or too long. */
  *#makeFolder(path: string): Steps<boolean> {
    try {
      yield ["mkdir", path, { recursive: true }];
      return true;
    } catch (error) {
      if (isUnusable(error) || errnoOf(error) === "EEXIST") return false;
      throw error;
    }
  }

  *#prune(key: string): Steps<void> {
    for (let i = key.lastIndexOf("/"); i > 0; i = key.lastIndexOf("/", i - 1)) {
      try {
        yield ["rmdir", `${this.directory}/${key.slice(0, i)}`];
      } catch {
        return; // Not empty.
      }
    }
  }
}

/** Whether a path inside the directory is one that a key has; anything else is not ours. */
export function isEncodedKey(text: string): boolean {
  try {
    decodeKey(text);
    return true;
  } catch {
    return false;
  }
}

function* openIfThere(path: string, aside: boolean): Steps<Opened | undefined> {
  try {
    return { fd: (yield ["open", path, READ_WRITE | NOATIME]) as number, aside };
  } catch (error) {
    if (isAbsent(error)) return undefined;
    const code = errnoOf(error);
    if (code !== "EACCES" && code !== "EPERM") throw error;
  }
  try {
    // Without what only a file's owner may ask for.
    return { fd: (yield ["open", path, READ_WRITE]) as number, aside };
  } catch (error) {
    if (errnoOf(error) !== "EACCES") throw error;
  }
  return { fd: (yield ["open", path, READ_ONLY]) as number, aside, readOnly: true };
}

/** Encoded keys are ASCII. */
function digest(key: string): string {
  return createHash("sha256").update(key, "latin1").digest("hex");
}

/** Never waits for the other end, should a named pipe be in the place of a key's file. */
const NONBLOCK = constants.O_NONBLOCK ?? 0;
const READ_ONLY = constants.O_RDONLY | NONBLOCK;
const READ_WRITE = constants.O_RDWR | NONBLOCK;
/** The first read of a file would write down when it was, which costs as much as the read. */
const NOATIME = constants.O_NOATIME ?? 0;
const CREATE = READ_WRITE | constants.O_CREAT;
const QUIET = { throwIfNoEntry: false } as const;
