import { PartdError } from "@partd/core";
import { releaseBytes, unlessAborted } from "@partd/core/author";
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
  readonly longestRecordAdvice: string | undefined;
  readonly onGrow?: ((byteLength: number) => Promise<void> | void) | undefined;
  readonly signal: AbortSignal | undefined;
  /** The offset of the reader's first byte. */
  readonly byteOffset: number;
  /** Whether the newlines are those of the input: a wrapped reader inserts others. */
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
  const { signal, preamble } = options;
  const buffer = new RecordBuffer(reader, cutter, options);
  let isFirst = true;
  try {
    for (let isEnd = false; !isEnd; ) {
      signal?.throwIfAborted();
      // A stream may stand still for ever, a file does not.
      const filling = buffer.fill();
      isEnd = (await (reader.isPlainFile ? filling : unlessAborted(filling, signal))) === 0;
      if (isFirst && buffer.byteOffset === 0) {
        if (buffer.length < 3 && !isEnd) continue;
        buffer.dropByteOrderMark();
      }
      let end = buffer.cut();
      if (isEnd && end < buffer.length) end = await buffer.completeLast(end);
      if (end === 0) continue;
      if (isFirst) {
        isFirst = false;
        const skipped = preamble(buffer.batch(end));
        if (skipped > 0) buffer.drop(skipped);
        end -= skipped;
      }
      if (end > 0) yield buffer.batch(end);
      buffer.drop(end);
      await buffer.shrink();
    }
  } finally {
    await buffer.giveBack();
  }
}

/** The bytes read and not yet yielded, which begin at the start of a record. */
class RecordBuffer {
  readonly #reader: ByteReader;
  readonly #cutter: RecordCutter;
  readonly #options: CutOptions;
  readonly #countsLines: boolean;
  #bytes: Uint8Array<ArrayBuffer>;
  /** How far `bytes` may be filled: a long record's array is written, and takes memory, step by step. */
  #room: number;
  /** Bytes that the cutter has seen. */
  #seen = 0;
  #line = 1;
  /** Whether there is memory for a long record. */
  #isLarge = false;
  length = 0;
  /** The offset of the first byte in the input. */
  byteOffset: number;

  constructor(reader: ByteReader, cutter: RecordCutter, options: CutOptions) {
    this.#reader = reader;
    this.#cutter = cutter;
    this.#options = options;
    this.#countsLines = !reader.isPlainFile && options.hasLines;
    this.#bytes = options.into ?? new Uint8Array(options.batchBytes);
    this.#room = this.#bytes.length;
    this.byteOffset = options.byteOffset;
  }

  /** Reads on. Returns the number of bytes; 0 only at the end. @throws `ERR_PARTD_CORRUPT` */
  async fill(): Promise<number> {
    await this.#makeRoom(this.#options.longestRecord);
    const read = await this.#reader.read(this.#bytes.subarray(this.length, this.#room));
    this.length += read;
    return read;
  }

  dropByteOrderMark(): void {
    const [first, second, third] = this.#bytes;
    if (this.length < 3 || first !== 0xef || second !== 0xbb || third !== 0xbf) return;
    this.drop(3);
  }

  /** The end of the last whole record, or 0. */
  cut(): number {
    const end = this.#cutter.cut(this.#bytes, this.#seen, this.length);
    this.#seen = this.length;
    return end;
  }

  /**
   * Completes a last record that has no newline: in a range of a file it goes on behind the end of
   * the range; at the end of the input it gets one. Returns the end of the last whole record.
   *
   * @param end that of the records before, or 0.
   * @throws `ERR_PARTD_CORRUPT` for a record longer than `longestRecord`.
   */
  async completeLast(end: number): Promise<number> {
    while (end === 0) {
      await this.#makeRoom(this.#options.longestRecord + 1);
      this.#reader.extend?.(BEHIND);
      const into = this.#bytes.subarray(this.length, Math.min(this.length + BEHIND, this.#room));
      const read = await this.#reader.read(into);
      if (read === 0) {
        this.#bytes[this.length++] = LF;
        this.#seen = this.length;
        return this.length;
      }
      this.length += read;
      end = this.cut();
    }
    return end;
  }

  /** The records up to `end`. They are valid until the next {@link drop}. */
  batch(end: number): ByteBatch {
    return {
      bytes: this.#bytes.subarray(0, end),
      position: {
        source: this.#reader.source,
        isInFile: this.#reader.isPlainFile,
        line: this.#countsLines ? this.#line : undefined,
        byteOffset: this.byteOffset,
      },
      consumed: this.#options.consumed + this.#reader.consumed,
    };
  }

  /** Removes the first bytes. */
  drop(byteLength: number): void {
    if (this.#countsLines) this.#line += newlines(this.#bytes, 0, byteLength);
    this.byteOffset += byteLength;
    this.#bytes.copyWithin(0, byteLength, this.length);
    this.length -= byteLength;
    this.#seen = Math.max(0, this.#seen - byteLength);
  }

  /** Replaces an array that one long record needed. */
  async shrink(): Promise<void> {
    const { batchBytes } = this.#options;
    if (!this.#isLarge || this.length > batchBytes / 2) return;
    this.#resize(batchBytes);
    await this.giveBack();
  }

  /** Reports that the memory of a long record is no longer needed. */
  async giveBack(): Promise<void> {
    if (!this.#isLarge) return;
    this.#isLarge = false;
    await this.#options.onGrow?.(0);
  }

  /** @param most bytes that a record may have. */
  async #makeRoom(most: number): Promise<void> {
    if (this.length < this.#room) return;
    const { batchBytes, longestRecord, longestRecordAdvice, onGrow } = this.#options;
    if (this.length >= longestRecord) {
      throw tooLong(this.#reader.source, this.byteOffset, longestRecord, longestRecordAdvice);
    }
    let room = 2 * this.length;
    if (room > 2 * batchBytes) {
      this.#isLarge = true;
      room = this.length + Math.max(LEAST_STEP, Math.ceil(this.length / STEPS));
    }
    room = Math.min(room, most);
    if (this.#isLarge) await onGrow?.(room);
    if (room > this.#bytes.length) this.#resize(this.#isLarge ? this.#mappedFor(room) : room);
    this.#room = room;
  }

  #mappedFor(room: number): number {
    const most = this.#options.longestRecord + 1;
    return most < 2 * MAPPED || room > MAPPED ? most : MAPPED;
  }

  #resize(size: number): void {
    const old = this.#bytes;
    this.#bytes = new Uint8Array(size);
    this.#room = size;
    this.#bytes.set(old.subarray(0, this.length));
    // Left to the garbage collector, the arrays that a record of 200 MB outgrew took as much again.
    if (old !== this.#options.into && old.length >= LARGE) releaseBytes(old);
  }
}

const LF = 0x0a;

/** Bytes behind the end of a range that are read at a time. */
const BEHIND = 1 << 14;

/** An array of this many bytes or more is freed at once. */
const LARGE = 8 << 20;

/**
 * A long record gets an array of this length at once, whose pages take memory only when they are written.
 * So it is copied once or twice, not at each doubling: that took twice its bytes, and glibc's malloc kept
 * the shorter arrays.
 */
const MAPPED = 256 << 20;

/** A long record's array is filled, and takes memory, in steps of an eighth, at least of so many bytes. */
const STEPS = 8;
const LEAST_STEP = 4 << 20;

function tooLong(
  source: string,
  offset: number,
  longest: number,
  advice: string | undefined,
): PartdError {
  const what = `The record of ${source} at byte ${offset} is longer than ${longest} bytes, the most allowed: is a line ending or a closing quote missing?`;
  return new PartdError("ERR_PARTD_CORRUPT", advice === undefined ? what : `${what} ${advice}`, {
    path: source.startsWith("<") ? undefined : source,
    offset,
  });
}
