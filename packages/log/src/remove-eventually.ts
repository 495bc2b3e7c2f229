import { rmSync } from "node:fs";

/**
 * Removes a file that others take as a sign of us; if that fails, again and again until it is gone
 * or meant again. Never throws: what has ended well must not fail for it.
 */
export function removeEventually(path: string, isMeant: () => boolean, wait = 20): void {
  try {
    if (!isMeant()) rmSync(path, { force: true });
  } catch {
    const next = Math.min(2 * wait, LONGEST_WAIT_MS);
    // The end of the process makes it void, too.
    setTimeout(() => removeEventually(path, isMeant, next), wait).unref();
  }
}

const LONGEST_WAIT_MS = 1000;
