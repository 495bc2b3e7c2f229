import { CsvFormat } from "../csv/csv-format.js";
import { NdjsonFormat } from "../json/ndjson-format.js";
import type { FormatDescription, OnReject, Records, RecordsPart } from "../records.js";
import type { TextFormat } from "./text-format.js";
import { type ReadOptions, TextRecords } from "./text-records.js";

/** The records of a part that {@link Records.split} cut, in whichever thread or process. */
export function openPart<R = unknown>(part: RecordsPart, options: ReadOptions = {}): Records<R> {
  return new TextRecords<R>(part, openFormat<R>(part.format, options.onReject), options);
}

/** A format from its description. */
export function openFormat<R>(description: FormatDescription, onReject?: OnReject): TextFormat<R> {
  if (description.name === "ndjson") return new NdjsonFormat<R>(onReject);
  const { headerLine, ...options } = description;
  return new CsvFormat<R & object>(options, onReject, headerLine) as TextFormat<R>;
}
