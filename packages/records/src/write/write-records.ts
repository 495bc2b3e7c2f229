import { PartdError } from "@partd/core";
import { type OptionNames, takeOptions } from "@partd/core/author";
import { CSV_OPTIONS, CsvFormat, type CsvOptions } from "../csv/csv-format.js";
import { NdjsonFormat } from "../json/ndjson-format.js";
import type { RecordFormat } from "../records.js";
import { type Encoding, encode, type Writable, type Written } from "./encode.js";
import { type Target, writeChunks } from "./target.js";

export interface WriteOptions {
  /** Ends the writing, and leaves the path as it was: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionNames<WriteOptions> = { signal: true };

/**
 * Writes lines of JSON. Records of `readNdjson` and `readJson` are copied byte for byte; of others a Date
 * becomes ISO text, and a property that is `undefined` is left out, as `JSON.stringify` does.
 *
 * A file appears, or replaces the one that is there, when it is complete. After an error or an abort the
 * path is as it was; so the records may come from the file that is written.
 *
 * @throws `ERR_PARTD_VALUE`, with the place, for a record that JSON cannot hold: a bigint, NaN, an
 *   infinity, a function, a Map, a cycle; `ERR_PARTD_IO` if the target cannot be written.
 */
export async function writeNdjson<R>(
  records: Writable<R>,
  target: Target,
  options: WriteOptions = {},
): Promise<Written> {
  checkCall("writeNdjson", records, target, options, OPTIONS);
  const written = { records: 0, bytes: 0 };
  await writeChunks(encode(records, ndjson<R>(), written, options.signal), target, options.signal);
  return written;
}

/**
 * Writes one JSON array, one item a line. Records of `readNdjson` and `readJson` are copied
 * unchanged. For the rest see {@link writeNdjson}.
 */
export async function writeJson<R>(
  records: Writable<R>,
  target: Target,
  options: WriteOptions = {},
): Promise<Written> {
  checkCall("writeJson", records, target, options, OPTIONS);
  const written = { records: 0, bytes: 0 };
  await writeChunks(
    arrayOf(encode(records, ndjson<R>(), written, options.signal)),
    target,
    options.signal,
  );
  return written;
}

export interface WriteCsvOptions extends WriteOptions, Omit<CsvOptions, "columns"> {
  /**
   * The columns to write, in this order; a record's other fields are left out. Default: those of the CSV
   * that is read, else the fields of the first record.
   */
  readonly columns?: readonly string[] | undefined;
  /** Whether to write the column names first. Default true. */
  readonly header?: boolean | undefined;
}

const CSV_WRITE_OPTIONS: OptionNames<WriteCsvOptions> = {
  ...OPTIONS,
  ...CSV_OPTIONS,
  header: true,
};

/**
 * Writes rows of CSV. A field that is missing, `undefined` or `null` is an empty one. Rows of `readCsv` with
 * the same columns, delimiter and quotes are copied byte for byte. A file appears when it is complete, as
 * {@link writeNdjson} says.
 *
 * @throws `ERR_PARTD_VALUE` for a field that is not text, number, boolean or date, and, without the option
 *   `columns`, for a field that the first record does not have; `ERR_PARTD_IO` if the target cannot be
 *   written.
 */
export async function writeCsv<R extends object>(
  records: Writable<R>,
  target: Target,
  options: WriteCsvOptions = {},
): Promise<Written> {
  checkCall("writeCsv", records, target, options, CSV_WRITE_OPTIONS);
  const written = { records: 0, bytes: 0 };
  await writeChunks(
    encode(records, csv<R>(options), written, options.signal),
    target,
    options.signal,
  );
  return written;
}

/** {@link writeCsv} with tabs between the fields. */
export async function writeTsv<R extends object>(
  records: Writable<R>,
  target: Target,
  options: WriteCsvOptions = {},
): Promise<Written> {
  checkCall("writeTsv", records, target, options, CSV_WRITE_OPTIONS);
  return writeCsv(records, target, { delimiter: "\t", ...options });
}

/** @throws `ERR_PARTD_VALUE` for arguments that are missing, of a wrong type, or in another order. */
export function checkCall<R, O extends WriteOptions>(
  call: string,
  records: Writable<R>,
  target: Target,
  options: O,
  names: OptionNames<O>,
): void {
  takeOptions(call, options, names);
  const refuse = (what: string) => {
    throw new PartdError("ERR_PARTD_VALUE", `${call}(records, target) takes ${what}.`);
  };
  // A text is iterable, too.
  if (typeof records === "string" || !isIterable(records)) {
    refuse(`the records first, as in ${call}([{ a: 1 }], "out"), not ${show(records)}`);
  }
  if (!isTarget(target)) {
    refuse(`a path or a stream behind the records, not ${show(target)}`);
  }
  const { signal } = options;
  if (signal !== undefined && typeof signal?.throwIfAborted !== "function") {
    refuse(`an AbortSignal as signal, not ${show(signal)}`);
  }
}

function isIterable(records: object | null | undefined): boolean {
  const given = Object(records);
  return Symbol.asyncIterator in given || Symbol.iterator in given;
}

function isTarget(target: Target | undefined): boolean {
  if (typeof target === "string") return target !== "";
  if (target instanceof URL) return target.protocol === "file:";
  const { getWriter, write } = Object(target);
  return typeof getWriter === "function" || typeof write === "function";
}

function show(given: unknown): string {
  if (typeof given === "string") return JSON.stringify(given.slice(0, 60));
  if (given instanceof URL) return given.href;
  if (typeof given !== "object" || given === null) return String(given);
  return Array.isArray(given) ? "a list" : "an object";
}

function ndjson<R>(): Encoding<R> {
  const format = new NdjsonFormat<R>();
  return { formatFor: () => format, takesBytesOf: (source) => source.name === "ndjson" };
}

function csv<R extends object>(options: WriteCsvOptions): Encoding<R> {
  const { header = true } = options;
  let format: CsvFormat<R> | undefined;
  const formatFor = (source: RecordFormat<R> | undefined) => {
    const columns = options.columns ?? (source instanceof CsvFormat ? source.columns : undefined);
    format ??= new CsvFormat<R>({ ...options, columns }, undefined, header);
    return format;
  };
  return {
    formatFor,
    takesBytesOf: (source) => source instanceof CsvFormat && formatFor(source).hasRowsOf(source),
  };
}

/** Turns lines of JSON into an array: a comma before each but the first. */
async function* arrayOf(lines: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isFirst = true;
  for await (const bytes of lines) {
    const pieces: Uint8Array[] = [];
    for (let start = 0; start < bytes.length; ) {
      const end = bytes.indexOf(0x0a, start);
      pieces.push(isFirst ? OPEN : COMMA, bytes.subarray(start, end));
      isFirst = false;
      start = end + 1;
    }
    yield Buffer.concat(pieces);
  }
  yield isFirst ? EMPTY : CLOSE;
}

const OPEN = Buffer.from("[\n");
const COMMA = Buffer.from(",\n");
const CLOSE = Buffer.from("\n]\n");
const EMPTY = Buffer.from("[]\n");
