import type { Records } from "../records.js";
import type { Source } from "../source/inputs.js";
import { type ReadOptions, TextRecords } from "../source/text-records.js";
import { CsvFormat, type CsvOptions } from "./csv-format.js";

export interface ReadCsvOptions extends ReadOptions, CsvOptions {}

/** A row: its fields as text, by the names in the header. */
export type CsvRow = { [column: string]: string };

/**
 * Rows of CSV (RFC 4180), in UTF-8, with LF or CRLF, with or without a byte order mark. Quoted fields
 * may hold newlines. Blank lines are no rows. A row with more or fewer fields than the header is
 * malformed, and so is a quote inside a field without quotes. Of several files each has the header.
 *
 * @throws `ERR_PARTD_CORRUPT`, a `RecordError`, at a malformed row, unless there is `onReject`.
 */
export function readCsv<R extends object = CsvRow>(
  source: Source,
  options: ReadCsvOptions = {},
): Records<R> {
  return new TextRecords(source, new CsvFormat<R>(options, options.onReject), options);
}

/** {@link readCsv} with tabs between the fields. */
export function readTsv<R extends object = CsvRow>(
  source: Source,
  options: ReadCsvOptions = {},
): Records<R> {
  return readCsv(source, { delimiter: "\t", ...options });
}
