import type { OptionNames } from "@partd/core/author";
import type { Writable, Written } from "../write/encode.js";
import { pathOf, type Target } from "../write/target.js";
import { checkCall, type WriteOptions } from "../write/write-records.js";
import type { ColumnType } from "./column-type.js";

export interface WriteTableOptions extends WriteOptions {
  /**
   * The columns, in this order: their names, or their names with types. Other fields are left out. Default: all
   * fields, in the order in which they first occur.
   *
   * With types, records are written as they come, and a value of another type is `ERR_PARTD_VALUE`; text is
   * converted, since fields of CSV are text. Without, each column gets the type of all its values, so the records
   * wait, in a temporary file if they are many.
   */
  readonly columns?: readonly string[] | { readonly [name: string]: ColumnType } | undefined;
  /** Where records wait that do not fit in memory. Default: `os.tmpdir()`. */
  readonly dir?: string | undefined;
}

const OPTIONS: OptionNames<WriteTableOptions> = { signal: true, columns: true, dir: "string" };

/**
 * Writes Parquet with `hyparquet-writer`, which the program installs: compressed with Snappy, in row groups of
 * up to 65,536 records. Whole numbers are 64-bit integers, or doubles in a column with fractions; Dates are
 * timestamps in UTC; lists and objects are JSON, as are integers of more than 64 bits; a column of different
 * types is text. Lines of `readNdjson` keep all digits of their numbers. A file appears when it is complete,
 * as `writeNdjson` says.
 *
 * ```ts
 * await writeParquet(readCsv("trips.csv"), "trips.parquet", {
 *   columns: { id: "integer", begin: "timestamp", km: "double" },
 * });
 * ```
 *
 * @throws `ERR_PARTD_VALUE` for a record that is no object, for values that neither a table nor JSON can hold, and
 *   without `hyparquet-writer`; `ERR_PARTD_IO` if the target, or the place where records wait, cannot be written.
 */
export async function writeParquet<R extends object>(
  records: Writable<R>,
  target: Target,
  options: WriteTableOptions = {},
): Promise<Written> {
  checkCall("writeParquet", records, target, options, OPTIONS);
  const { parquetTable, writeTable } = await import("./table-file.js");
  return writeTable(await parquetTable(), "Parquet", records, target, options);
}

/**
 * Writes Arrow IPC with `apache-arrow`, which the program installs: the file format to a path, the stream format to
 * a stream and to a path that ends in `.arrows`. For the types of columns see {@link writeParquet}; JSON is text.
 *
 * @throws as {@link writeParquet}, but without `apache-arrow`.
 */
export async function writeArrow<R extends object>(
  records: Writable<R>,
  target: Target,
  options: WriteTableOptions = {},
): Promise<Written> {
  checkCall("writeArrow", records, target, options, OPTIONS);
  const path = pathOf(target);
  const isStream = path === undefined || /\.arrows$/i.test(path);
  const { arrowTable, writeTable } = await import("./table-file.js");
  const encode = await arrowTable(isStream ? "stream" : "file");
  return writeTable(encode, "Arrow", records, target, options);
}
