import { open } from "node:fs/promises";
import { DataType, type RecordBatch, RecordBatchReader, type Vector } from "apache-arrow";
import { Failure } from "../command/failure.js";
import { standardInput } from "../terminal/terminal.js";
import type { Column, ColumnType } from "./column-type.js";
import { dayText, jsonText, momentText } from "./json-text.js";
import { lineMaker, type OpenTable, piecesOf } from "./table-lines.js";

/** Opens a file or a stream of Arrow IPC, or standard input. One record batch at a time is in memory. */
export async function openArrow(
  path: string,
  asked: readonly string[] | undefined,
  signal: AbortSignal,
): ReturnType<OpenTable> {
  const name = path === "-" ? "standard input" : path;
  const file = path === "-" ? undefined : await open(path);
  const damaged = (cause: unknown) =>
    new Failure(`${name} is damaged, or no Arrow: ${(cause as Error).message}`, { cause });
  const close = async () => {
    await file?.close().catch(() => undefined); // The reader may have closed it.
  };
  try {
    const reader = await RecordBatchReader.from(
      (file ?? standardInput(signal)) as unknown as AsyncIterable<Uint8Array>,
    );
    await reader.open();
    if (reader.schema === undefined) throw new Error("it has no schema");
    const { fields } = reader.schema;
    const all = fields.map(({ name, type }) => ({ name, type: typeOf(type) }));
    const columns = asked?.every((one) => all.some((column) => column.name === one))
      ? all.filter((column) => asked.includes(column.name))
      : all;
    return {
      columns,
      byteLength: (await file?.stat())?.size,
      async *pieces() {
        const batches = reader[Symbol.asyncIterator]();
        // A stream does not say how many it has.
        const all = reader.isFile() ? reader.numRecordBatches : undefined;
        for (let before = 0; ; before++) {
          const next = await batches.next().catch((error: unknown) => {
            throw damaged(error);
          });
          if (next.done) return;
          const { numRows } = next.value;
          const shareOf = (rows: number) => all && (before + rows / numRows) / all;
          yield* piecesOf(numRows, lineOf(next.value, columns), shareOf);
        }
      },
      close,
    };
  } catch (error) {
    await close();
    throw error instanceof Failure ? error : damaged(error);
  }
}

function lineOf(batch: RecordBatch, columns: readonly Column[]): (row: number) => string {
  const found = batch.schema.fields.flatMap(({ name, type }, i) => {
    if (!columns.some((column) => column.name === name)) return [];
    return [{ name, json: jsonOf(type, batch.getChildAt(i) as Vector) }];
  });
  return lineMaker(found);
}

/** The JSON of a column's values. Those that the package rounds are taken where they lie. */
function jsonOf(type: DataType, column: Vector): (row: number) => string {
  const take = takerOf(type, column);
  return (row) => (column.isValid(row) ? take(row) : "null");
}

function takerOf(type: DataType, column: Vector): (row: number) => string {
  const values = column.data[0]?.values as ArrayLike<unknown> | undefined;
  if (values !== undefined && DataType.isTimestamp(type)) {
    const digits = ([0, 3, 6, 9] as const)[type.unit];
    return (row) => `"${momentText(values[row] as bigint, digits)}"`;
  }
  if (values !== undefined && DataType.isDate(type) && type.unit === 0) {
    return (row) => `"${dayText(values[row] as number)}"`;
  }
  if (DataType.isDate(type)) return (row) => `"${momentText(BigInt(column.get(row)), 3)}"`;
  if (DataType.isDecimal(type)) {
    return (row) => decimalText(column.get(row) as Uint32Array, type.scale);
  }
  return (row) => jsonText(column.get(row));
}

/** A whole number of 32-bit words, the low ones first, as a number with `scale` digits behind the dot. */
function decimalText(words: Uint32Array, scale: number): string {
  let value = 0n;
  for (let i = words.length - 1; i >= 0; i--) value = (value << 32n) | BigInt(words[i] as number);
  value = BigInt.asIntN(words.length * 32, value);
  if (scale <= 0) return String(value * 10n ** BigInt(-scale));
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, "0");
  return `${value < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function typeOf(type: DataType): ColumnType | undefined {
  if (DataType.isDictionary(type)) return typeOf(type.dictionary);
  if (DataType.isBool(type)) return "boolean";
  if (DataType.isInt(type)) return "integer";
  if (DataType.isFloat(type) || DataType.isDecimal(type)) return "double";
  if (DataType.isTimestamp(type)) return "moment";
  if (DataType.isDate(type)) return type.unit === 0 ? "day" : "moment";
  return DataType.isUtf8(type) || DataType.isLargeUtf8(type) ? "text" : undefined;
}
