import { constants, fstatSync, openSync } from "node:fs";
import { isOutOfFiles } from "@partd/disk";

/** A file that is kept open for its next read. */
export interface OpenFile {
  /**
   * Closes the file, unless it is being read or could not be opened again.
   *
   * @param scarce whether the process has no descriptor left: then files that are needed soon are
   *   closed too.
   */
  rest(scarce: boolean): void;
}

/** Opens a file; if the process has no descriptor left, first closes idle ones. */
export function openOrMakeRoom(path: string, flags: "r" | "wx" | "wx+"): number {
  const mode = flags === "r" ? READ : flags;
  try {
    return openSync(path, mode);
  } catch (error) {
    if (!isOutOfFiles(error)) throw error;
    // Keep fewer open from now on.
    mostOpen = Math.min(mostOpen, open.size >> 1);
    closeIdle();
    return openSync(path, mode);
  }
}

/** Notes that a file is open, until {@link forget}. */
export function remember(file: OpenFile): void {
  open.add(file);
}

export function forget(file: OpenFile): void {
  open.delete(file);
}

/** Whether more files are open than are kept for the next read. */
export function areTooManyOpen(): boolean {
  return open.size > mostOpen;
}

/** Closes files that are not being read. @returns whether there were any. */
export function closeIdle(): boolean {
  const before = open.size;
  for (const file of open) file.rest(true);
  return open.size < before;
}

/** Whether the file still has a name by which it can be opened again. */
export function isNamed(fd: number): boolean {
  return fstatSync(fd).nlink > 0;
}

/** Does not wait for the other end if a named pipe is in the place of a file. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** The open files of this process, and how many of them it keeps for the next read. */
const open = new Set<OpenFile>();
let mostOpen = 256;
