import type { TypedColumn } from "./column-type.js";
import { JsonText, wellFormed } from "./json-text.js";
import type { TableRecord } from "./table-writer.js";

/** A value in its column's type: moments and days are counted from 1970; `null` if there is none. */
export function cellOf(
  record: TableRecord,
  { name, type, digits }: TypedColumn,
): string | number | bigint | boolean | null {
  const value = Object.hasOwn(record, name) ? record[name] : undefined;
  if (value === undefined || value === null) return null;
  switch (type) {
    case "integer":
      return BigInt(value as number | bigint);
    case "double":
      return Number(value);
    case "boolean":
      return value as boolean;
    case "moment":
      return momentOf(value as string, digits);
    case "day":
      return Date.parse(value as string) / 86_400_000;
    case "text":
      return typeof value === "string" ? wellFormed(value) : textOf(value);
    case "json":
      return textOf(value);
  }
}

function momentOf(text: string, digits: 3 | 6 | 9): bigint {
  const seconds = BigInt(Date.parse(`${text.slice(0, 19)}Z`) / 1000);
  const fraction = text.slice(20, -1).padEnd(digits, "0");
  return seconds * 10n ** BigInt(digits) + BigInt(fraction);
}

function textOf(value: unknown): string {
  if (value instanceof JsonText) return value.text;
  return typeof value === "bigint" ? String(value) : JSON.stringify(value);
}
