import { type FileHandle, open } from "node:fs/promises";
import {
  type AsyncBuffer,
  type ParquetParsers,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type SchemaTree,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { Failure, UsageError } from "../command/failure.js";
import type { ColumnType } from "./column-type.js";
import { dayText, jsonText, momentText } from "./json-text.js";
import { lineMaker, type OpenTable, piecesOf } from "./table-lines.js";

/** Opens a Parquet file. One row group at a time is in memory. */
export const openParquet: OpenTable = async (path, asked) => {
  if (path === "-") {
    throw new UsageError("Parquet is read from a file: what is where stands at its end");
  }
  const handle = await open(path);
  const damaged = (error: unknown) =>
    new Failure(`${path} is damaged, or no Parquet: ${(error as Error).message}`);
  try {
    const file = await asyncBuffer(handle);
    const metadata = await parquetMetadataAsync(file);
    const { children } = parquetSchema(metadata);
    const all = children.map((tree) => ({ name: tree.element.name, type: typeOf(tree) }));
    const columns = asked?.every((one) => all.some(({ name }) => name === one))
      ? all.filter(({ name }) => asked.includes(name))
      : all;
    return {
      columns,
      async *pieces() {
        const names = columns.map(({ name }) => name);
        let rowStart = 0;
        for (const { num_rows } of metadata.row_groups) {
          const rowEnd = rowStart + Number(num_rows);
          const options = { file, metadata, columns: names, compressors, parsers: PARSERS };
          const found: { name: string; json: (row: number) => string }[] = [];
          try {
            const scan = await parquetScan(options);
            for (const name of names) {
              const values = await scan.readColumn({ column: name, rowStart, rowEnd });
              found.push({ name, json: (row) => jsonText(values[row]) });
            }
          } catch (error) {
            throw damaged(error);
          }
          yield* piecesOf(rowEnd - rowStart, lineMaker(found));
          rowStart = rowEnd;
        }
      },
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error instanceof Failure ? error : damaged(error);
  }
};

/** Moments with all the digits that they have. */
const PARSERS: Partial<ParquetParsers> = {
  timestampFromMilliseconds: (units) => momentText(BigInt(units), 3),
  timestampFromMicroseconds: (units) => momentText(BigInt(units), 6),
  timestampFromNanoseconds: (units) => momentText(BigInt(units), 9),
  dateFromDays: dayText,
};

function typeOf({ element, children }: SchemaTree): ColumnType | undefined {
  const { type, converted_type: converted = "", logical_type: logical } = element;
  if (children.length > 0 || element.repetition_type === "REPEATED") return undefined;
  if (type === "BOOLEAN") return "boolean";
  if (logical?.type === "TIMESTAMP" || converted.startsWith("TIMESTAMP")) return "moment";
  if (type === "INT96") return "moment";
  if (logical?.type === "DATE" || converted === "DATE") return "day";
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") return "double";
  if (type === "INT32" || type === "INT64") return "integer";
  if (type === "FLOAT" || type === "DOUBLE") return "double";
  return converted === "UTF8" || logical?.type === "STRING" ? "text" : undefined;
}

async function asyncBuffer(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(Math.max(0, end - start));
      for (let filled = 0; filled < bytes.length; ) {
        const left = bytes.length - filled;
        const { bytesRead } = await handle.read(bytes, filled, left, start + filled);
        if (bytesRead === 0) throw new Error("it is cut short");
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}
