import { allocateBytes, allocateEncoded } from "@partd/core/author";

/** Collects bytes. Integers are little-endian, floats big-endian. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #position = 0;

  /** @param room bytes to begin with. */
  constructor(room: number) {
    this.#bytes = allocateBytes(room) as Uint8Array<ArrayBuffer>;
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
  }

  byte(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  /** An opcode and an argument of a byte; together they take half the time. */
  op8(opcode: number, value: number): void {
    const at = this.#reserve(2);
    this.#bytes[at] = opcode;
    this.#bytes[at + 1] = value;
  }

  op16(opcode: number, value: number): void {
    const at = this.#reserve(3);
    this.#bytes[at] = opcode;
    this.#bytes[at + 1] = value;
    this.#bytes[at + 2] = value >> 8;
  }

  op32(opcode: number, value: number): void {
    const at = this.#reserve(5);
    this.#bytes[at] = opcode;
    this.#view.setUint32(at + 1, value, true);
  }

  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  float64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value);
  }

  bytes(value: Uint8Array): void {
    const at = this.#reserve(value.byteLength);
    this.#bytes.set(value, at);
  }

  ascii(value: string): void {
    const at = this.#reserve(value.length);
    for (let i = 0; i < value.length; i++) this.#bytes[at + i] = value.charCodeAt(i);
  }

  /**
   * Writes UTF-8 behind an opcode and its length: the opcode `short` with a length of one byte, if
   * there is such an opcode and the text is short enough, else `long` with four bytes.
   */
  text(value: string, short: number | undefined, long: number): void {
    // Leave room for the header that the text needs if it is ASCII.
    const head = short !== undefined && value.length < 0x100 ? 2 : 5;
    const start = this.#reserve(5 + value.length * 3);
    let written = value.length <= SHORT ? this.#writeAscii(value, start + head) : -1;
    if (written < 0) {
      written = value.isWellFormed()
        ? utf8.encodeInto(value, this.#bytes.subarray(start + head)).written
        : this.#writeHalves(value, start + head);
    }
    const needed = short !== undefined && written < 0x100 ? 2 : 5;
    if (needed !== head) {
      this.#bytes.copyWithin(start + needed, start + head, start + head + written);
    }
    this.#bytes[start] = needed === 2 ? (short as number) : long;
    if (needed === 2) this.#bytes[start + 1] = written;
    else this.#view.setUint32(start + 1, written, true);
    this.#position = start + needed + written;
  }

  /** The bytes written. Long ones are not copied: do not use the writer again. */
  finish(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#position);
    if (this.#position > LONG) return bytes;
    const encoded = allocateEncoded(this.#position);
    encoded.set(bytes);
    return encoded;
  }

  /** Writes UTF-8 in which half a surrogate pair takes three bytes of its own, as in Python. */
  #writeHalves(value: string, at: number): number {
    let end = at;
    for (const character of value) {
      const code = character.charCodeAt(0);
      if (character.length === 1 && (code & 0xf800) === 0xd800) {
        this.#bytes[end++] = 0xe0 | (code >> 12);
        this.#bytes[end++] = 0x80 | ((code >> 6) & 0x3f);
        this.#bytes[end++] = 0x80 | (code & 0x3f);
      } else end += utf8.encodeInto(character, this.#bytes.subarray(end)).written;
    }
    return end - at;
  }

  /**
   * Writes ASCII, or returns -1 for any other text. A call into the runtime costs more than a short
   * loop.
   */
  #writeAscii(value: string, at: number): number {
    const bytes = this.#bytes;
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return -1;
      bytes[at + i] = code;
    }
    return value.length;
  }

  #reserve(length: number): number {
    const at = this.#position;
    this.#position = at + length;
    if (this.#position > this.#bytes.byteLength) {
      // Double the buffer, but grow it by at most 64 MiB: twice a large one may be more than the
      // runtime can hold.
      const room = Math.min(this.#position, LONG);
      const grown = allocateBytes(this.#position + room) as Uint8Array<ArrayBuffer>;
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer, grown.byteOffset);
    }
    return at;
  }
}

/** Up to this many UTF-16 units a loop is faster than `encodeInto`. */
const SHORT = 40;
const LONG = 2 ** 26;
const utf8 = new TextEncoder();
