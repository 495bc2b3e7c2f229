import type { OutputFile } from "@partd/disk";
import type { Call } from "../command/command.js";
import { ExitCode } from "../command/failure.js";
import { showCount } from "../command/quantity.js";
import { createOutput, missingFile } from "../output/output-file.js";
import { type Format, lineFormat, requireNameOf } from "./format.js";

/** The records that --reject and --missing take: they are counted, and put into the files of these options. */
export class SetAside implements AsyncDisposable {
  /** Malformed records. */
  rejected = 0;
  /** Records without a required field. */
  skipped = 0;
  readonly #call: Call;
  readonly #rejects: OutputFile | undefined;
  readonly #missing: OutputFile | undefined;
  /** Records that are not written yet. */
  #pending: { file: OutputFile; bytes: Uint8Array }[] = [];
  #writing: Promise<void> = Promise.resolve();

  /**
   * @param format of the inputs, which the records keep.
   * @throws `UsageError` for files that exist, unless there is --force, and for names of another format.
   */
  static async open(call: Call, format: Format): Promise<SetAside> {
    const create = async (option: string, path: string | undefined) => {
      if (path === undefined) return undefined;
      requireNameOf(lineFormat(format), path, option);
      return createOutput(path, { force: call.options.has("force") });
    };
    const rejects = await create("--reject", call.options.text("reject"));
    try {
      const missing = await create("--missing", missingFile(call.options));
      return new SetAside(call, rejects, missing);
    } catch (error) {
      await rejects?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(
    call: Call,
    rejects: OutputFile | undefined,
    missing: OutputFile | undefined,
  ) {
    this.#call = call;
    this.#rejects = rejects;
    this.#missing = missing;
  }

  /** Takes a malformed record; `undefined` without --reject, where one is an error. */
  get reject(): ((bytes: Uint8Array) => void) | undefined {
    const file = this.#rejects;
    if (file === undefined) return undefined;
    return (bytes) => {
      this.rejected++;
      this.#pending.push({ file, bytes });
    };
  }

  /** Takes a record without a required field, and drops it if --missing names no file. */
  skip(bytes: Uint8Array): void {
    this.skipped++;
    if (this.#missing) this.#pending.push({ file: this.#missing, bytes });
  }

  /** Writes what was taken so far. A run with two inputs may call this twice at once. */
  write(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      const pending = this.#pending;
      this.#pending = [];
      for (const { file, bytes } of pending) await file.write(bytes);
    });
    return this.#writing;
  }

  /** Completes the files, and says how many records they have. @returns the exit code. */
  async finish(): Promise<number | undefined> {
    await this.write();
    await this.#rejects?.complete();
    await this.#missing?.complete();
    const { terminal, options } = this.#call;
    const { skipped, rejected } = this;
    if (skipped > 0) {
      const records =
        skipped === 1 ? "record without the field was" : "records without the field were";
      const where = missingFile(options);
      terminal.note(
        `${showCount(skipped)} ${records} ${where === undefined ? "left out" : `put into ${where}`}`,
      );
    }
    if (rejected === 0) return undefined;
    terminal.error(
      terminal.json
        ? JSON.stringify({ rejected, file: options.text("reject") })
        : `partd: ${showCount(rejected)} malformed ${rejected === 1 ? "record is" : "records are"} in ${options.text("reject")}`,
    );
    return ExitCode.REJECTED;
  }

  /** Removes files that are not complete. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#rejects?.[Symbol.asyncDispose]();
    await this.#missing?.[Symbol.asyncDispose]();
  }
}
