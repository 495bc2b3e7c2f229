import { existsSync, openSync, rmSync } from "node:fs";
import { closeFile, writeAllSync } from "@partd/disk";

/**
 * A file of zeros that is removed when the disk is full, so that there is space to record
 * deletions: without it a full disk could not be emptied. The next segment makes it again.
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
        closeFile(fd);
      }
    } catch {
      this.#giveUp();
    }
  }

  /** Runs `work`. If the disk is full, and `mayRepeat`, runs it again with the reserve's space. */
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

/** Enough to delete some thousand keys, and for many lines of the manifest. */
const RESERVED_BYTES = 64 * 1024;

function isFull(error: unknown): boolean {
  const { code } = ((error as Error | undefined)?.cause ?? error) as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}
