import type { FileHandle } from "node:fs/promises";
import { isPartdError, PartdError } from "@partd/core";
import { takeOptions } from "@partd/core/author";
import type { AsyncBuffer, SchemaElement, SchemaTree } from "hyparquet";
import { keyName } from "../arrow/arrow-values.js";
import { parseKeyNumber } from "../json/json-number.js";
import { ioError, openFile } from "../source/byte-reader.js";
import { compressionOf, pageDecompressors } from "../source/compression.js";
import { inputsOf } from "../source/inputs.js";
import { refuseOtherContent } from "../source/other-content.js";
import { checkColumns, checkNames, damaged, loadPeer } from "../source/peer.js";

export interface ReadParquetOptions {
  /** The columns to read. Default all. */
  readonly columns?: readonly string[] | undefined;
  /**
   * Decompressors by the name of their codec. `GZIP`, `ZSTD`, `BROTLI`, `LZ4_RAW` and `SNAPPY` need none, but
   * may be replaced.
   */
  readonly compressors?:
    | { readonly [codec: string]: (input: Uint8Array, outputLength: number) => Uint8Array }
    | undefined;
  /** Ends the reading: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads rows of Parquet files with `hyparquet`, which the program installs. The columns of one row
 * group at a time are in memory. Streams cannot be read, because the file's end says where everything is.
 * Values are those that `readArrow` gives: decimals are numbers, or bigints where a number would round an
 * integer; bytes that are not declared to be text stay bytes. JSON is parsed. Intervals are
 * durations of ISO 8601, such as `P14M3DT1.5S`.
 *
 * @throws `ERR_PARTD_CORRUPT` for bytes that are not Parquet; `ERR_PARTD_VALUE` without
 *   `hyparquet`.
 */
export async function* readParquet<R extends object = { [column: string]: unknown }>(
  source: string | URL | Iterable<string | URL> | AsyncIterable<string | URL>,
  options: ReadParquetOptions = {},
): AsyncGenerator<R> {
  const known = { columns: "strings", compressors: "object", signal: true } as const;
  const { columns, compressors, signal } = takeOptions("readParquet", options, known);
  const hyparquet = await loadPeer("hyparquet", () => import("hyparquet"));
  const decompressors = await pageDecompressors();
  for await (const { path } of inputsOf(source)) {
    if (path === undefined) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "Parquet is read from paths: its index is at the end.",
      );
    }
    const handle = await openFile(path);
    try {
      const file = await asyncBuffer(path, handle);
      await checkEnds(path, file);
      const metadata = await hyparquet.parquetMetadataAsync(file);
      const all = hyparquet.parquetSchema(metadata).children;
      const names = all.map(({ element }) => element.name);
      checkNames(path, names);
      checkColumns(path, names, columns);
      const chosen = columns ? all.filter(({ element }) => columns.includes(element.name)) : all;
      const fields = chosen.map((field) => ({
        name: field.element.name,
        toValue: converterOf(field),
      }));
      let rowStart = 0;
      for (const group of metadata.row_groups) {
        signal?.throwIfAborted();
        const rowEnd = rowStart + Number(group.num_rows);
        const cells = await cellsOf(hyparquet, {
          file,
          metadata,
          rowStart,
          rowEnd,
          ...(columns && { columns: [...columns] }),
          compressors: { ...decompressors, ...compressors },
        });
        for (let row = rowStart; row < rowEnd; row++) {
          const entries = fields.map(({ name, toValue }) => {
            return [name, toValue(cells.get(name)?.next())] as const;
          });
          yield Object.fromEntries(entries) as R;
        }
        rowStart = rowEnd;
      }
    } catch (cause) {
      if (signal?.aborted || isPartdError(cause)) throw cause;
      throw damaged(path, "Parquet", cause);
    } finally {
      await handle.close();
    }
  }
}

/** Reads the cells of some rows, by column. */
async function cellsOf(
  { parquetRead }: typeof import("hyparquet"),
  options: Parameters<typeof parquetRead>[0],
): Promise<ReadonlyMap<string, Cells>> {
  const cells = new Map<string, Cells>();
  await parquetRead({
    ...options,
    utf8: false,
    parsers: PARSERS,
    onChunk({ columnName, columnData }) {
      const column = cells.get(columnName);
      if (column) column.add(columnData);
      else cells.set(columnName, new Cells(columnData));
    },
  });
  return cells;
}

/** @throws an error that says what is wrong, unless the file begins and ends as Parquet. */
async function checkEnds(path: string, file: AsyncBuffer): Promise<void> {
  const start = new Uint8Array(await file.slice(0, Math.min(16, file.byteLength)));
  if (start.length === 0) throw new Error("it is empty.");
  const packed = compressionOf(start);
  if (packed) {
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `${path} is packed with ${packed}, which is not read around Parquet: unpack it first.`,
      { path },
    );
  }
  refuseOtherContent(start, path, "Parquet");
  const end = Buffer.from(await file.slice(Math.max(0, file.byteLength - 4))).toString("latin1");
  if (end === "PARE") throw new Error("it is encrypted.");
  if (end === "PAR1" && file.byteLength >= 12) return;
  const isBegun = Buffer.from(start).toString("latin1", 0, 4) === "PAR1";
  throw new Error(
    isBegun
      ? "it is cut short, or something was written behind its end."
      : "it does not begin and end as such files do.",
  );
}

/** The package would move moments before 1970 to the millisecond above. */
const PARSERS = {
  timestampFromMicroseconds: (units: bigint) => dateOf(units, 1000n),
  timestampFromNanoseconds: (units: bigint) => dateOf(units, 1_000_000n),
};

/** The millisecond that contains a moment. */
function dateOf(units: bigint, perMillisecond: bigint): Date {
  const milliseconds = units / perMillisecond;
  return new Date(Number(units % perMillisecond < 0n ? milliseconds - 1n : milliseconds));
}

/** Converts a value that the package gives. */
type Converter = (value: unknown) => unknown;

/**
 * Converts the package's values. It has `undefined` in place of lists and structs that are null. It would
 * multiply decimals by a fraction, which makes 0.30000000000000004 of 0.3, so the schema hides from it that
 * they are decimals.
 */
function converterOf(field: SchemaTree): Converter {
  const convert = converterOfPresent(field);
  return (value) => (value === null || value === undefined ? null : convert(value));
}

function converterOfPresent({ element, children }: SchemaTree): Converter {
  const { converted_type, logical_type, scale = 0 } = element;
  if (logical_type?.type === "VARIANT") return (value) => value;
  if (children.length === 0) {
    if (isInterval(element)) {
      undeclare(element);
      return eachOf((value) => intervalOf(value as Uint8Array));
    }
    if (converted_type !== "DECIMAL" && logical_type?.type !== "DECIMAL") return (value) => value;
    undeclare(element);
    return eachOf((value) => decimalOf(value, scale));
  }
  const [middle] = children;
  const hasMiddle = children.length === 1 && middle!.element.repetition_type === "REPEATED";
  if (hasMiddle && converted_type === "LIST" && middle!.children.length <= 1) {
    return eachOf(converterOf(middle!.children[0] ?? middle!));
  }
  if (hasMiddle && converted_type === "MAP" && middle!.children.length === 2) {
    const toName = keyNamerOf(middle!.children[0]!.element);
    const toItem = converterOf(middle!.children[1]!);
    return (map) => mapped(map as object, () => toItem, toName);
  }
  const fields = new Map(children.map((child) => [child.element.name, converterOf(child)]));
  return eachOf((struct) => mapped(struct as object, (name) => fields.get(name)!));
}

/** Converts a value, or each item of a list of such. */
function eachOf(convert: Converter): Converter {
  return (value) => (Array.isArray(value) ? value.map(convert) : convert(value));
}

function mapped(
  value: object,
  converterFor: (name: string) => Converter,
  toName = (key: string) => key,
): object {
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([name, part]) => [toName(name), converterFor(name)(part)]),
  );
}

/**
 * Names the keys of maps as values would be: the package refuses intervals, and gives moments in local time, without
 * milliseconds.
 */
function keyNamerOf(element: SchemaElement): (key: string) => string {
  if (isInterval(element)) {
    undeclare(element);
    return (key) => intervalOf(Uint8Array.from(key.split(","), Number)); // As the text of bytes is.
  }
  const toDate = keyDateOf(element);
  if (toDate === undefined) return (key) => key;
  undeclare(element);
  return (key) => keyName(toDate(key));
}

function keyDateOf({
  converted_type: converted,
  logical_type: logical,
}: SchemaElement): ((key: string) => Date) | undefined {
  if (converted === "DATE" || logical?.type === "DATE") {
    return (key) => new Date(Number(key) * DAY_MILLISECONDS);
  }
  if (converted === "TIMESTAMP_MILLIS") return (key) => dateOf(BigInt(key), 1n);
  if (converted === "TIMESTAMP_MICROS") return (key) => dateOf(BigInt(key), 1000n);
  if (logical?.type !== "TIMESTAMP") return undefined;
  const perMillisecond = { MILLIS: 1n, MICROS: 1000n, NANOS: 1_000_000n }[logical.unit];
  return (key) => dateOf(BigInt(key), perMillisecond);
}

const DAY_MILLISECONDS = 86_400_000;

/** Lets the package give a column's values as they are stored. */
function undeclare(element: SchemaElement): void {
  delete element.converted_type;
  delete element.logical_type;
}

function isInterval({ converted_type, logical_type }: SchemaElement): boolean {
  return converted_type === "INTERVAL" || logical_type?.type === "INTERVAL";
}

/** Three unsigned integers of 32 bits, as a duration of ISO 8601: "P14M3DT1.5S". */
function intervalOf(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [months, days, milliseconds] = [0, 4, 8].map((at) => view.getUint32(at, true));
  return `P${months}M${days}DT${milliseconds! / 1000}S`;
}

/** The number that a decimal is, or a bigint for an integer that a number would round. */
function decimalOf(unscaled: unknown, scale: number): number | bigint {
  let digits = String(unscaled);
  if (unscaled instanceof Uint8Array) {
    const hex = Buffer.from(unscaled.buffer, unscaled.byteOffset, unscaled.length).toString("hex");
    digits = String(BigInt.asIntN(8 * unscaled.length, BigInt(`0x${hex || 0}`)));
  }
  return parseKeyNumber(`${digits}e${-scale}`);
}

/**
 * The cells of a column, in the pieces in which they were read: as rows they would take several times
 * the memory.
 */
class Cells {
  readonly #pieces: ArrayLike<unknown>[];
  #piece = 0;
  #index = 0;

  constructor(piece: ArrayLike<unknown>) {
    this.#pieces = [piece];
  }

  add(piece: ArrayLike<unknown>): void {
    this.#pieces.push(piece);
  }

  next(): unknown {
    while (this.#index === this.#pieces[this.#piece]!.length) {
      this.#piece++;
      this.#index = 0;
    }
    return this.#pieces[this.#piece]![this.#index++];
  }
}

async function asyncBuffer(path: string, handle: FileHandle): Promise<AsyncBuffer> {
  const stats = await handle.stat();
  if (!stats.isFile() && !stats.isDirectory()) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${path} is no file with an end, where the index of Parquet is: write it to a file first.`,
      { path },
    );
  }
  const { size } = stats;
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(end - start);
      for (let filled = 0; filled < bytes.length; ) {
        const { bytesRead } = await handle
          .read(bytes, filled, bytes.length - filled, start + filled)
          .catch((cause: unknown) => {
            throw ioError(path, cause);
          });
        if (bytesRead === 0) throw new Error("it is cut short.");
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}
