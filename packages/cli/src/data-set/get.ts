import type { Action } from "../command/command.js";
import { UsageError } from "../command/failure.js";
import { createOutput } from "../output/output-file.js";
import { requireNameOf } from "../records/format.js";
import { openDataSet } from "./data-set.js";
import { keysOf, requireKeys } from "./key-text.js";
import { buildTower } from "./tower.js";

/** `partd get`. */
export const get: Action = async (call) => {
  const { options, terminal, signal } = call;
  const keys = keysOf(call, call.arguments.slice(1));
  await using dataSet = await openDataSet(call);
  const { store, codec } = await buildTower(dataSet.store, options);
  const out = options.text("out");
  // The bytes of a value may be of any format, and so may its text.
  if (out && codec && !UNFRAMED.has(codec)) requireNameOf("ndjson", out, "--out");
  await requireKeys(dataSet, codec === "ndarray" ? [] : keys, signal);
  await using file =
    out === undefined ? undefined : await createOutput(out, { force: options.has("force") });
  using progress = terminal.progress("reading");
  let bytesDone = 0;
  for (const key of keys) {
    for await (const value of store.stream(key, { signal })) {
      for (const text of textOf(value, codec)) {
        if (file === undefined && terminal.isScreen) refuseBinary(text);
        await (file ? file.write(text) : terminal.write(text));
        bytesDone += text.length;
        if (file) progress.show({ bytesDone });
      }
    }
  }
  await file?.complete();
  return undefined;
};

/**
 * Refuses control characters, which could move the cursor, change colours, or type on behalf of the
 * user.
 */
function refuseBinary(value: string | Uint8Array): void {
  if (!/(?![\t\n\r])\p{Cc}/u.test(String(Buffer.from(value)))) return;
  throw new UsageError(
    "the value is not text to look at: --codec says what it is, --out FILE or a pipe takes it as it is",
  );
}

/**
 * A decoded value as text for a terminal or a pipe: lists and arrays an item a line, items that are not
 * text as JSON. What JSON has no form for is written in the nearest form: dates as ISO 8601, big
 * integers as digits, maps as objects, sets as lists, bytes as base64.
 */
function* textOf(value: unknown, codec: string | undefined): Generator<string | Uint8Array> {
  if (value instanceof Uint8Array && codec !== "ndarray") yield value;
  else if (typeof value === "string") yield value;
  else if (codec === "lines") yield (value as string[]).map((line) => `${line}\n`).join("");
  else yield* lines(itemsOf(value));
}

function itemsOf(value: unknown): Iterable<unknown> {
  if (isList(value)) return value;
  // A DtypeArray of ndarray, which keeps its numbers in `data`.
  const { data } = Object(value) as { data?: unknown };
  if (isList(data) && typeof Object(value).dtype === "string") return data;
  // Iterating a table of Arrow yields its rows.
  if (typeof Object(value)[Symbol.iterator] === "function") return value as Iterable<unknown>;
  return [value];
}

function* lines(items: Iterable<unknown>): Generator<string> {
  let text = "";
  for (const item of items) {
    text += `${jsonOf(item)}\n`;
    if (text.length < PIECE) continue;
    yield text;
    text = "";
  }
  if (text !== "") yield text;
}

/** The JSON of a decoded value, in one line. Unlike `jsonText` it writes NaN and infinities. */
function jsonOf(value: unknown, depth = 0): string {
  if (depth > DEEPEST) throw new RangeError("a value is nested too deep to be printed");
  switch (typeof value) {
    case "bigint":
      return String(value);
    case "number":
      return Number.isFinite(value) ? JSON.stringify(value) : `"${value}"`;
    case "object":
      return value === null ? "null" : objectJson(value, depth + 1);
    default:
      return JSON.stringify(value) ?? "null";
  }
}

function objectJson(value: object, depth: number): string {
  if (value instanceof Date) return JSON.stringify(Number.isNaN(+value) ? null : value);
  if (value instanceof Uint8Array) return `"${Buffer.from(value).toString("base64")}"`;
  if (value instanceof Set || isList(value)) {
    return `[${Array.from(value as Iterable<unknown>, (item) => jsonOf(item, depth)).join(",")}]`;
  }
  if (value instanceof RegExp || value instanceof Error) return JSON.stringify(String(value));
  const { toJSON } = value as { toJSON?: () => unknown };
  if (typeof toJSON === "function") return jsonOf(toJSON.call(value), depth);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const members = entries.map(([key, item]) => {
    const name = typeof key === "string" ? key : jsonOf(key, depth);
    return `${JSON.stringify(name)}:${jsonOf(item, depth)}`;
  });
  return `{${members.join(",")}}`;
}

function isList(value: unknown): value is Iterable<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** Codecs of plain text. */
const UNFRAMED: ReadonlySet<string> = new Set(["text", "lines"]);

/** Characters that are written at once. */
const PIECE = 1 << 16;

const DEEPEST = 2_000;
