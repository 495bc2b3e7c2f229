import {
  createReadStream,
  createWriteStream,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { NAMES_TABLE } from "./part-names.js";
import type { UnfinishedRun } from "./unfinished-run.js";

/**
 * Moves the complete files of a run to the directory `out`: by one rename if that is new, otherwise one
 * by one. With `append` a file's bytes are added to the existing file of its name. The length of each
 * existing file is noted first, so that a run that is killed here can be resumed: its files are cut
 * back to that.
 */
export async function place(
  run: UnfinishedRun,
  out: string,
  { append, stale }: Placing,
): Promise<void> {
  const { parts } = run;
  if (!isPlacing(run)) {
    if (isEmpty(out)) {
      if (existsSync(out)) rmdirSync(out);
      renameSync(parts, out);
      return;
    }
    noteLengths(run, out, stale);
  }
  for (const { name, length, isStale } of notedLengths(run)) {
    const part = join(parts, name);
    const target = join(out, name);
    if (isStale) await rm(target, { force: true });
    if (!existsSync(part)) continue; // In place already.
    if (length === undefined || !append || name === NAMES_TABLE) {
      await rename(part, target);
      continue;
    }
    truncateSync(target, length);
    await pipeline(createReadStream(part), createWriteStream(target, { flags: "a" }));
    await rm(part);
  }
}

export interface Placing {
  readonly append: boolean;
  /** Files of `out` that are to go. */
  readonly stale: readonly string[];
}

/** Whether the run's files are complete; some may already be in place. */
export function isPlacing(run: UnfinishedRun): boolean {
  return existsSync(run.path(LENGTHS));
}

interface Length {
  readonly name: string;
  /** Bytes of the existing file of the same name; `undefined` if there is none. */
  readonly length?: number | undefined;
  /** Whether it is no file of the run, and goes. */
  readonly isStale?: true;
}

function noteLengths(run: UnfinishedRun, out: string, stale: readonly string[]): void {
  const lines = readdirSync(run.parts).map((name) => {
    const note: Length = {
      name,
      length: statSync(join(out, name), { throwIfNoEntry: false })?.size,
    };
    return `${JSON.stringify(note)}\n`;
  });
  for (const name of stale) {
    const note: Length = { name, isStale: true };
    lines.push(`${JSON.stringify(note)}\n`);
  }
  // The note counts once it has its name; by then it is whole.
  writeFileSync(run.path(`${LENGTHS}.draft`), lines.join(""), { flush: true });
  renameSync(run.path(`${LENGTHS}.draft`), run.path(LENGTHS));
}

function notedLengths(run: UnfinishedRun): Length[] {
  const lines = readFileSync(run.path(LENGTHS), "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Length);
}

function isEmpty(directory: string): boolean {
  try {
    return readdirSync(directory).length === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw error;
  }
}

const LENGTHS = "placing.ndjson";
