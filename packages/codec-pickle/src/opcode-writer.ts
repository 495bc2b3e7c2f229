import { allocateBytes, allocateEncoded, byteLengthOf } from "@partd/core/author";
import { Op } from "./opcodes.js";
import { Refusal } from "./python/object.js";

/** Writes the opcodes of one pickle. Integers are little-endian, floats big-endian. */
export class OpcodeWriter {
  readonly #protocol: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #position = 0;

  /** @param room bytes to begin with. */
  constructor(protocol: number, room: number) {
    this.#protocol = protocol;
    this.#bytes = allocateBytes(room) as Uint8Array<ArrayBuffer>;
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset);
    this.#op8(Op.PROTO, protocol);
  }

  /** The pickle. A long one is not copied: do not use the writer again. */
  finish(): Uint8Array {
    this.op(Op.STOP);
    const bytes = this.#bytes.subarray(0, this.#position);
    if (this.#position > LONG) return bytes;
    const encoded = allocateEncoded(this.#position);
    encoded.set(bytes);
    return encoded;
  }

  /** An opcode without an argument. */
  op(opcode: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = opcode;
  }

  /** Writes a safe integer as an int, any other number as a float. */
  number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.float(value);
    } else if (value >= 0 && value < 0x100) {
      this.#op8(Op.BININT1, value);
    } else if (value >= 0 && value < 0x10000) {
      this.#op16(Op.BININT2, value);
    } else if (value === (value | 0)) {
      this.#op32(Op.BININT, value);
    } else {
      this.#safeInteger(value);
    }
  }

  float(value: number): void {
    const at = this.#reserve(9);
    this.#bytes[at] = Op.BINFLOAT;
    this.#view.setFloat64(at + 1, value);
  }

  /** Writes a BigInt as an int. */
  integer(value: bigint): void {
    if (value >= -0x8000_0000n && value < 0x8000_0000n) this.number(Number(value));
    else this.#long(value);
  }

  /** Writes a text as UTF-8. */
  text(value: string): void {
    // Leave room for the header that the text needs if it is ASCII.
    const head = this.#protocol >= 4 && value.length < 0x100 ? 2 : 5;
    const start = this.#reserve(5 + value.length * 3);
    let written = value.length <= SHORT ? this.#ascii(value, start + head) : -1;
    if (written < 0) {
      written = value.isWellFormed()
        ? utf8.encodeInto(value, this.#bytes.subarray(start + head)).written
        : this.#halves(value, start + head);
    }
    const needed = this.#protocol >= 4 && written < 0x100 ? 2 : 5;
    if (needed !== head) {
      this.#bytes.copyWithin(start + needed, start + head, start + head + written);
    }
    this.#bytes[start] = needed === 2 ? Op.SHORT_BINUNICODE : Op.BINUNICODE;
    if (needed === 2) this.#bytes[start + 1] = written;
    else this.#view.setUint32(start + 1, written, true);
    this.#position = start + needed + written;
  }

  /** Writes bytes, from protocol 3 on. */
  bytes(value: Uint8Array): void {
    const byteLength = byteLengthOf.call(value);
    if (byteLength < 0x100) this.#op8(Op.SHORT_BINBYTES, byteLength);
    else this.#op32(Op.BINBYTES, checkedLength(byteLength));
    this.#raw(value);
  }

  /** Writes a bytearray, from protocol 5 on. */
  byteArray(value: Uint8Array): void {
    this.#op32(Op.BYTEARRAY8, checkedLength(byteLengthOf.call(value)));
    const at = this.#reserve(4); // The upper half of the length.
    this.#view.setUint32(at, 0, true);
    this.#raw(value);
  }

  /** Writes a name, below protocol 4. */
  global(module: string, name: string): void {
    const text = `${module}\n${name}\n`;
    this.op(Op.GLOBAL);
    const at = this.#reserve(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[at + i] = text.charCodeAt(i);
  }

  /**
   * Gives the value that was written the memo's next place.
   *
   * @param opcode makes the value, if that is not written yet.
   */
  memoize(place: number, opcode?: number): void {
    if (this.#protocol < 4) {
      if (opcode !== undefined) this.op(opcode);
      this.#place(place, Op.BINPUT, Op.LONG_BINPUT);
    } else if (opcode === undefined) this.op(Op.MEMOIZE);
    else this.#op8(opcode, Op.MEMOIZE);
  }

  /** Refers to a place of the memo. */
  get(place: number): void {
    this.#place(place, Op.BINGET, Op.LONG_BINGET);
  }

  #place(place: number, short: number, long: number): void {
    if (place < 0x100) this.#op8(short, place);
    else this.#op32(long, place);
  }

  /** An opcode and an argument of a byte; together they take half the time. */
  #op8(opcode: number, value: number): void {
    const at = this.#reserve(2);
    this.#bytes[at] = opcode;
    this.#bytes[at + 1] = value;
  }

  #op16(opcode: number, value: number): void {
    const at = this.#reserve(3);
    this.#bytes[at] = opcode;
    this.#bytes[at + 1] = value;
    this.#bytes[at + 2] = value >> 8;
  }

  #op32(opcode: number, value: number): void {
    const at = this.#reserve(5);
    this.#bytes[at] = opcode;
    this.#view.setUint32(at + 1, value, true);
  }

  #raw(value: Uint8Array): void {
    const at = this.#reserve(byteLengthOf.call(value));
    this.#bytes.set(value, at);
  }

  /** Writes a BigInt in the fewest bytes that hold its sign, too. */
  #long(value: bigint): void {
    const digits = twosComplement(value);
    const count = digits.length / 2;
    if (count < 0x100) this.#op8(Op.LONG1, count);
    else this.#op32(Op.LONG4, count);
    const start = this.#reserve(count);
    for (let i = 0; i < count; i++) {
      const at = (count - 1 - i) * 2;
      this.#bytes[start + i] = Number.parseInt(digits.slice(at, at + 2), 16);
    }
  }

  /** Writes a safe integer the same way, without the cost of a BigInt. */
  #safeInteger(value: number): void {
    const magnitude = value < 0 ? -value - 1 : value;
    let count = 5;
    while (magnitude >= 2 ** (count * 8 - 1)) count++;
    this.#op8(Op.LONG1, count);
    const start = this.#reserve(count);
    for (let i = 0, rest = value; i < count; i++, rest = Math.floor(rest / 0x100)) {
      this.#bytes[start + i] = rest - Math.floor(rest / 0x100) * 0x100;
    }
  }

  /** Writes UTF-8 in which half a surrogate pair takes three bytes of its own, as in Python. */
  #halves(value: string, at: number): number {
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
  #ascii(value: string, at: number): number {
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

/** Two's complement in the fewest bytes that hold the sign, too: big-endian hexadecimal. */
function twosComplement(value: bigint): string {
  const nibbles = (value < 0n ? -value - 1n : value).toString(16);
  const signFits = nibbles.length % 2 === 1 || Number.parseInt(nibbles.slice(0, 2), 16) < 0x80;
  const count = Math.ceil(nibbles.length / 2) + (signFits ? 0 : 1);
  return BigInt.asUintN(count * 8, value)
    .toString(16)
    .padStart(count * 2, "0");
}

function checkedLength(byteLength: number): number {
  if (byteLength < 2 ** 32) return byteLength;
  throw new Refusal("4 GiB or more in one item");
}
