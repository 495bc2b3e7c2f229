import { type FileHandle, open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { checkColumn } from "@partd/codec-arrow";
import type { Column, ColumnType } from "@partd/records/author";
import {
  type Data,
  DataType,
  type Map_,
  type RecordBatch,
  RecordBatchReader,
  type Struct,
  Vector,
} from "apache-arrow";
import { Failure } from "../command/failure.js";
import { standardInput } from "../terminal/terminal.js";
import { dayText, decimalText, jsonText, momentText } from "./json-text.js";
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
    const size = (await file?.stat())?.size;
    const stream = new CountedInput(file ?? standardInput(signal));
    const reader = await RecordBatchReader.from(stream.input as AsyncIterable<Uint8Array>);
    await reader.open();
    if (reader.schema === undefined) throw new Error("it has no schema");
    const { fields } = reader.schema;
    const all = fields.map(({ name, type }) => ({ name, type: typeOf(type) }));
    const columns = asked?.every((one) => all.some((column) => column.name === one))
      ? all.filter((column) => asked.includes(column.name))
      : all;
    return {
      columns,
      async *pieces() {
        let before = 0;
        try {
          for await (const batch of reader) {
            const { numRows } = batch;
            const batchesBefore = before++;
            // A file is read from its end; a stream does not say how many batches it has.
            const bytesRead =
              size !== undefined && reader.isFile()
                ? (rows: number) =>
                    (size * (batchesBefore + rows / numRows)) / reader.numRecordBatches
                : () => stream.bytesRead;
            yield* piecesOf(numRows, lineOf(batch, columns), bytesRead);
          }
        } catch (error) {
          throw damaged(error);
        }
      },
      close,
    };
  } catch (error) {
    await close();
    throw error instanceof Failure ? error : damaged(error);
  }
}

/** The input of apache-arrow, which counts the bytes read. */
class CountedInput {
  bytesRead = 0;
  readonly input: unknown;

  constructor(source: FileHandle | Readable) {
    this.input = "stat" in source ? this.#file(source) : this.#stream(source);
  }

  #file(file: FileHandle): Pick<FileHandle, "fd" | "stat" | "read" | "close"> {
    return {
      fd: file.fd,
      stat: () => file.stat() as never,
      close: () => file.close(),
      read: async (...where: Parameters<FileHandle["read"]>) => {
        const found = await file.read(...where);
        this.bytesRead += found.bytesRead;
        return found as never;
      },
    };
  }

  async *#stream(stream: Readable): AsyncGenerator<Uint8Array> {
    for await (const bytes of stream) {
      this.bytesRead += (bytes as Uint8Array).byteLength;
      yield bytes as Uint8Array;
    }
  }
}

function lineOf(batch: RecordBatch, columns: readonly Column[]): (row: number) => string {
  const found = batch.schema.fields.flatMap(({ name, type }, i) => {
    if (!columns.some((column) => column.name === name)) return [];
    const column = batch.getChildAt(i) as Vector;
    for (const data of column.data) checkColumn(data);
    return [{ name, json: jsonOf(type, column) }];
  });
  return lineMaker(found);
}

/**
 * The JSON of a column's values. Values that the package would round are read from its buffers, also
 * within lists and objects.
 */
function jsonOf(type: DataType, column: Vector): (row: number) => string {
  const take = takerOf(type, column);
  return (row) => (column.isValid(row) ? take(row) : "null");
}

function takerOf(type: DataType, column: Vector): (row: number) => string {
  const data = column.data[0] as Data | undefined;
  const values = data?.values as ArrayLike<unknown> | undefined;
  if (values !== undefined && DataType.isTimestamp(type)) {
    const digits = ([0, 3, 6, 9] as const)[type.unit];
    return (row) => `"${momentText(values[row] as bigint, digits)}"`;
  }
  if (values !== undefined && DataType.isDate(type) && type.unit === 0) {
    return (row) => `"${dayText(values[row] as number)}"`;
  }
  if (DataType.isDate(type)) return (row) => `"${momentText(BigInt(column.get(row)), 3)}"`;
  if (DataType.isDecimal(type)) {
    return (row) => decimalText(wholeOf(column.get(row) as Uint32Array), type.scale);
  }
  if (DataType.isStruct(type)) return structTaker(type, column);
  const items = data?.children[0];
  if (items !== undefined && DataType.isMap(type)) return mapTaker(type, data as Data, items);
  if (items !== undefined && (DataType.isList(type) || DataType.isFixedSizeList(type))) {
    const json = jsonOf(type.valueType, new Vector([items]));
    const range = rangeOf(type, data as Data, items);
    return (row) => `[${range(row).map(json).join(",")}]`;
  }
  return (row) => jsonText(column.get(row));
}

function structTaker(type: Struct, column: Vector): (row: number) => string {
  const members = type.children.map(({ name, type }, i) => ({
    start: `${JSON.stringify(name)}:`,
    json: jsonOf(type, column.getChildAt(i) as Vector),
  }));
  return (row) => `{${members.map(({ start, json }) => start + json(row)).join(",")}}`;
}

function mapTaker(type: Map_, data: Data, entries: Data): (row: number) => string {
  const [key, value] = type.childType.children.map((field, i) =>
    jsonOf(field.type, new Vector([entries.children[i] as Data])),
  ) as [(row: number) => string, (row: number) => string];
  const range = rangeOf(type, data, entries);
  // A member's name is text, whatever the type of the key.
  const name = (row: number) => (key(row).startsWith('"') ? key(row) : JSON.stringify(key(row)));
  return (row) =>
    `{${range(row)
      .map((i) => `${name(i)}:${value(i)}`)
      .join(",")}}`;
}

/**
 * The place of a row's list among all `items`.
 *
 * @throws for offsets of a damaged file, which the package does not check.
 */
function rangeOf(type: DataType, { valueOffsets }: Data, items: Data): (row: number) => number[] {
  const size = DataType.isFixedSizeList(type) ? type.listSize : undefined;
  const startOf = (row: number) => (size === undefined ? Number(valueOffsets[row]) : row * size);
  return (row) => {
    const [start, end] = [startOf(row), startOf(row + 1)];
    if (!(start >= 0 && start <= end && end <= items.length)) {
      throw new Error(`the list of a row has items ${start} to ${end} of ${items.length}`);
    }
    return Array.from({ length: end - start }, (_, i) => start + i);
  };
}

/** An integer of 32-bit words, the lowest first. */
function wholeOf(words: Uint32Array): bigint {
  let value = 0n;
  for (let i = words.length - 1; i >= 0; i--) value = (value << 32n) | BigInt(words[i] as number);
  return BigInt.asIntN(words.length * 32, value);
}

function typeOf(type: DataType): ColumnType | undefined {
  if (DataType.isDictionary(type)) return typeOf(type.dictionary);
  if (DataType.isBool(type)) return "boolean";
  if (DataType.isInt(type)) return "integer";
  if (DataType.isFloat(type) || DataType.isDecimal(type)) return "double";
  if (DataType.isTimestamp(type)) return "timestamp";
  if (DataType.isDate(type)) return type.unit === 0 ? "date" : "timestamp";
  return DataType.isUtf8(type) || DataType.isLargeUtf8(type) ? "text" : undefined;
}
