import type { Transform } from "node:stream";
import zlib from "node:zlib";
import type { OutputFile } from "@partd/disk";
import { type Column, loadTables, membersOf, type TableRows } from "@partd/records/author";
import type { Call } from "../command/command.js";
import { Failure, UsageError } from "../command/failure.js";
import { createOutput } from "../output/output-file.js";
import { CsvRows, columnsOf, twinOf } from "./csv-rows.js";
import {
  delimiterOf,
  type Format,
  formatOfName,
  isTable,
  lineFormat,
  requireWritten,
} from "./format.js";
import { JsonLines, type OrderedEntries } from "./json-lines.js";
import { JsonText, jsonText } from "./json-text.js";

/** The texts of records: those of a source, or made from them. */
export interface RecordShape {
  readonly writtenAs: Format;
  /** What stands between the fields of rows; `undefined` for other formats. */
  readonly delimiter: string | undefined;
  /** The header of CSV and TSV is known with the first record. */
  readonly format: { readonly header: Uint8Array | undefined };
  readonly values: { object(text: string): unknown };
  /** Columns of the output, whatever the records have. An output table keeps their types. */
  readonly columns?: readonly Column[];
}

type Tables = Awaited<ReturnType<typeof loadTables>>;

/** Records that @partd/shuffle yields, as texts or as bytes. */
export interface RecordBatches {
  batches(): AsyncIterable<readonly string[]>;
  bytes(): AsyncIterable<Uint8Array>;
}

/**
 * Writes records to --out, or to standard output: unchanged if --to is their format, otherwise
 * converted. A file has its name once {@link complete} has resolved.
 */
export class RecordWriter implements AsyncDisposable {
  readonly format: Format;
  /** The file of --out. */
  readonly output: OutputFile | undefined;
  readonly #call: Call;
  readonly #file: OutputFile | CompressedFile | undefined;
  readonly #shape: RecordShape;
  readonly #table: { readonly kit: Tables; readonly rows: TableRows } | undefined;
  /** For CSV and TSV. */
  readonly #rows: CsvRows | undefined;
  #lines: JsonLines | undefined;
  /** The columns of rows that are converted. */
  #names: readonly string[] | undefined;
  /** Whether a record was added. */
  #isBegun = false;
  #pending: string[] = [];
  #length = 0;
  /** Flushes standard output after a pause, because somebody may be watching. */
  #timer: NodeJS.Timeout | undefined;

  static async open(call: Call, shape: RecordShape): Promise<RecordWriter> {
    const out = call.options.text("out");
    const force = call.options.has("force");
    const format = outputFormat(call, shape.writtenAs);
    const tables = isTable(format) ? await loadTables() : undefined;
    if (out === undefined) {
      if (isTable(format) && call.terminal.isScreen) {
        throw new UsageError(
          `${format} is not text to look at: write it to --out FILE, or to a pipe`,
        );
      }
      return new RecordWriter(call, shape, tables, undefined);
    }
    if (!call.options.has("to")) requireWritten(out);
    const compressor = compressorFor(out);
    if (isTable(format) && compressor) {
      throw new UsageError(`${out}: tables of ${format} are not packed by gzip or zstd`);
    }
    const file = await createOutput(out, { force });
    return new RecordWriter(call, shape, tables, file, compressor);
  }

  private constructor(
    call: Call,
    shape: RecordShape,
    tables: Tables | undefined,
    output: OutputFile | undefined,
    compressor?: Transform,
  ) {
    this.#call = call;
    this.#shape = shape;
    this.output = output;
    this.#file = output && compressor ? new CompressedFile(output, compressor) : output;
    this.format = outputFormat(call, shape.writtenAs);
    const delimiter = delimiterOf(this.format, call.options.text("delimiter"));
    if (delimiter) {
      const syntax = { hasHeader: !call.options.has("no-header"), quotes: this.#quotes };
      this.#rows = new CsvRows(this.format, delimiter, syntax, () => this.#known);
    }
    if (!tables) return;
    const dir = call.options.text("tmp");
    this.#table = { kit: tables, rows: new tables.TableRows({ known: () => this.#known, dir }) };
  }

  /** Adds all records of a run. */
  async addAll(records: RecordBatches): Promise<void> {
    if (this.#shape.writtenAs !== this.format) {
      for await (const batch of records.batches())
        for (const text of batch) await this.addText(text);
      return;
    }
    for await (const bytes of records.bytes()) {
      if (!this.#isBegun) this.#addHeader();
      this.#isBegun = true;
      await this.#flush();
      await this.#write(bytes);
    }
  }

  /** Adds the text of a record. */
  async addText(text: string): Promise<void> {
    const { writtenAs, values } = this.#shape;
    if (writtenAs === this.format) {
      if (!this.#isBegun) this.#addHeader();
      this.#buffer(text);
    } else if (this.#table !== undefined && writtenAs === "ndjson") {
      await this.#addJson(Buffer.from(text, "latin1").toString().trimEnd());
    } else if (this.format === "json" && writtenAs === "ndjson") {
      this.#buffer(`${this.#isBegun ? ",\n" : "[\n"}${text.replace(/\r?\n$/, "")}`);
    } else if (writtenAs === "ndjson") {
      await this.#addObject(text);
    } else {
      if (!this.#isBegun) requireNames(this.#shape, this.#quotes);
      const row = values.object(text) as { readonly [name: string]: string };
      // An object has names that are numbers before all others.
      this.#names ??= this.#known.map(({ name }) => name);
      await this.#addValues(
        this.#names,
        this.#names.map((name) => row[name]),
      );
    }
    this.#isBegun = true;
    if (this.#length > PIECE) await this.#flush();
  }

  /** Adds a row of results. */
  async addRow(names: readonly string[], values: readonly unknown[]): Promise<void> {
    await this.#addValues(names, values);
    this.#isBegun = true;
    if (this.#length > PIECE) await this.#flush();
  }

  /** Adds rows of results, all of which have these names. */
  async addRows(names: readonly string[], rows: readonly (readonly unknown[])[]): Promise<void> {
    if (this.format !== "ndjson") {
      for (const values of rows) await this.addRow(names, values);
      return;
    }
    await this.#flush();
    this.#lines ??= new JsonLines(names);
    for (const bytes of this.#lines.of(rows)) await this.#write(bytes);
    this.#isBegun = true;
  }

  /** Adds entries as lines of JSON. @param names of the key and of the value. */
  async addEncoded(names: readonly string[], entries: OrderedEntries): Promise<void> {
    for (const bytes of new JsonLines(names).ofEncoded(entries)) await this.#write(bytes);
    this.#isBegun = true;
  }

  async complete(): Promise<void> {
    if (this.#table !== undefined) {
      const { kit, rows } = this.#table;
      const encode =
        this.format === "parquet"
          ? await kit.parquetTable()
          : await kit.arrowTable(this.#file ? "file" : "stream");
      for await (const bytes of rows.encode(encode)) await this.#write(bytes);
    }
    if (this.format === "json") this.#buffer(this.#isBegun ? "\n]\n" : "[]\n");
    if (this.#rows !== undefined && !this.#isBegun) this.#addHeaderAlone();
    else if (this.#rows !== undefined) this.#buffer(latin1(this.#rows.end()));
    await this.#flush();
    await this.#file?.complete();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#file?.[Symbol.asyncDispose]();
    await this.#table?.rows[Symbol.asyncDispose]();
  }

  /** Adds a JSON object to CSV, with its numbers as they are written. */
  async #addObject(text: string): Promise<void> {
    const line = Buffer.from(text, "latin1");
    const members = membersOf(line);
    if (members === undefined) {
      throw new Failure(`--to ${this.format} takes records that are objects`);
    }
    const cells = members.map(({ name, valueStart, valueEnd }) => {
      return [name, new JsonText(line.toString("utf8", valueStart, valueEnd))] as const;
    });
    const byName = new Map(cells);
    await this.#addValues([...byName.keys()], [...byName.values()]);
  }

  async #addValues(names: readonly string[], values: readonly unknown[]): Promise<void> {
    if (this.#rows === undefined) {
      const members = names.map((name, i) => `${JSON.stringify(name)}:${jsonText(values[i])}`);
      await this.#addJson(`{${members.join(",")}}`);
      return;
    }
    this.#buffer(latin1(this.#rows.add(names, values)));
  }

  async #addJson(json: string): Promise<void> {
    if (this.#table !== undefined) {
      const { kit, rows } = this.#table;
      return rows.add(kit.recordOfLine(json));
    }
    const text = latin1(json);
    if (this.format === "json") this.#buffer(`${this.#isBegun ? ",\n" : "[\n"}${text}`);
    else this.#buffer(`${text}\n`);
  }

  /** @param text each character is a byte. */
  #buffer(text: string): void {
    this.#pending.push(text);
    this.#length += text.length;
    if (this.#file) return;
    // If this flush fails, so does the next one, which is awaited.
    this.#timer ??= setTimeout(() => this.#flush().catch(() => undefined), PAUSE);
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const bytes = Buffer.from(this.#pending.join(""), "latin1");
    this.#pending = [];
    this.#length = 0;
    if (bytes.length > 0) await this.#write(bytes);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    await (this.#file ?? this.#call.terminal).write(bytes);
  }

  /** Columns of the output that are known before any record is added. */
  get #known(): readonly Column[] {
    const { columns = [], delimiter, format } = this.#shape;
    if (delimiter === undefined || format.header === undefined) return columns;
    const header = Buffer.from(format.header).toString("latin1");
    return columnsOf(header, delimiter, this.#quotes).map((name) => ({ name, type: undefined }));
  }

  get #quotes(): boolean {
    return !this.#call.options.has("no-quotes");
  }

  /** Adds the header of a CSV without rows. */
  #addHeaderAlone(): void {
    const { writtenAs, format } = this.#shape;
    if (writtenAs === this.format && format.header !== undefined) this.#addHeader();
    else this.#buffer(latin1(this.#rows?.header(this.#known) ?? ""));
  }

  #addHeader(): void {
    const { header } = this.#shape.format;
    if (header !== undefined) this.#buffer(Buffer.from(header).toString("latin1"));
  }
}

/**
 * Checks that no two columns have the same name: an object would lose one of them.
 *
 * @throws `UsageError` if there are two.
 */
export function requireNames(
  { writtenAs, delimiter, format: { header } }: RecordShape,
  quotes: boolean,
): void {
  if (delimiter === undefined || header === undefined) return;
  const name = twinOf(columnsOf(Buffer.from(header).toString("latin1"), delimiter, quotes));
  if (name === undefined) return;
  throw new UsageError(
    `two columns are named ${name}: give one another name, or write ${writtenAs}`,
  );
}

/**
 * The format of results: --to, the extension of --out, NDJSON for --json, otherwise that of the input.
 */
export function outputFormat({ options }: Call, from: Format): Format {
  const named = options.text("to") as Format | undefined;
  const out = options.text("out");
  const isJson = options.has("json") && out === undefined;
  return named ?? formatOfName(out ?? "") ?? (isJson ? "ndjson" : lineFormat(from));
}

/** The UTF-8 bytes of a text, each as a character. */
function latin1(text: string): string {
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text).toString("latin1");
}

/** Characters that are written at once. */
const PIECE = 1 << 17;

/** Milliseconds after which fewer are written to standard output. */
const PAUSE = 100;

/** A file that is compressed as its extension demands. */
class CompressedFile implements AsyncDisposable {
  readonly #file: OutputFile;
  readonly #stream: Transform;
  readonly #pumping: Promise<void>;
  /** Rejects the pending write: a destroyed stream calls no callback. */
  #reject: (error: unknown) => void = () => undefined;

  constructor(file: OutputFile, stream: Transform) {
    this.#file = file;
    this.#stream = stream;
    this.#pumping = this.#pump();
    this.#pumping.catch((error: unknown) => this.#reject(error));
  }

  /** Resolves when the array may be changed again. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#stream.destroyed) return this.#pumping;
    await new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      this.#stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async complete(): Promise<void> {
    this.#stream.end();
    await this.#pumping;
    await this.#file.complete();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.destroy();
    await this.#pumping.catch(() => undefined); // The writer has received the error.
    await this.#file[Symbol.asyncDispose]();
  }

  async #pump(): Promise<void> {
    for await (const piece of this.#stream) await this.#file.write(piece as Uint8Array);
  }
}

/**
 * The compressor for the extension of a file name; `undefined` if it has none.
 *
 * @throws `UsageError` for zstd if this Node has none, and for compressions that are not written.
 */
function compressorFor(name: string): Transform | undefined {
  const [other] = /\.(?:bz2|xz|lzma|lz4|br|zip|7z)$/i.exec(name) ?? [];
  if (other) {
    throw new UsageError(`${name}: ${other} is not written; take .gz or .zst`);
  }
  if (/\.(?:gz|gzip)$/i.test(name)) return zlib.createGzip();
  if (!/\.(?:zst|zstd)$/i.test(name)) return undefined;
  const { createZstdCompress } = zlib as unknown as { createZstdCompress?: () => Transform };
  if (createZstdCompress) return createZstdCompress();
  throw new UsageError(`${name}: this Node writes no zstd, as 22.15 and later do; take .gz`);
}
