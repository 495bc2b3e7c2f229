import { types } from "node:util";
import { PartdError } from "@partd/core";
import { describeArgument } from "@partd/core/author";
import { membersOf } from "../json/json-members.js";
import { parseKeyNumber } from "../json/json-number.js";
import { jsonText } from "../json/ndjson-format.js";
import { isRecords, leftOnAbort, type Writable, type Written } from "../write/encode.js";
import { type Target, writeChunks } from "../write/target.js";
import {
  type Column,
  type ColumnType,
  checkName,
  type RawJson,
  type TableRecord,
  type TableValue,
  type TypedColumn,
} from "./column-type.js";
import { batched, type EncodeTable, TableRows } from "./table-rows.js";
import type { WriteTableOptions } from "./write-table.js";

export { arrowTable } from "./arrow-table.js";
export { parquetTable } from "./parquet-table.js";
export { TableRows };

/** Writes records as a table. Programs that write none need not load this. */
export async function writeTable<R extends object>(
  encode: EncodeTable,
  format: "Arrow" | "Parquet",
  records: Writable<R>,
  target: Target,
  options: WriteTableOptions,
): Promise<Written> {
  const { signal } = options;
  const written = { records: 0, bytes: 0 };
  const columns = columnsOf(options.columns);
  await writeChunks(
    counted(bytesOf(encode, columns, records, options, written), written),
    target,
    signal,
    (path) => refuseOther(path, format),
  );
  return written;
}

async function* counted(
  pieces: AsyncIterable<Uint8Array>,
  written: { bytes: number },
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    written.bytes += piece.length;
    yield piece;
  }
}

async function* bytesOf<R extends object>(
  encode: EncodeTable,
  columns: readonly Column[] | undefined,
  records: Writable<R>,
  { signal, dir }: WriteTableOptions,
  written: { records: number },
): AsyncGenerator<Uint8Array> {
  const source = tableRecords(records, columns, signal, written);
  if (columns?.every(isTyped)) {
    yield* encode(columns.map(declared), batched(source, columns.length));
    return;
  }
  await using rows = new TableRows({ known: () => columns ?? [], dir });
  for await (const record of source) await rows.add(record);
  yield* rows.encode(encode);
}

/** The records as rows of these columns, or of all. */
async function* tableRecords<R extends object>(
  records: Writable<R>,
  columns: readonly Column[] | undefined,
  signal: AbortSignal | undefined,
  written: { records: number },
): AsyncGenerator<TableRecord> {
  const chosen = (record: TableRecord) => (columns ? chosenOf(record, columns) : record);
  if (!isRecords(records)) {
    for await (const record of leftOnAbort(records, signal)) {
      // The stream that the abort destroys waits for this generator, which may gather records for a
      // long time.
      signal?.throwIfAborted();
      written.records++;
      yield chosen(recordOfObject(record));
    }
    return;
  }
  const { format } = records;
  const scanner = format.scanner([]);
  for await (const batch of records.batches({ signal })) {
    const { bytes, ends, count } = scanner.scan(batch);
    written.records += count;
    for (let i = 0, start = 0; i < count; start = ends[i++]!) {
      const record =
        format.name === "ndjson"
          ? recordOfLine(utf8.decode(bytes.subarray(start, ends[i])))
          : recordOfObject(format.parse(bytes, start, ends[i]));
      yield chosen(record);
    }
  }
}

const utf8 = new TextDecoder();

function chosenOf(record: TableRecord, columns: readonly Column[]): TableRecord {
  const chosen: Record<string, TableValue> = Object.create(null);
  for (const { name } of columns) {
    if (Object.hasOwn(record, name)) chosen[name] = record[name] ?? null;
  }
  return chosen;
}

/** @throws `ERR_PARTD_VALUE` */
function columnsOf(given: WriteTableOptions["columns"]): readonly Column[] | undefined {
  if (given === undefined) return undefined;
  const isList = Array.isArray(given);
  const isPlain = Object.prototype.toString.call(given) === "[object Object]";
  if (!isList && !isPlain) throw badColumns(`not ${describeArgument(given)}`);
  const columns: Column[] = isList
    ? Array.from(given, (name: string) => ({ name, type: undefined }))
    : Object.entries(given as object).map(([name, type]) => ({ name, type }));
  if (columns.length === 0) throw badColumns("not none");
  const names = new Set<string>();
  for (const { name, type } of columns) {
    if (typeof name !== "string") throw badColumns(`not ${describeArgument(name)}`);
    if (names.has(name)) throw badColumns(`not two columns named ${JSON.stringify(name)}`);
    checkName(name);
    names.add(name);
    if (isList || COLUMN_TYPES.includes(type!)) continue;
    throw badColumns(
      `and the type of ${JSON.stringify(name)} is one of ${COLUMN_TYPES.join(", ")}, not ${String(type)}`,
    );
  }
  return columns;
}

function badColumns(what: string): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    `columns are different names, as in ["id", "km"], or names with types, as in { id: "integer" }, ${what}.`,
  );
}

const COLUMN_TYPES: readonly ColumnType[] = [
  ...(["boolean", "integer", "double", "timestamp", "date", "text", "bytes", "json"] as const),
];

function isTyped(column: Column): column is Column & { readonly type: ColumnType } {
  return column.type !== undefined;
}

/** Later values are not known yet, so timestamps get microseconds, which most programs use. */
function declared({ name, type }: Column & { readonly type: ColumnType }): TypedColumn {
  return { name, type, digits: 6 };
}

/** Refuses names of other formats and of compressions: tables are compressed inside, not as files. */
function refuseOther(path: string, format: "Arrow" | "Parquet"): undefined {
  const [end] = OTHER_END.exec(path) ?? [];
  if (!end || (format === "Parquet" ? /parquet/i : /arrow|feather/i).test(end)) return undefined;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${path}: ${format} is written here, and not compressed as a file, so the name must not end in ${end}. Choose one that ends in ${format === "Parquet" ? ".parquet" : ".arrow"}.`,
    { path },
  );
}

/** The ends of names of compressions, archives, texts and tables. */
const OTHER_END =
  /\.(?:gz|gzip|zstd?|bz2|xz|lzma|lz4|br|zip|7z|parquet|arrows?|feather|ndjson|jsonl?|csv|tsv)$/i;

/**
 * The record of a line of JSON. Numbers that a double would round keep their digits, and lists and objects
 * are written as they are.
 *
 * @throws `ERR_PARTD_VALUE` unless it is an object.
 */
export function recordOfLine(line: string): TableRecord {
  const record: unknown = JSON.parse(line);
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw noObject(record);
  }
  const fields = record as Record<string, unknown>;
  return (
    Object.values(fields).some(isCoarse) ? withWrittenValues(line, fields) : fields
  ) as TableRecord;
}

/** Whether a parsed value may have lost precision, or is not a single value. */
function isCoarse(value: unknown): boolean {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  return typeof value === "object" && value !== null;
}

function withWrittenValues(line: string, fields: Record<string, unknown>): typeof fields {
  const bytes = Buffer.from(line);
  // Of duplicate names the last counts, as it does for JSON.parse.
  const members = new Map(membersOf(bytes)?.map((member) => [member.name, member]));
  for (const [name, { valueStart, valueEnd }] of members) {
    if (!isCoarse(fields[name])) continue;
    const text = bytes.toString("utf8", valueStart, valueEnd);
    fields[name] = typeof fields[name] === "object" ? { json: text } : wholeNumber(text);
  }
  return fields;
}

/** A bigint if 64 bits hold it; otherwise a double if that is exact, or else JSON with all digits. */
function wholeNumber(text: string): number | bigint | RawJson {
  if (!/^-?\d{1,400}$/.test(text)) return Number(text);
  const integer = BigInt(text);
  if (BigInt.asIntN(64, integer) === integer) return integer;
  return typeof parseKeyNumber(text) === "bigint" ? { json: text } : Number(text);
}

/**
 * The record of an object: its own properties. Bytes are copied, and lists and objects become JSON.
 *
 * @throws `ERR_PARTD_VALUE`, with the place, for what neither a table nor JSON can hold.
 */
export function recordOfObject(object: unknown): TableRecord {
  if (typeof object !== "object" || object === null || Array.isArray(object))
    throw noObject(object);
  const entries = Object.entries(object);
  // The content of a Map, a Date or a stream's bytes is not in properties.
  const isOther = entries.length === 0 || ArrayBuffer.isView(object);
  if (isOther && tagOf(object) !== "Object") throw noObject(object);
  // Without a prototype, a column may be named `__proto__`.
  const record: Record<string, TableValue> = Object.create(null);
  for (const [name, value] of entries) record[name] = tableValueOf(name, value);
  return record;
}

function tableValueOf(name: string, value: unknown): TableValue {
  switch (typeof value) {
    case "undefined":
      return null;
    case "boolean":
    case "number":
    case "string":
      return value;
    case "bigint":
      return BigInt.asIntN(64, value) === value ? value : { json: String(value) };
    case "object":
      if (value === null) return null;
      // Buffer's `slice` does not copy, and hyparquet-writer does not accept bytes of another realm.
      if (types.isUint8Array(value)) return new Uint8Array(value);
      if (types.isDate(value) && !Number.isNaN(value.getTime())) return value;
  }
  // Within its record, so that an error tells the column.
  const json = jsonText({ [name]: value });
  return { json: json.slice(JSON.stringify(name).length + 2, -1) };
}

function noObject(given: unknown): PartdError {
  const hint = Array.isArray(given) ? ". Make an object of each, such as of [key, value]" : "";
  return new PartdError(
    "ERR_PARTD_VALUE",
    `Tables of Arrow and Parquet are made of records that are objects, not ${tagOf(given)}${hint}.`,
  );
}

/** "Map", "Date", "Array", "Number": what a value is, also one of another realm. */
function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
