import { isPartdError } from "@partd/core";
import { checkOptionNames } from "@partd/core/author";
import type { DataType, RecordBatch, RecordBatchReader } from "apache-arrow";
import { parseKeyNumber } from "../json/json-number.js";
import { openFile } from "../source/byte-reader.js";
import { zstdDecompressor } from "../source/decompress.js";
import { type Input, inputsOf, type Source } from "../source/inputs.js";
import { lz4Frame } from "../source/lz4.js";
import { checkColumns, damaged, loadPeer } from "../source/peer.js";

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
 * and timestamps are `Date`s, to the millisecond; 64-bit integers bigints; decimals numbers, or bigints where a
 * number would round an integer; lists arrays; structs and maps objects. Buffers may be compressed (LZ4, zstd).
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
      for await (const batch of recordBatches(source, options)) {
        const columns = batch.schema.fields.map(({ name, type }, i) => {
          return { name, toValue: converterOf(type, DataType), values: batch.getChildAt(i)! };
        });
        for (let row = 0; row < batch.numRows; row++) {
          const entries = columns.map(({ name, toValue, values }) => {
            return [name, toValue(values.get(row))] as const;
          });
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
  const arrow = await loadPeer("apache-arrow", () => import("apache-arrow"));
  const { RecordBatchReader } = arrow;
  await provideCodecs(arrow);
  for await (const input of inputsOf(source)) {
    const file = input.path === undefined ? undefined : await openFile(input.path);
    let reader: RecordBatchReader | undefined;
    try {
      reader = await RecordBatchReader.from((file ?? chunksOf(input)) as AsyncIterable<Uint8Array>);
      // For bytes that are not Arrow, the package returns a stream without a schema.
      await reader.open();
      if (reader.schema === undefined) throw new Error("it has no schema.");
      const names = reader.schema.fields.map(({ name }) => name);
      checkColumns(input.path ?? "<stream>", names, columns);
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

/** Registers codecs for compressed buffers, as pandas writes them, unless the program has done so. */
async function provideCodecs({
  compressionRegistry: registry,
  CompressionType,
}: typeof import("apache-arrow")): Promise<void> {
  const { LZ4_FRAME, ZSTD } = CompressionType;
  if (!registry.get(LZ4_FRAME)) registry.set(LZ4_FRAME, { decode: lz4Frame });
  if (!registry.get(ZSTD)) registry.set(ZSTD, { decode: await zstdDecompressor() });
}

function chunksOf(input: Input): AsyncIterable<Uint8Array> {
  return (input as Extract<Input, { chunks: unknown }>).chunks;
}

/** Converts a value of a column to plain data. */
type Converter = (value: unknown) => unknown;

function converterOf(type: DataType, types: typeof DataType): Converter {
  const convert = converterOfPresent(type, types);
  return (value) => (value === null || value === undefined ? null : convert(value));
}

function converterOfPresent(type: DataType, types: typeof DataType): Converter {
  const children = () => (type.children ?? []).map((child) => converterOf(child.type, types));
  if (types.isDictionary(type)) return converterOfPresent(type.dictionary, types);
  if (types.isDate(type) || types.isTimestamp(type)) {
    // A time of microseconds before 1970 is in the millisecond below, not in the one above.
    return (value) => new Date(Math.floor(Number(value)));
  }
  if (types.isDecimal(type)) return (value) => decimalOf(value as Uint32Array, type.scale);
  if (types.isList(type) || types.isLargeList(type) || types.isFixedSizeList(type)) {
    const [toItem] = children();
    return (value) => Array.from(value as Iterable<unknown>, toItem!);
  }
  if (types.isStruct(type)) {
    const toFields = children();
    return (value) => {
      const fields = value as Iterable<readonly [string, unknown]>;
      return Object.fromEntries(
        Array.from(fields, ([name, field], i) => [name, toFields[i]!(field)] as const),
      );
    };
  }
  if (types.isMap(type)) {
    const [, toItem] = type.children[0]!.type.children.map((child) =>
      converterOf(child.type, types),
    );
    return (value) => {
      const items = value as Iterable<readonly [unknown, unknown]>;
      return Object.fromEntries(
        Array.from(items, ([key, item]) => [String(key), toItem!(item)] as const),
      );
    };
  }
  return plain;
}

/** The number that a decimal is, or a bigint for an integer that a number would round. */
function decimalOf(words: Uint32Array, scale: number): number | bigint {
  let unscaled = 0n;
  for (let i = words.length - 1; i >= 0; i--) unscaled = (unscaled << 32n) | BigInt(words[i]!);
  return parseKeyNumber(`${BigInt.asIntN(32 * words.length, unscaled)}e${-scale}`);
}

/** What a union holds, whatever it is. */
function plain(value: unknown): unknown {
  const { toJSON } = (value ?? {}) as { toJSON?: () => unknown };
  if (typeof toJSON !== "function" || value instanceof Date) return value;
  const json = toJSON.call(value);
  if (Array.isArray(json)) return json.map(plain);
  if (typeof json !== "object" || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, part]) => [name, plain(part)]));
}
