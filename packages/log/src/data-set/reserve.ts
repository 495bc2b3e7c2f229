import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { writeAllSync } from "@partd/disk";

/**
 * A file of zeros that is given up when the disk is full, so that what is deleted can be recorded:
 * a disk could not be emptied otherwise. It is made again with the next segment.
 */
export class Reserve {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes the file if it is not there. On a disk that is full there is none. */
  make(): void {
    if (existsSync(this.#path)) return;
    try {
      const fd = openSync(this.#path, "wx");
      try {
        writeAllSync(fd, Buffer.alloc(RESERVED_BYTES), 0);
      } finally {
        closeSync(fd);
      }
    } catch {
      this.#giveUp();
    }
  }

  /** Runs `work`, and if the disk is full once more with the reserve's space, if it `mayRepeat`. */
  async spend<T>(work: () => Promise<T>, mayRepeat: () => boolean = () => true): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isFull(error) || !mayRepeat() || !this.#giveUp()) throw error;
      return work();
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

/** What the deletion of some thousand keys takes, and many lines of the manifest. */
const RESERVED_BYTES = 64 * 1024;

function isFull(error: unknown): boolean {
  const { code } = ((error as Error | undefined)?.cause ?? error) as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}
