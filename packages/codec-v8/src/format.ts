import { serialize } from "node:v8";
import { PartdError } from "@partd/core";

/** A valid value beyond the limits of `decode`. `encode` refuses it, too. */
export class TooMuch extends Error {}

/**
 * Throws unless `bytes` hold exactly one value in the format of V8's serializer, nested at most
 * {@link MAX_LEVELS} deep, whose arrays claim no more items than its bytes warrant
 * ({@link ITEMS_A_BYTE}). V8 allocates each array with the length that the bytes claim, and nested
 * ones as well: 51 bytes can take a gigabyte.
 *
 * @returns whether an array is written by names, because it has holes, fields or hidden items.
 * @throws `ERR_PARTD_CODEC` for what only a newer runtime can read.
 * @see https://github.com/v8/v8/blob/main/src/objects/value-serializer.cc
 */
export function checkFormat(bytes: Uint8Array): boolean {
  const check = new FormatCheck(bytes);
  check.run();
  return check.hasNamedItems;
}

/** A few more than the 1,000 levels of `encode`, so that nothing it wrote is refused. */
const MAX_LEVELS = 1010;
/**
 * A frame may claim this many array items for each of its bytes, and this many more. An array with even
 * more is nearly all holes.
 */
const ITEMS_A_BYTE = 16;
const ITEMS_AT_LEAST = 1024;

/**
 * A frame may have one Unicode property in its RegExps for so many bytes, and this many more. A property takes
 * 70 µs; one with the flag v counts for ten, since \p{RGI_Emoji} takes 2.7 ms and 0.8 MB: 52 kB of it
 * took 10 s and 2.7 GB.
 */
const BYTES_A_PROPERTY = 64;
const PROPERTIES_AT_LEAST = 256;

class FormatCheck {
  hasNamedItems = false;
  readonly #bytes: Uint8Array;
  #at = 0;
  #version = 0;
  #items: number;
  #properties: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#items = bytes.byteLength * ITEMS_A_BYTE + ITEMS_AT_LEAST;
    this.#properties = Math.floor(bytes.byteLength / BYTES_A_PROPERTY) + PROPERTIES_AT_LEAST;
  }

  run(): void {
    const bytes = this.#bytes;
    if (bytes[0] !== 0xff) throw new Error("it does not begin as one.");
    this.#at = 1;
    this.#version = this.#varint();
    if (this.#version > LATEST_VERSION) {
      throw newer(`version ${this.#version} of the format`);
    }
    this.#value();
    if (this.#at < bytes.byteLength) throw new Error("bytes follow the value.");
  }

  /** Reads one value with everything nested in it. */
  #value(): void {
    const bytes = this.#bytes;
    /** End tags of the enclosing values. */
    const open: number[] = [];
    let end: number = TOP;
    for (;;) {
      if (end >= 0) this.#leaves(); // Else what ends may be the whole value, or a cause.
      const tag = bytes[this.#at++];
      if (tag === undefined) throw cutShort();
      if (tag === end) {
        const names = this.#varint();
        if (tag === Tag.END_DENSE_ARRAY || tag === Tag.END_SPARSE_ARRAY) {
          this.#varint();
          if (names > 0) this.hasNamedItems = true;
        }
        end = open.pop() as number;
      } else {
        const inner = this.#begin(tag);
        if (inner === PREFIX) continue;
        if (inner !== LEAF) {
          if (open.push(end) > MAX_LEVELS) throw new TooMuch("what is nested too deep.");
          end = inner;
          continue;
        }
      }
      // A value has ended. If it is the cause of an error, the error's other fields follow.
      while (end === CAUSE && !this.#error()) end = open.pop() as number;
      if (end === TOP) return;
    }
  }

  /**
   * Reads as many values as follow of the most frequent kinds: short texts, integers, doubles and
   * constants. A loop of its own over local variables takes half the time.
   */
  #leaves(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    for (;;) {
      const tag = bytes[at];
      if (tag === Tag.ONE_BYTE_STRING) {
        const length = bytes[at + 1] as number;
        if (!(length < 0x80)) break;
        at += 2 + length;
      } else if (tag === Tag.INT32) {
        let rest = at + 1;
        while ((bytes[rest] as number) >= 0x80) rest++;
        if (rest - at > MAX_INT32) break;
        at = rest + 1;
      } else if (tag === Tag.DOUBLE) {
        at += 9;
      } else if (tag === Tag.NULL || tag === Tag.TRUE || tag === Tag.FALSE) {
        at++;
      } else break;
    }
    if (at > bytes.byteLength) throw cutShort();
    this.#at = at;
  }

  /**
   * Reads a value without children and returns LEAF, or reads the head of a value with children and
   * returns the tag that ends it. PREFIX means that the value is still to come.
   */
  #begin(tag: number): number {
    switch (tag) {
      case Tag.PADDING:
        return PREFIX;
      case Tag.OBJECT_COUNT:
        this.#varint();
        return PREFIX;
      case Tag.UNDEFINED:
      case Tag.NULL:
      case Tag.TRUE:
      case Tag.FALSE:
      case Tag.HOLE:
      case Tag.TRUE_OBJECT:
      case Tag.FALSE_OBJECT:
        return LEAF;
      case Tag.INT32:
      case Tag.UINT32:
      case Tag.REFERENCE:
        this.#varint();
        return LEAF;
      case Tag.DOUBLE:
      case Tag.NUMBER_OBJECT:
      case Tag.DATE:
        return this.#skip(8);
      case Tag.BIGINT:
      case Tag.BIGINT_OBJECT:
        return this.#skip(this.#varint() >>> 1);
      case Tag.ONE_BYTE_STRING:
      case Tag.TWO_BYTE_STRING:
      case Tag.UTF8_STRING:
        return this.#skip(this.#varint());
      case Tag.STRING_OBJECT:
        return this.#string();
      case Tag.REGEXP:
        return this.#regexp();
      case Tag.ARRAY_BUFFER:
        this.#skip(this.#varint());
        return this.#view();
      case Tag.RESIZABLE_ARRAY_BUFFER: {
        const length = this.#varint();
        this.#spend(this.#varint() / 8); // maxByteLength: V8 reserves that much memory.
        this.#skip(length);
        return this.#view();
      }
      case Tag.HOST_OBJECT:
        this.#viewType(this.#varint());
        return this.#skip(this.#varint());
      case Tag.OBJECT:
        return Tag.END_OBJECT;
      case Tag.DENSE_ARRAY: {
        const length = this.#varint();
        this.#spend(length);
        if (length > this.#bytes.byteLength - this.#at) throw cutShort();
        return Tag.END_DENSE_ARRAY;
      }
      case Tag.SPARSE_ARRAY:
        this.hasNamedItems = true;
        this.#spend(this.#varint());
        return Tag.END_SPARSE_ARRAY;
      case Tag.MAP:
        return Tag.END_MAP;
      case Tag.SET:
        return Tag.END_SET;
      case Tag.ERROR:
        return this.#error() ? CAUSE : LEAF;
      default:
        throw new Error(`0x${tag.toString(16)} at byte ${this.#at - 1} begins no value.`);
    }
  }

  /**
   * Reads an error's fields: up to its end (false), or up to its cause, which is a value (true).
   */
  #error(): boolean {
    for (;;) {
      const tag = this.#bytes[this.#at++];
      switch (tag) {
        case 0x6d: // message
        case 0x73: // stack
          this.#string();
          break;
        case 0x63: // cause
          return true;
        case 0x2e:
          return false;
        case 0x45: // prototypes: EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError
        case 0x52:
        case 0x46:
        case 0x53:
        case 0x54:
        case 0x55:
          break;
        default:
          throw tag === undefined ? cutShort() : new Error("an error has an unknown part.");
      }
    }
  }

  /** V8 compiles the pattern, in which each Unicode property is a set of many ranges or texts. */
  #regexp(): number {
    const start = this.#at;
    this.#string();
    const end = this.#at;
    const flags = this.#varint();
    const price = flags & UNICODE_SETS ? 10 : flags & UNICODE ? 1 : 0;
    if (price === 0) return LEAF;
    for (let at = this.#bytes.indexOf(BACKSLASH, start); at >= 0 && at < end; ) {
      const next = this.#bytes[at + 1] || this.#bytes[at + 2]; // A text of two bytes has a 0 between.
      if (next === 0x70 || next === 0x50) this.#properties -= price;
      at = this.#bytes.indexOf(BACKSLASH, at + 1);
    }
    if (this.#properties >= 0) return LEAF;
    throw new TooMuch(
      "RegExps of very many Unicode properties (\\p{…}); keep their sources as texts.",
    );
  }

  #string(): number {
    let tag = this.#bytes[this.#at++];
    while (tag === Tag.PADDING) tag = this.#bytes[this.#at++];
    if (tag !== Tag.ONE_BYTE_STRING && tag !== Tag.TWO_BYTE_STRING && tag !== Tag.UTF8_STRING) {
      throw tag === undefined ? cutShort() : new Error("a text is none.");
    }
    return this.#skip(this.#varint());
  }

  /**
   * Reads the view of an array buffer, if one follows: offset, length and, since version 14, flags.
   */
  #view(): number {
    if (this.#bytes[this.#at] !== Tag.VIEW) return LEAF;
    this.#at += 2;
    for (let i = this.#version >= 14 ? 3 : 2; i > 0; i--) this.#varint();
    return LEAF;
  }

  /** Node numbers the types of views. It reads a number beyond them as a property of `undefined`. */
  #viewType(type: number): void {
    if (type < FLOAT16 || (type === FLOAT16 && "Float16Array" in globalThis)) return;
    if (type === FLOAT16) throw newer("Float16Array");
    throw new Error("a typed array is of no known type.");
  }

  #spend(items: number): void {
    this.#items -= items;
    if (this.#items >= 0) return;
    throw new TooMuch("arrays of far more holes than items; use a Map of what is there.");
  }

  /**
   * Reads up to 32 bits exactly. A larger number is inexact, which is harmless: no length or count
   * so large passes.
   */
  #varint(): number {
    let byte = this.#bytes[this.#at++];
    if (byte !== undefined && byte < 0x80) return byte;
    let value = 0;
    for (let unit = 1; ; unit *= 0x80) {
      if (byte === undefined) throw cutShort();
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
      if (unit > 2 ** 63) throw new Error("a length is none.");
      byte = this.#bytes[this.#at++];
    }
  }

  #skip(length: number): number {
    this.#at += length;
    if (this.#at > this.#bytes.byteLength) throw cutShort();
    return LEAF;
  }
}

const LATEST_VERSION = serialize(0)[1] as number;
/** Node's number of a Float16Array, the last one. */
const FLOAT16 = 13;
/** Bytes of the longest integer of 32 bits. */
const MAX_INT32 = 5;
/** V8's bits of the flags u and v. */
const UNICODE = 0x10;
const UNICODE_SETS = 0x100;
const BACKSLASH = 0x5c;
/** Instead of an end tag: the value has no children, and was read. */
const LEAF = -1;
/** Instead of an end tag: only a prefix of a value was read. */
const PREFIX = -2;
/** As an end tag: one value, the cause of an error, whose other fields follow. */
const CAUSE = -3;
/** As an end tag: the outermost value. */
const TOP = -4;

/** The tag of an array that is written as its items in order. */
export const DENSE = 0x41;

const Tag = {
  PADDING: 0x00,
  OBJECT_COUNT: 0x3f,
  UNDEFINED: 0x5f,
  NULL: 0x30,
  TRUE: 0x54,
  FALSE: 0x46,
  HOLE: 0x2d,
  INT32: 0x49,
  UINT32: 0x55,
  DOUBLE: 0x4e,
  BIGINT: 0x5a,
  UTF8_STRING: 0x53,
  ONE_BYTE_STRING: 0x22,
  TWO_BYTE_STRING: 0x63,
  REFERENCE: 0x5e,
  OBJECT: 0x6f,
  END_OBJECT: 0x7b,
  SPARSE_ARRAY: 0x61,
  END_SPARSE_ARRAY: 0x40,
  DENSE_ARRAY: DENSE,
  END_DENSE_ARRAY: 0x24,
  DATE: 0x44,
  TRUE_OBJECT: 0x79,
  FALSE_OBJECT: 0x78,
  NUMBER_OBJECT: 0x6e,
  BIGINT_OBJECT: 0x7a,
  STRING_OBJECT: 0x73,
  REGEXP: 0x52,
  MAP: 0x3b,
  END_MAP: 0x3a,
  SET: 0x27,
  END_SET: 0x2c,
  ARRAY_BUFFER: 0x42,
  RESIZABLE_ARRAY_BUFFER: 0x7e,
  VIEW: 0x56,
  HOST_OBJECT: 0x5c,
  ERROR: 0x72,
} as const;

function newer(what: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CODEC",
    `this runtime does not have ${what}; read it with a newer Node.`,
  );
}

function cutShort(): Error {
  return new Error("it is cut short.");
}
