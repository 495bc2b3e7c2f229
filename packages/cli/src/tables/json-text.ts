import { Failure } from "../command/failure.js";

/**
 * The same text, for what is written in UTF-8.
 *
 * @throws `Failure` for half a character, as JSON can escape it: UTF-8 has no bytes for that.
 */
export function wellFormed(text: string): string {
  if (text.isWellFormed()) return text;
  const shown = JSON.stringify(text).slice(0, 60);
  throw new Failure(
    `${shown} holds half a character (a lone surrogate), which only JSON can: write ndjson or json`,
  );
}

/** JSON that is written unchanged. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/**
 * The JSON of a value of Arrow or Parquet: a 64-bit integer with all its digits, bytes as base64, and
 * `null` for NaN and infinities.
 */
export function jsonText(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "number":
      return Number.isFinite(value) ? String(value) : "null";
    case "bigint":
    case "boolean":
      return String(value);
    case "object":
      return value === null ? "null" : objectText(value);
    default:
      return "null";
  }
}

function objectText(value: object): string {
  if (value instanceof JsonText) return value.text;
  if (value instanceof Date) return Number.isNaN(+value) ? "null" : `"${value.toISOString()}"`;
  if (value instanceof Uint8Array) return JSON.stringify(Buffer.from(value).toString("base64"));
  if (Array.isArray(value) || isNumbers(value)) {
    return `[${Array.from(value as ArrayLike<unknown>, jsonText).join(",")}]`;
  }
  // Lists, structs and maps of apache-arrow have a plain form.
  const { toJSON } = value as { toJSON?: () => unknown };
  if (typeof toJSON === "function") return jsonText(toJSON.call(value));
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return `{${entries.map(([name, one]) => `${JSON.stringify(String(name))}:${jsonText(one)}`).join(",")}}`;
}

function isNumbers(value: object): boolean {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/**
 * A moment as ISO 8601 in UTC, with three, six or nine digits after the second: as many as needed.
 *
 * @param digits how many digits after the second the unit has: 3 for milliseconds.
 */
export function momentText(units: bigint, digits: 0 | 3 | 6 | 9): string {
  const perSecond = 10n ** BigInt(digits);
  const seconds = units / perSecond - (units % perSecond < 0n ? 1n : 0n);
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(+date)) return String(units); // Beyond the year 275760.
  const fraction = String(units - seconds * perSecond)
    .padStart(digits, "0")
    .padEnd(3, "0")
    .replace(/(?<=^\d{3}(?:\d{3})?)(?:000)+$/, "");
  return `${date.toISOString().slice(0, -4)}${fraction}Z`;
}

/** A decimal with its column's number of digits after the point: `decimalText(-5n, 2)` is `"-0.05"`. */
export function decimalText(units: bigint, scale: number): string {
  if (scale <= 0) return String(units * 10n ** BigInt(-scale));
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, "0");
  return `${units < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

/** Days since 1970 as `"2001-12-31"`. */
export function dayText(days: number): string {
  const date = new Date(days * 86_400_000);
  return Number.isNaN(+date) ? String(days) : date.toISOString().replace(/T.*/, "");
}
