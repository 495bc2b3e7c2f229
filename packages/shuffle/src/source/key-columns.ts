import { releaseBytes } from "@partd/core/author";
import { hashKey } from "@partd/records";
import { LONG_BYTES } from "../spill/frame.js";

/** Encoded keys end to end, with their places and hashes, in arrays that are used again. */
export class KeyColumns {
  count = 0;
  keys: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  keyStarts = new Uint32Array(FIRST_COUNT);
  keyEnds = new Uint32Array(FIRST_COUNT);
  hashLow = new Uint32Array(FIRST_COUNT);
  hashHigh = new Uint32Array(FIRST_COUNT);
  /** The memory of `keys`. */
  #buffer = Buffer.alloc(0);
  #length = 0;

  constructor() {
    this.#makeRoom(1 << 14);
  }

  /** Adds a key with its hash, or with the 64 bits by which it is sorted. */
  add(bytes: Uint8Array, start: number, end: number, low: number, high: number): void {
    const length = end - start;
    this.#makeRoom(length);
    if (length <= 32) {
      for (let i = 0; i < length; i++) this.keys[this.#length + i] = bytes[start + i]!;
    } else {
      this.keys.set(bytes.subarray(start, end), this.#length);
    }
    this.#end(length, low, high);
  }

  /** Adds the first key, which may be as long as memory, without a copy: its array is ours from now on. */
  adopt(buffer: Buffer<ArrayBuffer>, length: number, low: number, high: number): void {
    this.#setMemory(buffer);
    this.#end(length, low, high);
  }

  /** Adds an encoded key. */
  addKey(bytes: Uint8Array): void {
    const { low, high } = hashKey(bytes, 0, bytes.length);
    this.add(bytes, 0, bytes.length, low, high);
  }

  /** Adds a key with this encoding. Making an array for each key would be most of the work. */
  addText(text: string): void {
    this.#makeRoom(3 * text.length);
    const length = this.#buffer.write(text, this.#length);
    const { low, high } = hashKey(this.keys, this.#length, this.#length + length);
    this.#end(length, low, high);
  }

  #end(length: number, low: number, high: number): void {
    const index = this.count++;
    if (index === this.keyStarts.length) this.#grow();
    this.keyStarts[index] = this.#length;
    this.#length += length;
    this.keyEnds[index] = this.#length;
    this.hashLow[index] = low;
    this.hashHigh[index] = high;
  }

  #makeRoom(length: number): void {
    const needed = this.#length + length;
    if (needed <= this.keys.length) return;
    const grown = Buffer.allocUnsafeSlow(2 * needed);
    grown.set(this.keys.subarray(0, this.#length));
    this.#setMemory(grown);
  }

  /** Frees an outgrown array at once, if it is long. */
  #setMemory(buffer: Buffer<ArrayBuffer>): void {
    if (this.keys.length >= LONG_BYTES) releaseBytes(this.keys);
    this.#buffer = buffer;
    // Not a Buffer, whose `slice` makes no copy.
    this.keys = new Uint8Array(buffer.buffer);
  }

  #grow(): void {
    this.keyStarts = doubled(this.keyStarts);
    this.keyEnds = doubled(this.keyEnds);
    this.hashLow = doubled(this.hashLow);
    this.hashHigh = doubled(this.hashHigh);
  }

  clear(): void {
    this.count = 0;
    this.#length = 0;
    // Do not keep the memory of one huge key.
    if (this.keys.length >= LARGE) this.#setMemory(Buffer.allocUnsafeSlow(1 << 15));
  }
}

const FIRST_COUNT = 4096;
/** Bytes of keys whose memory is not kept for the next batch. */
const LARGE = 8 << 20;

function doubled(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(2 * array.length);
  larger.set(array);
  return larger;
}
