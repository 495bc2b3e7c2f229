import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { nearest } from "@partd/core/author";
import { UsageError } from "../command/failure.js";

/**
 * The files that arguments name: existing names, and globs that the shell has not expanded, in order of
 * their names. `-` is standard input.
 *
 * @throws `UsageError` for a name or glob that matches nothing.
 */
export async function expandInputs(words: readonly string[]): Promise<string[]> {
  const paths: string[] = [];
  for (const word of words) {
    if (word === "-") {
      if (paths.includes("-")) throw new UsageError("standard input (-) can be read only once");
      paths.push(word);
      continue;
    }
    if (word === "") throw new UsageError("the name of an input is empty; is a variable unset?");
    // The name of a file may look like a glob: "events[1].ndjson".
    const found = await stat(word).catch((error: NodeJS.ErrnoException) => {
      if (NOT_THERE.has(error.code ?? "")) return undefined;
      throw new UsageError(`${word} cannot be read: ${error.message}`);
    });
    if (found?.isDirectory()) {
      throw new UsageError(`${word} is a directory; for its files write '${join(word, "*")}'`);
    }
    if (found !== undefined) paths.push(word);
    else paths.push(...(await globbed(word)));
  }
  return paths;
}

/** A glob may be longer than a name can be. */
const NOT_THERE: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ENAMETOOLONG"]);

/** What an input is called in messages. */
export function nameOf(path: string): string {
  return path === "-" ? "standard input" : path;
}

/** What shows that an input has changed: its size and time of change. */
export function statesOf(paths: readonly string[]): Promise<unknown[]> {
  const states = paths.map(async (path) => {
    if (path === "-") return { path };
    const { size, mtimeMs } = await stat(path);
    return { path: resolve(path), size, mtimeMs };
  });
  return Promise.all(states);
}

async function globbed(word: string): Promise<string[]> {
  const { glob, isDynamicPattern } = await import("tinyglobby"); // Takes 10 ms to load.
  if (!isDynamicPattern(word)) throw new UsageError(await notThere(word));
  const pattern = process.platform === "win32" ? word.replaceAll("\\", "/") : word;
  const paths = await glob(pattern, { dot: false, onlyFiles: true, expandDirectories: false });
  if (paths.length === 0) throw new UsageError(`no file matches ${word}`);
  return paths.sort();
}

async function notThere(path: string): Promise<string> {
  if (/^[a-z][a-z\d+.-]+:\/\//i.test(path)) {
    return `${path} is an address, and files are read: pipe it in, as curl -s URL | partd … --from csv does`;
  }
  const names = await readdir(dirname(path)).catch(() => []);
  const near = nearest(basename(path), names);
  const hint = near === undefined ? "" : `; did you mean ${join(dirname(path), near)}?`;
  return `there is no file ${path}${hint}`;
}
