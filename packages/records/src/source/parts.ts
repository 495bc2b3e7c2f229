import { CsvFormat } from "../csv/csv-format.js";
import { NdjsonFormat } from "../json/ndjson-format.js";
import type { FormatDescription, OnReject, PartRecords, RecordsPart } from "../records.js";
import type { TextFormat } from "./text-format.js";
import { type ReadOptions, TextRecords } from "./text-records.js";

/** Opens a part that `split` of a source has cut, in any thread or process. */
export function openPart<R = unknown>(
  part: RecordsPart,
  options: ReadOptions = {},
): PartRecords<R> {
  return new TextRecords<R>(part, openFormat<R>(part.format, options.onReject), options);
}

/**
 * Cuts a plain file at record boundaries into at most `n` parts for other threads: rows of CSV if
 * its name ends in `.csv` or `.tsv`, else lines of JSON. `undefined` for a compressed file or a
 * stream.
 */
export function splitFile(
  path: string | URL,
  n: number,
): Promise<readonly RecordsPart[] | undefined> {
  const { pathname } = path instanceof URL ? path : { pathname: path };
  const delimiter = { csv: ",", tsv: "\t" }[pathname.slice(-3).toLowerCase()];
  const format = delimiter ? new CsvFormat({ delimiter }) : new NdjsonFormat<object>();
  return new TextRecords<object>(path, format, {}).split(n);
}

/** Makes a format from its description. */
function openFormat<R>(description: FormatDescription, onReject?: OnReject): TextFormat<R> {
  if (description.name === "ndjson") return new NdjsonFormat<R>(onReject);
  return CsvFormat.from<R & object>(description, onReject) as TextFormat<R>;
}
