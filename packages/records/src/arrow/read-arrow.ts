import { isPartdError } from "@partd/core";
import { checkOptionNames } from "@partd/core/author";
import type { DataType, RecordBatch, RecordBatchReader, Vector } from "apache-arrow";
import { openFile } from "../source/byte-reader.js";
import { type Input, inputsOf, type Source } from "../source/inputs.js";
import { damaged, loadPeer } from "../source/peer.js";

export interface ReadArrowOptions {
  /** The columns to read. Default all. */
  readonly columns?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Rows of Arrow data, or its record batches. */
export interface ArrowRecords<R> extends AsyncIterable<R> {
  /** The record batches, which are the `RecordBatch` of `apache-arrow`. */
  recordBatches(): AsyncIterable<ArrowBatch>;
}

/** The parts of a record batch that can be named without the types of `apache-arrow`. */
export interface ArrowBatch {
  readonly numRows: number;
  readonly schema: { readonly fields: readonly { readonly name: string }[] };
  getChildAt(column: number): { get(row: number): unknown; toArray(): ArrayLike<unknown> } | null;
}

/**
 * Reads rows of Arrow IPC files and streams with `apache-arrow`, which the program installs. One
 * record batch at a time is in memory, except that the file format in a stream is read whole. Dates
 * and timestamps are `Date`s, 64-bit integers bigints, lists arrays, structs objects.
 *
 * @throws `ERR_PARTD_CORRUPT` for bytes that are not Arrow; `ERR_PARTD_VALUE` without
 *   `apache-arrow`.
 */
export function readArrow<R extends object = { [column: string]: unknown }>(
  source: Source,
  options: ReadArrowOptions = {},
): ArrowRecords<R> {
  checkOptionNames("readArrow", options, { columns: true, signal: true });
  return {
    recordBatches: () => recordBatches(source, options),
    async *[Symbol.asyncIterator]() {
      const { DataType } = await loadPeer("apache-arrow", () => import("apache-arrow"));
      const isDate = (type: DataType) => DataType.isDate(type) || DataType.isTimestamp(type);
      for await (const batch of recordBatches(source, options)) {
        const columns = batch.schema.fields.map(({ name, type }, i) => {
          return { name, isDate: isDate(type), values: batch.getChildAt(i)! };
        });
        for (let row = 0; row < batch.numRows; row++) {
          const entries = columns.map((column) => [column.name, valueAt(column, row)] as const);
          yield Object.fromEntries(entries) as R;
        }
      }
    },
  };
}

async function* recordBatches(
  source: Source,
  { columns, signal }: ReadArrowOptions,
): AsyncGenerator<RecordBatch> {
  const { RecordBatchReader } = await loadPeer("apache-arrow", () => import("apache-arrow"));
  for await (const input of inputsOf(source)) {
    const file = input.path === undefined ? undefined : await openFile(input.path);
    let reader: RecordBatchReader | undefined;
    try {
      reader = await RecordBatchReader.from((file ?? chunksOf(input)) as AsyncIterable<Uint8Array>);
      // For bytes that are not Arrow, the package returns a stream without a schema.
      await reader.open();
      if (reader.schema === undefined) throw new Error("it has no schema.");
      for await (const batch of reader as AsyncIterable<RecordBatch>) {
        signal?.throwIfAborted();
        yield columns ? batch.select([...columns]) : batch;
      }
    } catch (cause) {
      if (signal?.aborted || isPartdError(cause)) throw cause;
      throw damaged(input.path ?? "<stream>", "Arrow", cause);
    } finally {
      await reader?.cancel();
      await file?.close();
    }
  }
}

function chunksOf(input: Input): AsyncIterable<Uint8Array> {
  return (input as Extract<Input, { chunks: unknown }>).chunks;
}

function valueAt(
  { values, isDate }: { readonly values: Vector; readonly isDate: boolean },
  row: number,
): unknown {
  const value = values.get(row);
  if (isDate && value !== null) return new Date(Number(value));
  return plain(value);
}

/** Converts the package's lists and structs to arrays and objects. */
function plain(value: unknown): unknown {
  const { toJSON } = (value ?? {}) as { toJSON?: () => unknown };
  return typeof toJSON === "function" && !(value instanceof Date) ? toJSON.call(value) : value;
}
