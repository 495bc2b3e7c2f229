import { checkOptionNames } from "@partd/core/author";
import type { Records } from "../records.js";
import type { Source } from "../source/inputs.js";
import { READ_OPTIONS, type ReadOptions, TextRecords } from "../source/text-records.js";
import { NdjsonFormat } from "./ndjson-format.js";

/**
 * Reads lines of JSON (ndjson.org, JSON Lines): one value a line, in UTF-8. Blank lines are
 * skipped.
 *
 * @throws `ERR_PARTD_CORRUPT`, a `RecordError`, at a line that is not JSON, unless there is `onReject`.
 * @example for await (const event of readNdjson<Event>("events.ndjson.gz")) …
 */
export function readNdjson<R = unknown>(source: Source, options: ReadOptions = {}): Records<R> {
  checkOptionNames("readNdjson", options, READ_OPTIONS);
  return new TextRecords(source, new NdjsonFormat<R>(options.onReject), options);
}
