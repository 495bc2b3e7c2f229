import {
  type BatchOptions,
  type ByteBatch,
  type OnReject,
  parseFieldPath,
  type RecordFormat,
  type Records,
  type RecordsPart,
  type RecordsSplitOptions,
  readCsv,
  readJson,
  readNdjson,
  readTsv,
  type Scan,
} from "@partd/records";
import type { Column } from "@partd/records/author";
import { type OpenTable, TableLines } from "../tables/table-lines.js";
import { standardInput } from "../terminal/terminal.js";
import { CheckedScans } from "./checked-scans.js";
import { columnsOf } from "./csv-rows.js";
import { FieldSearch } from "./field-search.js";
import { delimiterOf, type Format, isTable, lineFormat } from "./format.js";
import { RecordPlaces } from "./record-places.js";
import { recordOf, textFormat, textOf } from "./record-text.js";
import { RecordValues } from "./record-values.js";

export interface SourceOptions {
  readonly paths: readonly string[];
  readonly format: Format;
  /** What stands between the fields of CSV. Default: a comma. */
  readonly delimiter: string | undefined;
  /** Whether quotes in rows are more than characters. */
  readonly quotes: boolean;
  /** Names for the columns of rows without a header; `undefined` for all else. */
  readonly names: readonly string[] | undefined;
  /** The bytes of a pipe whose beginning was read before; `undefined` for all else. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  /** The longest record, in bytes. Default: the reader's limit. */
  readonly longestRecord: number | undefined;
  /** Bytes of the longest key that memory has room for. */
  readonly longestKey: number;
  /** Whether threads may read records in spite of these limits, because theirs are enough. */
  readonly mayShareLong: boolean;
  readonly onReject: OnReject | undefined;
  /** Requested fields; a name that none of the first records has is refused. */
  readonly fields: readonly string[];
  /** Those of them that every record must have. */
  readonly required: readonly string[];
  /** The only fields that are read; `undefined` for whole records. */
  readonly only: readonly string[] | undefined;
  /** Whether a record without a required field is an error. */
  readonly isStrict: boolean;
  /** Receives a record without a required field, if that is not an error. */
  readonly onMissing: (bytes: Uint8Array) => void;
  readonly signal: AbortSignal;
  /** Called after each batch with the bytes read so far, still compressed, and the records. */
  readonly onBatch: (consumed: number, records: number) => Promise<void>;
}

/**
 * Records of files as a reader of @partd/records. The records are their own text, in which each
 * character is a byte, so that they are written byte for byte.
 */
export class RecordSource implements Records<string>, AsyncDisposable {
  readonly format: RecordFormat<string>;
  /** The format of the texts: elements of JSON arrays and rows of tables have become lines. */
  readonly writtenAs: Format;
  /** What stands between the fields of rows; `undefined` for other formats. */
  readonly delimiter: string | undefined;
  readonly values: RecordValues;
  readonly #inner: Records<unknown>;
  readonly #tables: TableLines | undefined;
  readonly #places: RecordPlaces;
  readonly #scans: CheckedScans;
  readonly #options: SourceOptions;
  #begun: AsyncGenerator<ByteBatch> | undefined;
  #first: IteratorResult<ByteBatch> | undefined;
  /** Makes room for a long record, once someone asks for all of them. */
  #onGrow: BatchOptions["onGrow"];
  /** Bytes that the reader has taken for a long record. */
  #grown = 0;
  #hasAllFields = false;

  constructor(options: SourceOptions) {
    this.#options = options;
    this.#tables = tablesFor(options);
    this.#places = new RecordPlaces(
      options.paths,
      options.format,
      this.#tables,
      options.names === undefined ? () => this.names : undefined,
    );
    this.#inner = this.#tables ? readNdjson(this.#tables) : readerFor(options);
    this.#scans = new CheckedScans(this.#inner.format, options, this.#places);
    this.writtenAs = lineFormat(options.format);
    this.delimiter = delimiterOf(options.format, options.delimiter);
    this.format = textFormat(this.#inner.format, (fields, given) => {
      return this.#scans.scanner(fields, given);
    });
    this.values = new RecordValues(this.#inner.format);
  }

  /** Bytes of tables that were read; `undefined` for other formats. */
  get tableBytesRead(): number | undefined {
    return this.#tables?.bytesRead;
  }

  /**
   * Columns of a table, which are known with the first record, and of rows without a header; none for other
   * formats.
   */
  get columns(): readonly Column[] {
    const { names = [] } = this.#options;
    return this.#tables?.columns ?? names.map((name) => ({ name, type: undefined }));
  }

  /** Whether quotes in rows are more than characters. */
  get quotes(): boolean {
    return this.#options.quotes;
  }

  /** The names of the columns of rows, once there is a record; none for other formats. */
  get names(): readonly string[] {
    const { header } = this.#inner.format;
    if (this.delimiter === undefined || header === undefined) return this.#options.names ?? [];
    return columnsOf(Buffer.from(header).toString("latin1"), this.delimiter, this.quotes);
  }

  /** Records that were scanned. */
  get records(): number {
    return this.#scans.records;
  }

  /** Reads the first records, and with them the header of CSV. */
  async begin(): Promise<void> {
    this.#begun ??= this.#checked();
    this.#first ??= await this.#begun.next();
  }

  /** What stands in a column of CSV in the first records, without empty fields; nothing for other formats. */
  async firstTexts(field: string): Promise<readonly string[]> {
    await this.begin();
    if (this.delimiter === undefined || this.#first?.done !== false) return [];
    // Malformed records are reported when all are read.
    const scanner = this.#inner.format.scanner([field], { onReject: () => undefined });
    const scan = scanner.scan(this.#first.value);
    const texts: string[] = [];
    for (let i = 0; i < Math.min(scan.count, FIRST_RECORDS); i++) {
      const text = scan.key(i);
      if (typeof text === "string" && text.trim() !== "") texts.push(text);
    }
    return texts;
  }

  byteLength(): Promise<number | undefined> {
    return this.#inner.byteLength();
  }

  /**
   * Parts for threads, which read only what @partd/shuffle asks for: there, a record without its key is
   * an error. None if there are rejects, or limits that threads do not keep, or if the first records
   * lack a requested field.
   */
  async split(
    n: number,
    options?: RecordsSplitOptions,
  ): Promise<readonly RecordsPart[] | undefined> {
    const { longestRecord, mayShareLong, isStrict, onReject } = this.#options;
    if (longestRecord !== undefined && !mayShareLong) return undefined;
    if (this.#tables || !isStrict || onReject) return undefined;
    await this.begin();
    return this.#hasAllFields ? this.#inner.split(n, options) : undefined;
  }

  /** An error in the words of the command. */
  told(error: unknown): unknown {
    return this.#places.told(error);
  }

  /** @param options only `onGrow` is used: the source has its own limits and signal. */
  async *batches({ onGrow }: BatchOptions = {}): AsyncGenerator<ByteBatch> {
    await this.begin();
    this.#onGrow = onGrow;
    if (this.#grown > 0) await onGrow?.(this.#grown);
    if (this.#first?.done !== false) return;
    yield this.#first.value;
    yield* this.#begun as AsyncGenerator<ByteBatch>;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for await (const { text } of this.rows([])) yield text;
  }

  /** Records with their keys. A record without one of the fields is handled as missing. */
  async *rows(fields: readonly string[]): AsyncGenerator<Row> {
    const scanner = this.format.scanner(fields);
    for await (const batch of this.batches()) {
      const scan = scanner.scan(batch);
      for (let i = 0; i < scan.count; i++) {
        if (scan.missing(i)) {
          this.#options.onMissing(recordOf(scan, i));
          continue;
        }
        yield {
          text: textOf(scan, i),
          key: fields.length > 0 ? scan.key(i) : undefined,
          failure: (what) => this.#places.failureAt(batch, scan, i, what),
        };
      }
    }
  }

  /** Reads everything, and counts the records. */
  async count(): Promise<number> {
    const scanner = this.format.scanner([]);
    for await (const batch of this.batches()) scanner.scan(batch);
    return this.#scans.records;
  }

  /**
   * The same records as objects.
   *
   * @param check gets the values of `fields` before they are used, and may change them.
   * @param isShared whether threads may read lines of JSON, whose values are not checked then. Default false.
   */
  objects(check: (values: ScannedValues) => void, isShared = false): CheckedRecords {
    const format = this.#inner.format;
    const mayShare = isShared && this.delimiter === undefined;
    let areShared = false;
    return {
      get areShared() {
        return areShared;
      },
      format: {
        name: format.name,
        get header() {
          return format.header;
        },
        parse: format.parse.bind(format),
        serialize: format.serialize.bind(format),
        scanner: (fields, options) => {
          const scanner = this.#scans.scanner(fields, options);
          return {
            get totals() {
              return scanner.totals;
            },
            scan: (batch) => {
              const scan = scanner.scan(batch);
              for (const [index, field] of (options?.values ?? []).entries()) {
                const failure = (i: number, what: string) =>
                  this.#places.failureAt(batch, scan, i, what);
                check({ field, scan, index, text: (i) => textOf(scan, i), failure });
              }
              return scan;
            },
          };
        },
      },
      byteLength: () => this.byteLength(),
      batches: (options) => this.batches(options),
      split: async (n, options) => {
        const parts = mayShare ? await this.split(n, options) : undefined;
        areShared = parts !== undefined;
        return parts;
      },
      [Symbol.asyncIterator]: () => this[Symbol.asyncIterator](),
    };
  }

  /** Closes an input that was not read to its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#begun?.return(undefined);
  }

  async *#checked(): AsyncGenerator<ByteBatch> {
    try {
      yield* this.#read();
    } catch (error) {
      throw this.#places.told(error);
    }
  }

  async *#read(): AsyncGenerator<ByteBatch> {
    const { fields, required, isStrict, longestRecord, onBatch, onReject, signal } = this.#options;
    const search = new FieldSearch(
      this.#inner.format,
      fields,
      nameOf(this.#options.paths),
      () => this.names,
      onReject !== undefined,
    );
    for await (const batch of this.#inner.batches({
      longestRecord,
      longestRecordAdvice: longestRecord === undefined ? undefined : ADVICE,
      onGrow: async (bytes) => {
        this.#grown = bytes;
        await this.#onGrow?.(bytes);
      },
      signal,
    })) {
      if (search.isOpen) search.look(batch, isStrict ? required : undefined);
      this.#hasAllFields = !search.isOpen;
      yield batch;
      await onBatch(batch.consumed, this.#scans.records);
    }
    if (search.isOpen) search.end();
  }
}

/** How many records show what a column holds. */
const FIRST_RECORDS = 1000;

/** Advice for a record that does not fit in memory. */
const ADVICE = "If not, give it more by --memory.";

export interface Row {
  readonly text: string;
  readonly key: unknown;
  /** Makes an error about this record. Call it before the next record is asked for. */
  failure(what: string): Error;
}

/** Records whose values are checked, unless threads read them. */
export interface CheckedRecords extends Records<unknown> {
  /** Whether the records were cut into parts for threads. */
  readonly areShared: boolean;
}

/** The values of a field in a batch: `scan` has their numbers and kinds under `index`. */
export interface ScannedValues {
  readonly field: string;
  readonly scan: Scan;
  readonly index: number;
  text(i: number): string;
  failure(i: number, what: string): Error;
}

function tablesFor({ paths, format, only, signal }: SourceOptions): TableLines | undefined {
  if (!isTable(format)) return undefined;
  // Imported only if needed: apache-arrow alone would double the start-up time.
  const open: OpenTable =
    format === "arrow"
      ? async (...input) => (await import("../tables/read-arrow.js")).openArrow(...input, signal)
      : async (...input) => (await import("../tables/read-parquet.js")).openParquet(...input);
  return new TableLines(
    paths,
    open,
    only?.map((field) => parseFieldPath(field)[0] as string),
  );
}

function nameOf(paths: readonly string[]): string {
  const [first = ""] = paths;
  return paths.length === 1 ? first : `${first} and ${paths.length - 1} more`;
}

function readerFor({
  paths,
  format,
  delimiter,
  quotes: quote,
  names: columns,
  input,
  onReject,
  signal,
}: SourceOptions): Records<unknown> {
  const options = onReject && { onReject };
  const source = input ?? (paths.includes("-") ? standardInput(signal) : [...paths]);
  if (format === "json") return readJson(source, options);
  if (format === "csv") return readCsv(source, { ...options, delimiter, quote, columns });
  if (format === "tsv") return readTsv(source, { ...options, quote, columns });
  return readNdjson(source, options);
}
