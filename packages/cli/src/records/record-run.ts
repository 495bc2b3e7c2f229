import { stat } from "node:fs/promises";
import type { RunOptions } from "@partd/shuffle";
import type { Call } from "../command/command.js";
import { ExitCode } from "../command/exit-code.js";
import { UsageError } from "../command/failure.js";
import { showBytes, showCount } from "../command/quantity.js";
import { freeBytes } from "../output/disk-space.js";
import { OutputFile } from "../output/output-file.js";
import type { Progress } from "../terminal/progress.js";
import { formatOf } from "./format.js";
import { nameOf } from "./input-bytes.js";
import { expandInputs } from "./inputs.js";
import { Reader } from "./reader.js";

/** What a command on records has in common: its inputs, bounds, rejects and progress. */
export class RecordRun implements AsyncDisposable {
  readonly reader: Reader;
  readonly paths: readonly string[];
  /** Bytes of all inputs as they lie on the disk; undefined where that is not known. */
  readonly bytesTotal: number | undefined;
  readonly #call: Call;
  readonly #progress: Progress;
  readonly #rejects: OutputFile | undefined;
  readonly #missing: OutputFile | undefined;
  #skipped = 0;
  #spilled = 0;
  /** Bytes for --reject and --missing that are not written yet. */
  #pending: { file: OutputFile; text: string }[] = [];

  /** @param fields that the command asks records for. */
  static async open(
    call: Call,
    inputs: readonly string[],
    fields: readonly string[],
  ): Promise<RecordRun> {
    const paths = await expandInputs(inputs.length > 0 ? inputs : ["-"]);
    const force = call.options.has("force");
    const [rejects, missing] = await Promise.all(
      [call.options.text("reject"), missingFile(call)].map((path) =>
        path === undefined ? undefined : OutputFile.create(path, { force }),
      ),
    );
    const bytesTotal = await sizeOf(paths);
    return new RecordRun(call, paths, fields, bytesTotal, rejects, missing);
  }

  private constructor(
    call: Call,
    paths: readonly string[],
    fields: readonly string[],
    bytesTotal: number | undefined,
    rejects: OutputFile | undefined,
    missing: OutputFile | undefined,
  ) {
    this.#call = call;
    this.paths = paths;
    this.bytesTotal = bytesTotal;
    this.#rejects = rejects;
    this.#missing = missing;
    this.#progress = call.terminal.progress("reading");
    this.reader = new Reader({
      paths,
      format: formatOf(paths, call.options.text("from")),
      signal: call.signal,
      reject: rejects && ((text) => void this.#pending.push({ file: rejects, text })),
      fields: [...new Set(fields)],
    });
  }

  /** For the functions of @partd/shuffle. */
  get options(): RunOptions {
    const { options, signal } = this.#call;
    return {
      memory: options.number("memory"),
      dir: options.text("tmp"),
      signal,
      onProgress: ({ phase, records, bytesSpilled }) => {
        this.#spilled = bytesSpilled;
        if (phase === "write") this.show("writing", records);
      },
    };
  }

  /** Texts of records; those without a field of `required` are dealt with as --missing says. */
  async *texts(required: readonly string[]): AsyncGenerator<string> {
    const { reader } = this;
    for await (const text of reader.texts()) {
      const lacking = required.find((field) => reader.value(text, field) === undefined);
      if (lacking === undefined) yield text;
      else this.#takeMissing(text, lacking);
      if (this.#pending.length > 0) await this.#writePending();
      if ((reader.records & 1023) === 0) this.show("reading", reader.records);
    }
    await this.#writePending();
  }

  /** The key of a record: a value, or a list of them where there are several fields. */
  keyOf(fields: readonly string[]): (text: string) => unknown {
    const [only] = fields;
    if (fields.length === 1) return (text) => this.reader.key(text, only as string);
    return (text) => fields.map((field) => this.reader.key(text, field));
  }

  show(phase: string, records: number): void {
    this.#progress.show({
      phase,
      records,
      bytesDone: this.reader.count.bytes,
      bytesTotal: this.bytesTotal,
      bytesSpilled: this.#spilled,
    });
  }

  /**
   * Looks whether `copies` of the inputs, and what does not fit in memory, have room.
   *
   * @throws `UsageError` where they have not.
   */
  async requireSpace(place: string, copies: number): Promise<void> {
    if (this.bytesTotal === undefined) return;
    const free = await freeBytes(place);
    const needed = this.bytesTotal * copies;
    if (free >= needed || this.#call.options.has("force")) return;
    throw new UsageError(
      `${place} has ${showBytes(free)} free, and this takes about ${showBytes(needed)}; choose another disk, or --force to try`,
    );
  }

  /** Completes --reject and --missing, and gives the exit code. */
  async finish(): Promise<number | undefined> {
    await this.#writePending();
    await this.#rejects?.complete();
    await this.#missing?.complete();
    const { rejected } = this.reader;
    const { terminal, options } = this.#call;
    if (this.#skipped > 0) {
      terminal.note(`${showCount(this.#skipped)} records without the field were left out`);
    }
    if (rejected === 0) return undefined;
    terminal.error(
      terminal.json
        ? JSON.stringify({ rejected, file: options.text("reject") })
        : `partd: ${showCount(rejected)} malformed ${rejected === 1 ? "record is" : "records are"} in ${options.text("reject")}`,
    );
    return ExitCode.REJECTED;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#progress.hide();
    await this.#rejects?.[Symbol.asyncDispose]();
    await this.#missing?.[Symbol.asyncDispose]();
  }

  #takeMissing(text: string, field: string): void {
    const wanted = this.#call.options.text("missing") ?? "error";
    if (wanted === "error") {
      throw this.reader.failure(
        text,
        `the record has no field ${field}; --missing skip leaves such records out, --missing FILE keeps them apart`,
      );
    }
    this.#skipped++;
    if (this.#missing) this.#pending.push({ file: this.#missing, text });
  }

  async #writePending(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    for (const { file, text } of pending) await file.write(Buffer.from(text, "latin1"));
  }
}

/** Where --missing puts records, if it is a file. */
function missingFile({ options }: Call): string | undefined {
  const missing = options.text("missing");
  return missing === "error" || missing === "skip" ? undefined : missing;
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
