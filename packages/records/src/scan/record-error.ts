import { closeSync, openSync, readSync } from "node:fs";
import { PartdError, type PartdErrorCode } from "@partd/core";
import type { ByteBatch, Position, Scan } from "../records.js";

/** A malformed record, or one without a usable key, with its position. */
export class RecordError extends PartdError {
  /** The path, or `<stream>`. */
  readonly source: string;
  /** The line, from 1; `undefined` if it is not known. */
  readonly line: number | undefined;
  /** The column in characters, from 1; `undefined` if it is not known. */
  readonly column: number | undefined;
  /** The offset in the source, after decompression. */
  declare readonly offset: number;
  /** What is wrong: "is not JSON". */
  readonly what: string;
  /** The beginning of the record. */
  readonly excerpt: string;

  readonly #advice: string;

  private constructor(data: RecordErrorData, cause?: unknown) {
    const { code, what, excerpt, advice, ...place } = data;
    const line = place.line === undefined ? "" : `:${place.line}:${place.column}`;
    const where = `${place.source}${line} (byte ${place.offset})`;
    const message = `The record at ${where} ${what}: ${JSON.stringify(excerpt)}. ${advice}`;
    const path = place.source.startsWith("<") ? undefined : place.source;
    super(code, message, { offset: place.offset, path, cause });
    this.source = place.source;
    this.line = place.line;
    this.column = place.column;
    this.what = what;
    this.excerpt = excerpt;
    this.#advice = advice;
  }

  /** The error as plain data, for another thread; see {@link from}. */
  toJSON(): RecordErrorData {
    const { code, source, line, column, offset, what, excerpt } = this;
    return { code, source, line, column, offset, what, excerpt, advice: this.#advice };
  }

  /** Restores an error from {@link toJSON}. */
  static from(data: RecordErrorData): RecordError {
    return new RecordError(data);
  }

  /**
   * An error of record `i` of a scan of `batch`.
   *
   * @param fault its `what` completes "The record at …".
   */
  static ofRecord(
    batch: ByteBatch,
    scan: Scan,
    i: number,
    fault: { readonly what: string; readonly advice?: string },
    code?: PartdErrorCode,
  ): RecordError {
    const offset = offsetIn(batch.bytes, scan, i);
    return RecordError.at(batch.position, batch.bytes, offset, { ...fault, offset }, code);
  }

  /**
   * @param bytes the batch at `position`, in which the record begins at `start`.
   * @param fault its `what` completes "The record at …".
   */
  static at(
    position: Position,
    bytes: Uint8Array,
    start: number,
    fault: { readonly offset: number; readonly what: string; readonly advice?: string },
    code: PartdErrorCode = "ERR_PARTD_CORRUPT",
    cause?: unknown,
  ): RecordError {
    const place = placeOf(position, bytes, fault.offset);
    const excerpt = decoder.decode(bytes.subarray(start, start + 60)).trimEnd();
    const { what, advice = adviceFor(what, excerpt) } = fault;
    return new RecordError({ ...place, code, what, excerpt, advice }, cause);
  }
}

function adviceFor(what: string, excerpt: string): string {
  // One array over several lines.
  return what === "is not JSON" && /^\[(.*[^\]\s])?\s*(\n|$)/.test(excerpt)
    ? "Mend it or, if the file is one JSON array, read it with readJson."
    : "Mend it, or take such records with onReject.";
}

/** Where record `i` of a scan begins in its batch. The scan has left out blank lines and rejected records. */
function offsetIn(bytes: Uint8Array, scan: Scan, i: number): number {
  const start = i === 0 ? 0 : scan.ends[i - 1]!;
  if (bytes.length === scan.bytes.length) return start;
  const record = scan.bytes.subarray(start, scan.ends[i]);
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = all.indexOf(record, start); at >= 0; at = all.indexOf(record, at + 1)) {
    // Only at the start of a line: a rejected record may end with the same bytes.
    if (at === 0 || all[at - 1] === LF) return at;
  }
  return start;
}

interface Place {
  readonly source: string;
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  readonly offset: number;
}

/** A `RecordError` as plain data. */
export interface RecordErrorData extends Place {
  readonly code: PartdErrorCode;
  readonly what: string;
  readonly excerpt: string;
  /** The advice with which the message ends. */
  readonly advice: string;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function placeOf(position: Position, bytes: Uint8Array, offset: number): Place {
  const { source, line, byteOffset, isInFile } = position;
  const place = { source, offset: byteOffset + offset };
  if (line === undefined)
    return { ...place, ...(isInFile ? placeInFile(source, place.offset) : {}) };
  const lineStart = offset === 0 ? 0 : bytes.lastIndexOf(LF, offset - 1) + 1;
  return {
    ...place,
    line: line + newlines(bytes, 0, offset),
    column: 1 + characters(bytes, lineStart, offset),
  };
}

export function newlines(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = bytes.indexOf(LF, start); i >= 0 && i < end; i = bytes.indexOf(LF, i + 1)) count++;
  return count;
}

function characters(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i++) if ((bytes[i]! & 0xc0) !== 0x80) count++;
  return count;
}

const LF = 0x0a;

/** The last position counted: errors tend to come in order. */
let counted = { source: "", offset: 0, line: 1, column: 1 };

/** Counts lines by reading the file again, so that no line is counted unless there is an error. */
function placeInFile(source: string, end: number): { line?: number; column?: number } {
  const isBehind = counted.source === source && counted.offset <= end;
  let { offset, line, column } = isBehind ? counted : { offset: 0, line: 1, column: 1 };
  try {
    const file = openSync(source, "r");
    try {
      const piece = new Uint8Array(1 << 18);
      while (offset < end) {
        const length = Math.min(piece.length, end - offset);
        const read = readSync(file, piece, 0, length, offset);
        if (read === 0) return {};
        const lineStart = piece.subarray(0, read).lastIndexOf(LF) + 1;
        // The byte order mark is not a character of the first line.
        const mark = offset === 0 && piece[0] === 0xef && piece[1] === 0xbb ? 1 : 0;
        line += newlines(piece, 0, read);
        column = (lineStart > 0 ? 1 : column - mark) + characters(piece, lineStart, read);
        offset += read;
      }
    } finally {
      closeSync(file);
    }
  } catch {
    return {}; // The record's own error matters more.
  }
  counted = { source, offset, line, column };
  return { line, column };
}
