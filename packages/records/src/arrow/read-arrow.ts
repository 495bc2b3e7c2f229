import { isPartdError } from "@partd/core";
import { takeOptions } from "@partd/core/author";
import type { RecordBatch, RecordBatchReader } from "apache-arrow";
import { closeReader, openFile, openReader } from "../source/byte-reader.js";
import { zstdDecompressor } from "../source/compression.js";
import { inputsOf, type Source } from "../source/inputs.js";
import { lz4Frame } from "../source/lz4.js";
import { checkColumns, checkNames, damaged, loadPeer } from "../source/peer.js";
import { ArrowMessages } from "./arrow-messages.js";
import { objectsOf, valuesOf } from "./arrow-values.js";

export interface ReadArrowOptions {
  /** The columns to read. Default all. */
  readonly columns?: readonly string[] | undefined;
  /** Ends the reading: it rejects with the signal's reason. */
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
 * Reads rows of Arrow IPC files and streams with `apache-arrow`, which the program installs. One record
 * batch at a time is in memory; but the file format is read whole if it comes in a stream or is compressed
 * as a whole. If an input has several streams, all are read, one after the other.
 *
 * Dates and timestamps become `Date`s, to the millisecond, and invalid ones beyond the range of `Date`;
 * 64-bit integers become bigints; decimals numbers, or bigints where a number would round an integer; lists
 * arrays; structs and maps objects. Buffers may be compressed (LZ4, zstd).
 *
 * @throws `ERR_PARTD_CORRUPT` for bytes that are not Arrow; `ERR_PARTD_VALUE` without
 *   `apache-arrow`, and for rows with two columns of one name.
 */
export function readArrow<R extends object = { [column: string]: unknown }>(
  source: Source,
  options: ReadArrowOptions = {},
): ArrowRecords<R> {
  const taken = takeOptions("readArrow", options, { columns: "strings", signal: true });
  return {
    async *recordBatches() {
      for await (const { batch } of batchesOf(source, taken)) yield batch;
    },
    async *[Symbol.asyncIterator]() {
      const arrow = await loadPeer("apache-arrow", () => import("apache-arrow"));
      for await (const { name, batch } of batchesOf(source, taken)) {
        // The package's reader gives the name "" as null, and in the schema as "null".
        const names = batch.data.type.children.map((field) => field.name ?? "");
        checkNames(name, names);
        let row: object;
        const rowOf = objectsOf(
          names,
          batch.data.children.map((column) => valuesOf(column, arrow)),
        );
        for (let i = 0; i < batch.numRows; i++) {
          try {
            row = rowOf(i);
          } catch (cause) {
            throw damaged(name, "Arrow", cause);
          }
          yield row as R;
        }
      }
    },
  };
}

/** A record batch of an input. */
interface InputBatch {
  /** The path, or `<stream>`. */
  readonly name: string;
  readonly batch: RecordBatch;
  /**
   * Bytes of the input read up to the end of this batch. In a file, whose batches are read by its
   * index, an estimate: the batch counts for its share of the file.
   */
  readonly bytesRead: number;
}

/** Yields the record batches of all inputs; one without rows for an input that has none. */
export async function* batchesOf(
  source: Source,
  { columns, signal }: ReadArrowOptions,
): AsyncGenerator<InputBatch> {
  const arrow = await loadPeer("apache-arrow", () => import("apache-arrow"));
  await provideCodecs(arrow);
  for await (const input of inputsOf(source)) {
    signal?.throwIfAborted();
    const bytes = await openReader(input, "Arrow", signal);
    const messages = new ArrowMessages(bytes, arrow.Message.decode, signal);
    const name = bytes.source;
    try {
      const first = Buffer.from(await messages.peek(MAGIC.length));
      if (first.length === 0) throw new Error("it is empty.");
      const readers = !first.equals(MAGIC)
        ? streamReaders(messages, arrow)
        : bytes.isPlainFile
          ? fileReader(name, arrow)
          : [fileReaderOf(await messages.rest(), arrow)];
      for await (const { reader, size } of readers) {
        // For bytes that are not Arrow, the package returns a stream without a schema.
        if (reader.schema === undefined) throw new Error("it has no schema.");
        const names = reader.schema.fields.map((field) => field.name ?? "");
        checkColumns(name, names, columns);
        const chosen = columns?.map((column) => names.indexOf(column));
        let count = 0;
        for await (const batch of reader as AsyncIterable<RecordBatch>) {
          signal?.throwIfAborted();
          count++;
          yield {
            name,
            batch: chosen ? batch.selectAt(chosen) : batch,
            bytesRead:
              size === undefined
                ? bytes.consumed
                : (size * count) / Math.max(1, reader.numRecordBatches),
          };
        }
      }
    } catch (cause) {
      if (signal?.aborted || isPartdError(cause)) throw cause;
      throw messages.inputError ?? damaged(name, "Arrow", cause);
    } finally {
      await closeReader(bytes, signal);
    }
  }
}

interface OpenedReader {
  readonly reader: RecordBatchReader;
  /** Bytes of the file, if its batches are read by the index at its end. */
  readonly size?: number;
}

/** Yields a reader for each stream of an input: `cat` puts several into one. */
async function* streamReaders(
  messages: ArrowMessages,
  { RecordBatchReader }: typeof import("apache-arrow"),
): AsyncGenerator<OpenedReader> {
  do {
    const reader = await RecordBatchReader.from(messages.stream());
    try {
      yield { reader: await reader.open() };
    } finally {
      await reader.cancel();
    }
  } while (await messages.hasMore());
}

/** Yields the reader of a file, which reads batches by the index at the file's end. */
async function* fileReader(
  path: string,
  { RecordBatchReader }: typeof import("apache-arrow"),
): AsyncGenerator<OpenedReader> {
  const file = await openFile(path);
  try {
    const { size } = await file.stat();
    const end = Buffer.alloc(LAST.length);
    await file.read(end, 0, end.length, Math.max(0, size - end.length));
    checkEnd(end);
    const reader = await RecordBatchReader.from(file);
    try {
      yield { reader: await reader.open(), size };
    } finally {
      await reader.cancel();
    }
  } finally {
    await file.close();
  }
}

function fileReaderOf(
  bytes: Uint8Array,
  { RecordBatchReader }: typeof import("apache-arrow"),
): OpenedReader {
  checkEnd(bytes.subarray(-LAST.length));
  return { reader: RecordBatchReader.from(bytes).open() };
}

/** @throws an Error unless a file has these last bytes. */
function checkEnd(bytes: Uint8Array): void {
  if (LAST.equals(bytes)) return;
  throw new Error("it is cut short, or something was written behind its end.");
}

/** The bytes that a file begins with, and those that it ends with. */
const MAGIC = Buffer.from("ARROW1\0\0");
const LAST = MAGIC.subarray(0, 6);

/** Registers codecs for compressed buffers, as pandas writes them, unless the program has done so. */
async function provideCodecs({
  compressionRegistry: registry,
  CompressionType,
}: typeof import("apache-arrow")): Promise<void> {
  const { LZ4_FRAME, ZSTD } = CompressionType;
  if (!registry.get(LZ4_FRAME)) registry.set(LZ4_FRAME, { decode: lz4Frame });
  if (registry.get(ZSTD)) return;
  const decompress = await zstdDecompressor();
  // The package reads numbers in place, so they must be aligned.
  registry.set(ZSTD, { decode: (bytes) => aligned(decompress(bytes)) });
}

function aligned(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 8 === 0 ? bytes : new Uint8Array(bytes);
}
