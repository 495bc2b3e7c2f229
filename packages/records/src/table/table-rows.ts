import { appendFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { PartdError } from "@partd/core";
import type { TemporaryDirectory } from "@partd/disk";
import { openFile } from "../source/byte-reader.js";
import { type Column, ColumnTypes, type TableRecord, type TypedColumn } from "./column-type.js";

/** The bytes of a table; a batch of records becomes one batch of Arrow, or a part of a row group of Parquet. */
export type EncodeTable = (
  columns: readonly TypedColumn[],
  batches: AsyncIterable<readonly TableRecord[]>,
) => AsyncGenerator<Uint8Array>;

export interface TableRowsOptions {
  /** Columns that the table has in any case, with their types as far as the records allow. */
  readonly known?: (() => readonly Column[]) | undefined;
  /** Where records wait that do not fit in memory. Default: `os.tmpdir()`. */
  readonly dir?: string | undefined;
}

/**
 * Gathers the records of a table. A column's type depends on all its values, so nothing can be written
 * before the last record: what does not fit in memory waits in a temporary file.
 */
export class TableRows implements AsyncDisposable {
  readonly #options: TableRowsOptions;
  #types: ColumnTypes | undefined;
  #batch = new Batch();
  #waiting: TemporaryDirectory | undefined;
  /** The bytes of each batch in the temporary file. */
  readonly #waitingBytes: number[] = [];

  constructor(options: TableRowsOptions = {}) {
    this.#options = options;
  }

  /** @throws `ERR_PARTD_IO` if there is no room for what has to wait. */
  async add(record: TableRecord): Promise<void> {
    this.#learned.learn(record);
    this.#batch.add(record);
    if (this.#batch.isFull) await this.#spill();
  }

  encode(encode: EncodeTable): AsyncGenerator<Uint8Array> {
    const { columns } = this.#learned;
    return encode(columns, withFewCells(this.#batches(), columns.length));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#waiting?.remove();
  }

  get #learned(): ColumnTypes {
    this.#types ??= new ColumnTypes(this.#options.known?.());
    return this.#types;
  }

  async *#batches(): AsyncGenerator<readonly TableRecord[]> {
    if (this.#waiting) {
      const path = join(this.#waiting.path, BATCHES);
      await using file = await openFile(path);
      for (const byteLength of this.#waitingBytes) {
        yield deserialize(await read(file, byteLength, path)) as TableRecord[];
      }
    }
    if (this.#batch.records.length > 0) yield this.#batch.records;
  }

  async #spill(): Promise<void> {
    const bytes = serialize(this.#batch.records);
    this.#batch = new Batch();
    try {
      this.#waiting ??= await temporary(this.#options.dir);
      await appendFile(join(this.#waiting.path, BATCHES), bytes);
      this.#waitingBytes.push(bytes.length);
    } catch (cause) {
      throw new PartdError(
        "ERR_PARTD_IO",
        `The records of a table cannot wait in a temporary file: ${(cause as Error).message}. Set dir to another folder, or state the types of all columns: then records need not wait.`,
        { path: this.#waiting?.path ?? this.#options.dir, cause },
      );
    }
  }
}

/** Batches of records that are written as they come, to a table of so many columns. */
export function batched(
  records: AsyncIterable<TableRecord>,
  columns: number,
): AsyncIterable<readonly TableRecord[]> {
  return withFewCells(batchesOf(records), columns);
}

/** Cuts batches of records that have few of many columns, since the others are cells of a table, too. */
async function* withFewCells(
  batches: AsyncIterable<readonly TableRecord[]>,
  columns: number,
): AsyncGenerator<readonly TableRecord[]> {
  const most = Math.ceil(BATCH_CELLS / Math.max(1, columns));
  for await (const records of batches) {
    for (let i = 0; i < records.length; i += most) yield records.slice(i, i + most);
  }
}

async function* batchesOf(
  records: AsyncIterable<TableRecord>,
): AsyncGenerator<readonly TableRecord[]> {
  let batch = new Batch();
  for await (const record of records) {
    batch.add(record);
    if (!batch.isFull) continue;
    yield batch.records;
    batch = new Batch();
  }
  if (batch.records.length > 0) yield batch.records;
}

class Batch {
  readonly records: TableRecord[] = [];
  #size = 0;
  #fields = 0;

  get isFull(): boolean {
    const most = BATCH_SIZE + this.#fields * FIELD_SIZE;
    return this.records.length >= BATCH_RECORDS || this.#size >= most;
  }

  add(record: TableRecord): void {
    this.records.push(record);
    const { size, fields } = measured(record);
    this.#size += size;
    this.#fields = Math.max(this.#fields, fields);
  }
}

async function temporary(dir: string | undefined): Promise<TemporaryDirectory> {
  // Readers need no @partd/disk: without it, importing this package takes 11 ms less, in each thread.
  const { TemporaryDirectory } = await import("@partd/disk");
  const directory = new TemporaryDirectory("partd-records", dir);
  await directory.make();
  return directory;
}

/** @throws `ERR_PARTD_CORRUPT` if the file has become shorter. */
async function read(file: FileHandle, byteLength: number, path: string): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(byteLength);
  for (let at = 0; at < byteLength; ) {
    const { bytesRead } = await file.read(bytes, at, byteLength - at);
    if (bytesRead === 0) {
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `Another program has cut ${path}, where records of a table waited: write the table again.`,
        { path },
      );
    }
    at += bytesRead;
  }
  return bytes;
}

/** How many fields a record has, and about the bytes of it as JSON. */
function measured(record: TableRecord): { readonly size: number; readonly fields: number } {
  let size = 2;
  let fields = 0;
  for (const name in record) {
    const value = record[name];
    fields++;
    size += name.length + 4;
    if (typeof value === "string") size += value.length;
    else if (ArrayBuffer.isView(value)) size += value.length;
    else if (typeof value === "object" && value !== null && "json" in value) {
      size += value.json.length;
    } else size += 8;
  }
  return { size, fields };
}

const BATCHES = "batches";
const BATCH_RECORDS = 1 << 14;
/** In characters. A sort of 48 MB into Arrow with 32 MB took up to 237 MiB in all with 2 Mi, and takes up to 153 with this. */
const BATCH_SIZE = 1 << 18;
/**
 * In characters: what a batch may have more for each field of a record. Each column of each row group costs about
 * 2.5 kB of memory until a Parquet file is complete: 200 records of 10,000 fields took 647 MB, and with this 330.
 */
const FIELD_SIZE = 2 << 10;
/** Of 8,000 records, each with a column of its own, 64 million cells took 1,102 MB as Arrow, and with this 315. */
const BATCH_CELLS = 4 << 20;
