import type { SchemaElement } from "hyparquet";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import { cellOf } from "./cell.js";
import type { TypedColumn } from "./column-type.js";
import type { WriteTable } from "./table-writer.js";

/** Writes Parquet, compressed with Snappy; each batch is a row group. */
export const writeParquet: WriteTable = async (columns, batches, put) => {
  const writer = new ByteWriter();
  const flush = async () => {
    const bytes = writer.getBytes().slice();
    writer.index = 0;
    await put(bytes);
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
    await flush();
  }
  // Set only now: otherwise the package would parse the values, and write numbers anew.
  for (const [i, { type }] of columns.entries()) {
    if (type === "json") (schema[i + 1] as SchemaElement).converted_type = "JSON";
  }
  await parquet.finish();
  await flush();
};

function elementOf({ name, type, digits }: TypedColumn): SchemaElement {
  const optional = { name, repetition_type: "OPTIONAL" } as const;
  switch (type) {
    case "boolean":
      return { ...optional, type: "BOOLEAN" };
    case "integer":
      return { ...optional, type: "INT64" };
    case "double":
      return { ...optional, type: "DOUBLE" };
    case "day":
      return { ...optional, type: "INT32", converted_type: "DATE" };
    case "text":
    case "json":
      return { ...optional, type: "BYTE_ARRAY", converted_type: "UTF8" };
    case "moment": {
      const unit = ({ 3: "MILLIS", 6: "MICROS", 9: "NANOS" } as const)[digits];
      return {
        ...optional,
        type: "INT64",
        logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit },
      };
    }
  }
}
