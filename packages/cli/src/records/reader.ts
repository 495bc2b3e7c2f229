import { Failure, UsageError } from "../command/failure.js";
import { nearest } from "../command/nearest.js";
import { fieldText, rawFields } from "./csv-row.js";
import { FieldPath } from "./field-path.js";
import { delimiterOf, type Format } from "./format.js";
import { bytesOf, nameOf, type ReadCount } from "./input-bytes.js";
import { jsonFault } from "./json-fault.js";
import { rawValue } from "./json-members.js";
import {
  ElementSplitter,
  LineSplitter,
  type RawRecord,
  type RecordSplitter,
  RowSplitter,
} from "./record-splitter.js";

export interface ReaderOptions {
  readonly paths: readonly string[];
  readonly format: Format;
  readonly signal: AbortSignal;
  /** Takes what is no record; without it, that ends the run. */
  readonly reject?: ((text: string) => void) | undefined;
  /** Fields that records are to have; a name that none of the first has is refused. */
  readonly fields: readonly string[];
}

/**
 * Records of files as they are written: each is its text, a character a byte, so that it goes out
 * byte for byte. It is checked, and its fields can be asked for.
 */
export class Reader {
  readonly format: Format;
  /** The first row of CSV and TSV, with its end. */
  header: string | undefined;
  readonly count: ReadCount = { bytes: 0 };
  rejected = 0;
  records = 0;
  readonly #options: ReaderOptions;
  readonly #delimiter: string | undefined;
  readonly #paths: ReadonlyMap<string, FieldPath>;
  #columns: readonly string[] = [];
  readonly #columnOf = new Map<string, number>();
  /** Names that the first records have. */
  readonly #names = new Set<string>();
  readonly #seen = new Set<string>();
  #current: { text: string; record: unknown } = { text: "", record: undefined };
  #place = { path: "", line: 0 };
  #iterator: AsyncGenerator<string> | undefined;
  #first: IteratorResult<string> | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.format = options.format;
    this.#delimiter = delimiterOf(options.format);
    this.#paths = new Map(options.fields.map((field) => [field, new FieldPath(field)]));
  }

  /** Columns of CSV and TSV, known once {@link begin} has resolved. */
  get columns(): readonly string[] {
    return this.#columns;
  }

  /** Reads as far as the first record, and with it the header. */
  async begin(): Promise<void> {
    this.#iterator ??= this.#read();
    this.#first ??= await this.#iterator.next();
  }

  /** The texts of all records, once. */
  async *texts(): AsyncGenerator<string> {
    await this.begin();
    const { value, done } = this.#first as IteratorResult<string>;
    if (done) return;
    yield value;
    yield* this.#iterator as AsyncGenerator<string>;
  }

  /** What a record says under a field: undefined if it has none. */
  value(text: string, field: string): unknown {
    const record = this.#recordOf(text);
    const path = this.#paths.get(field) as FieldPath;
    return this.#delimiter === undefined ? path.of(record) : this.#cell(record as string[], field);
  }

  /**
   * The value as a key: an integer that a number cannot hold is a bigint, and an object or a list is
   * its JSON.
   */
  key(text: string, field: string): unknown {
    const value = this.value(text, field);
    if (typeof value === "object" && value !== null) return JSON.stringify(value);
    if (typeof value !== "number" || Number.isSafeInteger(value) || !Number.isInteger(value)) {
      return value;
    }
    const written = this.json(text, field) as string;
    return /^-?\d+$/.test(written) ? BigInt(written) : value;
  }

  /** The JSON of a value as it is written in a record of JSON. */
  json(text: string, field: string): string | undefined {
    const { names } = this.#paths.get(field) as FieldPath;
    const raw = rawValue(Buffer.from(text, "latin1"), names);
    return raw && Buffer.from(raw).toString();
  }

  /** A record as an object, of which only its own members count. */
  object(text: string): unknown {
    const record = this.#recordOf(text);
    if (this.#delimiter === undefined) return record;
    return Object.fromEntries(this.#columns.map((name, i) => [name, (record as string[])[i]]));
  }

  /** Where the record stands that was read last, for messages. */
  get place(): string {
    return `${this.#place.path}:${this.#place.line}`;
  }

  async *#read(): AsyncGenerator<string> {
    const { paths, signal } = this.#options;
    for (const path of paths) {
      const splitter = splitterFor(this.format);
      this.#place = { path: nameOf(path), line: 1 };
      let isFirst = true;
      let isHeader = this.#delimiter !== undefined;
      let lead = Buffer.alloc(0);
      const take = function* (this: Reader, records: Iterable<RawRecord>) {
        for (const record of records) {
          this.#place.line = record.line;
          if (isHeader) {
            isHeader = false;
            this.#takeHeader(record);
          } else if (this.#accept(record)) {
            yield record.text;
          }
        }
      }.bind(this);
      for await (const piece of bytesOf(path, this.count, signal)) {
        let bytes = piece;
        if (isFirst) {
          lead = Buffer.concat([lead, piece]);
          if (lead.length < 3) continue;
          isFirst = false;
          bytes = withoutMark(lead);
        }
        yield* take(splitter.push(bytes));
      }
      if (isFirst) yield* take(splitter.push(lead));
      yield* take(splitter.end());
    }
    this.#refuseUnknown();
  }

  #takeHeader({ text, fault }: RawRecord): void {
    if (fault !== undefined) throw this.failure(text, fault);
    const columns = rawFields(text, this.#delimiter as string).map((raw) => decode(fieldText(raw)));
    if (this.header === undefined) {
      this.header = text;
      this.#columns = columns;
      for (const name of columns) this.#names.add(name);
      const twice = columns.find((name, i) => columns.indexOf(name) !== i && this.#paths.has(name));
      if (twice !== undefined) {
        throw new UsageError(`${this.place}: two columns are named ${JSON.stringify(twice)}`);
      }
      for (const [field, path] of this.#paths) {
        // A column may have dots in its name, with or without a backslash before them.
        const column = [field, path.own].findIndex(
          (name) => name !== undefined && this.#names.has(name),
        );
        if (column < 0) throw this.#unknown(field);
        this.#columnOf.set(field, columns.indexOf([field, path.own][column] as string));
      }
      return;
    }
    if (columns.join("\0") !== this.#columns.join("\0")) {
      throw new Failure(`${this.place}: the header differs from that of ${this.#options.paths[0]}`);
    }
  }

  /** Whether the text is a record; what is none is rejected. */
  #accept({ text, fault }: RawRecord): boolean {
    let record: unknown;
    try {
      if (fault !== undefined) throw new Malformed(0, fault);
      record = this.#parse(text);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      if (this.#options.reject === undefined) throw this.#failure(text, error);
      this.#options.reject(text);
      this.rejected++;
      return false;
    }
    this.#current = { text, record };
    this.records++;
    if (this.#delimiter === undefined && this.#seen.size < this.#paths.size) this.#watch(record);
    return true;
  }

  #parse(text: string): unknown {
    if (this.#delimiter !== undefined) {
      const fields = rawFields(text, this.#delimiter);
      if (fields.length !== this.#columns.length) {
        throw new Malformed(
          0,
          `${fields.length} fields where the header has ${this.#columns.length}`,
        );
      }
      const bad = fields.findIndex((raw) => raw.includes('"') && !QUOTED.test(raw));
      if (bad >= 0) {
        const at = fields.slice(0, bad).join(" ").length + (bad > 0 ? 1 : 0);
        throw new Malformed(
          at,
          "a quote within a field, which is to be in quotes then, and doubled",
        );
      }
      return fields;
    }
    const decoded = decode(text);
    try {
      return JSON.parse(decoded);
    } catch {
      const { at, what } = jsonFault(decoded.replace(/\r?\n$/, ""));
      throw new Malformed(at, what);
    }
  }

  #recordOf(text: string): unknown {
    if (this.#current.text !== text) this.#current = { text, record: this.#parse(text) };
    return this.#current.record;
  }

  #cell(fields: readonly string[], column: string): string | undefined {
    const raw = fields[this.#columnOf.get(column) ?? -1];
    return raw === undefined ? undefined : decode(fieldText(raw));
  }

  /** Looks for fields that no record has. */
  #watch(record: unknown): void {
    for (const [field, path] of this.#paths)
      if (path.of(record) !== undefined) this.#seen.add(field);
    if (this.#names.size < MOST_NAMES) namesOf(record, "", this.#names);
    if (this.records === FIRST_RECORDS) this.#refuseUnknown();
  }

  #refuseUnknown(): void {
    if (this.records === 0 || this.#delimiter !== undefined) return;
    for (const field of this.#paths.keys()) if (!this.#seen.has(field)) throw this.#unknown(field);
  }

  #unknown(field: string): UsageError {
    const near = nearest(field, this.#names);
    const names = [...this.#names];
    const some = names.slice(0, 12).map(shortened).join(", ") + (names.length > 12 ? " …" : "");
    const hint =
      near !== undefined ? `did you mean ${printable(near)}?` : `there are: ${some || "none"}`;
    const where =
      this.#delimiter === undefined
        ? `the first ${this.records === 1 ? "record" : `${this.records} records`} of ${this.#place.path}`
        : this.#place.path;
    return new UsageError(`there is no field ${field} in ${where}; ${hint}`);
  }

  /** An error about the record that was read last. */
  failure(text: string, what: string): Failure {
    return this.#failure(text, new Malformed(0, what));
  }

  #failure(text: string, { at, what }: Malformed): Failure {
    const { path, line } = this.#place;
    const from = Math.max(0, at - 40);
    const shown = decodeLoosely(text).replace(/\r?\n$/, "");
    const piece = `${from > 0 ? "…" : ""}${shown.slice(from, from + 80)}${shown.length > from + 80 ? "…" : ""}`;
    return new Failure(`${path}:${line}:${at + 1}: ${what}\n       ${printable(piece)}`);
  }
}

class Malformed extends Error {
  /** The character, from 0. */
  readonly at: number;
  readonly what: string;

  constructor(at: number, what: string) {
    super(what);
    this.at = at;
    this.what = what;
  }
}

function splitterFor(format: Format): RecordSplitter {
  if (format === "json") return new ElementSplitter();
  return format === "ndjson" ? new LineSplitter() : new RowSplitter();
}

function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

/** Text of UTF-8 bytes that are given as a character each. */
function decode(latin1: string): string {
  if (!/[\u0080-\u00ff]/.test(latin1)) return latin1;
  try {
    return utf8.decode(Buffer.from(latin1, "latin1"));
  } catch {
    throw new Malformed(Math.max(0, latin1.search(/[^ -~\t\r\n]/)), "not UTF-8 text");
  }
}

function decodeLoosely(latin1: string): string {
  return Buffer.from(latin1.slice(0, 4_000_000), "latin1").toString();
}

function namesOf(record: unknown, prefix: string, names: Set<string>): void {
  if (typeof record !== "object" || record === null || Array.isArray(record)) return;
  for (const [name, value] of Object.entries(record)) {
    const path = prefix + FieldPath.escape(name);
    names.add(path);
    if (names.size >= MOST_NAMES) return;
    if (prefix.length < 100) namesOf(value, `${path}.`, names);
  }
}

function shortened(name: string): string {
  return printable(name.length > 40 ? `${name.slice(0, 39)}…` : name);
}

/** Text without what would move a terminal's cursor. */
function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029\u202a-\u202e]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A field of CSV that holds quotes, as it has to be. */
const QUOTED = /^"(?:[^"]|"")*"$/;

/** Records by which a field that none has is known not to be there. */
const FIRST_RECORDS = 1000;
const MOST_NAMES = 10_000;
