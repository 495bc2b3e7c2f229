import { allocateBytes, allocateEncoded, byteLengthOf } from "@partd/core/author";
import { TIMESTAMP } from "./extension.js";

/** Writes the parts of MessagePack into a buffer that grows. */
export class MsgPackWriter {
  #bytes = new Uint8Array(START_SIZE);
  #view = new DataView(this.#bytes.buffer);
  #position = 0;

  get position(): number {
    return this.#position;
  }

  /** The byte at a position that was written. */
  at(position: number): number {
    return this.#bytes[position] as number;
  }

  /** Begins a new value. */
  reset(): void {
    this.#position = 0;
    if (this.#bytes.byteLength > KEPT_SIZE) this.#resize(START_SIZE);
  }

  /** What was written since the last {@link reset}, which the caller may keep. */
  finish(): Uint8Array {
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

  byte(value: number): void {
    const at = this.#reserve(1); // Before `#bytes` is read: the buffer may be replaced.
    this.#bytes[at] = value;
  }

  /** Room is reserved once, for the longest form: for a list of numbers that is a third of the work. */
  number(value: number): void {
    const at = this.#reserve(9);
    const bytes = this.#bytes;
    let length: number;
    if ((value | 0) !== value || Object.is(value, -0)) {
      length = this.#wideNumber(value, at);
    } else if (value >= -0x20 && value < 0x80) {
      bytes[at] = value;
      length = 1;
    } else if (value >= -0x80 && value < 0x100) {
      bytes[at] = value < 0 ? 0xd0 : 0xcc;
      bytes[at + 1] = value;
      length = 2;
    } else if (value >= -0x8000 && value < 0x10000) {
      bytes[at] = value < 0 ? 0xd1 : 0xcd;
      bytes[at + 1] = value >> 8;
      bytes[at + 2] = value;
      length = 3;
    } else {
      bytes[at] = value < 0 ? 0xd2 : 0xce;
      this.#view.setInt32(at + 1, value);
      length = 5;
    }
    this.#position = at + length;
  }

  /** Writes what is no integer of 32 bits with a sign. */
  #wideNumber(value: number, at: number): number {
    if (!Number.isSafeInteger(value) || value === 0) {
      this.#bytes[at] = 0xcb;
      this.#view.setFloat64(at + 1, value);
      return 9;
    }
    if (value > 0 && value < 2 ** 32) {
      this.#bytes[at] = 0xce;
      this.#view.setUint32(at + 1, value);
      return 5;
    }
    this.#bytes[at] = value < 0 ? 0xd3 : 0xcf;
    this.#view.setBigInt64(at + 1, BigInt(value));
    return 9;
  }

  /**
   * A Date in the shortest of the three forms (MessagePack specification, "Timestamp extension type").
   */
  timestamp(ms: number): void {
    if (Number.isNaN(ms)) throw refuse("an invalid Date");
    const seconds = Math.floor(ms / 1000);
    const nanoseconds = (ms - seconds * 1000) * 1e6;
    const at = this.#reserve(15);
    const bytes = this.#bytes;
    const view = this.#view;
    let length: number;
    if (seconds < 0 || seconds >= 2 ** 34) {
      bytes[at] = 0xc7;
      bytes[at + 1] = 12;
      bytes[at + 2] = TIMESTAMP;
      view.setUint32(at + 3, nanoseconds);
      view.setBigInt64(at + 7, BigInt(seconds));
      length = 15;
    } else if (nanoseconds > 0 || seconds >= 2 ** 32) {
      bytes[at] = 0xd7;
      bytes[at + 1] = TIMESTAMP;
      // 30 bits of nanoseconds, then 34 of seconds.
      view.setUint32(at + 2, nanoseconds * 4 + Math.floor(seconds / 2 ** 32));
      view.setUint32(at + 6, seconds);
      length = 10;
    } else {
      bytes[at] = 0xd6;
      bytes[at + 1] = TIMESTAMP;
      view.setUint32(at + 2, seconds);
      length = 6;
    }
    this.#position = at + length;
  }

  int64(code: number, value: bigint): void {
    const at = this.#reserve(9);
    this.#bytes[at] = code;
    this.#view.setBigUint64(at + 1, BigInt.asUintN(64, value));
  }

  string(value: string): void {
    if (value.length <= SHORT) this.#shortString(value);
    else this.#longString(value);
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
    if (length < 32) this.byte(0xa0 | length);
    else this.head(length, 0xd9, 0xda, 0xdb);
  }

  /** Writes a code and a count of 8, 16 or 32 bits. */
  head(count: number, code8: number | undefined, code16: number, code32: number): void {
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

  raw(data: Uint8Array): void {
    const at = this.#reserve(byteLengthOf.call(data));
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
const HALF_PAIR = "a string with half a surrogate pair, which has no UTF-8 form";
const utf8 = new TextEncoder();

function headLength(byteLength: number): number {
  if (byteLength < 32) return 1;
  if (byteLength < 0x100) return 2;
  return byteLength < 0x10000 ? 3 : 5;
}

/** What MessagePack cannot carry. */
export class Refusal extends Error {}

export function refuse(what: string): Refusal {
  return new Refusal(what);
}
