import { createReadStream } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { TemporaryDirectory } from "@partd/disk";
import { parseKeyNumber } from "@partd/records";
import { Failure } from "../command/failure.js";
import { membersOf } from "../records/json-members.js";
import { type Column, ColumnTypes, type TypedColumn } from "./column-type.js";
import { JsonText } from "./json-text.js";

/**
 * A record: whole numbers that a double cannot hold are bigints, and lists and objects are JSON as it
 * is written.
 */
export type TableRecord = Readonly<Record<string, unknown>>;

/** Writes a table with known columns; records come some at a time. */
export type WriteTable = (
  columns: readonly TypedColumn[],
  batches: AsyncIterable<readonly TableRecord[]>,
  put: (bytes: Uint8Array) => Promise<void>,
) => Promise<void>;

export interface TableWriterOptions {
  /** Columns that the output has in any case, with their types as far as the records allow. */
  readonly known: () => readonly Column[];
  /** Where records go that do not fit in memory. */
  readonly dir: string | undefined;
}

/**
 * Gathers lines of JSON for a table. A column's type depends on all its values, so nothing can be
 * written before the last record: what does not fit in memory waits in a temporary file.
 */
export class TableWriter implements AsyncDisposable {
  readonly #options: TableWriterOptions;
  #types: ColumnTypes | undefined;
  #lines: string[] = [];
  #length = 0;
  #waiting: TemporaryDirectory | undefined;

  constructor(options: TableWriterOptions) {
    this.#options = options;
  }

  /** @param line JSON of an object, without a line feed at its end. */
  async add(line: string): Promise<void> {
    this.#types ??= new ColumnTypes(this.#options.known());
    this.#types.learn(recordOf(line));
    // An object may be written over several lines; its line feeds are only white space.
    this.#lines.push(line.replaceAll(/[\r\n]/g, " "));
    this.#length += line.length;
    if (this.#length > MOST_IN_MEMORY) await this.#spill();
  }

  async write(write: WriteTable, put: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    this.#types ??= new ColumnTypes(this.#options.known());
    await write(this.#types.columns, this.#batches(), put);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#waiting?.remove();
  }

  async *#batches(): AsyncGenerator<readonly TableRecord[]> {
    let batch: TableRecord[] = [];
    let length = 0;
    for await (const line of this.#all()) {
      batch.push(recordOf(line));
      length += line.length;
      if (batch.length < BATCH_RECORDS && length < BATCH_LENGTH) continue;
      yield batch;
      batch = [];
      length = 0;
    }
    if (batch.length > 0) yield batch;
  }

  async *#all(): AsyncGenerator<string> {
    if (this.#waiting) {
      yield* linesOf(createReadStream(join(this.#waiting.path, LINES), "utf8"));
    }
    yield* this.#lines;
  }

  async #spill(): Promise<void> {
    if (this.#waiting === undefined) {
      this.#waiting = new TemporaryDirectory("partd-cli", this.#options.dir);
      await this.#waiting.make();
    }
    this.#lines.push("");
    await appendFile(join(this.#waiting.path, LINES), this.#lines.join("\n"));
    this.#lines = [];
    this.#length = 0;
  }
}

/** Lines that end in LF. `node:readline` would also, as of Node 24, cut them at U+2028, which JSON may hold. */
async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let begun = "";
  for await (const piece of pieces) {
    const lines = piece.split("\n");
    lines[0] = begun + lines[0]; // Of a long line, only what is new is looked through.
    begun = lines.pop() as string;
    yield* lines;
  }
}

function recordOf(line: string): TableRecord {
  const record: unknown = JSON.parse(line);
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw new Failure("tables of Arrow and Parquet are made of records that are objects");
  }
  const fields = record as Record<string, unknown>;
  return Object.values(fields).some(isCoarse) ? withWrittenValues(line, fields) : fields;
}

/** Whether a parsed value may have lost precision. */
function isCoarse(value: unknown): boolean {
  if (typeof value === "number") return Number.isInteger(value) && !Number.isSafeInteger(value);
  return typeof value === "object" && value !== null;
}

function withWrittenValues(line: string, fields: Record<string, unknown>): TableRecord {
  const bytes = Buffer.from(line);
  for (const { name, valueStart, valueEnd } of membersOf(bytes) ?? []) {
    if (!isCoarse(fields[name])) continue;
    const text = bytes.toString("utf8", valueStart, valueEnd);
    fields[name] = typeof fields[name] === "object" ? new JsonText(text) : wholeNumber(text);
  }
  return fields;
}

/** A bigint if 64 bits hold it; otherwise a double if that is exact, or else text with all digits. */
function wholeNumber(text: string): number | bigint | JsonText {
  if (!/^-?\d{1,400}$/.test(text)) return Number(text);
  const integer = BigInt(text);
  if (BigInt.asIntN(64, integer) === integer) return integer;
  return typeof parseKeyNumber(text) === "bigint" ? new JsonText(text) : Number(text);
}

/** In characters. Of 8 Mi and 65,536 records, a sort with 64 MB took 337 MiB in all. */
const MOST_IN_MEMORY = 1 << 20;
const BATCH_RECORDS = 1 << 14;
const BATCH_LENGTH = 2 << 20;
const LINES = "lines.ndjson";
