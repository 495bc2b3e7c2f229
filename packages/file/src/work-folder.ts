import fs, { constants } from "node:fs";
import { join } from "node:path";
import { errnoOf, type Lease } from "@partd/disk";
import { type Disk, isUnusable } from "./disk.js";
import type { Layout } from "./layout.js";

/**
 * `.partd/work-<token of the lease>/`. Names are changed only through this folder, so that a holder
 * that lost the lock unawares can change none: whoever passes over a holder removes its folder, and
 * its late renames then fail. The folder is created when first needed.
 */
export class WorkFolder {
  readonly #disk: Disk;
  readonly #layout: Layout;
  #made: string | undefined;

  constructor(disk: Disk, layout: Layout) {
    this.#disk = disk;
    this.#layout = layout;
  }

  /** The path of a file in the folder. */
  async file(lease: Lease, name: string): Promise<string> {
    return join(await this.#make(lease), name);
  }

  /** Removes a file by renaming it into the folder. @returns false if it is missing. */
  async discard(lease: Lease, path: string): Promise<boolean> {
    let trash: string;
    try {
      trash = join(await this.#make(lease), TRASH);
    } catch (error) {
      if (errnoOf(error) !== "ENOSPC" && errnoOf(error) !== "EDQUOT") throw error;
      lease.verify(); // A full disk has no room for a folder, but must be able to delete.
      return this.#disk.unlinkIfThere(path);
    }
    try {
      // The rename replaces the last discarded file: one call for each file, as with unlink.
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

  /** Call this when the lease is released. */
  remove(): void {
    if (this.#made) tryRemove(this.#made);
    this.#made = undefined;
  }

  /** Removes the work folders of others. Call this when a holder was passed over. */
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
    await this.#disk.makeFolder(path);
    this.#made = path;
    try {
      // A folder cannot be renamed over a file: this keeps a tuple's folder from being discarded as
      // a key's file.
      const flags = constants.O_WRONLY | constants.O_CREAT;
      await this.#disk.close(await this.#disk.open(join(path, TRASH), flags));
      // It was created while the lock was ours, so it is removed when the lock is lost.
      lease.verify();
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
    // The next process that takes the lock from a dead one removes it.
  }
}

const PREFIX = "work-";
const TRASH = "trash";
