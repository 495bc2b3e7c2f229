import fs, { constants } from "node:fs";
import { join } from "node:path";
import { errnoOf, type Lease } from "@partd/disk";
import { type Disk, isUnusable } from "./disk.js";
import type { Layout } from "./layout.js";

/**
 * `.partd/work-<token of the lease>/`: by way of it names are changed, so that a holder that lost the
 * lock without knowing can change none. Whoever passes over a holder removes its folder, and a rename
 * out of it or into it then fails, however late it comes. It is made when it is first needed.
 */
export class WorkFolder {
  readonly #disk: Disk;
  readonly #layout: Layout;
  #made: string | undefined;

  constructor(disk: Disk, layout: Layout) {
    this.#disk = disk;
    this.#layout = layout;
  }

  /** The path of a file in it. */
  async file(lease: Lease, name: string): Promise<string> {
    return join(await this.#make(lease), name);
  }

  /** Removes a file by way of the folder. @returns false if there is none. */
  async discard(lease: Lease, path: string): Promise<boolean> {
    let trash: string;
    try {
      trash = join(await this.#make(lease), TRASH);
    } catch (error) {
      if (errnoOf(error) !== "ENOSPC" && errnoOf(error) !== "EDQUOT") throw error;
      lease.verify(); // A full disk has no room for a folder, and must not stay full for that.
      return this.#disk.unlinkIfThere(path);
    }
    try {
      // What was there before goes with it: one call for each file, as if it was unlinked.
      await this.#disk.rename(path, trash);
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") {
        if (await this.#disk.exists(trash)) return false;
        lease.verify();
        throw error;
      }
      if (isUnusable(error)) return false;
      if (errnoOf(error) !== "EXDEV" && errnoOf(error) !== "EPERM") throw error;
      lease.verify(); // A folder of keys may be on another file system.
      return this.#disk.unlinkIfThere(path);
    }
  }

  /** To be called when the lease is released. */
  remove(): void {
    if (this.#made) tryRemove(this.#made);
    this.#made = undefined;
  }

  /** Removes those of others: to be called when a holder was passed over. */
  async removeOthers(): Promise<void> {
    for (const name of await this.#disk.readdir(this.#layout.own(""))) {
      const path = this.#layout.own(name);
      if (name.startsWith(PREFIX) && path !== this.#made) {
        fs.rmSync(path, { recursive: true, force: true });
      }
    }
  }

  async #make(lease: Lease): Promise<string> {
    const path = this.#layout.own(PREFIX + lease.token);
    if (this.#made === path) return path;
    this.remove();
    await this.#disk.mkdir(path);
    this.#made = path;
    try {
      // Over a file a folder cannot be renamed: that of a tuple is not to be taken for a key's file.
      const flags = constants.O_WRONLY | constants.O_CREAT;
      await this.#disk.close(await this.#disk.open(join(path, TRASH), flags));
      lease.verify(); // It was made while the lock was ours, so that it goes when it is not.
      return path;
    } catch (error) {
      this.remove();
      throw error;
    }
  }
}

function tryRemove(path: string): void {
  try {
    fs.rmSync(path, { recursive: true, force: true });
  } catch {
    // The next one that takes the lock from a dead process removes it.
  }
}

const PREFIX = "work-";
const TRASH = "trash";
