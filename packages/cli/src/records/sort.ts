import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { nearest } from "@partd/core/author";
import type { FileIdentity, OutputFile } from "@partd/disk";
import { sort as sortOf } from "@partd/shuffle";
import type { Action, Call } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { UnfinishedRun } from "../output/unfinished-run.js";
import { typed } from "./field-search.js";
import { statesOf } from "./inputs.js";
import { fieldNamed } from "./names.js";
import { RecordRun } from "./record-run.js";
import { RecordWriter } from "./record-writer.js";
import { shownField } from "./result-names.js";

/** `partd sort`. */
export const sort: Action = async (call) => {
  const keys = call.options.list("by").map(parseSortKey);
  if (keys.length === 0) throw new UsageError("sort needs --by FIELD");
  const asked = keys.map(({ field }) => field);
  await using run = await RecordRun.open(call, call.arguments, {
    asked,
    required: [],
    isWithin: true,
  });
  const kept = await keptRuns(call, run);
  // With --reject it is sorted again: the rejects may not have been complete.
  if (kept?.isDone && !call.options.has("reject")) {
    kept.remove();
    return undefined;
  }
  try {
    await writeSorted(call, run, keys, kept);
    kept?.remove();
  } catch (error) {
    if (kept?.abandon(error, call.signal)) {
      call.terminal.note("what is sorted is kept: --resume goes on with it, --force starts anew");
    }
    // The thread that reads reports errors in the words of the library.
    throw run.source.told(error);
  }
  return await run.finish();
};

interface SortKey {
  /** As the command line has it: `ms:desc`. */
  readonly said: string;
  readonly field: string;
  readonly order: "asc" | "desc";
  readonly as: "number" | "string" | undefined;
}

/** Parses `FIELD[:desc][:numeric]`; a colon in a name is `\:`. */
function parseSortKey(text: string): SortKey {
  const [name = "", ...words] = text.split(/(?<!\\):/).map((part) => part.replaceAll("\\:", ":"));
  let order: SortKey["order"] | undefined;
  let as: SortKey["as"];
  for (const word of words) {
    if (word === "asc" || word === "desc") {
      refuseTwo(text, word, order);
      order = word;
    } else if (word === "numeric" || word === "text") {
      const kind = word === "numeric" ? "number" : "string";
      refuseTwo(text, kind, as);
      as = kind;
    } else {
      const near = nearest(word, WORDS);
      const hint = near === undefined ? `one of ${WORDS.join(", ")}` : near;
      throw new UsageError(`--by ${text}: there is no order ${word}; did you mean ${hint}?`);
    }
  }
  if (name === "" && text !== "") throw new UsageError(`--by ${text} names no field`);
  return { said: text, field: fieldNamed(name), order: order ?? "asc", as };
}

function refuseTwo(text: string, word: string, before: string | undefined): void {
  if (before === undefined || before === word) return;
  throw new UsageError(`--by ${text} says two orders of one field; give one of them`);
}

const WORDS = ["asc", "desc", "numeric", "text"];

async function writeSorted(
  call: Call,
  run: RecordRun,
  keys: readonly SortKey[],
  kept: KeptRuns | undefined,
): Promise<void> {
  await using writer = await RecordWriter.open(call, run.source);
  const out = call.options.text("out");
  if (out !== undefined) await run.requireSpace(out, 1);
  if (writer.output) await kept?.note(writer.output);
  await noteUnlikelyOrder(call, run, keys);
  const by = keys.map(({ field, order, as }) => ({ by: field, order, as }));
  const checkpoint = kept?.checkpoint;
  await using output = sortOf(run.source, { by, checkpoint, ...run.runOptions });
  await writer.addAll(output);
  await writer.complete();
}

/**
 * Notes fields of CSV whose order the user probably does not mean: numbers sorted as text, which DuckDB, pandas and
 * spreadsheets would take for numbers (`sort`, Miller and xsv would not), and text sorted as numbers, such as `1,5` and
 * `$5`, all of which comes last.
 */
async function noteUnlikelyOrder(
  { terminal }: Call,
  { source }: RecordRun,
  keys: readonly SortKey[],
): Promise<void> {
  for (const { said, field, as } of keys) {
    const texts = as === "string" ? [] : await source.firstTexts(field);
    const [text] = texts;
    if (text === undefined) continue;
    if (as === undefined && texts.every((text) => NUMBER.test(text))) {
      terminal.note(
        `${shownField(field)} is sorted as text, 10 before 9: say --by ${typed(said)}:numeric if it has numbers, and :text if not`,
      );
    }
    if (as === "number" && texts.every((text) => Number.isNaN(Number(text)))) {
      terminal.note(
        `${shownField(field)} begins with ${JSON.stringify(text)} and has no number in the first records: values that are not numbers come last, in the order of the input`,
      );
    }
  }
}

/** As in JSON: 007 may be a name. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[-+]?\d+)?$/i;

/** Runs are kept if the inputs can be read again, and the output gets its name at the end. */
async function keptRuns({ options }: Call, run: RecordRun): Promise<KeptRuns | undefined> {
  const out = options.text("out");
  const resume = options.has("resume");
  const found = out === undefined ? undefined : await stat(out).catch(() => undefined);
  if (out === undefined || !run.isRepeatable || (found !== undefined && !found.isFile())) {
    if (resume) throw new UsageError("--resume needs inputs that are files, and a file --out");
    return undefined;
  }
  const inputs = await statesOf(run.paths);
  const said = ["from", "delimiter", "reject"].map((name) => options.text(name));
  const identity = {
    inputs,
    by: options.list("by"),
    said,
    flags: ["no-header", "no-quotes"].map((name) => options.has(name)),
  };
  const force = options.has("force");
  return KeptRuns.begin(out, identity, { resume, force, tmp: options.text("tmp") });
}

interface KeptRunsOptions {
  readonly resume: boolean;
  readonly force: boolean;
  /** Where the sorted runs lie. Default: `os.tmpdir()`. */
  readonly tmp: string | undefined;
}

/**
 * The sorted runs of a sort into a file, in a directory that outlives a kill. An {@link UnfinishedRun}
 * beside the output says where that is. A sort that spilled nothing has nothing to continue.
 */
class KeptRuns {
  /** For `sort()` of @partd/shuffle, which makes it when it spills. */
  readonly checkpoint: string;
  /** Whether the interrupted sort had already given the output its name. */
  readonly isDone: boolean;
  readonly #run: UnfinishedRun;

  /**
   * @throws `UsageError` if there are runs of an interrupted sort, and the options do not say what to
   *   do with them.
   */
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

  /**
   * Notes where the runs lie, and the identity of the output file, which stays the same under its final
   * name.
   */
  async note(output: OutputFile): Promise<void> {
    const place: Place = { checkpoint: this.checkpoint, output: await output.identity() };
    writeFileSync(this.#run.path(PLACE), JSON.stringify(place));
  }

  /**
   * Call this after a failure. @returns whether the runs are kept, because the sort was interrupted or
   * did not begin.
   */
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

/** The note beside the output. */
interface Place {
  readonly checkpoint: string;
  /** The identity of the file that gets the output's name. */
  readonly output: FileIdentity;
}

function placeIn(directory: string): Place | undefined {
  const path = join(directory, PLACE);
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Place;
  } catch {
    return undefined; // The run was killed before or during the note.
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
