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
