import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  Bool,
  type Data,
  DateDay,
  Field,
  Float64,
  Int64,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  Utf8,
  vectorFromArray,
} from "apache-arrow";
import { cellOf } from "./cell.js";
import type { TypedColumn } from "./column-type.js";
import type { TableRecord, WriteTable } from "./table-writer.js";

/** Writes the file format of Arrow IPC, which has an index at its end. */
export const writeArrowFile: WriteTable = (columns, batches, put) => {
  return write(RecordBatchFileWriter.throughNode(), columns, batches, put);
};

/** Writes the stream format, which can be read as it comes. */
export const writeArrowStream: WriteTable = (columns, batches, put) => {
  return write(RecordBatchStreamWriter.throughNode(), columns, batches, put);
};

async function write(
  writer: NodeJS.ReadWriteStream,
  columns: readonly TypedColumn[],
  batches: AsyncIterable<readonly TableRecord[]>,
  put: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const fields = columns.map((column) => new Field(column.name, typeOf(column), true));
  const schema = new Schema(fields);
  // apache-arrow's writer does not survive an error on either side: both then end as if all were done.
  let failure: { readonly error: unknown } | undefined;
  async function* recordBatches() {
    let isEmpty = true;
    try {
      for await (const records of batches) {
        isEmpty = false;
        yield recordBatch(schema, columns, records);
        if (failure !== undefined) return;
      }
    } catch (error) {
      failure = { error };
    }
    if (isEmpty) yield recordBatch(schema, columns, []);
  }
  // By default 16 batches are made ahead, which took 160 MiB.
  const ahead = { highWaterMark: 1 };
  await pipeline(Readable.from(recordBatches(), ahead), writer, async (pieces) => {
    for await (const piece of pieces) {
      if (failure !== undefined) continue;
      await put(piece as unknown as Uint8Array).catch((error: unknown) => {
        failure = { error };
      });
    }
  });
  if (failure !== undefined) throw failure.error;
}

function recordBatch(
  schema: Schema,
  columns: readonly TypedColumn[],
  records: readonly TableRecord[],
): RecordBatch {
  const children = columns.map((column) => dataOf(column, records));
  const type = new Struct(schema.fields);
  return new RecordBatch(
    schema,
    makeData({ type, length: records.length, nullCount: 0, children }),
  );
}

function dataOf(column: TypedColumn, records: readonly TableRecord[]): Data {
  const cells = records.map((record) => cellOf(record, column));
  const length = cells.length;
  const nullBitmap = new Uint8Array(Math.ceil(length / 8));
  let nullCount = 0;
  for (const [i, cell] of cells.entries()) {
    if (cell === null) nullCount++;
    else nullBitmap[i >> 3]! |= 1 << (i & 7);
  }
  const valid = { length, nullCount, nullBitmap };
  switch (column.type) {
    case "integer":
      return makeData({ type: new Int64(), data: bigints(cells), ...valid });
    case "moment":
      return makeData({ type: momentType(column), data: bigints(cells), ...valid });
    case "double":
      return makeData({ type: new Float64(), data: Float64Array.from(cells, Number), ...valid });
    case "day":
      return makeData({ type: new DateDay(), data: Int32Array.from(cells, Number), ...valid });
    default: {
      // A vector of no values has no data.
      const [data] = vectorFromArray(cells, typeOf(column)).data;
      return (data ?? makeData({ type: typeOf(column) as Utf8, ...valid })) as Data;
    }
  }
}

function bigints(cells: readonly unknown[]): BigInt64Array {
  return BigInt64Array.from(cells, (cell) => (cell as bigint | null) ?? 0n);
}

function typeOf(column: TypedColumn) {
  switch (column.type) {
    case "boolean":
      return new Bool();
    case "integer":
      return new Int64();
    case "double":
      return new Float64();
    case "day":
      return new DateDay();
    case "moment":
      return momentType(column);
    default:
      return new Utf8();
  }
}

function momentType({ digits }: TypedColumn) {
  if (digits === 3) return new TimestampMillisecond("UTC");
  return digits === 6 ? new TimestampMicrosecond("UTC") : new TimestampNanosecond("UTC");
}
