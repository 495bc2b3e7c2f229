import { type Column, columnNames } from "@partd/records/author";
import { Failure } from "../command/failure.js";
import { showCount } from "../command/quantity.js";
import type { Format } from "./format.js";
import { JsonText, jsonText } from "./json-text.js";

/**
 * Makes CSV of records that need not have the same fields. The header has the fields of the first
 * {@link MOST_ROWS} records, or of {@link MOST_LENGTH} characters of them, which are held back until
 * then.
 */
export class CsvRows {
  readonly #format: Format;
  readonly #delimiter: string;
  readonly #hasHeader: boolean;
  readonly #quotes: boolean;
  readonly #known: () => readonly Column[];
  #columns = new Set<string>();
  /** `undefined` once the header is written. */
  #waiting: Row[] | undefined = [];
  #length = 0;
  #rows = 0;
  /** How many records the header was made from. */
  #headerRows = 0;

  /** @param known columns that precede those of the records in the header. */
  constructor(
    format: Format,
    delimiter: string,
    { hasHeader, quotes }: { readonly hasHeader: boolean; readonly quotes: boolean },
    known: () => readonly Column[],
  ) {
    this.#format = format;
    this.#hasHeader = hasHeader;
    this.#quotes = quotes;
    this.#delimiter = delimiter;
    this.#known = known;
  }

  /** Adds a record. @returns the text that can be written now. */
  add(names: readonly string[], values: readonly unknown[]): string {
    if (this.#rows++ === 0) this.#columns = new Set(this.#known().map(({ name }) => name));
    const row = new Map(names.map((name, i) => [name, cellOf(values[i])]));
    if (this.#waiting === undefined) return this.#text(row);
    this.#waiting.push(row);
    for (const [name, cell] of row) {
      this.#columns.add(name);
      this.#length += cell.length;
    }
    const mustWait = this.#waiting.length < MOST_ROWS && this.#length < MOST_LENGTH;
    return mustWait ? "" : this.end();
  }

  /** The text that was held back. */
  end(): string {
    const rows = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#headerRows = rows.length;
    if (rows.length === 0) return "";
    const columns = [...this.#columns].map((name) => ({ name }));
    return this.header(columns) + rows.map((row) => this.#text(row)).join("");
  }

  /** A header, with its line feed; no text without columns, or if no header is wanted. */
  header(columns: readonly { readonly name: string }[]): string {
    if (columns.length === 0 || !this.#hasHeader) return "";
    return rowOf(
      columns.map(({ name }) => rawField(name, this.#delimiter, this.#quotes)),
      this.#delimiter,
      this.#quotes,
    );
  }

  #text(row: Row): string {
    const cells: string[] = [];
    let found = 0;
    for (const name of this.#columns) {
      const cell = row.get(name);
      if (cell !== undefined) found++;
      cells.push(rawField(cell ?? "", this.#delimiter, this.#quotes));
    }
    if (found < row.size) this.#refuse(row);
    return rowOf(cells, this.#delimiter, this.#quotes);
  }

  #refuse(row: Row): never {
    const name = [...row.keys()].find((one) => !this.#columns.has(one));
    const start = Object.fromEntries([...row].map(([name, cell]) => [name, cell.slice(0, SHOWN)]));
    throw new Failure(
      `--to ${this.#format}: record ${showCount(this.#rows)} of the output has a field ${name} that is not in the header, which has the fields of the first ${showCount(this.#headerRows)}; --to ndjson, parquet or arrow takes records of any fields\n       ${JSON.stringify(start).slice(0, SHOWN)}`,
    );
  }
}

type Row = ReadonlyMap<string, string>;

function cellOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (value instanceof JsonText) {
    const { text } = value;
    return text === "null" ? "" : text.startsWith('"') ? (JSON.parse(text) as string) : text;
  }
  return typeof value === "string" ? value : jsonText(value);
}

/** The most characters of a record in an error. */
const SHOWN = 100;
const MOST_ROWS = 1000;
const MOST_LENGTH = 1 << 20;

/**
 * The fields of one row of CSV or TSV as they are written, including quotes.
 *
 * @param quotes whether quotes are more than characters; the same in the functions below.
 */
export function rawFields(row: string, delimiter: string, quotes: boolean): string[] {
  const fields: string[] = [];
  const line = row.replace(/\r?\n$/, "");
  if (!quotes) return line.split(delimiter);
  const end = line.length;
  let start = 0;
  let quoted = false;
  for (let at = 0; at < end; at++) {
    const character = row[at];
    if (character === '"') quoted = !quoted;
    else if (character === delimiter && !quoted) {
      fields.push(row.slice(start, at));
      start = at + 1;
    }
  }
  fields.push(row.slice(start, end));
  return fields;
}

/** The text of a raw field. */
export function fieldText(raw: string, quotes: boolean): string {
  return quotes && raw.startsWith('"') ? raw.slice(1, -1).replaceAll('""', '"') : raw;
}

/**
 * Text as a raw field, in quotes if it needs them.
 *
 * @throws `Failure` for half a character, for which UTF-8 has no bytes, and for a text that needs quotes if there
 *   are none.
 */
export function rawField(text: string, delimiter: string, quotes: boolean): string {
  refuseHalfCharacter(text);
  if (!quotes) {
    if (!/[\r\n]/.test(text) && !text.includes(delimiter)) return text;
    throw new Failure(
      `--no-quotes: ${JSON.stringify(text).slice(0, SHOWN)} holds a delimiter or a line ending; write ndjson, or leave out --no-quotes`,
    );
  }
  const needsQuotes = /["\r\n]/.test(text) || text.includes(delimiter) || /^\s|\s$/.test(text);
  return needsQuotes ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @throws `Failure` for half a character, as JSON can escape it: UTF-8 has no bytes for that. */
function refuseHalfCharacter(text: string): void {
  if (text.isWellFormed()) return;
  const shown = JSON.stringify(text).slice(0, 60);
  throw new Failure(
    `${shown} holds half a character (a lone surrogate), which only JSON can hold: write ndjson or json`,
  );
}

/** Raw fields as a row, with the line ending of the row `like`. One empty field would be a blank line without quotes. */
export function rowOf(
  fields: readonly string[],
  delimiter: string,
  quotes: boolean,
  like = "",
): string {
  const isBlank = fields.length === 1 && fields[0] === "";
  const row = isBlank && quotes ? '""' : fields.join(delimiter);
  return `${row}${like.endsWith("\r\n") ? "\r\n" : "\n"}`;
}

/** The names of a header's columns; each of its characters is a byte. */
export function columnsOf(header: string, delimiter: string, quotes: boolean): string[] {
  const fields = rawFields(Buffer.from(header, "latin1").toString(), delimiter, quotes);
  return columnNames(fields.map((raw) => fieldText(raw, quotes)));
}

/** A name that several columns have. */
export function twinOf(columns: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return columns.find((name) => seen.size === seen.add(name).size);
}
