import { allocateBytes } from "@partd/core/author";

/** Bytes that grow. Numbers have the lowest byte first, but for floats. */
export class ByteWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #position = 0;

  byte(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  uint16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, true);
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
   * UTF-8 behind its length: of one byte, where there is an opcode for that and it is enough, else
   * of four.
   */
  text(value: string, short: number | undefined, long: number): void {
    // The header is left room for, in the form that the text will have unless it is not ASCII.
    const head = short !== undefined && value.length < 0x100 ? 2 : 5;
    const start = this.#reserve(5 + value.length * 3);
    let written = value.length <= SHORT ? this.#writeAscii(value, start + head) : -1;
    if (written < 0) {
      ({ written } = utf8.encodeInto(value, this.#bytes.subarray(start + head)));
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

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#position);
  }

  /** -1 where a character is not ASCII. A call into the runtime costs more than a short loop. */
  #writeAscii(value: string, at: number): number {
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) return -1;
      this.#bytes[at + i] = code;
    }
    return value.length;
  }

  #reserve(length: number): number {
    const at = this.#position;
    this.#position = at + length;
    if (this.#position > this.#bytes.byteLength) {
      const grown = allocateBytes(this.#position * 2) as Uint8Array<ArrayBuffer>;
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

/** UTF-16 units up to which a loop beats `encodeInto`. */
const SHORT = 40;
const utf8 = new TextEncoder();
