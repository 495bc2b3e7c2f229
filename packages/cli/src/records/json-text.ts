/** JSON that is written unchanged. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/**
 * The JSON of a value, in one line: a bigint with all its digits, a `Date` as ISO 8601 in UTC, bytes as
 * base64, a Map as an object; `null` for NaN, infinities, an invalid `Date` and anything else.
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
