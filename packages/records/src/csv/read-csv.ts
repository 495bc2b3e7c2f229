import { checkOptionNames, type OptionNames } from "@partd/core/author";
import type { Records } from "../records.js";
import type { Source } from "../source/inputs.js";
import { READ_OPTIONS, type ReadOptions, TextRecords } from "../source/text-records.js";
import { CSV_OPTIONS, CsvFormat, type CsvOptions } from "./csv-format.js";

export interface ReadCsvOptions extends ReadOptions, CsvOptions {}

const OPTIONS: OptionNames<ReadCsvOptions> = { ...READ_OPTIONS, ...CSV_OPTIONS };

/** A row: its fields as text, by column name. */
export type CsvRow = { [column: string]: string };

/**
 * Reads rows of CSV (RFC 4180), in UTF-8, with LF or CRLF, with or without a byte order mark.
 * Quoted fields may contain newlines. Blank lines are skipped. A row is malformed if it has more or
 * fewer fields than the header, or a quote inside an unquoted field. Each of several files begins
 * with the header, in which a column without a name has its number: of `a,,b` the names are `a`, `2` and `b`.
 *
 * @throws `ERR_PARTD_CORRUPT`, a `RecordError`, at a malformed row, unless there is `onReject`.
 */
export function readCsv<R extends object = CsvRow>(
  source: Source,
  options: ReadCsvOptions = {},
): Records<R> {
  checkOptionNames("readCsv", options, OPTIONS);
  return new TextRecords(source, new CsvFormat<R>(options, options.onReject), options);
}

/** {@link readCsv} with tabs between the fields. */
export function readTsv<R extends object = CsvRow>(
  source: Source,
  options: ReadCsvOptions = {},
): Records<R> {
  checkOptionNames("readTsv", options, OPTIONS);
  return readCsv(source, { delimiter: "\t", ...options });
}
