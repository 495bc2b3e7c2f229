import { PartdError } from "@partd/core";
import { releaseBytes } from "@partd/core/author";
import type { ByteBatch } from "../records.js";
import { newlines } from "../scan/record-error.js";
import type { ByteReader } from "./byte-reader.js";

/** Finds the ends of records as an input's bytes arrive. */
export interface RecordCutter {
  /**
   * The end of the last whole record in `bytes[0 .. length)`, or 0. An earlier call saw the bytes
   * before `seen`. The first record begins at 0.
   */
  cut(bytes: Uint8Array, seen: number, length: number): number;
}

/** The cutter of formats in which every newline ends a record. */
export const newlineCutter: RecordCutter = {
  cut(bytes, seen, length) {
    const newline = bytes.subarray(seen, length).lastIndexOf(LF);
    return newline < 0 ? 0 : seen + newline + 1;
  },
};

export interface CutOptions {
  readonly batchBytes: number;
  /** Memory of the caller's, `batchBytes` long. */
  readonly into?: Uint8Array<ArrayBuffer> | undefined;
  readonly longestRecord: number;
  readonly signal: AbortSignal | undefined;
  /** The offset of the reader's first byte. */
  readonly byteOffset: number;
  /** Whether newlines are the input's own rather than inserted. */
  readonly hasLines: boolean;
  /** Bytes of the inputs before this one. */
  readonly consumed: number;
  /**
   * Gets the first batch, and returns the length of what precedes the records, such as a header.
   */
  preamble(batch: ByteBatch): number;
}

/**
 * Yields the input's bytes in batches of whole records. Adds a newline to the last record if it has
 * none.
 */
export async function* cutBatches(
  reader: ByteReader,
  cutter: RecordCutter,
  options: CutOptions,
): AsyncGenerator<ByteBatch> {
  const { batchBytes, into, longestRecord, signal, preamble } = options;
  let buffer = into ?? new Uint8Array(batchBytes);
  let length = 0;
  let seen = 0;
  let byteOffset = options.byteOffset;
  let line = 1;
  const countsLines = !reader.isPlainFile && options.hasLines;
  let isFirst = true;
  const batch = (end: number): ByteBatch => ({
    bytes: buffer.subarray(0, end),
    position: {
      source: reader.source,
      isInFile: reader.isPlainFile,
      line: countsLines ? line : undefined,
      byteOffset,
    },
    consumed: options.consumed + reader.consumed,
  });
  const resize = (size: number) => {
    const old = buffer;
    buffer = new Uint8Array(size);
    buffer.set(old.subarray(0, length));
    // Without this, the arrays that a record of 200 MB outgrew took as much again until they were
    // collected.
    if (old !== into && old.length >= LARGE) releaseBytes(old);
  };
  for (let isEnd = false; !isEnd; ) {
    signal?.throwIfAborted();
    if (length === buffer.length) {
      if (length >= longestRecord) throw tooLong(reader.source, byteOffset, longestRecord);
      resize(Math.min(2 * length, longestRecord));
    }
    const read = await reader.read(buffer.subarray(length));
    length += read;
    isEnd = read === 0;
    if (isFirst && byteOffset === 0) {
      if (length < 3 && !isEnd) continue;
      if (buffer[0] === 0xef && buffer[1] === 0xbb && buffer[2] === 0xbf) {
        buffer.copyWithin(0, 3, length);
        length -= 3;
        byteOffset = 3;
      }
    }
    let end = cutter.cut(buffer, seen, length);
    seen = length;
    if (isEnd && end < length) {
      // The last record has no newline yet. In a range it goes on behind the end.
      while (end === 0) {
        if (length === buffer.length) {
          if (length >= longestRecord) throw tooLong(reader.source, byteOffset, longestRecord);
          resize(Math.min(2 * length, longestRecord + 1));
        }
        reader.extend?.(BEHIND);
        const more = await reader.read(buffer.subarray(length, length + BEHIND));
        if (more === 0) buffer[length++] = LF;
        length += more;
        end = more === 0 ? length : cutter.cut(buffer, seen, length);
        seen = length;
      }
    }
    if (end === 0) continue;
    let whole = batch(end);
    if (isFirst) {
      isFirst = false;
      const skipped = preamble(whole);
      if (skipped > 0) {
        line += newlines(buffer, 0, skipped);
        buffer.copyWithin(0, skipped, length);
        length -= skipped;
        seen -= skipped;
        end -= skipped;
        byteOffset += skipped;
        whole = batch(end);
      }
    }
    if (end > 0) yield whole;
    if (countsLines) line += newlines(buffer, 0, end);
    byteOffset += end;
    buffer.copyWithin(0, end, length);
    length -= end;
    seen -= end;
    // Replace a buffer that one huge record needed.
    if (buffer.length > 2 * batchBytes && length <= batchBytes / 2) {
      resize(batchBytes);
    }
  }
}

const LF = 0x0a;

/** Bytes behind the end of a range that are read at a time. */
const BEHIND = 1 << 14;

const LARGE = 8 << 20;

function tooLong(source: string, offset: number, longest: number): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The record of ${source} at byte ${offset} is longer than ${longest} bytes, the most allowed: is a line ending or a closing quote missing?`,
    { path: source.startsWith("<") ? undefined : source, offset },
  );
}
