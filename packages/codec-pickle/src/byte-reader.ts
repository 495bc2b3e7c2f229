import { decodeText } from "./text.js";

/** Bytes that are read from front to back. Numbers have the lowest byte first, but for floats. */
export class ByteReader {
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

  /** Above 2^53 inexact, which is past the end all the same. */
  uint64(): number {
    const low = this.uint32();
    return low + this.uint32() * 2 ** 32;
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8));
  }

  /** Two's complement of `length` bytes; a number where it is short enough to be exact. */
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
    return decodeText(this.#bytes, this.#take(length), length);
  }

  /** A view. */
  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  /** A name, up to the end of its line. */
  line(): string {
    const start = this.#position;
    const length = this.#bytes.subarray(start, start + MAX_NAME).indexOf(0x0a);
    if (length < 0) throw new Error("it asks for something without a name.");
    this.#take(length + 1);
    return decodeText(this.#bytes, start, length);
  }

  #take(length: number): number {
    const start = this.#position;
    if (length > this.#bytes.byteLength - start) throw new Error("it is cut short.");
    this.#position = start + length;
    return start;
  }
}

const MAX_NAME = 256;
