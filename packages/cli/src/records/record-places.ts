import { type ByteBatch, RecordError, type Scan } from "@partd/records";
import { Failure } from "../command/failure.js";
import type { TableLines } from "../tables/table-lines.js";
import type { Format } from "./format.js";
import { nameOf } from "./inputs.js";

/** Says where records are in the inputs, as compilers do: `events.ndjson:20:6`. */
export class RecordPlaces {
  readonly #paths: readonly string[];
  readonly #format: Format;
  readonly #tables: TableLines | undefined;
  readonly #hasHeader: boolean;

  /**
   * @param tables maps a line to the row of a table.
   * @param hasHeader whether CSV begins with a header.
   */
  constructor(
    paths: readonly string[],
    format: Format,
    tables: TableLines | undefined,
    hasHeader: boolean,
  ) {
    this.#paths = paths;
    this.#format = format;
    this.#tables = tables;
    this.#hasHeader = hasHeader;
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
      .replace(STREAM, nameOf(this.#paths[0] as string))
      .replace(TABLE, (_, name: string) => `: say --from ${name.toLowerCase()}`);
    return said === message ? error : new Failure(said);
  }

  #located(error: RecordError): Failure {
    const { source, line, column, what } = error;
    const words = this.#hasHeader ? what : what.replace("where the header", "where the first row");
    const said = `${inWords(words)}: ${this.#quoted(error)}.`;
    const from = line === undefined ? undefined : this.#tables?.placeOf(line);
    if (from) return new Failure(`${nameOf(from.path)}: row ${from.row} ${said}`);
    const name = source.startsWith("<") ? nameOf(this.#paths[0] as string) : source;
    // The lines of a JSON array that is not a file are not counted.
    const place =
      line === undefined ? `${name}, byte ${error.offset}` : `${name}:${line}:${column ?? 1}`;
    const isGuess = this.#paths.includes("-") && line === 1 && what.startsWith("is not JSON");
    const hint = isGuess ? " Standard input is NDJSON unless --from says otherwise." : "";
    const shape = what.startsWith("is not JSON") ? SHAPES.get(firstLine(error)) : undefined;
    const subject = what.startsWith("is no JSON array") ? "the input" : "the record";
    return new Failure(`${place}: ${subject} ${said}${shape ?? hint}`);
  }

  /** The beginning of the record, without the next line's. */
  #quoted({ excerpt }: Excerpt): string {
    return JSON.stringify(this.#format === "ndjson" ? firstLine({ excerpt }) : excerpt);
  }
}

type Excerpt = Pick<RecordError, "excerpt">;

function firstLine({ excerpt }: Excerpt): string {
  return excerpt.split(/\r?\n/, 1)[0] ?? "";
}

/** The libraries' description of a record's fault, in the words of the command. */
function inWords(what: string): string {
  if (/^has no(?:t all of the)? fields? /.test(what)) {
    return `${what.replaceAll('"', "")}; ${MISSING_ADVICE}`;
  }
  return what.replace(LINES, NO_ARRAY);
}

const NO_ARRAY =
  "(say --from ndjson for lines of JSON; of an array within an object, jq -c '.NAME[]' makes lines)";

/** What a line is the beginning of, where JSON is written over several. */
const SHAPES: ReadonlyMap<string, string> = new Map([
  ["{", " An object over several lines is no NDJSON: jq -c . writes each in a line."],
  ["[", " An array is read by --from json."],
]);

/** What to do with a record without its key. */
const MISSING_ADVICE = "--missing skip leaves such records out, --missing FILE keeps them apart";

/** What @partd/records calls a source without a name. */
const STREAM = "<stream>";

/** Its advice to programs, which is left out or put otherwise here. */
const TABLE = /: read it as (Arrow|Parquet)\.$/;
const LINES = /\(lines of JSON are read with readNdjson\)/;
