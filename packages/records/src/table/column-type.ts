import { types } from "node:util";
import { PartdError } from "@partd/core";

/**
 * The types of a table's columns: `integer` has 64 bits; `timestamp` is a moment in UTC; `date` a day;
 * `json` the JSON of lists and objects.
 */
export type ColumnType =
  | "boolean"
  | "integer"
  | "double"
  | "timestamp"
  | "date"
  | "text"
  | "bytes"
  | "json";

/** A column, with its type if that is stated. */
export interface Column {
  readonly name: string;
  readonly type: ColumnType | undefined;
}

/** A column of a table that is written. */
export interface TypedColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** How many digits follow the second of a timestamp; of no meaning for other types. */
  readonly digits: 3 | 6 | 9;
}

/** JSON that is written as it is. */
export interface RawJson {
  readonly json: string;
}

/** A value of a {@link TableRecord}; `null` for none. */
export type TableValue = null | boolean | number | bigint | string | Date | Uint8Array | RawJson;

/** A record by columns. An integer of more than 64 bits is {@link RawJson}. */
export type TableRecord = Readonly<Record<string, TableValue | undefined>>;

/** Finds the types of columns from all their values. */
export class ColumnTypes {
  readonly #seen = new Map<string, { readonly stated: ColumnType | undefined; kinds: number }>();

  /** @param known columns that come first. Stated doubles stay doubles, even if all are whole numbers. */
  constructor(known: readonly Column[] = []) {
    for (const { name, type } of known) this.#seen.set(name, { stated: type, kinds: 0 });
  }

  learn(record: TableRecord): void {
    for (const name in record) {
      let column = this.#seen.get(name);
      if (column === undefined) {
        checkName(name);
        column = { stated: undefined, kinds: 0 };
        this.#seen.set(name, column);
      }
      column.kinds |= kindOf(record[name], column.stated);
    }
  }

  /** The known columns, then the others in the order in which they first occurred. */
  get columns(): TypedColumn[] {
    return [...this.#seen].map(([name, { stated, kinds }]) => {
      if (kinds & BYTES && kinds !== BYTES) throw mixed(name);
      const digits = kinds & NANOS ? 9 : kinds & MICROS ? 6 : 3;
      return { name, type: typeOf(stated, kinds & ~(NANOS | MICROS)), digits };
    });
  }
}

const BOOLEAN = 1;
const INTEGER = 2;
const DOUBLE = 4;
const TIMESTAMP = 8;
const DATE = 16;
const TEXT = 32;
const OTHER = 64;
const BYTES = 128;
const MICROS = 256;
const NANOS = 512;
/** An integer that a double would round. */
const LONG = 1024;

function kindOf(value: TableValue | undefined, stated: ColumnType | undefined): number {
  if (value === null || value === undefined) return 0;
  switch (typeof value) {
    case "boolean":
      return BOOLEAN;
    case "number":
      if (!Number.isInteger(value) || Object.is(value, -0)) return DOUBLE;
      return Math.abs(value) < 2 ** 63 ? INTEGER : DOUBLE;
    case "bigint":
      return BigInt(Number(value)) === value ? INTEGER : INTEGER | LONG;
    case "string":
      if (stated === "timestamp" && TIMESTAMP_TEXT.test(value)) {
        return TIMESTAMP | (value.length > 27 ? NANOS : value.length > 24 ? MICROS : 0);
      }
      return stated === "date" && DATE_TEXT.test(value) ? DATE : TEXT;
    default:
      if (types.isDate(value)) return TIMESTAMP;
      return types.isUint8Array(value) ? BYTES : OTHER;
  }
}

function typeOf(stated: ColumnType | undefined, kinds: number): ColumnType {
  switch (kinds) {
    case 0:
      return stated ?? "text";
    case BOOLEAN:
      return "boolean";
    case INTEGER:
    case INTEGER | LONG:
      if (stated !== "double" || kinds & LONG) return "integer";
      return "double";
    case TIMESTAMP:
      return "timestamp";
    case DATE:
      return "date";
    case BYTES:
      return "bytes";
    default:
      if ((kinds & ~(INTEGER | DOUBLE)) === 0) return "double";
      // Beside fractions, only text keeps all digits of an integer that a double would round.
      return kinds & OTHER ? "json" : "text";
  }
}

/** @throws `ERR_PARTD_VALUE` for a name with half a character: UTF-8 has no bytes for that. */
export function checkName(name: string): void {
  if (name.isWellFormed()) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `The name of the column ${JSON.stringify(name)} holds half a character (a lone surrogate), which only JSON can hold: give it another name.`,
  );
}

function mixed(name: string): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    `The column ${JSON.stringify(name)} has bytes in some records and other values in others: give it one type of values.`,
  );
}

/** Texts of input tables, which `@partd/cli` writes, for years of four digits. */
const TIMESTAMP_TEXT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{3}|\d{6}|\d{9})Z$/;
const DATE_TEXT = /^\d{4}-\d\d-\d\d$/;
