import { PartdError } from "@partd/core";
import { recordOf, ShortTexts, setField } from "@partd/core/author";
import { Ext, type Extension, TIMESTAMP } from "./extension.js";
import { MAX_DEPTH, type MsgPackFormatOptions } from "./options.js";

/**
 * Decodes MessagePack; see {@link MsgPackFormatOptions} for integers and maps. Bytes of 4 KiB or
 * more are views of the input. Nothing is allocated for a length before it is known that enough
 * bytes follow.
 */
export class MsgPackDecoder {
  readonly #integers: "auto" | "number" | "bigint";
  readonly #alwaysMap: boolean;
  readonly #extensions = new Map<number, Extension>();
  readonly #texts = new ShortTexts(decodeUtf8);
  #bytes: Uint8Array = new Uint8Array();
  #view = new DataView(this.#bytes.buffer);
  #position = 0;

  constructor(options: MsgPackFormatOptions = {}) {
    this.#integers = options.integers ?? "auto";
    this.#alwaysMap = options.maps === "map";
    for (const extension of options.extensions ?? []) {
      this.#extensions.set(extension.type, extension);
    }
  }

  /**
   * @throws `ERR_PARTD_CORRUPT` unless `bytes` are exactly one value; `ERR_PARTD_CODEC` for a string that
   *   is not UTF-8, and for an integer that `{ integers: "number" }` would round.
   */
  decode(bytes: Uint8Array): unknown {
    // An extension may call this decoder for nested values.
    const [outerBytes, outerView, outerPosition] = [this.#bytes, this.#view, this.#position];
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = 0;
    try {
      const value = this.#value();
      if (this.#position < bytes.byteLength) throw this.#corrupt("bytes follow the value");
      return value;
    } finally {
      this.#bytes = outerBytes;
      this.#view = outerView;
      this.#position = outerPosition;
    }
  }

  #value(): unknown {
    try {
      return this.#read(0);
    } catch (error) {
      if (error instanceof NotUtf8) {
        // MessagePack had one type for both until 2013.
        throw new PartdError(
          "ERR_PARTD_CODEC",
          "a string is not UTF-8: it is bytes, of a writer without the type bin (Python's use_bin_type=False), or damaged.",
        );
      }
      throw error;
    }
  }

  #read(depth: number): unknown {
    const at = this.#take(1);
    const code = this.#bytes[at] as number;
    if (code < 0x80) return this.#integers === "bigint" ? BigInt(code) : code;
    if (code < 0x90) return this.#map(code & 0x0f, depth);
    if (code < 0xa0) return this.#array(code & 0x0f, depth);
    if (code < 0xc0) return this.#string(code & 0x1f);
    if (code >= 0xe0) return this.#integers === "bigint" ? BigInt(code - 0x100) : code - 0x100;
    switch (code) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.#binary(this.#unsigned(code - 0xc4));
      case 0xc7:
      case 0xc8:
      case 0xc9:
        return this.#ext(this.#unsigned(code - 0xc7));
      case 0xca:
        return this.#view.getFloat32(this.#take(4));
      case 0xcb:
        return this.#view.getFloat64(this.#take(8));
      case 0xcc:
      case 0xcd:
      case 0xce: {
        const value = this.#unsigned(code - 0xcc);
        return this.#integers === "bigint" ? BigInt(value) : value;
      }
      case 0xcf:
        return this.#wide(this.#take(8), false);
      case 0xd0:
      case 0xd1:
      case 0xd2: {
        const value = this.#signed(code - 0xd0);
        return this.#integers === "bigint" ? BigInt(value) : value;
      }
      case 0xd3:
        return this.#wide(this.#take(8), true);
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#ext(2 ** (code - 0xd4));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.#string(this.#unsigned(code - 0xd9));
      case 0xdc:
      case 0xdd:
        return this.#array(this.#unsigned(code - 0xdb), depth);
      case 0xde:
      case 0xdf:
        return this.#map(this.#unsigned(code - 0xdd), depth);
      default:
        this.#position = at;
        throw this.#corrupt(`no value begins with 0x${code.toString(16)}`);
    }
  }

  /** An unsigned integer of 2 ** `log2` bytes. */
  #unsigned(log2: number): number {
    if (log2 === 0) return this.#bytes[this.#take(1)] as number;
    return log2 === 1 ? this.#view.getUint16(this.#take(2)) : this.#view.getUint32(this.#take(4));
  }

  #signed(log2: number): number {
    if (log2 === 0) return this.#view.getInt8(this.#take(1));
    return log2 === 1 ? this.#view.getInt16(this.#take(2)) : this.#view.getInt32(this.#take(4));
  }

  #wide(at: number, signed: boolean): number | bigint {
    const view = this.#view;
    if (this.#integers !== "bigint") {
      const high = signed ? view.getInt32(at) : view.getUint32(at);
      const value = high * 2 ** 32 + view.getUint32(at + 4);
      if (Number.isSafeInteger(value)) return value;
    }
    const exact = signed ? view.getBigInt64(at) : view.getBigUint64(at);
    if (this.#integers !== "number") return exact;
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `the integer ${exact} would be rounded; read with { integers: "auto" } to have it as a BigInt.`,
    );
  }

  #string(length: number): string {
    return this.#texts.decode(this.#bytes, this.#take(length), length);
  }

  #binary(length: number): Uint8Array {
    const at = this.#take(length);
    // Copy short ones: a view would keep the whole frame in memory.
    if (length < SMALLEST_VIEW) {
      return Uint8Array.prototype.slice.call(this.#bytes, at, at + length);
    }
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, length);
  }

  #ext(length: number): unknown {
    const type = this.#signed(0);
    const extension = this.#extensions.get(type);
    if (extension) return extension.decode(this.#binary(length));
    return type === TIMESTAMP ? this.#timestamp(length) : new Ext(type, this.#binary(length));
  }

  /** An Ext for a time that a Date, which counts whole milliseconds, cannot hold. */
  #timestamp(length: number): Date | Ext {
    const at = this.#take(length);
    const view = this.#view;
    let seconds = 0;
    let nanoseconds = 0;
    if (length === 4) seconds = view.getUint32(at);
    else if (length === 8) {
      const head = view.getUint32(at);
      nanoseconds = head >>> 2;
      seconds = (head & 3) * 2 ** 32 + view.getUint32(at + 4);
    } else if (length === 12) {
      nanoseconds = view.getUint32(at);
      seconds = Number(view.getBigInt64(at + 4));
    } else nanoseconds = 1e9;
    if (nanoseconds >= 1e9) throw this.#corrupt("a timestamp is none");
    const date = new Date(seconds * 1000 + nanoseconds / 1e6);
    if (nanoseconds % 1e6 === 0 && !Number.isNaN(date.getTime())) return date;
    return new Ext(TIMESTAMP, Uint8Array.prototype.slice.call(this.#bytes, at, at + length));
  }

  #array(length: number, depth: number): unknown[] {
    this.#enter(length, depth);
    const array: unknown[] = [];
    const isPlain = this.#integers !== "bigint";
    for (let i = 0; i < length; i++) {
      const code = this.#bytes[this.#position] as number;
      if (code < 0x80 && isPlain) {
        this.#position++;
        array.push(code);
      } else array.push(this.#read(depth + 1));
    }
    return array;
  }

  #map(size: number, depth: number): unknown {
    this.#enter(size * 2, depth);
    if (this.#alwaysMap) return this.#entries(new Map(), size, depth + 1);
    return this.#fill(recordOf(size), size, depth + 1);
  }

  /** Adds the entries to a record, or to a Map if a key is no text. */
  #fill(
    record: Record<string, unknown>,
    size: number,
    depth: number,
  ): Record<string, unknown> | Map<unknown, unknown> {
    for (let i = 0; i < size; i++) {
      const key = this.#key(depth);
      if (typeof key !== "string") {
        const map = new Map<unknown, unknown>(Object.entries(record));
        map.set(key, this.#read(depth));
        return this.#entries(map, size - i - 1, depth);
      }
      setField(record, key, this.#read(depth));
    }
    return record;
  }

  /**
   * Reads a key. Most are short strings, for which the way through `#read` would be a third of the
   * work.
   */
  #key(depth: number): unknown {
    const code = this.#bytes[this.#position] as number;
    if ((code & 0xe0) !== 0xa0) return this.#read(depth);
    this.#position++;
    return this.#string(code & 0x1f);
  }

  #entries(map: Map<unknown, unknown>, size: number, depth: number): Map<unknown, unknown> {
    for (let i = 0; i < size; i++) {
      const key = this.#read(depth);
      if (Number.isNaN(key) && map.has(key)) {
        throw new PartdError(
          "ERR_PARTD_CODEC",
          "a map has two keys that are NaN, which are one here.",
        );
      }
      map.set(key, this.#read(depth));
    }
    return map;
  }

  /** Refuses too many items and too many levels. Each item takes at least a byte. */
  #enter(items: number, depth: number): void {
    if (items > this.#bytes.byteLength - this.#position) throw this.#cutShort();
    if (depth >= MAX_DEPTH) throw this.#corrupt(`it is nested more than ${MAX_DEPTH} deep`);
  }

  #take(length: number): number {
    const at = this.#position;
    if (length > this.#bytes.byteLength - at) throw this.#cutShort();
    this.#position = at + length;
    return at;
  }

  #cutShort(): PartdError {
    return this.#corrupt("it ends within a value");
  }

  #corrupt(reason: string): PartdError {
    return new PartdError(
      "ERR_PARTD_CORRUPT",
      `not MessagePack: ${reason}, at byte ${this.#position} of the frame.`,
    );
  }
}

const SMALLEST_VIEW = 4096;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A class of its own, to tell it from what an extension throws. */
class NotUtf8 extends Error {}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new NotUtf8();
  }
}
