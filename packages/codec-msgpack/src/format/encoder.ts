import { equalKeys, isPythonValue } from "@partd/codec-pickle/format";
import { PartdError } from "@partd/core";
import {
  brandOf,
  byteLengthOf,
  hasFields,
  hasViewFields,
  isBytes,
  isLost,
  placeOf,
  viewOf,
} from "@partd/core/author";
import { Ext, isTimestamp, TIMESTAMP } from "./extension.js";
import { MAX_DEPTH, type MsgPackFormatOptions } from "./options.js";
import { MsgPackWriter, Refusal, refuse } from "./writer.js";

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
  readonly #onlyText: boolean;
  readonly #out = new MsgPackWriter();
  #busy = false;

  constructor(options: MsgPackFormatOptions = {}) {
    this.#extensions = options.extensions ?? [];
    this.#onlyText = options.keys === "text";
    for (const { type } of this.#extensions) new Ext(type, EMPTY); // Throws if the type is invalid.
  }

  encode(value: unknown): Uint8Array {
    // An extension may call this encoder for nested values.
    if (this.#busy) {
      const keys = this.#onlyText ? "text" : "any";
      return new MsgPackEncoder({ extensions: this.#extensions, keys }).encode(value);
    }
    this.#busy = true;
    try {
      this.#write(value, 0);
      return this.#out.finish();
    } catch (error) {
      if (error instanceof RangeError) throw error; // Memory or stack: not the fault of one part.
      const place = placeOf(value, (part) => this.#refuses(part));
      const reason = describe(error);
      throw new PartdError(
        "ERR_PARTD_CODEC",
        place === "" ? reason : `${place} is refused: ${reason}`,
        { cause: error },
      );
    } finally {
      this.#busy = false;
      this.#out.reset();
    }
  }

  #refuses(value: unknown): boolean {
    this.#out.reset();
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
        this.#out.number(value);
        break;
      case "string":
        this.#out.string(value);
        break;
      case "boolean":
        this.#out.byte(value ? 0xc3 : 0xc2);
        break;
      case "bigint":
        this.#bigint(value);
        break;
      case "object":
        if (value === null) this.#out.byte(0xc0);
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
    // A Date is asked neither: that would be a sixth of its work.
    if (!plain && !(value instanceof Date)) {
      checkType(value);
      if (isBytes(value)) {
        this.#binary(value);
        return;
      }
    }
    switch (plain ? "[object Object]" : Object.prototype.toString.call(value)) {
      case "[object Object]":
        this.#record(value as Record<string, unknown>, depth, plain);
        break;
      case "[object Map]":
        this.#map(value as Map<unknown, unknown>, depth);
        break;
      case "[object Date]":
        checkFields(value);
        // Not by a method that the object may have of its own.
        this.#out.timestamp(Date.prototype.getTime.call(value));
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

  #bigint(value: bigint): void {
    if (value >= -MAX_SAFE && value <= MAX_SAFE) this.#out.number(Number(value));
    else if (value > 0 && value < 2n ** 64n) this.#out.int64(0xcf, value);
    else if (value < 0 && value >= -(2n ** 63n)) this.#out.int64(0xd3, value);
    else throw refuse("a BigInt beyond 64 bits");
  }

  #binary(value: Uint8Array): void {
    checkBytes(value);
    this.#out.head(byteLengthOf.call(value), 0xc4, 0xc5, 0xc6);
    this.#out.raw(value);
  }

  #unknownExt(value: Ext): void {
    const { type, data } = value;
    if (Object.keys(value).length > 2) throw refuse(`fields on ${nameOf(value)}`);
    checkSymbols(value);
    if ((type << 24) >> 24 !== type) throw refuse("an Ext whose type is none"); // It may have been changed.
    if (!isBytes(data)) throw refuse("an Ext whose data is no Uint8Array");
    checkBytes(data);
    if (type === TIMESTAMP && !isTimestamp(viewOf(data))) throw refuse("a timestamp that is none");
    this.#ext(type, data);
  }

  #ext(type: number, data: Uint8Array): void {
    const byteLength = byteLengthOf.call(data);
    const fixed = FIXED_EXT.get(byteLength);
    if (fixed !== undefined) this.#out.byte(fixed);
    else this.#out.head(byteLength, 0xc7, 0xc8, 0xc9);
    this.#out.byte(type & 0xff);
    this.#out.raw(data);
  }

  #array(value: readonly unknown[], depth: number): void {
    if (Object.getPrototypeOf(value) !== Array.prototype) checkType(value);
    const { length } = value;
    // A hole reads as `undefined`, which is refused.
    if (hasFields(value)) throw refuse(`fields on ${nameOf(value)}`);
    checkSymbols(value);
    if (length < 16) this.#out.byte(0x90 | length);
    else this.#out.head(length, undefined, 0xdc, 0xdd);
    for (let i = 0; i < length; i++) {
      const item = value[i];
      if (typeof item === "number") this.#out.number(item);
      else this.#write(item, depth);
    }
    if (value.length !== length) throw refuse("an array whose length changes while it is read");
  }

  #record(value: Record<string, unknown>, depth: number, plain: boolean): void {
    let left = Object.keys(value).length;
    if (left === 0 && !plain) throw refuse(nameOf(value));
    if (left === 0 || Object.getPrototypeOf(value) !== Object.prototype) checkBrand(value);
    checkSymbols(value);
    this.#mapHead(left);
    // `for in` reads a property in a quarter of the time that `value[name]` of listed names takes.
    for (const name in value) {
      if (left-- === 0) break; // An object's own names come first; the rest are inherited.
      if (name === "0") checkBrand(value); // It may be a typed array.
      this.#out.string(name);
      this.#write(value[name], depth);
    }
    if (left > 0) throw refuse("an object that loses properties while it is read");
  }

  #map(value: ReadonlyMap<unknown, unknown>, depth: number): void {
    checkFields(value);
    // By Map's own methods, because a subclass may show other entries.
    const equal = equalKeys(mapMethods.keys.call(value));
    if (equal !== undefined) throw refuse(`${equal}, which are one when they are read`);
    const size = sizeOf.call(value);
    this.#mapHead(size);
    for (const [key, item] of mapMethods.entries.call(value)) {
      if (this.#onlyText && typeof key !== "string" && !isBytes(key)) {
        throw refuse(`a Map with a key that is ${nameOfKey(key)} for Python`);
      }
      const at = this.#out.position;
      this.#write(key, depth);
      if (isListOrMap(this.#out.at(at))) {
        throw refuse(`a Map with a key that is ${nameOf(key as object)}, which Python cannot hash`);
      }
      this.#write(item, depth);
    }
    if (sizeOf.call(value) !== size) throw refuse("a Map whose size changes while it is read");
  }

  #mapHead(size: number): void {
    if (size < 16) this.#out.byte(0x80 | size);
    else this.#out.head(size, undefined, 0xde, 0xdf);
  }
}

/** A getter of the value, a proxy or an extension may throw anything. */
function describe(error: unknown): string {
  if (error instanceof Refusal) return `MessagePack cannot carry ${error.message}.`;
  if (error instanceof PartdError) return error.message;
  return `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
}

const mapMethods: Map<unknown, unknown> = Map.prototype;
const sizeOf = Object.getOwnPropertyDescriptor(mapMethods, "size")?.get as () => number;
const EMPTY = new Uint8Array();
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const TOO_DEEP = `what is nested more than ${MAX_DEPTH} deep, or in itself`;
const FIXED_EXT = new Map([
  [1, 0xd4],
  [2, 0xd5],
  [4, 0xd6],
  [8, 0xd7],
  [16, 0xd8],
]);

/** Whether an item that begins with this byte is a list or a map. */
function isListOrMap(code: number): boolean {
  return (code >= 0x80 && code < 0xa0) || (code >= 0xdc && code <= 0xdf);
}

/** Fields on a Date or Map would be lost. */
function checkFields(value: object): void {
  if (Object.keys(value).length > 0) throw refuse(`fields on ${nameOf(value)}`);
  checkSymbols(value);
}

function nameOfKey(key: unknown): string {
  return typeof key === "object" && key !== null ? nameOf(key) : `a ${typeof key}`;
}

function checkSymbols(value: object): void {
  if (Object.getOwnPropertySymbols(value).length === 0) return;
  throw refuse("a property whose name is a symbol");
}

/** Refuses bytes that are none because their memory went, and fields on bytes, which would be lost. */
function checkBytes(value: Uint8Array): void {
  if (byteLengthOf.call(value) === 0 && isLost(value)) {
    throw refuse("bytes whose buffer was transferred or made shorter");
  }
  if (!hasViewFields(value)) return;
  checkSymbols(value);
  throw refuse(`fields on ${nameOf(value)}`);
}

/** A Map or the like whose prototype or tag a program has changed looks like an object. */
function checkBrand(value: object): void {
  const brand = brandOf(value);
  if (brand !== undefined) throw refuse(`${brand} whose prototype or tag was changed`);
}

function nameOf(value: object): string {
  return `a ${value.constructor?.name ?? "value of this type"}`;
}

/**
 * Refuses Python's types, which would read back as their fields or items. A PyDateTime may be a
 * timestamp.
 */
function checkType(value: object): void {
  if (!(value instanceof Date) && isPythonValue(value)) throw refuse(nameOf(value));
}
