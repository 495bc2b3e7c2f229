import { ShortTexts } from "@partd/core/author";
import { Op } from "./opcodes.js";
import { latin1Bytes, latin1Text } from "./python/object.js";

/**
 * Reads opcodes and their arguments from front to back. Integers are little-endian, floats big-endian.
 */
export class OpcodeReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get position(): number {
    return this.#position;
  }

  get byteLength(): number {
    return this.#bytes.byteLength;
  }

  uint8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** Inexact above 2^53, which is harmless: as a length it exceeds any input. */
  uint64(): number {
    const low = this.uint32();
    return low + this.uint32() * 2 ** 32;
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8));
  }

  /** Two's complement of `length` bytes: a number up to 6 bytes, else a BigInt. */
  integer(length: number): number | bigint {
    const start = this.#take(length);
    const end = start + length;
    const negative = length > 0 && (this.#bytes[end - 1] as number) >= 0x80;
    if (length <= 6) {
      let value = negative ? -(2 ** (length * 8)) : 0;
      for (let i = start, unit = 1; i < end; i++, unit *= 0x100) {
        value += (this.#bytes[i] as number) * unit;
      }
      return value;
    }
    let hex = "";
    for (let i = end - 1; i >= start; i--) {
      hex += (this.#bytes[i] as number).toString(16).padStart(2, "0");
    }
    const unsigned = BigInt(`0x${hex}`);
    return negative ? unsigned - (1n << BigInt(length * 8)) : unsigned;
  }

  text(length: number): string {
    return texts.decode(this.#bytes, this.#take(length), length);
  }

  /** A view, or a copy of few bytes: as a view they would keep the whole frame in memory. */
  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    if (length < SMALLEST_VIEW)
      return Uint8Array.prototype.slice.call(this.#bytes, start, start + length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  /** A name that ends with its line. */
  name(): string {
    const line = this.#line();
    if (line.byteLength > MAX_NAME) throw new Error("it asks for something with an endless name.");
    return texts.decode(line, 0, line.byteLength);
  }

  /** The memo's index of the first key of the dict that was just begun, or -1 if it is not in the memo. */
  firstKey(): number {
    const bytes = this.#bytes;
    let at = this.#position;
    if (bytes[at] === Op.MEMOIZE) at++;
    else if (bytes[at] === Op.BINPUT) at += 2;
    else if (bytes[at] === Op.LONG_BINPUT) at += 5;
    if (bytes[at] !== Op.MARK || at + 6 > bytes.byteLength) return -1;
    if (bytes[at + 1] === Op.BINGET) return bytes[at + 2] as number;
    return bytes[at + 1] === Op.LONG_BINGET ? this.#view.getUint32(at + 2, true) : -1;
  }

  /** A line, as Latin-1: protocol 0 writes arguments as lines of text. */
  line(): string {
    return latin1Text(this.#line());
  }

  /** The bytes before the next line feed. */
  #line(): Uint8Array {
    const start = this.#position;
    const end = this.#bytes.indexOf(0x0a, start);
    if (end < 0) throw new Error("it is cut short.");
    this.#take(end - start + 1);
    return this.#bytes.subarray(start, end);
  }

  #take(length: number): number {
    const start = this.#position;
    if (length > this.#bytes.byteLength - start) throw new Error("it is cut short.");
    this.#position = start + length;
    return start;
  }
}

const MAX_NAME = 256;
export const SMALLEST_VIEW = 4096;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const texts = new ShortTexts(decode);

/**
 * Decodes UTF-8, including halves of surrogate pairs, as Python does.
 *
 * @throws Error if the bytes are anything else.
 */
function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    return decodeHalves(bytes, cause);
  }
}

/**
 * Decodes halves of surrogate pairs: ED, A0 to BF, and 80 to BF, as Python's "surrogatepass" writes
 * them.
 */
function decodeHalves(bytes: Uint8Array, cause: unknown): string {
  const parts: string[] = [];
  let start = 0;
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    const [second = 0, third = 0] = bytes.subarray(at + 1, at + 3);
    if (second < 0xa0 || second > 0xbf || third < 0x80 || third > 0xbf) continue;
    parts.push(decodeWhole(bytes.subarray(start, at), cause));
    parts.push(String.fromCharCode(0xd000 | ((second & 0x3f) << 6) | (third & 0x3f)));
    start = at + 3;
  }
  if (start === 0) throw new Error("a str is not UTF-8.", { cause });
  return parts.join("") + decodeWhole(bytes.subarray(start), cause);
}

function decodeWhole(bytes: Uint8Array, cause: unknown): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new Error("a str is not UTF-8.", { cause });
  }
}

// ---- Arguments of protocol 0, which are lines of text -------------------------------------------

/** An int: a BigInt if a number would round it. */
export function integerOf(text: string): number | bigint {
  if (!/^[+-]?\d{1,100000}$/.test(text)) throw new Error("an int is none.");
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** An index of the memo. */
export function indexOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Error("it refers to a place that is none.");
}

export function floatOf(text: string): number {
  const value = /^[+-]?(inf|nan)$/.test(text)
    ? Number(text.replace("inf", "Infinity").replace(/[+-]?nan/, "NaN"))
    : Number(text);
  if (text === "" || (Number.isNaN(value) && !text.endsWith("nan")))
    throw new Error("a float is none.");
  return value;
}

/** A str of Python 2, quoted as `repr` does. */
export function unquoted(text: string): string {
  const quote = text[0];
  if ((quote !== "'" && quote !== '"') || text.length < 2 || text.at(-1) !== quote) {
    throw new Error("a str is not quoted.");
  }
  const bytes = text.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|.)/g, (_, character: string) => {
    if (character[0] === "x" && character.length === 3) {
      return String.fromCharCode(Number.parseInt(character.slice(1), 16));
    }
    return { n: "\n", t: "\t", r: "\r" }[character] ?? character;
  });
  const utf8 = latin1Bytes(bytes);
  return new OpcodeReader(utf8).text(utf8.byteLength);
}

/** A str of protocol 0: Latin-1 except for `\\uXXXX` and `\\UXXXXXXXX`. */
export function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/g, (_, short, long) => {
    const code = Number.parseInt(short ?? long, 16);
    if (code > 0x10ffff) throw new Error("a character is none.");
    return short === undefined ? String.fromCodePoint(code) : String.fromCharCode(code);
  });
}
