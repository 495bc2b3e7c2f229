import { type ByteBatch, RecordError, type Scan } from "@partd/records";
import { Failure } from "../command/failure.js";
import type { TableLines } from "../tables/table-lines.js";
import { headerHint } from "./field-search.js";
import type { Format } from "./format.js";
import { nameOf } from "./inputs.js";

/** Says where records are in the inputs, as compilers do: `events.ndjson:20:6`. */
export class RecordPlaces {
  readonly #paths: readonly string[];
  readonly #format: Format;
  readonly #tables: TableLines | undefined;
  /** The names in the header of CSV. */
  readonly #columns: (() => readonly string[]) | undefined;

  /**
   * @param tables maps a line to the row of a table.
   * @param columns the names in the header of rows; `undefined` for rows without one.
   */
  constructor(
    paths: readonly string[],
    format: Format,
    tables: TableLines | undefined,
    columns: (() => readonly string[]) | undefined,
  ) {
    this.#paths = paths;
    this.#format = format;
    this.#tables = tables;
    this.#columns = columns;
  }

  /** A failure of record `i` of a batch, with its place. */
  failureAt(batch: ByteBatch, scan: Scan, i: number, what: string): Failure {
    return this.#located(RecordError.ofRecord(batch, scan, i, { what }));
  }

  /** A reader's error in the words of the command; any other error unchanged. */
  told(error: unknown): unknown {
    if (error instanceof RecordError) return this.#located(error);
    const { message } = error as Error;
    const said = message
      .replace(MORE_MEMORY, "give it more by --memory.")
      .replace(STREAM, nameOf(this.#paths[0] as string))
      .replace(TABLE, (_, name: string) => `: say --from ${name.toLowerCase()}`);
    return said === message ? error : new Failure(said);
  }

  #located(error: RecordError): Failure {
    const { source, line, column, what } = error;
    const said = `${this.#inWords(what)}: ${this.#quoted(error)}.`;
    const from = line === undefined ? undefined : this.#tables?.placeOf(line);
    if (from) return new Failure(`${nameOf(from.path)}: row ${from.row} ${said}`);
    const name = source.startsWith("<") ? nameOf(this.#paths[0] as string) : source;
    // The lines of a JSON array that is not a file are not counted.
    const place =
      line === undefined ? `${name}, byte ${error.offset}` : `${name}:${line}:${column ?? 1}`;
    const isGuess = this.#paths.includes("-") && line === 1 && what.startsWith("is not JSON");
    const hint = isGuess ? " Standard input is NDJSON unless --from says otherwise." : "";
    const begun = line === 1 && firstLine(error).startsWith("[") ? "[" : firstLine(error);
    const isSeveral = /\}\s*\{/.test(firstLine(error));
    const shape = what.startsWith("is not JSON") ? SHAPES.get(isSeveral ? "}{" : begun) : undefined;
    const subject = what.startsWith("is no JSON array") ? "the input" : "the record";
    return new Failure(`${place}: ${subject} ${said}${shape ?? hint}${this.#adviceFor(what)}`);
  }

  /** The libraries' description of a record's fault, in the words of the command. */
  #inWords(what: string): string {
    if (/^has no(?:t all of the)? fields? /.test(what)) {
      return `${what.replace(/"([^"]+)"/g, "$1")}; ${MISSING_ADVICE}`;
    }
    if (what === "has an object where its key should be") {
      return `${what}; name one of its fields, as in user.id`;
    }
    const words = this.#columns ? what : what.replace("where the header", "where the first row");
    return words.replace(LINES, NO_ARRAY);
  }

  /** What may be behind a fault of a row, as a sentence. */
  #adviceFor(what: string): string {
    if (what === "is not UTF-8") return ENCODING_ADVICE;
    const hint = headerHint(this.#columns?.() ?? []);
    if (!/^has (?:\d+ fields where|.* quote)/.test(what)) return "";
    if (hint !== undefined) {
      return ` ${hint[0]?.toUpperCase()}${hint.slice(1)}${hint.endsWith("?") ? "" : "."}`;
    }
    return what.includes("quote") ? " --no-quotes takes quotes as characters." : "";
  }

  /** The beginning of the record, without the next line's. */
  #quoted({ excerpt }: Excerpt): string {
    const line = this.#format === "json" ? "" : firstLine({ excerpt });
    return JSON.stringify(line || excerpt);
  }
}

type Excerpt = Pick<RecordError, "excerpt">;

function firstLine({ excerpt }: Excerpt): string {
  return excerpt.split(/\r?\n/, 1)[0] ?? "";
}

const NO_ARRAY =
  "(say --from ndjson for lines of JSON; of an array within an object, jq -c '.NAME[]' makes lines)";

/** What a line is the beginning of, where JSON is written over several. */
const SHAPES: ReadonlyMap<string, string> = new Map([
  ["{", " An object over several lines is no NDJSON: jq -c . writes each in a line."],
  ["}{", " Several objects in a line are no NDJSON: jq -c . writes each in a line."],
  ["[", " An array is read by --from json."],
]);

const ENCODING_ADVICE =
  " If it is of Windows, convert it first, as iconv -f CP1252 -t UTF-8 FILE > NEW does.";

/** What to do with a record without its key. */
const MISSING_ADVICE = "--missing skip leaves such records out, --missing FILE keeps them apart";

/** What @partd/records calls a source without a name. */
const STREAM = "<stream>";

/** Its advice to programs, which is left out or put otherwise here. */
const MORE_MEMORY = /set memory \(\d+ bytes\) to .+ or more\./;
const TABLE = /: read it as (Arrow|Parquet)\.$/;
const LINES = /\(lines of JSON are read with readNdjson\)/;
