import { PartdError } from "@partd/core";
import { releaseBytes } from "@partd/core/author";
import { DEEPEST_LIST } from "@partd/records";
import { LONG_BYTES } from "../spill/frame.js";

/** Stands for a value that is not a number, in a sort by numbers. It comes last in both directions. */
export const NOT_NUMERIC = Symbol("not numeric");

/**
 * Encodes values so that their bytes compare as the values do, one value after the other: first by type
 * (booleans, numbers and bigints, dates, text, bytes, lists, `null`, missing), then within the type. No
 * key is a prefix of another. Text is in the order of its code points.
 */
export class OrderKeyWriter {
  bytes: Buffer<ArrayBuffer> = Buffer.alloc(256);
  length = 0;

  clear(): void {
    this.length = 0;
    // Do not keep the memory of one huge key.
    if (this.bytes.length >= LONG_BYTES) this.#setMemory(Buffer.alloc(256));
  }

  /** Returns what was written. The memory is the caller's from then on. */
  take(): Buffer<ArrayBuffer> {
    const { bytes } = this;
    this.bytes = Buffer.alloc(256);
    this.length = 0;
    return bytes;
  }

  /** Frees an outgrown array at once, if it is long. */
  #setMemory(bytes: Buffer<ArrayBuffer>): void {
    if (this.bytes.length >= LONG_BYTES) releaseBytes(new Uint8Array(this.bytes.buffer));
    this.bytes = bytes;
  }

  /**
   * @param descending reverses the order, except for {@link NOT_NUMERIC}, `null` and missing values, which come
   *   last.
   */
  write(value: unknown, descending: boolean): void {
    const start = this.length;
    this.#write(value, 0);
    if (!descending || value === NOT_NUMERIC || value === null || value === undefined) return;
    this.#reverse(start, typeof value === "string" || value instanceof Uint8Array);
  }

  /**
   * Writes text from its JSON, as `JSON.stringify` writes it, without the quotes: from `start` to `end`. The text
   * itself would be two further copies of a key that may be as long as memory, and take three times as long.
   */
  writeJsonText(json: Uint8Array, start: number, end: number, descending: boolean): void {
    const first = this.length;
    this.#makeRoom(end - start + 2);
    this.#byte(KIND.text);
    for (let from = start; from < end; ) {
      from =
        end - from < SHORT_TEXT ? this.#shortPlain(json, from, end) : this.#plain(json, from, end);
      if (from < end) from = this.#escape(json, from + 1);
    }
    this.#byte(0);
    if (descending) this.#reverse(first, true);
  }

  /** Copies text up to a backslash. @returns where that is. */
  #plain(json: Uint8Array, start: number, end: number): number {
    const text = json.subarray(start, end); // Else the search would go on through the keys behind.
    const backslash = text.indexOf(BACKSLASH);
    const plain = backslash < 0 ? text : text.subarray(0, backslash);
    this.bytes.set(plain, this.length);
    this.length += plain.length;
    return start + plain.length;
  }

  /** The same, without the calls that take longer than a short text. */
  #shortPlain(json: Uint8Array, start: number, end: number): number {
    const { bytes } = this;
    let to = this.length;
    let from = start;
    for (; from < end; from++) {
      const byte = json[from]!;
      if (byte === BACKSLASH) break;
      bytes[to++] = byte;
    }
    this.length = to;
    return from;
  }

  /** Writes the character of an escape, whose backslash is before `at`. @returns its end. */
  #escape(json: Uint8Array, at: number): number {
    const letter = json[at]!;
    if (letter !== LETTER_U) {
      this.#byte(ESCAPES.get(letter) ?? letter);
      return at + 1;
    }
    const code = Number.parseInt(String.fromCharCode(...json.subarray(at + 1, at + 5)), 16);
    // Others are lone surrogates, which have no UTF-8.
    this.#characters(code < 0x80 ? Uint8Array.of(code) : REPLACEMENT);
    return at + 5;
  }

  #reverse(start: number, isText: boolean): void {
    // Otherwise "a" would be a prefix of "a\0", and come before it in this direction too.
    if (isText) this.#byte(0);
    // Reversed kinds stay below `null`, so null sorts last in both directions.
    this.bytes[start] = KIND.null - this.bytes[start]!;
    for (let i = start + 1; i < this.length; i++) this.bytes[i] = 0xff - this.bytes[i]!;
  }

  #write(value: unknown, depth: number): void {
    if (typeof value === "string") this.#text(KIND.text, Buffer.from(value));
    else if (typeof value === "number") {
      this.#double(KIND.number, value);
      this.#byte(EXACT);
    } else if (typeof value === "bigint") this.#bigint(value);
    else if (typeof value === "boolean") {
      this.#byte(KIND.boolean);
      this.#byte(value ? 1 : 0);
    } else if (value === NOT_NUMERIC) this.#byte(KIND.notNumeric);
    else if (value === undefined) this.#byte(KIND.missing);
    else if (value === null) this.#byte(KIND.null);
    else if (value instanceof Date) {
      this.#double(KIND.date, value.getTime());
    } else if (value instanceof Uint8Array) this.#text(KIND.bytes, value);
    else if (Array.isArray(value)) {
      if (depth === DEEPEST_LIST) throw unorderable(value);
      this.#byte(KIND.list);
      for (const item of value) this.#write(item, depth + 1);
      this.#byte(0);
    } else throw unorderable(value);
  }

  #byte(value: number): void {
    this.#makeRoom(1);
    this.bytes[this.length++] = value;
  }

  /** A kind, then the bits of a double, mapped so that they compare as unsigned; NaN is last, -0 equals 0. */
  #double(kind: number, value: number): void {
    this.#makeRoom(9);
    scratch.setFloat64(0, Number.isNaN(value) ? Number.NaN : value + 0);
    const sign = scratch.getInt32(0) >> 31;
    const high = scratch.getInt32(0) ^ (sign | -0x8000_0000);
    const low = scratch.getInt32(4) ^ sign;
    const { bytes, length } = this;
    bytes[length] = kind;
    // Byte by byte: with Buffer's methods, all of this took twice as long.
    for (let i = 0; i < 4; i++) {
      bytes[length + 1 + i] = high >>> (24 - 8 * i);
      bytes[length + 5 + i] = low >>> (24 - 8 * i);
    }
    this.length = length + 9;
  }

  /** The nearest double, then the difference from it. */
  #bigint(value: bigint): void {
    const near = Number(value);
    this.#double(KIND.number, near);
    const rest = Number.isFinite(near) ? value - BigInt(near) : value;
    // Beyond all doubles: use the greatest one, whatever the sign of the rest.
    if (rest === 0n) this.#byte(EXACT);
    else {
      const negative = rest < 0n;
      const above = Number.isFinite(near) ? !negative : negative;
      this.#byte(above ? EXACT + 1 : EXACT - 1);
      const hex = (negative ? -rest : rest).toString(16);
      const magnitude = Buffer.from(hex.length % 2 ? `0${hex}` : hex, "hex");
      const start = this.length;
      this.#makeRoom(4 + magnitude.length);
      this.length = this.bytes.writeUInt32BE(magnitude.length, start);
      this.bytes.set(magnitude, this.length);
      this.length += magnitude.length;
      if (negative) for (let i = start; i < this.length; i++) this.bytes[i] = 0xff - this.bytes[i]!;
    }
  }

  /** A zero byte within it is followed by 0xFF; a zero byte alone ends it. */
  #text(kind: number, text: Uint8Array): void {
    this.#byte(kind);
    this.#characters(text);
    this.#byte(0);
  }

  #characters(text: Uint8Array): void {
    this.#makeRoom(2 * text.length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) {
      const byte = text[i]!;
      bytes[at++] = byte;
      if (byte === 0) bytes[at++] = 0xff;
    }
    this.length = at;
  }

  #makeRoom(byteLength: number): void {
    const needed = this.length + byteLength;
    if (needed <= this.bytes.length) return;
    // Pages that are never written take no memory.
    const grown = Buffer.from(new ArrayBuffer(needed * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.#setMemory(grown);
  }
}

/**
 * The first byte of a value. In descending order it is `null - kind`, which stays below `null`, so that
 * `null` comes last in both directions.
 */
const KIND = {
  boolean: 0x10,
  number: 0x20,
  date: 0x30,
  text: 0x40,
  bytes: 0x50,
  list: 0x60,
  /** Above the reversed kinds, too. */
  notNumeric: 0x7f,
  null: 0x80,
  missing: 0x81,
} as const;
const EXACT = 0x80;

/** Below this many bytes, a loop takes less time than calls. */
const SHORT_TEXT = 200;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
/** The letters of short escapes that do not stand for themselves. */
const ESCAPES = new Map([..."bfnrt"].map((c, i) => [c.charCodeAt(0), "\b\f\n\r\t".charCodeAt(i)]));
/** U+FFFD. */
const REPLACEMENT = Uint8Array.of(0xef, 0xbf, 0xbd);

const scratch = new DataView(new ArrayBuffer(8));

function unorderable(value: unknown): PartdError {
  const other = typeof value === "object" ? "an object" : `a ${typeof value}`;
  const what = Array.isArray(value) ? `lists in lists more than ${DEEPEST_LIST} deep` : other;
  return new PartdError(
    "ERR_PARTD_KEY",
    `Records cannot be sorted by ${what}: sort by text, numbers, bigints, booleans, dates, bytes, null or lists of them.`,
  );
}
