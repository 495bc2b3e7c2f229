import { sameBytes } from "../spill/same-bytes.js";

/** Numbers encoded keys from 0 on, in the order in which they are seen first. */
export class KeyIndex {
  count = 0;
  /** The keys end to end. */
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  /** Where each key ends. */
  #ends: Float64Array<ArrayBuffer> = new Float64Array(256);
  #hashes: Uint32Array<ArrayBuffer> = new Uint32Array(256);
  /** Keys by hash: number and 1, or 0 where there is none. */
  #slots = new Uint32Array(512);

  /** Bytes that the keys take, with their table and room to grow. */
  get byteLength(): number {
    return 1.5 * this.#length + BYTES_PER_KEY * this.count;
  }

  get #length(): number {
    return this.count === 0 ? 0 : this.#ends[this.count - 1]!;
  }

  /** Forgets all keys, and keeps the memory for others. */
  clear(): void {
    this.count = 0;
    this.#slots.fill(0);
  }

  /** The key's number, or -1. */
  find(keys: Uint8Array, start: number, end: number, low: number, high: number): number {
    const hash = fold(low, high);
    const mask = this.#slots.length - 1;
    for (let slot = spread(hash) & mask; ; slot = (slot + 1) & mask) {
      const index = this.#slots[slot]! - 1;
      if (index < 0) return -1;
      if (this.#hashes[index] !== hash) continue;
      const from = index === 0 ? 0 : this.#ends[index - 1]!;
      if (sameBytes(this.#bytes, from, this.#ends[index]!, keys, start, end)) return index;
    }
  }

  /** Adds a key that is not there, and returns its number. */
  add(keys: Uint8Array, start: number, end: number, low: number, high: number): number {
    const index = this.count++;
    const from = index === 0 ? 0 : this.#ends[index - 1]!;
    const length = end - start;
    if (from + length > this.#bytes.length) {
      this.#bytes = grown(this.#bytes, new Uint8Array(Math.ceil(1.5 * (from + length))));
    }
    for (let i = 0; i < length; i++) this.#bytes[from + i] = keys[start + i]!;
    if (index === this.#ends.length) {
      const room = Math.ceil(index * 1.5);
      this.#ends = grown(this.#ends, new Float64Array(room));
      this.#hashes = grown(this.#hashes, new Uint32Array(room));
    }
    this.#ends[index] = from + length;
    this.#hashes[index] = fold(low, high);
    if (2 * this.count > this.#slots.length) this.#widen();
    else this.#put(index);
    return index;
  }

  #put(index: number): void {
    const mask = this.#slots.length - 1;
    let slot = spread(this.#hashes[index]!) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = index + 1;
  }

  #widen(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let index = 0; index < this.count; index++) this.#put(index);
  }

  /** Passes where the key of that number lies. */
  at<T>(index: number, use: (bytes: Uint8Array, start: number, end: number) => T): T {
    return use(this.#bytes, index === 0 ? 0 : this.#ends[index - 1]!, this.#ends[index]!);
  }
}

/** An end, a hash and two to four slots, and half of the first two again while they grow. */
const BYTES_PER_KEY = 18 + 16;

/** 32 bits of a hash, in which the chains of one level still differ. */
function fold(low: number, high: number): number {
  return (low ^ Math.imul(high, 0x9e3779b1)) >>> 0;
}

function spread(hash: number): number {
  return Math.imul(hash, 0x85ebca6b) >>> 7;
}

function grown<A extends Uint8Array | Uint32Array | Float64Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
