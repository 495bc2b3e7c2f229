import { createHash } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { stateOf, uniqueToken } from "./token.js";

/**
 * The path of an output with a hidden name: files that are not complete have names that begin so. A long
 * name is cut and gets a digest, so that what follows fits into the 255 bytes of a file name.
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

/** A path with this process's token: once the process has ended, {@link removeLeft} removes the file. */
export function ownName(start: string, ending: string): string {
  return `${start}.${uniqueToken()}${ending}`;
}

/** Removes what killed processes have left at paths of {@link ownName}. */
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

/** An unreadable directory seems empty: the first write there will fail and say why. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** In bytes. */
const LONGEST = 120;
