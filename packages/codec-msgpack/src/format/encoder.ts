import { equalKeys, isPythonValue } from "@partd/codec-pickle/format";
import { PartdError } from "@partd/core";
import { allocateBytes, allocateEncoded, isBytes, placeOf } from "@partd/core/author";
import { Ext, encodeTimestamp, isTimestamp, TIMESTAMP } from "./extension.js";
import { MAX_DEPTH, type MsgPackFormatOptions } from "./options.js";

/**
 * Encodes values as MessagePack, each in its shortest form, as Python's `packb(use_bin_type=True)`
 * does (https://github.com/msgpack/msgpack/blob/master/spec.md).
 *
 * A safe integer is written as an integer, any other number as a 64-bit float; a BigInt is an
 * integer; bytes are `bin`; a Date is a timestamp; a `Map` may have keys of any kind. What would
 * not read back is refused with `ERR_PARTD_CODEC`: `undefined`, functions, symbols, BigInts beyond
 * 64 bits, half a surrogate pair, more than 1,000 levels (and so cycles), and objects that keep
 * their content outside their properties, unless an extension takes them.
 */
export class MsgPackEncoder {
  readonly #extensions: NonNullable<MsgPackFormatOptions["extensions"]>;
  #bytes = new Uint8Array(START_SIZE);
  #view = new DataView(this.#bytes.buffer);
  #position = 0;
  #busy = false;

  constructor(options: MsgPackFormatOptions = {}) {
    this.#extensions = options.extensions ?? [];
    for (const { type } of this.#extensions) new Ext(type, EMPTY); // Throws if the type is invalid.
  }

  encode(value: unknown): Uint8Array {
    // An extension may call this encoder for nested values.
    if (this.#busy) return new MsgPackEncoder({ extensions: this.#extensions }).encode(value);
    this.#busy = true;
    this.#position = 0;
    try {
      this.#write(value, 0);
      return this.#finish();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const place = placeOf(value, (part) => this.#refuses(part));
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `${place === "" ? "" : `${place} is refused: `}MessagePack cannot carry ${error.message}.`,
      );
    } finally {
      this.#busy = false;
      if (this.#bytes.byteLength > KEPT_SIZE) this.#resize(START_SIZE);
    }
  }

  #finish(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#position);
    if (this.#position <= KEPT_SIZE) {
      const encoded = allocateEncoded(this.#position);
      encoded.set(bytes);
      return encoded;
    }
    // Return the buffer itself: there may be no room for a copy.
    this.#bytes = new Uint8Array(START_SIZE);
    this.#view = new DataView(this.#bytes.buffer);
    return bytes;
  }

  #refuses(value: unknown): boolean {
    this.#position = 0;
    try {
      this.#write(value, 0);
      return false;
    } catch {
      return true;
    }
  }

  #write(value: unknown, depth: number): void {
    switch (typeof value) {
      case "number":
        this.#number(value);
        break;
      case "string":
        if (value.length <= SHORT) this.#shortString(value);
        else this.#longString(value);
        break;
      case "boolean":
        this.#byte(value ? 0xc3 : 0xc2);
        break;
      case "bigint":
        this.#bigint(value);
        break;
      case "object":
        if (value === null) this.#byte(0xc0);
        else if (depth === MAX_DEPTH) throw refuse(TOO_DEEP);
        else if (Array.isArray(value)) this.#array(value, depth + 1);
        else this.#object(value, depth + 1);
        break;
      default:
        throw refuse(value === undefined ? "undefined; use null" : `a ${typeof value}`);
    }
  }

  #object(value: object, depth: number): void {
    const prototype: unknown = Object.getPrototypeOf(value);
    const plain = prototype === Object.prototype || prototype === null;
    if (this.#extensions.length > 0 && this.#extension(value)) return;
    if (!plain) checkType(value);
    switch (plain ? "[object Object]" : Object.prototype.toString.call(value)) {
      case "[object Object]":
        this.#record(value as Record<string, unknown>, depth, plain);
        break;
      case "[object Uint8Array]":
        this.#binary(value as Uint8Array);
        break;
      case "[object Map]":
        this.#map(value as Map<unknown, unknown>, depth);
        break;
      case "[object Date]":
        checkFields(value);
        this.#ext(TIMESTAMP, encodeTimestamp(value as Date));
        break;
      case "[object Ext]":
        this.#unknownExt(value as Ext);
        break;
      default:
        throw refuse(`${nameOf(value)}; pass an extension for it`);
    }
  }

  #extension(value: object): boolean {
    for (const extension of this.#extensions) {
      const bytes = extension.encode(value);
      if (bytes === undefined) continue;
      if (!isBytes(bytes)) {
        throw refuse(`what the extension ${extension.type} gives, which is no Uint8Array`);
      }
      this.#ext(extension.type, bytes);
      return true;
    }
    return false;
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      const at = this.#reserve(9);
      this.#bytes[at] = 0xcb;
      this.#view.setFloat64(at + 1, value);
    } else if (value >= 0) {
      if (value < 0x80) this.#byte(value);
      else if (value < 2 ** 32) this.#head(value, 0xcc, 0xcd, 0xce);
      else this.#int64(0xcf, BigInt(value));
    } else if (value >= -0x20) {
      this.#byte(value & 0xff);
    } else if (value >= -0x80) {
      const at = this.#reserve(2);
      this.#bytes[at] = 0xd0;
      this.#bytes[at + 1] = value;
    } else if (value >= -0x8000) {
      const at = this.#reserve(3);
      this.#bytes[at] = 0xd1;
      this.#view.setInt16(at + 1, value);
    } else if (value >= -(2 ** 31)) {
      const at = this.#reserve(5);
      this.#bytes[at] = 0xd2;
      this.#view.setInt32(at + 1, value);
    } else {
      this.#int64(0xd3, BigInt(value));
    }
  }

  #bigint(value: bigint): void {
    if (value >= -MAX_SAFE && value <= MAX_SAFE) this.#number(Number(value));
    else if (value > 0 && value < 2n ** 64n) this.#int64(0xcf, value);
    else if (value < 0 && value >= -(2n ** 63n)) this.#int64(0xd3, value);
    else throw refuse("a BigInt beyond 64 bits");
  }

  #int64(code: number, value: bigint): void {
    const at = this.#reserve(9);
    this.#bytes[at] = code;
    this.#view.setBigUint64(at + 1, BigInt.asUintN(64, value));
  }

  #longString(value: string): void {
    if (!value.isWellFormed()) throw refuse(HALF_PAIR);
    // Reserve room for the longest form. The length of the header is a guess, mostly a right one.
    const start = this.#reserve(5 + value.length * 3);
    const guess = headLength(value.length);
    const { written } = utf8.encodeInto(value, this.#bytes.subarray(start + guess));
    const length = headLength(written);
    if (length !== guess) {
      this.#bytes.copyWithin(start + length, start + guess, start + guess + written);
    }
    this.#position = start;
    this.#stringHead(written);
    this.#position = start + length + written;
  }

  /** Encodes in a loop: for a few characters, a call into the runtime costs more. */
  #shortString(value: string): void {
    const start = this.#reserve(5 + SHORT * 3);
    const bytes = this.#bytes;
    const guess = headLength(value.length);
    let at = start + guess;
    for (let i = 0; i < value.length; i++) {
      let code = value.charCodeAt(i);
      if (code < 0x80) {
        bytes[at++] = code;
        continue;
      }
      if (code < 0x800) {
        bytes[at++] = 0xc0 | (code >> 6);
      } else {
        if ((code & 0xf800) === 0xd800) {
          const low = value.charCodeAt(++i);
          if (code >= 0xdc00 || (low & 0xfc00) !== 0xdc00) throw refuse(HALF_PAIR);
          code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
          bytes[at++] = 0xf0 | (code >> 18);
          bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
        } else {
          bytes[at++] = 0xe0 | (code >> 12);
        }
        bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
      }
      bytes[at++] = 0x80 | (code & 0x3f);
    }
    const written = at - start - guess;
    const length = headLength(written);
    if (length !== guess) bytes.copyWithin(start + length, start + guess, at);
    if (length === 1) bytes[start] = 0xa0 | written;
    else {
      this.#position = start;
      this.#stringHead(written);
    }
    this.#position = start + length + written;
  }

  #stringHead(length: number): void {
    if (length < 32) this.#byte(0xa0 | length);
    else this.#head(length, 0xd9, 0xda, 0xdb);
  }

  #binary(value: Uint8Array): void {
    this.#head(value.byteLength, 0xc4, 0xc5, 0xc6);
    this.#raw(value);
  }

  #unknownExt({ type, data }: Ext): void {
    if (!isBytes(data)) throw refuse("an Ext whose data is no Uint8Array");
    if (type === TIMESTAMP && !isTimestamp(data)) throw refuse("a timestamp that is none");
    this.#ext(type, data);
  }

  #ext(type: number, data: Uint8Array): void {
    const fixed = FIXED_EXT.get(data.byteLength);
    if (fixed !== undefined) this.#byte(fixed);
    else this.#head(data.byteLength, 0xc7, 0xc8, 0xc9);
    this.#byte(type & 0xff);
    this.#raw(data);
  }

  #array(value: readonly unknown[], depth: number): void {
    if (Object.getPrototypeOf(value) !== Array.prototype) checkType(value);
    // A hole reads as `undefined`, and is refused as that.
    if (Object.keys(value).length > value.length) throw refuse(`fields on ${nameOf(value)}`);
    if (value.length < 16) this.#byte(0x90 | value.length);
    else this.#head(value.length, undefined, 0xdc, 0xdd);
    for (let i = 0; i < value.length; i++) this.#write(value[i], depth);
  }

  #record(value: Record<string, unknown>, depth: number, plain: boolean): void {
    let left = Object.keys(value).length;
    if (left === 0 && !plain) throw refuse(nameOf(value));
    if (Object.getOwnPropertySymbols(value).length > 0) {
      throw refuse("a property whose name is a symbol");
    }
    this.#mapHead(left);
    // `for in` reads a property in a quarter of the time that `value[name]` of listed names takes.
    for (const name in value) {
      if (left-- === 0) break; // What follows an object's own names are inherited ones.
      if (name.length <= SHORT) this.#shortString(name);
      else this.#longString(name);
      this.#write(value[name], depth);
    }
    if (left > 0) throw refuse("an object that loses properties while it is read");
  }

  #map(value: ReadonlyMap<unknown, unknown>, depth: number): void {
    checkFields(value);
    const equal = equalKeys(value.keys());
    if (equal !== undefined) throw refuse(`${equal}, which are one when they are read`);
    this.#mapHead(value.size);
    for (const [key, item] of value) {
      const at = this.#position;
      this.#write(key, depth);
      if (isListOrMap(this.#bytes[at] as number)) {
        throw refuse(`a Map with a key that is ${nameOf(key as object)}, which Python cannot hash`);
      }
      this.#write(item, depth);
    }
  }

  #mapHead(size: number): void {
    if (size < 16) this.#byte(0x80 | size);
    else this.#head(size, undefined, 0xde, 0xdf);
  }

  /** Writes a code and a count of 8, 16 or 32 bits. */
  #head(count: number, code8: number | undefined, code16: number, code32: number): void {
    if (count < 0x100 && code8 !== undefined) {
      const at = this.#reserve(2);
      this.#bytes[at] = code8;
      this.#bytes[at + 1] = count;
    } else if (count < 0x10000) {
      const at = this.#reserve(3);
      this.#bytes[at] = code16;
      this.#view.setUint16(at + 1, count);
    } else if (count < 2 ** 32) {
      const at = this.#reserve(5);
      this.#bytes[at] = code32;
      this.#view.setUint32(at + 1, count);
    } else {
      throw refuse("4 GiB or more in one item");
    }
  }

  #byte(value: number): void {
    const at = this.#reserve(1); // Before `#bytes` is read: the buffer may be replaced.
    this.#bytes[at] = value;
  }

  #raw(data: Uint8Array): void {
    const at = this.#reserve(data.byteLength);
    this.#bytes.set(data, at);
  }

  /** Reserves `length` bytes and returns their position. */
  #reserve(length: number): number {
    const at = this.#position;
    this.#position = at + length;
    if (this.#position > this.#bytes.byteLength) {
      // Double the buffer, but grow it by at most 128 MiB: twice a large one may be more than the
      // runtime can hold.
      this.#resize(this.#position + Math.min(this.#position, MOST_ROOM));
    }
    return at;
  }

  #resize(size: number): void {
    const old = this.#bytes;
    this.#bytes = allocateBytes(size) as Uint8Array<ArrayBuffer>;
    this.#view = new DataView(this.#bytes.buffer);
    this.#bytes.set(old.byteLength > size ? old.subarray(0, size) : old);
  }
}

const START_SIZE = 2048;
/** A buffer larger than this is released after use. */
const KEPT_SIZE = 2 ** 20;
const MOST_ROOM = 2 ** 27;
/** Up to this many UTF-16 units a loop is faster than `encodeInto`. */
const SHORT = 40;
const EMPTY = new Uint8Array();
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const TOO_DEEP = `what is nested more than ${MAX_DEPTH} deep, or in itself`;
const HALF_PAIR = "a string with half a surrogate pair, which has no UTF-8 form";
const FIXED_EXT = new Map([
  [1, 0xd4],
  [2, 0xd5],
  [4, 0xd6],
  [8, 0xd7],
  [16, 0xd8],
]);
const utf8 = new TextEncoder();

function headLength(byteLength: number): number {
  if (byteLength < 32) return 1;
  if (byteLength < 0x100) return 2;
  return byteLength < 0x10000 ? 3 : 5;
}

/** Whether an item that begins with this byte is a list or a map. */
function isListOrMap(code: number): boolean {
  return (code >= 0x80 && code < 0xa0) || (code >= 0xdc && code <= 0xdf);
}

/** Fields on a Date or Map would be lost. */
function checkFields(value: object): void {
  if (Object.keys(value).length > 0) throw refuse(`fields on ${nameOf(value)}`);
}

function nameOf(value: object): string {
  return `a ${value.constructor?.name ?? "value of this type"}`;
}

/** What MessagePack cannot carry. */
class Refusal extends Error {}

/** A type of Python's would be read as what its fields or items are. A PyDateTime may be a timestamp. */
function checkType(value: object): void {
  if (!(value instanceof Date) && isPythonValue(value)) throw refuse(nameOf(value));
}

function refuse(what: string): Refusal {
  return new Refusal(what);
}
