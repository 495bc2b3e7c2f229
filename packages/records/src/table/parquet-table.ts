import type { SchemaElement } from "hyparquet";
import { loadPeer } from "../source/peer.js";
import { cellOf } from "./cell.js";
import type { TableRecord, TypedColumn } from "./column-type.js";
import type { EncodeTable } from "./table-rows.js";

type HyparquetWriter = typeof import("hyparquet-writer");

/** Loads what writes Parquet, compressed with Snappy; each batch is a row group. */
export async function parquetTable(): Promise<EncodeTable> {
  const peer = await loadPeer("hyparquet-writer", () => import("hyparquet-writer"));
  return (columns, batches) => encode(peer, columns, batches);
}

async function* encode(
  { ByteWriter, ParquetWriter }: HyparquetWriter,
  columns: readonly TypedColumn[],
  batches: AsyncIterable<readonly TableRecord[]>,
): AsyncGenerator<Uint8Array> {
  const writer = new ByteWriter();
  const take = () => {
    const bytes = writer.getBytes().slice();
    writer.index = 0;
    return bytes;
  };
  const root: SchemaElement = { name: "root", num_children: columns.length };
  const schema = [root, ...columns.map(elementOf)];
  const parquet = new ParquetWriter({ writer, schema });
  for await (const records of batches) {
    const columnData = columns.map((column) => ({
      name: column.name,
      data: records.map((record) => cellOf(record, column)),
    }));
    await parquet.write({ columnData, rowGroupSize: records.length });
    yield take();
  }
  // Set only now: otherwise the package would parse the values, and write numbers anew.
  for (const [i, { type }] of columns.entries()) {
    if (type === "json") schema[i + 1]!.converted_type = "JSON";
  }
  await parquet.finish();
  yield take();
}

function elementOf({ name, type, digits }: TypedColumn): SchemaElement {
  const optional = { name, repetition_type: "OPTIONAL" } as const;
  switch (type) {
    case "boolean":
      return { ...optional, type: "BOOLEAN" };
    case "integer":
      return { ...optional, type: "INT64" };
    case "double":
      return { ...optional, type: "DOUBLE" };
    case "date":
      return { ...optional, type: "INT32", converted_type: "DATE" };
    case "bytes":
      return { ...optional, type: "BYTE_ARRAY" };
    case "text":
    case "json":
      return { ...optional, type: "BYTE_ARRAY", converted_type: "UTF8" };
    case "timestamp": {
      const unit = ({ 3: "MILLIS", 6: "MICROS", 9: "NANOS" } as const)[digits];
      return {
        ...optional,
        type: "INT64",
        logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit },
      };
    }
  }
}
