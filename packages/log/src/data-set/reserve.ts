import { constants, fstatSync, openSync, rmSync, writeSync } from "node:fs";
import { closeFile } from "@partd/disk";

/**
 * A file of zeros that is removed when the disk is full, so that there is space to record deletions:
 * without it a full disk could not be emptied. Any space that is left is reserved again at once, before
 * other programs take it.
 */
export class Reserve {
  readonly #path: string;
  /** How many calls of `spend` are using the space. */
  #spending = 0;
  /** Whether the disk had too little room for the whole reserve. */
  #isShort = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes the file as long as it should be, or as long as the disk allows. */
  make(): void {
    if (this.#spending > 0) return;
    let length = 0;
    try {
      const fd = openSync(this.#path, APPEND, 0o666);
      try {
        const stats = fstatSync(fd);
        // In a data set from elsewhere this may be a link to another file of the user's.
        if (!stats.isFile() || stats.nlink > 1) throw new Error("another file is in its place");
        length = stats.size;
        for (let count = 1; count > 0 && length < RESERVED_BYTES; length += count) {
          count = writeSync(fd, Buffer.alloc(RESERVED_BYTES - length));
        }
      } finally {
        closeFile(fd);
      }
    } catch {
      if (length === 0) this.#giveUp(); // On a full disk it is shorter.
    }
    this.#isShort = length < RESERVED_BYTES;
  }

  /**
   * Runs `work`; if the disk is full, runs it again with the reserve's space. If the disk was full
   * before, `work` gets the space at once, because an append that fails would end its segment.
   *
   * @param mayRepeat whether `work` can be run again; then it is first tried without the space.
   */
  async spend<T>(work: () => Promise<T>, mayRepeat?: () => boolean): Promise<T> {
    if (!this.#isShort || mayRepeat) {
      try {
        return await work();
      } catch (error) {
        if (mayRepeat?.() === false || !isFull(error) || !this.#giveUp()) throw error;
      }
    } else this.#giveUp();
    this.#spending++;
    try {
      return await work();
    } finally {
      this.#spending--;
      this.make();
    }
  }

  #giveUp(): boolean {
    try {
      rmSync(this.#path);
      return true;
    } catch {
      return false;
    }
  }
}

const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
/** Does not follow a symbolic link, or wait for the other end of a named pipe. */
const APPEND = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
/** Enough to delete some thousand keys, and for many lines of the manifest. */
const RESERVED_BYTES = 64 * 1024;

function isFull(error: unknown): boolean {
  const { code } = ((error as Error | undefined)?.cause ?? error ?? {}) as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}
