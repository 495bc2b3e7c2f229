import { types } from "node:util";
import { PartdError } from "@partd/core";
import type { TableRecord, TableValue, TypedColumn } from "./column-type.js";

/** A value in its column's type: timestamps and dates are counted from 1970; `null` if there is none. */
export type Cell = string | number | bigint | boolean | Uint8Array | null;

/**
 * The cell of a record in a column. Text is converted to the column's type, since fields of CSV are text; an
 * empty one is no value, unless the column is of text.
 *
 * @throws `ERR_PARTD_VALUE` for a value that is not of this type.
 */
export function cellOf(record: TableRecord, column: TypedColumn): Cell {
  const value = Object.hasOwn(record, column.name) ? record[column.name] : undefined;
  if (value === undefined || value === null) return null;
  const { type } = column;
  if (type === "text") return textOf(value, column);
  if (value === "" && type !== "json") return null;
  const cell = converted(value, column);
  if (cell === undefined) throw unfit(value, column);
  return cell;
}

function converted(value: NonNullable<TableValue>, column: TypedColumn): Cell | undefined {
  switch (column.type) {
    case "integer":
      return integerOf(value);
    case "double":
      return doubleOf(value);
    case "boolean":
      if (typeof value === "string") return BOOLEANS.get(value.toLowerCase());
      return typeof value === "boolean" ? value : undefined;
    case "timestamp":
      return timestampOf(value, column.digits);
    case "date":
      if (types.isDate(value)) return Math.floor(value.getTime() / DAY);
      return typeof value === "string" && DATE.test(value) ? dayOf(value) : undefined;
    case "bytes":
      return types.isUint8Array(value) ? value : undefined;
    default:
      return jsonOf(value);
  }
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["false", false],
]);
const DAY = 86_400_000;
const DATE = /^\d{4}-\d\d-\d\d$/;

/** @returns `undefined` for a day that no calendar has: Date.parse takes February 30 for March 2. */
function dayOf(date: string): number | undefined {
  const time = Date.parse(date);
  if (Number.isNaN(time) || new Date(time).getUTCDate() !== Number(date.slice(-2)))
    return undefined;
  return time / DAY;
}

function integerOf(value: NonNullable<TableValue>): bigint | undefined {
  let integer: bigint;
  if (typeof value === "bigint") integer = value;
  else if (typeof value === "number" && Number.isInteger(value)) integer = BigInt(value);
  else if (typeof value === "string" && /^[-+]?\d{1,40}$/.test(value)) {
    integer = BigInt(value.replace("+", ""));
  } else return undefined;
  return int64(integer);
}

function doubleOf(value: NonNullable<TableValue>): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") {
    const number = Number(value);
    return BigInt(number) === value ? number : undefined;
  }
  if (typeof value !== "string" || !NUMBER.test(value)) return undefined;
  return Number(value.replace(/infinity/i, "Infinity"));
}

const NUMBER = /^(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|[-+]?Infinity|NaN)$/i;

function timestampOf(value: NonNullable<TableValue>, digits: number): bigint | undefined {
  if (types.isDate(value)) return int64(BigInt(value.getTime()) * 10n ** BigInt(digits - 3));
  const [, day, time = "00:00", seconds = "00", fraction = "", zone = "Z"] =
    (typeof value === "string" && TIMESTAMP.exec(value)) || [];
  if (day === undefined || dayOf(day) === undefined || fraction.length > digits) return undefined;
  const milliseconds = Date.parse(`${day}T${time}:${seconds}${zone.toUpperCase()}`);
  if (Number.isNaN(milliseconds)) return undefined;
  const wholeSeconds = BigInt(milliseconds / 1000) * 10n ** BigInt(digits);
  return int64(wholeSeconds + BigInt(fraction.padEnd(digits, "0")));
}

/** @returns `undefined` for an integer of more than 64 bits, as nanoseconds of the year 9999 are. */
function int64(integer: bigint): bigint | undefined {
  return BigInt.asIntN(64, integer) === integer ? integer : undefined;
}

/** ISO 8601; without a zone it is UTC. */
const TIMESTAMP =
  /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[-+]\d\d:\d\d)?)?$/i;

function textOf(value: NonNullable<TableValue>, column: TypedColumn): string {
  if (typeof value === "string") return wellFormed(value, column);
  if (types.isUint8Array(value)) throw unfit(value, column);
  if (types.isDate(value)) return value.toISOString();
  return typeof value === "number" ? String(value) : jsonOf(value)!;
}

/** JSON, except for bytes, NaN and infinities. */
function jsonOf(value: NonNullable<TableValue>): string | undefined {
  if (typeof value === "object" && "json" in value) return value.json;
  if (types.isUint8Array(value)) return undefined;
  if (typeof value === "number" && !Number.isFinite(value)) return undefined;
  return typeof value === "bigint" ? String(value) : JSON.stringify(value);
}

/** @throws `ERR_PARTD_VALUE` for half a character, as JSON can escape it: UTF-8 has no bytes for that. */
function wellFormed(text: string, { name }: TypedColumn): string {
  if (text.isWellFormed()) return text;
  const shown = JSON.stringify(text).slice(0, 60);
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${shown} in the column ${JSON.stringify(name)} holds half a character (a lone surrogate), which only JSON can hold: write ndjson or json.`,
  );
}

function unfit(value: NonNullable<TableValue>, { name, type, digits }: TypedColumn): PartdError {
  const given = typeof value === "string" ? JSON.stringify(value).slice(0, 60) : shown(value);
  const what = type === "timestamp" ? `timestamp of ${digits} digits after the second` : type;
  return new PartdError(
    "ERR_PARTD_VALUE",
    `The column ${JSON.stringify(name)} is of the type ${what}, and a record has ${given}: change its type, or the record.`,
  );
}

function shown(value: NonNullable<TableValue>): string {
  if (types.isUint8Array(value)) return `${value.length} bytes`;
  if (typeof value === "object" && "json" in value) return value.json.slice(0, 60);
  return types.isDate(value) ? value.toISOString() : String(value);
}
