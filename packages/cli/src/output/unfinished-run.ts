import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { hiddenStart, ownName, pidOf, processToken, removeLeft, stateOf } from "@partd/disk";
import { Failure, UsageError } from "../command/failure.js";
import { NAMES_TABLE } from "./part-names.js";

interface BeginOptions {
  /** Continues an interrupted run. */
  readonly resume: boolean;
  /** Removes what an interrupted run has left. */
  readonly force: boolean;
  /** Called before the remains of an interrupted run are removed. */
  readonly onAnew?: () => void;
}

/**
 * The work of a run whose output is not complete: a hidden directory beside the output, which outlives
 * a kill, so that the next run can continue it. One run at a time owns it. It appears and disappears by
 * one rename each, so a kill leaves it whole or not at all.
 */
export class UnfinishedRun {
  readonly directory: string;
  /** Whether this run continues an interrupted one. */
  readonly resumed: boolean;

  /**
   * @param identity the inputs and options: only the same work can be resumed.
   * @throws `UsageError` if there is an interrupted run, and the options do not say what to do with it.
   */
  static begin(output: string, identity: unknown, options: BeginOptions): UnfinishedRun {
    const directory = UnfinishedRun.directoryOf(output);
    const note = JSON.stringify(identity);
    removeLeft(hiddenStart(output), ASIDE);
    if (existsSync(directory)) {
      refuseLive(directory, output);
      if (options.resume) {
        refuseOther(directory, note, output);
        takeOver(directory, output);
        return new UnfinishedRun(directory, true);
      }
      if (!options.force) {
        throw new UsageError(
          `a run into ${output} was interrupted; --resume goes on with it, --force starts anew`,
        );
      }
      takeOver(directory, output);
      options.onAnew?.();
      remove(directory);
    }
    create(directory, note, output);
    return new UnfinishedRun(directory, false);
  }

  static directoryOf(output: string): string {
    return `${hiddenStart(output)}${ENDING}`;
  }

  private constructor(directory: string, resumed: boolean) {
    this.directory = directory;
    this.resumed = resumed;
  }

  /** The directory for the files of the output. It disappears when it becomes the output. */
  get parts(): string {
    return this.path(PARTS);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Removes everything: the output is complete, or nothing is to be kept. */
  remove(): void {
    remove(this.directory);
  }
}

function create(directory: string, note: string, output: string): void {
  const draft = aside(directory);
  try {
    mkdirSync(draft);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
    throw new UsageError(`there is no directory ${dirname(resolve(output))} for ${output}`);
  }
  mkdirSync(join(draft, PARTS));
  writeFileSync(join(draft, IDENTITY), note);
  writeFileSync(join(draft, `${OWNER}${processToken()}`), "");
  try {
    renameSync(draft, directory);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    refuseLive(directory, output);
    throw error;
  }
}

/** Makes this process the owner. Of two that try at once, one finds that the owner's file has been renamed. */
function takeOver(directory: string, output: string): void {
  const mine = join(directory, `${OWNER}${processToken()}`);
  try {
    renameSync(join(directory, `${OWNER}${ownerOf(directory)}`), mine);
  } catch (error) {
    refuseLive(directory, output);
    throw error;
  }
}

function remove(directory: string): void {
  if (!existsSync(directory)) return; // It went with the folder that it was in.
  const removed = aside(directory);
  renameSync(directory, removed);
  rmSync(removed, { recursive: true, force: true });
}

function refuseLive(directory: string, output: string): void {
  const owner = ownerOf(directory);
  if (owner === "" || owner === processToken()) return;
  const state = stateOf(owner);
  if (state !== "running" && state !== "hidden") return;
  throw new Failure(
    `another partd${state === "running" ? ` (process ${pidOf(owner)})` : ""} is writing ${output}; wait for it, or end it`,
  );
}

function refuseOther(directory: string, note: string, output: string): void {
  const before = readFileSync(join(directory, IDENTITY), "utf8");
  if (before === note) return;
  throw new UsageError(
    `the run into ${output} that was interrupted had other options, or its inputs have changed since; --force starts anew`,
  );
}

function ownerOf(directory: string): string {
  const name = readdirSync(directory).find((one) => one.startsWith(OWNER));
  return name?.slice(OWNER.length) ?? "";
}

/** A name of this process for a directory that is not a run yet, or no longer. */
function aside(directory: string): string {
  return ownName(directory.slice(0, -ENDING.length), ASIDE);
}

const PARTS = "parts";
const IDENTITY = "run.json";
const OWNER = "owner-";
const ENDING = ".partial";
const ASIDE = ".aside";

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
    // An empty directory stays: it may be where a shell stands, and has an owner and a mode.
    if (!existsSync(out)) return renameSync(parts, out);
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

interface Placing {
  readonly append: boolean;
  /** Files of `out` that are removed. */
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
  /** Whether it is a file of an earlier split, which is removed. */
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

const LENGTHS = "placing.ndjson";
