import { rmSync } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDead, newToken, TOKEN } from "./process-token.js";

/** The path of a new directory for a store without a path. Its name says whose it is. */
export function temporaryPath(): string {
  return join(tmpdir(), `${PREFIX}${newToken()}`);
}

/** Makes a temporary directory, which goes when the process ends if not before. */
export async function makeTemporary(path: string): Promise<void> {
  await removeAbandoned();
  await mkdir(path, { recursive: true, mode: 0o700 });
  if (present.size === 0) process.on("exit", removePresent);
  present.add(path);
}

export async function removeTemporary(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
  present.delete(path);
  if (present.size === 0) process.off("exit", removePresent);
}

/** Removes the directories of processes that ended without a chance to do so themselves. */
async function removeAbandoned(): Promise<void> {
  const names = await readdir(tmpdir());
  for (const name of names) {
    if (!name.startsWith(PREFIX)) continue;
    const token = name.slice(PREFIX.length);
    if (!TOKEN.test(token) || !isDead(token)) continue;
    try {
      await rm(join(tmpdir(), name), { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // Another user's, or another process is removing it, too.
    }
  }
}

/** What this process has at present. */
const present = new Set<string>();

function removePresent(): void {
  for (const path of present) {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // The next temporary store tries again.
    }
  }
}

const PREFIX = "partd-file.";
