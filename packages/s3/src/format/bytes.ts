/**
 * Reads what a {@link ByteWriter} wrote. Throws `RangeError` for bytes that are cut short or out of
 * range.
 */
export class ByteReader {
  readonly bytes: Buffer;
  at: number;
  readonly #end: number;

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#end;
  }

  uint32(): number {
    this.#check(4);
    this.at += 4;
    return this.bytes.readUInt32LE(this.at - 4);
  }

  uint53(): number {
    const low = this.uint32();
    const high = this.uint32();
    if (high >= 2 ** 21) throw new RangeError("a number is too large");
    return high * 2 ** 32 + low;
  }

  varint(): number {
    let value = 0;
    for (let place = 1; ; place *= 128) {
      this.#check(1);
      const byte = this.bytes[this.at++] as number;
      value += (byte & 127) * place;
      if (value > Number.MAX_SAFE_INTEGER) throw new RangeError("a number is too large");
      if (byte < 128) return value;
    }
  }

  skip(length: number): void {
    this.#check(length);
    this.at += length;
  }

  #check(length: number): void {
    if (this.at + length > this.#end) throw new RangeError("it is cut short");
  }
}

/** Appends numbers and bytes to growing memory. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafeSlow(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The bytes written. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Begins anew, in the same memory. */
  clear(): void {
    this.#length = 0;
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#length = this.#bytes.writeUInt32LE(value, this.#length);
  }

  /** An integer below 2^53, in eight bytes. */
  uint53(value: number): void {
    this.#reserve(8);
    this.#bytes.writeUInt32LE(value % 2 ** 32, this.#length);
    this.#bytes.writeUInt32LE(Math.floor(value / 2 ** 32), this.#length + 4);
    this.#length += 8;
  }

  /** An integer below 2^53, seven bits in a byte, lowest first. */
  varint(value: number): void {
    this.#reserve(8);
    let left = value;
    for (; left > 127; left = Math.floor(left / 128)) {
      this.#bytes[this.#length++] = (left % 128) | 128;
    }
    this.#bytes[this.#length++] = left;
  }

  /** Characters below 128. */
  ascii(text: string): void {
    this.#reserve(text.length);
    this.#length += this.#bytes.write(text, this.#length, "latin1");
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(room: number): void {
    if (this.#length + room <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + room));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}
