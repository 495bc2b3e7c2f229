import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { UsageError } from "../command/failure.js";
import type { FileIdentity, OutputFile } from "./output-file.js";
import { UnfinishedRun } from "./unfinished-run.js";

export interface KeptRunsOptions {
  readonly resume: boolean;
  readonly force: boolean;
  /** Where the sorted runs lie; default `os.tmpdir()`. */
  readonly tmp: string | undefined;
}

/**
 * The sorted runs of a sort into a file, in a directory that outlives a kill. An {@link UnfinishedRun}
 * beside the output says where that is. A sort that spilled nothing has nothing to go on with.
 */
export class KeptRuns {
  /** For `sort()` of @partd/shuffle, which makes it when it spills. */
  readonly checkpoint: string;
  /** Whether the sort that was interrupted had given the output its name already. */
  readonly isDone: boolean;
  readonly #run: UnfinishedRun;

  /** @throws `UsageError` if there are runs of an interrupted sort, and options do not say what to do with them. */
  static begin(output: string, identity: unknown, options: KeptRunsOptions): KeptRuns {
    const before = placeIn(UnfinishedRun.directoryOf(output));
    const isDone = options.resume && before !== undefined && isOutput(output, before.output);
    const isKept = isDone || (before !== undefined && existsSync(before.checkpoint));
    const run = UnfinishedRun.begin(output, identity, {
      resume: options.resume && isKept,
      force: options.force || !isKept,
      onAnew: () => {
        if (before !== undefined) removeCheckpoint(before.checkpoint);
      },
    });
    if (run.resumed && before !== undefined) return new KeptRuns(run, before.checkpoint, isDone);
    return new KeptRuns(
      run,
      join(resolve(options.tmp ?? tmpdir()), `partd-sort-${randomUUID()}`),
      false,
    );
  }

  private constructor(run: UnfinishedRun, checkpoint: string, isDone: boolean) {
    this.#run = run;
    this.checkpoint = checkpoint;
    this.isDone = isDone;
  }

  /** Notes where the runs lie, and the identity of the output file, which it keeps under its final name. */
  async note(output: OutputFile): Promise<void> {
    const place: Place = { checkpoint: this.checkpoint, output: await output.identity() };
    writeFileSync(this.#run.path(PLACE), JSON.stringify(place));
  }

  /** After a failure: whether the runs are kept, since the sort was interrupted or did not begin. */
  abandon(error: unknown, signal: AbortSignal): boolean {
    const mayKeep = signal.aborted || (this.#run.resumed && error instanceof UsageError);
    const isKept = mayKeep && existsSync(this.checkpoint);
    if (!isKept) this.remove();
    return isKept;
  }

  remove(): void {
    removeCheckpoint(this.checkpoint);
    this.#run.remove();
  }
}

/** What is noted beside the output. */
interface Place {
  readonly checkpoint: string;
  /** The file that gets the output's name. */
  readonly output: FileIdentity;
}

function placeIn(directory: string): Place | undefined {
  const path = join(directory, PLACE);
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Place;
  } catch {
    return undefined; // The run was killed before it noted it, or while it did.
  }
}

function isOutput(path: string, { ino, birthtimeMs }: FileIdentity): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.ino === ino && found.birthtimeMs === birthtimeMs;
}

function removeCheckpoint(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
}

const PLACE = "sort.json";
