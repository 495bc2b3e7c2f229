import type { AsyncByteQueue, Data, DataType, RecordBatch, Schema, Utf8 } from "apache-arrow";
import { loadPeer } from "../source/peer.js";
import { type Cell, cellOf } from "./cell.js";
import type { TableRecord, TypedColumn } from "./column-type.js";
import type { EncodeTable } from "./table-rows.js";

type Arrow = typeof import("apache-arrow");

/** Loads what writes Arrow IPC: the file format, with an index at its end, or the stream format. */
export async function arrowTable(format: "file" | "stream"): Promise<EncodeTable> {
  const arrow = await loadPeer("apache-arrow", () => import("apache-arrow"));
  return (columns, batches) => encode(arrow, format, columns, batches);
}

async function* encode(
  arrow: Arrow,
  format: "file" | "stream",
  columns: readonly TypedColumn[],
  batches: AsyncIterable<readonly TableRecord[]>,
): AsyncGenerator<Uint8Array> {
  const { Field, RecordBatchFileWriter, RecordBatchStreamWriter, Schema } = arrow;
  const fields = columns.map((column) => new Field(column.name, typeOf(arrow, column), true));
  const schema = new Schema(fields);
  const { sink, take } = collector(arrow);
  const writer = format === "file" ? new RecordBatchFileWriter() : new RecordBatchStreamWriter();
  writer.reset(sink, schema);
  for await (const records of batches) {
    writer.write(recordBatch(arrow, schema, columns, records));
    yield take();
  }
  writer.finish();
  yield take();
}

/** Collects what the package's writer writes: with its own queue, it would run ahead of the reader. */
function collector({ AsyncByteQueue }: Arrow): { sink: AsyncByteQueue; take: () => Uint8Array } {
  let pieces: Uint8Array[] = [];
  const sink = new (class extends AsyncByteQueue {
    override write(piece: Uint8Array): void {
      pieces.push(piece);
    }
  })();
  const take = () => {
    const bytes = Buffer.concat(pieces);
    pieces = [];
    return bytes;
  };
  return { sink, take };
}

function recordBatch(
  arrow: Arrow,
  schema: Schema,
  columns: readonly TypedColumn[],
  records: readonly TableRecord[],
): RecordBatch {
  const { makeData, RecordBatch, Struct } = arrow;
  const children = columns.map((column) => dataOf(arrow, column, records));
  const type = new Struct(schema.fields);
  return new RecordBatch(
    schema,
    makeData({ type, length: records.length, nullCount: 0, children }),
  );
}

function dataOf(arrow: Arrow, column: TypedColumn, records: readonly TableRecord[]): Data {
  const { DateDay, Float64, Int64, makeData, vectorFromArray } = arrow;
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
    case "timestamp":
      return makeData({ type: timestampType(arrow, column), data: bigints(cells), ...valid });
    case "double":
      return makeData({ type: new Float64(), data: Float64Array.from(cells, Number), ...valid });
    case "date":
      return makeData({ type: new DateDay(), data: Int32Array.from(cells, Number), ...valid });
    default: {
      // A vector of no values has no data.
      const type = typeOf(arrow, column);
      const [data] = vectorFromArray(cells as readonly string[], type as Utf8).data;
      return data ?? makeData({ type: type as Utf8, ...valid });
    }
  }
}

function bigints(cells: readonly Cell[]): BigInt64Array {
  return BigInt64Array.from(cells, (cell) => (cell as bigint | null) ?? 0n);
}

function typeOf(arrow: Arrow, column: TypedColumn): DataType {
  switch (column.type) {
    case "boolean":
      return new arrow.Bool();
    case "integer":
      return new arrow.Int64();
    case "double":
      return new arrow.Float64();
    case "date":
      return new arrow.DateDay();
    case "timestamp":
      return timestampType(arrow, column);
    case "bytes":
      return new arrow.Binary();
    default:
      return new arrow.Utf8();
  }
}

function timestampType(arrow: Arrow, { digits }: TypedColumn) {
  if (digits === 3) return new arrow.TimestampMillisecond("UTC");
  return digits === 6
    ? new arrow.TimestampMicrosecond("UTC")
    : new arrow.TimestampNanosecond("UTC");
}
