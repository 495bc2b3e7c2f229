import { PartdError } from "@partd/core";
import { type OptionNames, setField } from "@partd/core/author";
import { parseFieldPath } from "../key/field-path.js";
import type {
  ByteBatch,
  FormatDescription,
  OnReject,
  Scan,
  Scanner,
  ScannerOptions,
  Totals,
} from "../records.js";
import { RecordError } from "../scan/record-error.js";
import { openScanner } from "../scan/wasm-scanner.js";
import { newlineCutter, type RecordCutter } from "../source/cut-batches.js";
import type { TextFormat } from "../source/text-records.js";
import { CsvCutter } from "./csv-cutter.js";
import { CsvMatcher, type CsvSyntax } from "./csv-matcher.js";

/** How CSV is read or written. */
export interface CsvOptions {
  /** The character between fields, in ASCII. Default a comma. */
  readonly delimiter?: string | undefined;
  /** Whether fields may be quoted, with double quotes. Default true. */
  readonly quote?: boolean | undefined;
  /** Column names, for files without a header. Default: the first row holds them. */
  readonly columns?: readonly string[] | undefined;
}

export const CSV_OPTIONS: OptionNames<CsvOptions> = {
  delimiter: true,
  quote: true,
  columns: true,
};

export class CsvFormat<R extends object> implements TextFormat<R> {
  readonly name = "csv";
  readonly endsAtNewline: boolean;
  readonly #syntax: CsvSyntax;
  readonly #hasHeader: boolean;
  /** The header as it is in the first file. */
  #header: string | undefined;
  readonly #onReject: OnReject | undefined;
  #columns: readonly string[] | undefined;
  /** Whether the columns are the fields of the first record written. */
  #areOfFirst = false;
  #rows: CsvMatcher | undefined;

  constructor(options: CsvOptions = {}, onReject?: OnReject, hasHeader?: boolean) {
    const { delimiter = ",", quote = true, columns } = options;
    if (!/^[\t\x20-\x7e]$/.test(delimiter) || delimiter === '"') {
      const what = JSON.stringify(delimiter);
      throw new PartdError("ERR_PARTD_VALUE", `${what} cannot be the delimiter of a CSV.`);
    }
    this.#syntax = { delimiter: delimiter.charCodeAt(0), quote };
    this.endsAtNewline = !quote;
    this.#columns = columns;
    this.#hasHeader = hasHeader ?? columns === undefined;
    this.#onReject = onReject;
  }

  get columns(): readonly string[] | undefined {
    return this.#columns;
  }

  /** Makes the format of a description. */
  static from<R extends object>(
    { header, ...options }: CsvOptions & { readonly header: string | undefined },
    onReject?: OnReject,
  ): CsvFormat<R> {
    const format = new CsvFormat<R>(options, onReject, header !== undefined);
    format.#header = header;
    return format;
  }

  /** Whether the rows of another format are rows of this one, byte for byte. */
  hasRowsOf(other: CsvFormat<object>): boolean {
    return (
      this.#syntax.delimiter === other.#syntax.delimiter &&
      this.#syntax.quote === other.#syntax.quote &&
      JSON.stringify(this.#columns) === JSON.stringify(other.#columns)
    );
  }

  get header(): Uint8Array | undefined {
    if (!this.#hasHeader || !this.#columns) return undefined;
    return encoder.encode(this.#header ?? this.#line(this.#columns));
  }

  parse(bytes: Uint8Array, start = 0, end = bytes.length): R {
    const record = bytes.subarray(start, end);
    this.#rows ??= new CsvMatcher(this.#syntax, this.#known().length, []);
    this.#rows.next(record, 0);
    if (this.#rows.fault) {
      const place = { source: "<record>", isInFile: false, line: 1, byteOffset: 0 };
      throw RecordError.at(place, record, 0, this.#rows.fault);
    }
    return this.#row(this.#rows);
  }

  serialize(record: R): Uint8Array {
    if (typeof record !== "object" || record === null) {
      const given = String(record).slice(0, 60);
      throw new PartdError("ERR_PARTD_VALUE", `A row of CSV is an object of fields, not ${given}.`);
    }
    const row = record as Readonly<Record<string, unknown>>;
    if (!this.#columns) {
      this.#columns = Object.keys(row);
      this.#areOfFirst = true;
    } else if (this.#areOfFirst) {
      checkFields(row, this.#columns);
    }
    const columns = this.#columns;
    return encoder.encode(this.#line(columns.map((name) => fieldText(row, name))));
  }

  scanner(fields: readonly string[], options?: ScannerOptions): Scanner {
    const { values = [], onReject = this.#onReject, totals = false } = options ?? {};
    for (const field of [...fields, ...values]) parseFieldPath(field);
    let scanner: Scanner | undefined;
    // The columns are known once the first batch has come.
    const open = () => {
      const columns = [...fields, ...values].map((field) => this.#columnOf(field));
      const width = this.#known().length;
      const matcher = new CsvMatcher(this.#syntax, width, columns);
      const plan = { keys: fields.length, values: values.length, onReject, totals };
      return openScanner({ name: "csv", ...this.#syntax, width, columns }, matcher, plan);
    };
    return {
      scan: (batch: ByteBatch): Scan => {
        scanner ??= open();
        return scanner.scan(batch);
      },
      get totals(): Totals | undefined {
        return scanner?.totals;
      },
    };
  }

  cutter(): RecordCutter {
    return this.#syntax.quote ? new CsvCutter(this.#syntax) : newlineCutter;
  }

  guessStart(bytes: Uint8Array): number {
    return guessRowStart(bytes, this.#syntax);
  }

  preamble(batch: ByteBatch): number {
    if (!this.#hasHeader) return 0;
    const matcher = new CsvMatcher(this.#syntax, undefined, []);
    let end = 0;
    let start = 0;
    do {
      start = end;
      end = matcher.next(batch.bytes, start);
    } while (matcher.isBlank && end < batch.bytes.length);
    if (matcher.isBlank) return end;
    const fault = matcher.fault;
    if (fault) throw RecordError.at(batch.position, batch.bytes, start, fault);
    const columns = columnNames(Array.from({ length: matcher.count }, (_, i) => matcher.text(i)));
    // A file whose lines end in CR alone would be one long header.
    if (columns.some((name) => /\r(?!\n)/.test(name))) {
      const what = "is a header with a carriage return inside: lines end in LF or CRLF";
      throw RecordError.at(batch.position, batch.bytes, start, { offset: start, what });
    }
    this.#columns ??= columns;
    this.#header ??= decoder.decode(batch.bytes.subarray(start, end));
    if (JSON.stringify(columns) !== JSON.stringify(this.#columns)) {
      const what = `is a header with other columns than ${this.#line(this.#columns).trimEnd()}`;
      throw RecordError.at(batch.position, batch.bytes, start, { offset: start, what });
    }
    return end;
  }

  *parseBatch(batch: ByteBatch, onReject: OnReject | undefined): Generator<R> {
    const scan = this.scanner([], { onReject }).scan(batch);
    const matcher = new CsvMatcher(this.#syntax, this.#known().length, []);
    for (let at = 0; at < scan.bytes.length; ) {
      at = matcher.next(scan.bytes, at);
      yield this.#row(matcher);
    }
  }

  describe(): FormatDescription {
    const { delimiter, quote } = this.#syntax;
    return {
      name: "csv",
      delimiter: String.fromCharCode(delimiter),
      quote,
      columns: this.#known(),
      header: this.#hasHeader ? (this.#header ?? this.#line(this.#known())) : undefined,
    };
  }

  #known(): readonly string[] {
    if (this.#columns) return this.#columns;
    throw new PartdError(
      "ERR_PARTD_VALUE",
      "The columns of a CSV are known once its first batch was read.",
    );
  }

  /** Finds a column by its name in the header, or by a path of one name. */
  #columnOf(field: string): number {
    const columns = this.#known();
    const index = columns.lastIndexOf(field);
    if (index >= 0) return index;
    const [name, ...rest] = parseFieldPath(field);
    return rest.length === 0 ? columns.lastIndexOf(name!) : -1;
  }

  #row(matcher: CsvMatcher): R {
    const row: Record<string, string> = {};
    const columns = this.#known();
    for (let i = 0; i < columns.length; i++) {
      const name = columns[i]!;
      if (name !== "__proto__") row[name] = matcher.text(i);
      else setField(row, name, matcher.text(i));
    }
    return row as R;
  }

  #line(fields: readonly string[]): string {
    const { delimiter, quote } = this.#syntax;
    const between = String.fromCharCode(delimiter);
    if (fields.length === 1 && fields[0] === "" && quote) return '""\n';
    const texts = fields.map((text) => {
      if (!text.isWellFormed()) {
        throw new PartdError(
          "ERR_PARTD_VALUE",
          `${JSON.stringify(text).slice(0, 60)} holds half a character (a lone surrogate), which UTF-8 cannot encode.`,
        );
      }
      // At the beginning of a file it would be read as its byte order mark.
      const isMarked = quote && text.startsWith("\ufeff");
      const isPlain = !isMarked && !/["\r\n]/.test(text) && !text.includes(between);
      if (isPlain) return text;
      if (quote) return `"${text.replaceAll('"', '""')}"`;
      if (!/[\r\n]/.test(text) && !text.includes(between)) return text;
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `${JSON.stringify(text)} needs quotes, which { quote: false } forbids.`,
      );
    });
    return `${texts.join(between)}\n`;
  }
}

/** The names of a header's columns. One without a name has its number: two such would be one field of an object. */
export function columnNames(header: readonly string[]): string[] {
  return header.map((name, i) => name || String(i + 1));
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function fieldText(row: Readonly<Record<string, unknown>>, name: string): string {
  const value = row[name];
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "boolean":
    case "bigint":
      return String(value);
    case "undefined":
      return "";
    case "object":
      if (value === null) return "";
      if (!(value instanceof Date)) break;
      if (!Number.isNaN(value.getTime())) return value.toISOString();
      throw refuseField(name, "an invalid Date");
  }
  if (Array.isArray(row)) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      "A row of CSV is one object of fields, and these are lists, such as the pairs of a join: make each one object first, as in ([a, b]) => ({ ...a, ...b }).",
    );
  }
  throw refuseField(name, typeof value === "object" ? "an object" : `a ${typeof value}`);
}

/** @throws `ERR_PARTD_VALUE` for a field that would get lost. */
function checkFields(row: Readonly<Record<string, unknown>>, columns: readonly string[]): void {
  const names = Object.keys(row);
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!;
    // Most records have their fields in the order of the first one: looking them up in a Set took a
    // tenth of writeCsv.
    if (name === columns[i] || columns.includes(name) || row[name] === undefined) continue;
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `A record has the field ${JSON.stringify(name)}, which the first one does not have, so the CSV has no column for it: name all columns to be written, as in { columns: ["a", "b"] }.`,
    );
  }
}

function refuseField(name: string, what: string): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    `The field ${JSON.stringify(name)} holds ${what}: a CSV has room for text, numbers, booleans and dates.`,
  );
}

/**
 * Guesses where the first row begins in bytes that may start anywhere, also inside quotes; -1 if
 * nowhere. In nearly all files, quotes stand in valid places under only one of the two assumptions. If
 * they do under both, or there are none, the bytes are assumed to start outside quotes.
 */
function guessRowStart(bytes: Uint8Array, { delimiter }: CsvSyntax): number {
  const outside = firstRowStart(bytes, delimiter, false);
  if (outside.isPlausible) return outside.start;
  const inside = firstRowStart(bytes, delimiter, true);
  return inside.isPlausible ? inside.start : outside.start;
}

function firstRowStart(
  bytes: Uint8Array,
  delimiter: number,
  startsInside: boolean,
): { start: number; isPlausible: boolean } {
  let isInside = startsInside;
  let start = -1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (isInside) {
      if (byte !== QUOTE) continue;
      const next = bytes[at + 1];
      if (next === QUOTE) at++;
      else if (next === undefined || next === delimiter || next === LF || next === CR) {
        isInside = false;
      } else return { start, isPlausible: false };
    } else if (byte === LF) {
      if (start < 0) start = at + 1;
    } else if (byte === QUOTE) {
      const before = at === 0 ? LF : bytes[at - 1];
      if (before !== delimiter && before !== LF) return { start, isPlausible: false };
      isInside = true;
    }
  }
  return { start, isPlausible: true };
}

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
