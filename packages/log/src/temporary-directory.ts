import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mayRun, processToken } from "./process-token.js";

/** A directory that goes with `remove()`, with the process, or after a crash with the next one. */
export interface TemporaryDirectory {
  readonly path: string;
  remove(): void;
}

export function makeTemporaryDirectory(): TemporaryDirectory {
  removeAbandoned();
  const path = mkdtempSync(join(tmpdir(), `${PREFIX}${processToken()}-`));
  if (current.size === 0) process.on("exit", removeAll);
  current.add(path);
  return {
    path,
    remove() {
      rmSync(path, { recursive: true, force: true });
      current.delete(path);
      if (current.size === 0) process.off("exit", removeAll);
    },
  };
}

const PREFIX = "partd-log-";
const current = new Set<string>();

function removeAll(): void {
  for (const path of current) rmSync(path, { recursive: true, force: true });
}

/** Those of processes that are gone. */
function removeAbandoned(): void {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(PREFIX) || mayRun(name.slice(PREFIX.length))) continue;
    try {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // Another user's, or another process was faster.
    }
  }
}
