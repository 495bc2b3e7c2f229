import fs from "node:fs";
import { PartdError } from "@partd/core";
import { errnoOf } from "./system-error.js";
import { closeFile } from "./transfer.js";

/**
 * The directory that a path led to when it was first used. It is kept open, so that no other
 * directory gets its number, on any file system.
 */
export class Anchor {
  readonly #path: string;
  readonly #directory: string;
  readonly #makeAgain: (() => Promise<void>) | undefined;
  #fd = -1;
  #checkedAt = 0;

  /**
   * @param directory the data set that it belongs to, for messages.
   * @param makeAgain makes the directory if it was removed; what it makes then counts.
   */
  constructor(path: string, directory: string, makeAgain?: () => Promise<void>) {
    this.#path = path;
    this.#directory = directory;
    this.#makeAgain = makeAgain;
  }

  /**
   * @throws `ERR_PARTD_IO` if the path now leads to nothing, or to another directory: writing there would
   *   begin a second data set beside the moved one.
   */
  async check(): Promise<void> {
    if (this.#makeAgain && this.#isRemoved) {
      this.close();
      await this.#makeAgain();
    }
    if (this.#fd < 0 && !this.#cast()) return;
    if (this.#holds()) return;
    throw new PartdError(
      "ERR_PARTD_IO",
      `${this.#directory} was moved or removed while the store was open, so nothing was done. Put it back, or close the store and open one where the data set is now.`,
      { path: this.#directory },
    );
  }

  /** Whether the path still leads to the directory, or did so a few milliseconds ago. */
  get holds(): boolean {
    if (this.#fd < 0 || performance.now() - this.#checkedAt < CHECK_MS) return true;
    return this.#holds();
  }

  close(): void {
    if (this.#fd >= 0) closeFile(this.#fd);
    this.#fd = -1;
  }

  /** Whether it was removed, not moved. */
  get #isRemoved(): boolean {
    return this.#fd >= 0 && fs.fstatSync(this.#fd).nlink === 0;
  }

  /** Opens the directory. @returns false if the system cannot do that, so there is nothing to compare. */
  #cast(): boolean {
    try {
      this.#fd = fs.openSync(this.#path, DIRECTORY);
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return true;
      if (process.platform === "win32") return false; // Not every directory can be opened there.
      throw error;
    }
  }

  #holds(): boolean {
    if (this.#fd < 0) return false;
    const there = fs.statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    const own = fs.fstatSync(this.#fd, { bigint: true });
    this.#checkedAt = performance.now();
    return there?.ino === own.ino && there.dev === own.dev;
  }
}

const { O_RDONLY, O_DIRECTORY = 0, O_NONBLOCK = 0 } = fs.constants;
/** Does not wait for the other end if a named pipe is in the place of the directory. */
const DIRECTORY = O_RDONLY | O_DIRECTORY | O_NONBLOCK;
/** A look takes 5 µs, and a small append 15. */
const CHECK_MS = 5;
