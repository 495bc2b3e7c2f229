import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { checkColumn } from "@partd/codec-arrow";
import { isPartdError } from "@partd/core";
import { arrowBatches, type Column, type ColumnType } from "@partd/records/author";
import {
  type Data,
  DataType,
  type Map_,
  type RecordBatch,
  type Struct,
  type Union,
  UnionMode,
  Vector,
} from "apache-arrow";
import { Failure } from "../command/failure.js";
import { nameOf } from "../records/inputs.js";
import { jsonText } from "../records/json-text.js";
import { standardInput } from "../terminal/terminal.js";
import { dayText, decimalText, momentText } from "./cell-text.js";
import { lineMaker, type OpenTable, piecesOf } from "./table-lines.js";

/** Opens a file or a stream of Arrow IPC, or standard input. One record batch at a time is in memory. */
export async function openArrow(
  path: string,
  asked: readonly string[] | undefined,
  signal: AbortSignal,
): ReturnType<OpenTable> {
  const name = nameOf(path);
  const damaged = (error: unknown) => {
    const { cause = error } = error as Error;
    const message = (cause as Error).message.replace(/\.$/, "");
    return isPartdError(error) && cause === error
      ? new Failure(message.replace("<stream>", name), { cause })
      : new Failure(`${name} is damaged, or no Arrow: ${message}`, { cause });
  };
  let batches: ReturnType<typeof arrowBatches> | undefined;
  try {
    batches = arrowBatches(await sourceOf(path, signal), { signal });
    let next = await batches.next();
    const { schema } = next.value!.batch as RecordBatch;
    const all = schema.fields.map(({ name, type }) => ({ name, type: typeOf(type) }));
    const columns = asked?.every((one) => all.some((column) => column.name === one))
      ? all.filter((column) => asked.includes(column.name))
      : all;
    return {
      columns,
      async *pieces() {
        let before = 0;
        try {
          for (; !next.done; next = await batches!.next()) {
            const { batch, bytesRead } = next.value;
            const { numRows } = batch;
            const lines = lineOf(batch as RecordBatch, columns);
            const start = before;
            yield* piecesOf(numRows, lines, (rows) => {
              return start + (bytesRead - start) * (rows / numRows);
            });
            before = bytesRead;
          }
        } catch (error) {
          throw damaged(error);
        }
      },
      async close() {
        await batches!.return(undefined);
      },
    };
  } catch (error) {
    await batches?.return(undefined);
    throw damaged(error);
  }
}

/** A file is read by the index at its end; all else as it comes, so that all of its bytes are counted. */
async function sourceOf(path: string, signal: AbortSignal): Promise<string | Readable> {
  if (path === "-") return standardInput(signal);
  return (await isFileFormat(path)) ? path : createReadStream(path);
}

async function isFileFormat(path: string): Promise<boolean> {
  if (!(await stat(path)).isFile()) return false;
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, 0);
    return buffer.equals(MAGIC);
  } finally {
    await file.close();
  }
}

const MAGIC = Buffer.from("ARROW1");

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
  if (data !== undefined && DataType.isUnion(type)) return unionTaker(type, data);
  if (values !== undefined && DataType.isDictionary(type)) {
    const words = data!.dictionary!;
    // A stream adds to a dictionary in pieces. Its indices may be bigints, which the package does not look up.
    const isWhole = words.data.length === 1;
    const json = isWhole ? jsonOf(type.dictionary, words) : (at: number) => jsonText(words.get(at));
    return (row) => json(Number(values[row]));
  }
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

function unionTaker(type: Union, { typeIds, valueOffsets, children }: Data) {
  const json = children.map((child) => jsonOf(child.type, new Vector([child])));
  const isDense = type.mode === UnionMode.Dense;
  return (row: number) => {
    const member = json[type.typeIdToChildIndex[typeIds[row] as number] as number];
    if (member === undefined) throw new Error(`a union has no type ${typeIds[row]}`);
    return member(isDense ? (valueOffsets[row] as number) : row);
  };
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
