import { types } from "node:util";
import { PartdError } from "@partd/core";
import { membersOf } from "../json/json-members.js";
import { parseKeyNumber } from "../json/json-number.js";
import { jsonText } from "../json/ndjson-format.js";
import type { RawJson, TableRecord, TableValue } from "./column-type.js";

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
      // The slice of a Buffer would be no copy, and bytes of another realm are none to hyparquet-writer.
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
