import { checkOptionNames } from "@partd/core/author";
import type { Records } from "../records.js";
import type { Source } from "../source/inputs.js";
import { READ_OPTIONS, type ReadOptions, TextRecords } from "../source/text-records.js";
import { JsonArrayReader } from "./array-reader.js";
import { NdjsonFormat } from "./ndjson-format.js";

/**
 * Reads the items of a JSON array as it comes, whatever its size. As bytes they are lines of
 * NDJSON.
 *
 * @throws `ERR_PARTD_CORRUPT`, a `RecordError`, at an item that is not JSON, unless there is
 *   `onReject`; and if the whole is not an array.
 */
export function readJson<R = unknown>(source: Source, options: ReadOptions = {}): Records<R> {
  checkOptionNames("readJson", options, READ_OPTIONS);
  const format = new NdjsonFormat<R>(options.onReject);
  return new TextRecords(source, format, options, (reader) => new JsonArrayReader(reader));
}
