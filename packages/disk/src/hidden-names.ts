import { createHash } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { stateOf, uniqueToken } from "./token.js";

/**
 * The beginning of the hidden names beside an output, for what is not complete. A long name is cut
 * and gets a digest, so that what follows fits into the 255 bytes that a file name may have.
 */
export function hiddenStart(output: string): string {
  const path = resolve(output);
  const name = Buffer.from(basename(path));
  if (name.byteLength <= LONGEST) return join(dirname(path), `.${name}`);
  // The cut may have left half a character.
  const cut = String(name.subarray(0, LONGEST)).replace(/\uFFFD+$/, "");
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 8);
  return join(dirname(path), `.${cut}~${digest}`);
}

/** A name of this process's own: {@link removeLeft} removes what has it once the process has ended. */
export function ownName(start: string, ending: string): string {
  return `${start}.${uniqueToken()}${ending}`;
}

/** Removes what processes that were killed have left under names of their own. */
export function removeLeft(start: string, ending: string): void {
  const directory = dirname(start);
  const prefix = `${basename(start)}.`;
  for (const name of namesIn(directory)) {
    if (!name.startsWith(prefix) || !name.endsWith(ending)) continue;
    const token = name.slice(prefix.length, -ending.length).replace(/-[^-]*$/, "");
    if (stateOf(token) === "ended") {
      rmSync(join(directory, name), { recursive: true, force: true });
    }
  }
}

/** None if the directory cannot be read: the first write there will fail and say why. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** In bytes. */
const LONGEST = 120;
