import { type ByteBatch, RecordError, type Scan } from "@partd/records";
import { Failure } from "../command/failure.js";
import type { TableLines } from "../tables/table-lines.js";
import type { Format } from "./format.js";
import { nameOf } from "./inputs.js";
import { startOf } from "./record-text.js";

/** Says where records stand in the inputs, as compilers do: `events.ndjson:20:6`. */
export class RecordPlaces {
  readonly #paths: readonly string[];
  readonly #format: Format;
  readonly #tables: TableLines | undefined;

  /** @param tables tell the row of a table that became a line. */
  constructor(paths: readonly string[], format: Format, tables: TableLines | undefined) {
    this.#paths = paths;
    this.#format = format;
    this.#tables = tables;
  }

  /** A failure of record `i` of a batch, with its place. */
  failureAt(batch: ByteBatch, scan: Scan, i: number, what: string): Failure {
    const record = scan.bytes.subarray(startOf(scan, i), scan.ends[i]);
    // Blank lines before it are in the batch, and not in the scan.
    const offset = Buffer.from(
      batch.bytes.buffer,
      batch.bytes.byteOffset,
      batch.bytes.byteLength,
    ).indexOf(record, startOf(scan, i));
    return this.#located(RecordError.at(batch.position, batch.bytes, offset, { offset, what }));
  }

  /** An error of a reader in the words of the command; any other as it is. */
  told(error: unknown): unknown {
    if (error instanceof RecordError) return this.#located(error);
    const { message } = error as Error;
    if (!message.includes(STREAM)) return error;
    return new Failure(message.replace(STREAM, nameOf(this.#paths[0] as string)));
  }

  #located(error: RecordError): Failure {
    const { source, line, column } = error;
    const message = this.#ofOneRecord(error);
    const what = /^The record at .*? \(byte \d+\) (.*)$/s.exec(message)?.[1] ?? message;
    const from = line === undefined ? undefined : this.#tables?.placeOf(line);
    if (from) return new Failure(`${nameOf(from.path)}: row ${from.row} ${what}`);
    const name = source.startsWith("<") ? nameOf(this.#paths[0] as string) : source;
    const place = line === undefined ? name : `${name}:${line}:${column ?? 1}`;
    const isGuess = this.#paths.includes("-") && line === 1 && what.startsWith("is not JSON");
    const hint = isGuess ? " Standard input is NDJSON unless --from says otherwise." : "";
    return new Failure(
      `${place}: the record ${what.replace(ADVICE, "").replace(LINES, "(say --from ndjson for lines of JSON)")}${hint}`,
    );
  }

  /** The message without what it quotes of the next line. */
  #ofOneRecord({ message, excerpt }: RecordError): string {
    if (this.#format !== "ndjson") return message;
    const [line = ""] = excerpt.split(/\r?\n/, 1);
    return message.replace(JSON.stringify(excerpt), () => JSON.stringify(line));
  }
}

/** What @partd/records calls a source without a name. */
const STREAM = "<stream>";

/** What it says to programs. */
const ADVICE = / Mend it, or take such records with onReject\.$/;
const LINES = /\(lines of JSON are read with readNdjson\)/;
