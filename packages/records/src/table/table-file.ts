import { PartdError } from "@partd/core";
import { describeArgument } from "@partd/core/author";
import { isRecords, leftOnAbort, type Writable, type Written } from "../write/encode.js";
import { type Target, writeChunks } from "../write/target.js";
import {
  type Column,
  type ColumnType,
  checkName,
  type TableRecord,
  type TableValue,
  type TypedColumn,
} from "./column-type.js";
import { recordOfLine, recordOfObject } from "./table-record.js";
import { batched, type EncodeTable, TableRows } from "./table-rows.js";
import type { WriteTableOptions } from "./write-table.js";

export { arrowTable } from "./arrow-table.js";
export { parquetTable } from "./parquet-table.js";
export { recordOfLine, TableRows };

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
      // The stream that the abort destroys waits for this generator, which may gather records for long.
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
    `${path}: ${format} is written here, and not packed, so that a name in ${end} would not be true. Take one that ends in ${format === "Parquet" ? ".parquet" : ".arrow"}.`,
    { path },
  );
}

/** The ends of names of compressions, archives, texts and tables. */
const OTHER_END =
  /\.(?:gz|gzip|zstd?|bz2|xz|lzma|lz4|br|zip|7z|parquet|arrows?|feather|ndjson|jsonl?|csv|tsv)$/i;
