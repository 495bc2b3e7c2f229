import { isUtf8 } from "node:buffer";
import { type FileHandle, open } from "node:fs/promises";
import type { ColumnType } from "@partd/records/author";
import {
  type AsyncBuffer,
  type ParquetParsers,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type SchemaElement,
  type SchemaTree,
} from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { Failure, UsageError } from "../command/failure.js";
import { JsonText, jsonText } from "../records/json-text.js";
import { dayText, decimalText, momentText } from "./cell-text.js";
import { lineMaker, type OpenTable, piecesOf } from "./table-lines.js";

/** Opens a Parquet file. One row group at a time is in memory. */
export const openParquet: OpenTable = async (path, asked) => {
  if (path === "-") {
    throw new UsageError("Parquet is read from a file, not from a pipe: its index is at the end");
  }
  const handle = await open(path);
  const damaged = (error: unknown) => {
    const { message } = error as Error;
    const isOther = /not supported|unsupported|encrypted/.test(message);
    const what = isOther ? "holds what is not read" : "is damaged, or no Parquet";
    return new Failure(`${path} ${what}: ${message}`);
  };
  try {
    const file = await asyncBuffer(handle);
    if (file.byteLength < SHORTEST) throw new Error(`it has ${file.byteLength} bytes`);
    const end = Buffer.from(await file.slice(file.byteLength - 4));
    if (end.toString() === "PARE") throw new Error("it is encrypted");
    const metadata = await parquetMetadataAsync(file);
    const { children } = parquetSchema(metadata);
    const all = children.map((tree) => ({ name: tree.element.name, type: typeOf(tree) }));
    const decimals = new Map<string, JsonOf>();
    for (const tree of children) {
      const json = takeDecimals(tree);
      if (json) decimals.set(tree.element.name, json);
    }
    const columns = asked?.every((one) => all.some(({ name }) => name === one))
      ? all.filter(({ name }) => asked.includes(name))
      : all;
    return {
      columns,
      async *pieces() {
        const names = columns.map(({ name }) => name);
        const options = { file, metadata, columns: names, compressors, parsers: PARSERS };
        const undeclared = children.filter((tree) => {
          return names.includes(tree.element.name) && isUndeclared(tree);
        });
        const binary = await binaryAmong(undeclared, options).catch((error: unknown) => {
          throw damaged(error);
        });
        const bytesOfRow = file.byteLength / Number(metadata.num_rows);
        let rowStart = 0;
        for (const { num_rows } of metadata.row_groups) {
          const before = rowStart;
          const rowEnd = before + Number(num_rows);
          const range = { rowStart, rowEnd };
          const found = await jsonColumns(names, options, decimals, binary, range).catch(
            (error: unknown) => {
              throw damaged(error);
            },
          );
          yield* piecesOf(rowEnd - before, lineMaker(found), (rows) => {
            return (before + rows) * bytesOfRow;
          });
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

/** Reads some rows: the JSON of their values, by column. */
async function jsonColumns(
  names: readonly string[],
  options: Parameters<typeof parquetScan>[0],
  decimals: ReadonlyMap<string, JsonOf>,
  binary: ReadonlySet<string>,
  range: { readonly rowStart: number; readonly rowEnd: number },
): Promise<{ readonly name: string; readonly json: (row: number) => string }[]> {
  const found: { name: string; json: (row: number) => string }[] = [];
  const scan = await parquetScan(options);
  // Bytes that are not declared to be text are read as text, except decimals and what is not UTF-8.
  const bytes = await parquetScan({ ...options, utf8: false });
  for (const name of names) {
    const json = decimals.get(name);
    const from = json || binary.has(name) ? bytes : scan;
    const values = await from.readColumn({ column: name, ...range });
    found.push({ name, json: (row) => (json ?? jsonText)(values[row]) });
  }
  return found;
}

/**
 * Whether a column is, or holds, bytes without a declared type, which older programs write for text.
 */
function isUndeclared({ element, children }: SchemaTree): boolean {
  const { type, converted_type, logical_type } = element;
  if (converted_type !== undefined || logical_type !== undefined) {
    return logical_type?.type !== "VARIANT" && children.some(isUndeclared);
  }
  return type === "BYTE_ARRAY" || children.some(isUndeclared);
}

/** The columns that hold bytes which are not UTF-8: as text, different bytes could become equal. */
async function binaryAmong(
  trees: readonly SchemaTree[],
  options: Parameters<typeof parquetScan>[0],
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  if (trees.length === 0) return found;
  const scan = await parquetScan({ ...options, utf8: false });
  for (const { element } of trees) {
    let rowStart = 0;
    for (const { num_rows } of options.metadata?.row_groups ?? []) {
      const rowEnd = rowStart + Number(num_rows);
      const values = await scan.readColumn({ column: element.name, rowStart, rowEnd });
      rowStart = rowEnd;
      if (isText(values)) continue;
      found.add(element.name);
      break;
    }
  }
  return found;
}

/** Whether all bytes in a value are UTF-8. */
function isText(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (value instanceof Uint8Array) return isUtf8(value);
  return Object.values(value).every(isText);
}

/** The fewest bytes of a file: the magic at both ends, and the length of the metadata. */
const SHORTEST = 12;

/** Keeps all digits of moments, and JSON as it is written, but on one line. */
const PARSERS: Partial<ParquetParsers> = {
  jsonFromBytes: (bytes) => bytes && new JsonText(onOneLine(Buffer.from(bytes).toString())),
  timestampFromMilliseconds: (units) => momentText(BigInt(units), 3),
  timestampFromMicroseconds: (units) => momentText(BigInt(units), 6),
  timestampFromNanoseconds: (units) => momentText(BigInt(units), 9),
  dateFromDays: dayText,
};

/** @throws `SyntaxError` for invalid JSON, which must not get into a record. */
function onOneLine(json: string): string {
  JSON.parse(json);
  return json.replaceAll(/[\r\n]/g, " ");
}

function typeOf({ element, children }: SchemaTree): ColumnType | undefined {
  const { type, converted_type: converted = "", logical_type: logical } = element;
  if (children.length > 0 || element.repetition_type === "REPEATED") return undefined;
  if (type === "BOOLEAN") return "boolean";
  if (logical?.type === "TIMESTAMP" || converted.startsWith("TIMESTAMP")) return "timestamp";
  if (type === "INT96") return "timestamp";
  if (logical?.type === "DATE" || converted === "DATE") return "date";
  if (converted === "DECIMAL" || logical?.type === "DECIMAL") return "double";
  if (type === "INT32" || type === "INT64") return "integer";
  if (type === "FLOAT" || type === "DOUBLE") return "double";
  return converted === "UTF8" || logical?.type === "STRING" ? "text" : undefined;
}

/** Makes the JSON of a value of a column, or of a part of one. */
type JsonOf = (value: unknown) => string;

/**
 * Returns a function that makes JSON of a column of decimals, or of lists and objects with decimals,
 * with all their digits; `undefined` for other columns. The package would make doubles of decimals:
 * with their type removed from the schema it returns the unscaled integers of the file.
 */
function takeDecimals(tree: SchemaTree): JsonOf | undefined {
  const { element, children } = tree;
  if (children.length === 0) {
    const json = takeDecimal(element);
    return json && (element.repetition_type === "REPEATED" ? listOf(json) : json);
  }
  const [inner] = children as [SchemaTree, ...SchemaTree[]];
  const isWrapper = children.length === 1 && inner.element.repetition_type === "REPEATED";
  if (isWrapper && element.converted_type === "LIST" && inner.children.length < 2) {
    const [item] = inner.children;
    const json = item ? takeDecimals(item) : takeDecimal(inner.element);
    return json && listOf(json);
  }
  if (isWrapper && element.converted_type === "MAP" && inner.children.length === 2) {
    // Decimals as keys stay doubles.
    const json = takeDecimals(inner.children[1] as SchemaTree);
    return json && membersOf(() => json);
  }
  const members = new Map<string, JsonOf>();
  for (const child of children) {
    const json = takeDecimals(child);
    if (json) members.set(child.element.name, json);
  }
  if (members.size === 0) return undefined;
  const json = membersOf((name) => members.get(name) ?? jsonText);
  return element.repetition_type === "REPEATED" ? listOf(json) : json;
}

function listOf(item: JsonOf): JsonOf {
  return (values) => (values == null ? "null" : `[${(values as unknown[]).map(item).join(",")}]`);
}

function membersOf(jsonFor: (name: string) => JsonOf): JsonOf {
  return (value) => {
    if (value == null) return "null";
    const members = Object.entries(value).map(([name, one]) => {
      return `${JSON.stringify(name)}:${jsonFor(name)(one)}`;
    });
    return `{${members.join(",")}}`;
  };
}

function takeDecimal(element: SchemaElement): JsonOf | undefined {
  const { converted_type, logical_type, scale = 0 } = element;
  if (converted_type !== "DECIMAL" && logical_type?.type !== "DECIMAL") return undefined;
  delete element.converted_type;
  delete element.logical_type;
  return (value) => (value == null ? "null" : decimalText(wholeOf(value), scale));
}

/** Bytes are an integer in two's complement, the highest byte first. */
function wholeOf(value: unknown): bigint {
  if (!(value instanceof Uint8Array)) return BigInt(value as number | bigint);
  if (value.length === 0) return 0n;
  const whole = BigInt(`0x${Buffer.from(value).toString("hex")}`);
  return BigInt.asIntN(value.length * 8, whole);
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
