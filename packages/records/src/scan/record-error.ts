import { closeSync, openSync, readSync } from "node:fs";
import { PartdError, type PartdErrorCode } from "@partd/core";
import type { Position } from "../records.js";

/** A malformed record, or one without a usable key, with the place where it is. */
export class RecordError extends PartdError {
  /** The path, or `<stream>`. */
  readonly source: string;
  /** From 1. */
  readonly line: number | undefined;
  /** In characters, from 1. */
  readonly column: number;
  /** Bytes before it in the source, after decompression. */
  declare readonly offset: number;

  private constructor(code: PartdErrorCode, message: string, place: Place, cause: unknown) {
    const path = place.source.startsWith("<") ? undefined : place.source;
    super(code, message, { offset: place.offset, path, cause });
    this.source = place.source;
    this.line = place.line;
    this.column = place.column;
  }

  /**
   * @param bytes - The batch at `position`, of which the record begins at `start`.
   * @param what - Completes "The record at …".
   */
  static at(
    position: Position,
    bytes: Uint8Array,
    start: number,
    fault: { readonly offset: number; readonly what: string },
    code: PartdErrorCode = "ERR_PARTD_CORRUPT",
    cause?: unknown,
  ): RecordError {
    const place = placeOf(position, bytes, fault.offset);
    const where = `${place.source}:${place.line ?? "?"}:${place.column} (byte ${place.offset})`;
    const excerpt = JSON.stringify(decoder.decode(bytes.subarray(start, start + 60)).trimEnd());
    return new RecordError(
      code,
      `The record at ${where} ${fault.what}: ${excerpt}. Mend it, or take such records with onReject.`,
      place,
      cause,
    );
  }
}

interface Place {
  readonly source: string;
  readonly line: number | undefined;
  readonly column: number;
  readonly offset: number;
}

const decoder = new TextDecoder();

function placeOf(position: Position, bytes: Uint8Array, offset: number): Place {
  const firstLine = position.line ?? lineInFile(position.source, position.byteOffset);
  const lineStart = offset === 0 ? 0 : bytes.lastIndexOf(LF, offset - 1) + 1;
  let column = 1;
  for (let i = lineStart; i < offset; i++) if ((bytes[i]! & 0xc0) !== 0x80) column++;
  return {
    source: position.source,
    line: firstLine === undefined ? undefined : firstLine + newlines(bytes, 0, offset),
    column,
    offset: position.byteOffset + offset,
  };
}

export function newlines(bytes: Uint8Array, start: number, end: number): number {
  let count = 0;
  for (let i = bytes.indexOf(LF, start); i >= 0 && i < end; i = bytes.indexOf(LF, i + 1)) count++;
  return count;
}

const LF = 0x0a;

/** The last place that was counted: errors tend to come in order. */
let counted = { source: "", offset: 0, line: 1 };

/** The line of a byte of a file, which is read again: no line is counted as long as all is well. */
function lineInFile(source: string, byteOffset: number): number | undefined {
  const from =
    counted.source === source && counted.offset <= byteOffset
      ? counted
      : { source, offset: 0, line: 1 };
  let { offset, line } = from;
  try {
    const file = openSync(source, "r");
    try {
      const piece = new Uint8Array(1 << 18);
      while (offset < byteOffset) {
        const length = Math.min(piece.length, byteOffset - offset);
        const read = readSync(file, piece, 0, length, offset);
        if (read === 0) return undefined;
        line += newlines(piece, 0, read);
        offset += read;
      }
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined; // The record's own fault is what matters.
  }
  counted = { source, offset, line };
  return line;
}
