import { stat } from "node:fs/promises";
import {
  type By,
  longestRecord,
  type MissingOption,
  type Operation,
  type RunOptions,
} from "@partd/shuffle";
import type { Call } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { showBytes } from "../command/quantity.js";
import { freeBytes } from "../output/disk-space.js";
import { missingFile, requireApart, requireFolder } from "../output/output-file.js";
import type { Progress } from "../terminal/progress.js";
import { namesByNumber } from "./column-numbers.js";
import { delimiterOf, type Format, formatOf, lineFormat } from "./format.js";
import { expandInputs, nameOf } from "./inputs.js";
import { RecordSource } from "./record-source.js";
import { outputFormat } from "./record-writer.js";
import { SetAside } from "./set-aside.js";

export interface RunFields {
  /** Fields that the command reads. */
  readonly asked: readonly string[];
  /** Those that every record needs: one without goes where --missing says. */
  readonly required: readonly string[];
  /** Whether no other field is read. Default false. */
  readonly isAll?: boolean;
  /** What is done with the records, which limits their length. Default: they pass unchanged. */
  readonly operation?: Operation;
  /** Whether records pass, and keys stay, within @partd/shuffle, which bounds their length. Default false. */
  readonly isWithin?: boolean;
  /** The inputs' format. Default: that of --from, or of their names. */
  readonly from?: Format | undefined;
  /** A run of the same command, which also takes what this one sets aside. */
  readonly beside?: RecordRun | undefined;
}

/** What commands on records have in common: inputs, limits, rejects and progress. */
export class RecordRun implements AsyncDisposable {
  readonly source: RecordSource;
  readonly paths: readonly string[];
  readonly #call: Call;
  readonly #progress: Progress;
  readonly #bytesTotal: number | undefined;
  readonly #aside: SetAside;
  /** Whether another run completes what is set aside. */
  readonly #isBeside: boolean;
  #records = 0;
  #consumed = 0;
  #spilled = 0;

  /**
   * Opens a run, does the work with it and completes it.
   *
   * @returns the exit code.
   */
  static async do(
    call: Call,
    fields: RunFields,
    work: (run: RecordRun) => Promise<void>,
  ): Promise<number | undefined> {
    await using run = await RecordRun.open(call, call.arguments, fields);
    try {
      await work(run);
    } catch (error) {
      // Threads report errors in the words of the libraries.
      throw run.source.told(error);
    }
    return await run.finish();
  }

  static async open(call: Call, inputs: readonly string[], fields: RunFields): Promise<RecordRun> {
    const paths = await expandInputs(inputs.length > 0 ? inputs : ["-"]);
    if (paths.length > 1 && paths.includes("-")) {
      throw new UsageError("standard input (-) is read alone");
    }
    if (paths.includes("-")) call.terminal.noteTyping();
    await requireFolder(call.options.text("tmp"));
    const bytesTotal = await sizeOf(paths);
    await requireApart(call, paths);
    const format = formatOf(paths, fields.from ?? call.options.text("from"));
    if (fields.operation !== "join") requireCsv(call, [format]);
    const delimiter = delimiterOf(format, call.options.text("delimiter"));
    const rows =
      call.options.has("no-header") && delimiter !== undefined
        ? await namesByNumber(
            paths,
            { delimiter, quote: !call.options.has("no-quotes") },
            call.signal,
          )
        : { names: undefined, input: undefined };
    const { beside } = fields;
    const aside = beside ? beside.#aside : await SetAside.open(call, format);
    return new RecordRun(call, { paths, format, rows, bytesTotal }, fields, aside);
  }

  private constructor(
    call: Call,
    { paths, format, rows, bytesTotal }: RunInputs,
    { asked, required, isAll = false, operation = "groupBy", isWithin = false, beside }: RunFields,
    aside: SetAside,
  ) {
    this.#call = call;
    this.paths = paths;
    this.#bytesTotal = bytesTotal;
    this.#aside = aside;
    this.#isBeside = beside !== undefined;
    const { reject } = aside;
    this.#progress = call.terminal.progress("reading");
    this.source = new RecordSource({
      paths,
      format,
      delimiter: call.options.text("delimiter"),
      quotes: !call.options.has("no-quotes"),
      ...rows,
      longestRecord: longestRecordIn(call, format, operation),
      longestKey: longestKeyIn(call.options.number("memory")),
      mayShareLong: isWithin && !isConverted(call, format),
      fields: [...new Set(asked)],
      required,
      only: isAll ? asked : undefined,
      isStrict: missingOf(call) !== "skip" && missingFile(call.options) === undefined,
      signal: call.signal,
      onReject: reject && (({ bytes }) => reject(bytes)),
      onMissing: (bytes) => aside.skip(bytes),
      onBatch: (consumed, records) => this.#batchDone(consumed, records),
    });
  }

  /** Whether the inputs are files, which can be read a second time. */
  get isRepeatable(): boolean {
    return this.#bytesTotal !== undefined;
  }

  /** How many records were read. */
  get records(): number {
    return Math.max(this.#records, this.source.records);
  }

  /** Those that --missing did not take. */
  get kept(): number {
    return this.records - this.#aside.skipped;
  }

  /** For the functions of @partd/shuffle that take records by key. */
  get options(): RunOptions & MissingOption {
    const isError = missingOf(this.#call) === "error";
    return {
      ...this.runOptions,
      missing: isError ? "error" : (bytes) => this.#aside.skip(bytes),
    };
  }

  /** Options for its other functions. */
  get runOptions(): RunOptions {
    const { options, signal } = this.#call;
    return {
      memory: options.number("memory"),
      dir: options.text("tmp"),
      signal,
      onProgress: ({ phase, records, bytes, bytesSpilled }) => {
        this.#spilled = bytesSpilled;
        // What threads read does not pass through the source.
        this.#records = Math.max(this.#records, records);
        this.#consumed = Math.max(this.#consumed, bytes);
        this.show(phase === "read" ? "reading" : "writing");
      },
    };
  }

  show(phase: string): void {
    const { tableBytesRead } = this.source;
    this.#progress.show({
      phase,
      records: this.records,
      bytesDone: tableBytesRead ?? this.#consumed,
      bytesTotal: this.#bytesTotal,
      bytesSpilled: this.#spilled,
    });
  }

  /**
   * Checks that `copies` of the inputs fit on the disk.
   *
   * @throws `UsageError` if they do not.
   */
  async requireSpace(place: string, copies: number): Promise<void> {
    if (this.#bytesTotal === undefined) return;
    const free = await freeBytes(place);
    const needed = this.#bytesTotal * copies;
    const { options } = this.#call;
    // What an interrupted run has written needs no more space.
    if (free >= needed || options.has("force") || options.has("resume")) return;
    throw new UsageError(
      `${place} has ${showBytes(free)} free, and this takes about ${showBytes(needed)}; choose another disk, or --force to try`,
    );
  }

  /** Completes --reject and --missing. @returns the exit code. */
  finish(): Promise<number | undefined> {
    return this.#aside.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#progress.hide();
    await this.source[Symbol.asyncDispose]();
    if (!this.#isBeside) await this.#aside[Symbol.asyncDispose]();
  }

  async #batchDone(consumed: number, records: number): Promise<void> {
    this.#call.signal.throwIfAborted();
    this.#consumed = consumed;
    if (records > 0) this.show("reading");
    await this.#aside.write();
  }
}

/** What a run reads. */
interface RunInputs {
  readonly paths: readonly string[];
  readonly format: Format;
  readonly rows: Awaited<ReturnType<typeof namesByNumber>>;
  /** Bytes of the inputs; `undefined` unless all are files. */
  readonly bytesTotal: number | undefined;
}

/** @throws `UsageError` for --delimiter, --no-header and --no-quotes where no format has one. */
export function requireCsv(call: Call, inputs: readonly Format[]): void {
  const formats = [...inputs, outputFormat(call, inputs[0] as Format)];
  const ofRows = ["no-header", "no-quotes"].find((name) => call.options.has(name));
  if (ofRows !== undefined && !formats.some((format) => delimiterOf(format))) {
    throw new UsageError(
      `--${ofRows} is for CSV and TSV, and this is ${formats[0]}; if it is CSV, say --from csv`,
    );
  }
  if (!call.options.has("delimiter") || formats.includes("csv")) return;
  throw new UsageError(
    `--delimiter is for CSV, and this is ${formats[0]}; if it is CSV, say --from csv`,
  );
}

/** @throws `UsageError` for one of these options where there is no --by, for which it is meant. */
export function requireBy(
  { options }: Call,
  fields: readonly string[],
  names: readonly string[],
): void {
  const stray = fields.length > 0 ? undefined : names.find((name) => options.has(name));
  if (stray !== undefined) throw new UsageError(`--${stray} goes with --by FIELD`);
}

/** The key in the form that the functions of @partd/shuffle take. */
export function keyBy(fields: readonly string[]): By<string> {
  return fields.length === 1 ? (fields[0] as string) : fields;
}

/** A key as a list, one part for each field. */
export function partsOf(key: unknown, fields: readonly string[]): readonly unknown[] {
  return fields.length === 1 ? [key] : (key as unknown[]);
}

function missingOf({ options }: Call): string {
  return options.text("missing") ?? "error";
}

async function sizeOf(paths: readonly string[]): Promise<number | undefined> {
  let bytes = 0;
  for (const path of paths) {
    if (path === "-") return undefined;
    const found = await stat(path).catch((error: Error) => {
      throw new UsageError(`${nameOf(path)} cannot be read: ${error.message}`);
    });
    if (!found.isFile()) return undefined;
    bytes += found.size;
  }
  return bytes;
}

/**
 * The longest record that memory has room for. A longer one is refused while it is read, because a pipe
 * may have no lines.
 */
function longestRecordIn(call: Call, format: Format, operation: Operation): number | undefined {
  const memory = call.options.number("memory");
  if (memory === undefined) return undefined;
  return Math.min(
    longestRecord(operation, memory),
    longestRecord("groupBy", isConverted(call, format) ? memory / CONVERTED : memory),
  );
}

function isConverted(call: Call, format: Format): boolean {
  return outputFormat(call, format) !== lineFormat(format);
}

/**
 * On its way to CSV or Parquet, a record of 200 MB took eight times as much: its text, its values, its
 * new text.
 */
const CONVERTED = 8;

/**
 * With keys of 30 MB, `split` took ten times as much in addition to its memory, the other commands up
 * to eight times.
 */
function longestKeyIn(memory: number | undefined): number {
  return memory === undefined ? Number.POSITIVE_INFINITY : Math.max(1e6, memory / 16);
}
