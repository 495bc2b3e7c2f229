import { checkOptionNames } from "@partd/core/author";
import type { Position, Records } from "../records.js";
import { RecordError } from "../scan/record-error.js";
import type { ByteReader } from "../source/byte-reader.js";
import type { Source } from "../source/inputs.js";
import { READ_OPTIONS, type ReadOptions, TextRecords } from "../source/text-records.js";
import { NdjsonFormat } from "./ndjson-format.js";

/**
 * Reads lines of JSON (ndjson.org, JSON Lines): one value a line, in UTF-8. Blank lines are
 * skipped.
 *
 * @throws `ERR_PARTD_CORRUPT`, a `RecordError`, at a line that is not JSON, unless there is `onReject`.
 * @example for await (const event of readNdjson<Event>("events.ndjson.gz")) …
 */
export function readNdjson<R = unknown>(source: Source, options: ReadOptions = {}): Records<R> {
  checkOptionNames("readNdjson", options, READ_OPTIONS);
  return new TextRecords(source, new NdjsonFormat<R>(options.onReject), options);
}

/**
 * Reads the items of a JSON array as it comes, whatever its size. As bytes they are lines of
 * NDJSON.
 *
 * @throws `ERR_PARTD_CORRUPT`, a `RecordError`, at an item that is not JSON, unless there is
 *   `onReject`; and if the whole is not an array.
 */
export function readJson<R = unknown>(source: Source, options: ReadOptions = {}): Records<R> {
  checkOptionNames("readJson", options, READ_OPTIONS);
  const format = new NdjsonFormat<R>(options.onReject);
  return new TextRecords(source, format, options, (reader) => new JsonArrayReader(reader));
}

/**
 * Turns the bytes of a JSON array into lines, one for each item, in place, so that each byte keeps
 * its offset: the array's commas and brackets and the space around items become newlines, and
 * newlines inside an item become spaces. The reader of the lines checks the items; this class
 * checks that none is missing.
 */
class JsonArrayReader implements ByteReader {
  readonly source: string;
  readonly isPlainFile: boolean;
  readonly #reader: ByteReader;
  #offset = 0;
  #state: "before" | "items" | "behind" = "before";
  /** Open brackets, without the array's own. */
  #depth = 0;
  #inString = false;
  #isEscaped = false;
  /** Whether the current item has begun. */
  #hasItem = false;
  /** Whether white space came after the current item. */
  #isEnded = false;
  /** Whether a comma came last, which an item must follow. */
  #hasComma = false;

  constructor(reader: ByteReader) {
    this.#reader = reader;
    this.source = reader.source;
    this.isPlainFile = reader.isPlainFile;
  }

  get consumed(): number {
    return this.#reader.consumed;
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  async read(into: Uint8Array): Promise<number> {
    const length = await this.#reader.read(into);
    const bytes = into.subarray(0, length);
    if (length === 0 && this.#state !== "behind") {
      throw this.#error(bytes, 0, "is cut short: the array has no end");
    }
    for (let i = 0; i < length; i++) {
      if (this.#inString) i = this.#string(bytes, i);
      else if (this.#state === "items") this.#token(bytes, i);
      else this.#around(bytes, i);
    }
    this.#offset += length;
    return length;
  }

  /**
   * Reads on inside a string. Returns the index of its last byte, or of the last byte in `bytes`.
   */
  #string(bytes: Uint8Array, start: number): number {
    for (let i = start; i < bytes.length; i++) {
      const byte = bytes[i];
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) {
        this.#inString = false;
        return i;
      }
    }
    return bytes.length - 1;
  }

  #token(bytes: Uint8Array, i: number): void {
    switch (bytes[i]) {
      case QUOTE:
        this.#beginItem(bytes, i);
        this.#inString = true;
        return;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        this.#beginItem(bytes, i);
        this.#depth++;
        return;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        if (this.#depth > 0) this.#depth--;
        else if (bytes[i] === CLOSE_BRACKET) this.#endItem(bytes, i, false);
        else this.#beginItem(bytes, i); // It is malformed, which the item's reader reports.
        return;
      case COMMA:
        if (this.#depth === 0) this.#endItem(bytes, i, true);
        return;
      case LF:
      case SPACE:
      case TAB:
      case CR:
        if (this.#depth === 0) {
          // White space around an item becomes blank lines, which readers skip.
          bytes[i] = LF;
          this.#isEnded = this.#hasItem;
        } else if (bytes[i] === LF) {
          bytes[i] = SPACE;
        }
        return;
      default:
        this.#beginItem(bytes, i);
    }
  }

  #beginItem(bytes: Uint8Array, i: number): void {
    if (this.#isEnded) throw this.#error(bytes, i, "has no comma before this");
    this.#hasItem = true;
  }

  #endItem(bytes: Uint8Array, i: number, isComma: boolean): void {
    if (!this.#hasItem && (isComma || this.#hasComma)) {
      throw this.#error(bytes, i, "has no item before this");
    }
    bytes[i] = LF;
    this.#hasItem = false;
    this.#isEnded = false;
    this.#hasComma = isComma;
    if (!isComma) this.#state = "behind";
  }

  /** Reads a byte before or after the array. */
  #around(bytes: Uint8Array, i: number): void {
    const byte = bytes[i]!;
    const isMark = this.#offset + i < 3 && byte === BYTE_ORDER_MARK[this.#offset + i];
    if (byte === OPEN_BRACKET && this.#state === "before") {
      this.#state = "items";
      bytes[i] = LF;
    } else if (byte === LF || byte === SPACE || byte === TAB || byte === CR) {
      bytes[i] = LF;
    } else if (!isMark) {
      const what =
        this.#state === "before"
          ? "is no JSON array (lines of JSON are read with readNdjson)"
          : "has text behind the array";
      throw this.#error(bytes, i, what);
    }
  }

  #error(bytes: Uint8Array, offset: number, what: string): RecordError {
    const { source, isPlainFile } = this;
    const position: Position = {
      source,
      isInFile: isPlainFile,
      line: undefined,
      byteOffset: this.#offset,
    };
    return RecordError.at(position, bytes, offset, { offset, what });
  }
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
