import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { pidOf, processToken, stateOf } from "@partd/disk";
import { Failure, UsageError } from "../command/failure.js";

export interface RunOptions {
  /** Goes on with what an interrupted run has left. */
  readonly resume: boolean;
  /** Removes what an interrupted run has left. */
  readonly force: boolean;
}

/**
 * What a run has done before its output is complete: a hidden directory beside the output, which
 * outlives a kill, so that the next run can go on with it. One run at a time has it.
 */
export class UnfinishedRun {
  readonly directory: string;
  /** Whether this run goes on with one that was interrupted. */
  readonly resumed: boolean;

  /**
   * @param identity of the work: inputs and options. Only the same work can be resumed.
   * @throws `UsageError` if there is an interrupted run, and options do not say what to do with it.
   */
  static begin(output: string, identity: unknown, options: RunOptions): UnfinishedRun {
    const directory = UnfinishedRun.directoryOf(output);
    const note = JSON.stringify(identity);
    let resumed = false;
    if (existsSync(directory)) {
      refuseLive(directory, output);
      if (options.resume) {
        refuseOther(directory, note, output);
        resumed = true;
      } else if (options.force) {
        rmSync(directory, { recursive: true });
      } else {
        throw new UsageError(
          `a run into ${output} was interrupted; --resume goes on with it, --force starts anew`,
        );
      }
    }
    try {
      mkdirSync(directory, { recursive: resumed });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      throw new UsageError(`there is no directory ${dirname(resolve(output))} for ${output}`);
    }
    writeFileSync(join(directory, OWNER), processToken());
    if (!resumed) writeFileSync(join(directory, IDENTITY), note);
    return new UnfinishedRun(directory, resumed);
  }

  static directoryOf(output: string): string {
    const path = resolve(output);
    return join(dirname(path), `.${basename(path).slice(0, 200)}.partial`);
  }

  private constructor(directory: string, resumed: boolean) {
    this.directory = directory;
    this.resumed = resumed;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** Removes it all: the output is complete, or nothing is to be kept. */
  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function refuseLive(directory: string, output: string): void {
  const owner = read(join(directory, OWNER));
  if (owner === "" || owner === processToken()) return;
  const state = stateOf(owner);
  if (state !== "running" && state !== "hidden") return;
  throw new Failure(
    `another partd${state === "running" ? ` (process ${pidOf(owner)})` : ""} is writing ${output}; wait for it, or end it`,
  );
}

function refuseOther(directory: string, note: string, output: string): void {
  const before = read(join(directory, IDENTITY));
  if (before === note) return;
  throw new UsageError(
    `the run into ${output} that was interrupted had other options, or its inputs have changed since; --force starts anew`,
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

const OWNER = "owner";
const IDENTITY = "run.json";
