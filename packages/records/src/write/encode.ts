import { onAbort } from "@partd/core/author";
import type { RecordFormat, Records } from "../records.js";

/** Records of a reader, which may pass as bytes, or any other records. */
export type Writable<R> = Records<R> | AsyncIterable<R> | Iterable<R>;

/** What was written, before compression. */
export interface Written {
  /** How many records. */
  readonly records: number;
  /** Their bytes, with the header of CSV. */
  readonly bytes: number;
}

/** How records are turned into bytes. */
export interface Encoding<R> {
  /** The format to write. For CSV it may depend on the source's. */
  formatFor(source: RecordFormat<R> | undefined): Pick<RecordFormat<R>, "header" | "serialize">;
  /** Whether a source's records are written as they are. */
  takesBytesOf(source: RecordFormat<R>): boolean;
}

/**
 * Yields the bytes of all records, in pieces of about {@link PIECE} or a batch, and counts them in
 * `written`.
 */
export async function* encode<R>(
  records: Writable<R>,
  encoding: Encoding<R>,
  written: { records: number; bytes: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const pieces = isRecords(records)
    ? encodeReader(records, encoding, written, signal)
    : encodeObjects(leftOnAbort(records, signal), encoding.formatFor(undefined), written);
  for await (const piece of pieces) {
    written.bytes += piece.length;
    yield piece;
  }
}

async function* encodeReader<R>(
  source: Records<R>,
  encoding: Encoding<R>,
  written: { records: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const scanner = source.format.scanner([]);
  let isFirst = true;
  let format: Pick<RecordFormat<R>, "header" | "serialize"> | undefined;
  for await (const batch of source.batches({ signal })) {
    format ??= encoding.formatFor(source.format);
    const passes = encoding.takesBytesOf(source.format);
    const header =
      format.header && passes ? (source.format.header ?? format.header) : format.header;
    if (isFirst && header) yield header;
    isFirst = false;
    const { bytes, ends, count } = scanner.scan(batch);
    written.records += count;
    if (passes) {
      // A copy, because the batch is reused and a stream may keep its chunks.
      yield new Uint8Array(bytes);
      continue;
    }
    const rows: Uint8Array[] = [];
    for (let i = 0, start = 0; i < count; i++) {
      rows.push(format.serialize(source.format.parse(bytes, start, ends[i])));
      start = ends[i]!;
    }
    yield Buffer.concat(rows);
  }
  if (!isFirst) return;
  // An input without records may still have a header.
  const header = source.format.header && encoding.formatFor(source.format).header;
  if (header) yield header;
}

async function* encodeObjects<R>(
  records: AsyncIterable<R> | Iterable<R>,
  format: Pick<RecordFormat<R>, "header" | "serialize">,
  written: { records: number },
): AsyncGenerator<Uint8Array> {
  let rows: Uint8Array[] = [];
  let length = 0;
  let isFirst = true;
  for await (const record of records) {
    const row = format.serialize(record);
    if (isFirst && format.header) rows.push(format.header);
    isFirst = false;
    rows.push(row);
    length += row.length;
    written.records++;
    if (length < PIECE) continue;
    yield Buffer.concat(rows);
    rows = [];
    length = 0;
  }
  if (isFirst && format.header) rows.push(format.header);
  if (rows.length > 0) yield Buffer.concat(rows);
}

const PIECE = 1 << 16;

/**
 * The same records. On abort their source is told at once that they are no longer wanted: a run of
 * `@partd/shuffle` that has yielded nothing yet would go on until it has a record.
 */
export function leftOnAbort<R>(
  records: AsyncIterable<R> | Iterable<R>,
  signal: AbortSignal | undefined,
): AsyncIterable<R> | Iterable<R> {
  if (!signal || !(Symbol.asyncIterator in records)) return records;
  const source = records;
  return (async function* () {
    const iterator = source[Symbol.asyncIterator]();
    const forget = onAbort(signal, () => {
      // The consumer of a record gets the error.
      Promise.resolve(iterator.return?.()).catch(() => {});
    });
    try {
      yield* { [Symbol.asyncIterator]: () => iterator };
    } finally {
      forget();
    }
  })();
}

export function isRecords<R>(records: Writable<R>): records is Records<R> {
  return "format" in records && "batches" in records;
}
