import { allocateBytes } from "../memory/bytes.js";
import type { Codec } from "./codec.js";

/**
 * Memory that each `get` reuses to read encoded bytes into: new memory for each took a tenth of reading
 * 1 MiB through Snappy. Only for codecs whose values have memory of their own.
 */
export class Scratch {
  #memory = spare;
  #used = 0;

  constructor() {
    spare = undefined; // A call that overlaps with this one gets memory of its own.
  }

  readonly allocate = (byteLength: number): Uint8Array => {
    if (byteLength < WORTH_IT || byteLength > LARGEST - this.#used)
      return allocateBytes(byteLength);
    if (this.#memory === undefined || this.#used + byteLength > this.#memory.byteLength) {
      // What was read into the former memory stays there.
      this.#memory = allocateBytes(Math.min(2 * (this.#used + byteLength), LARGEST));
      this.#used = 0;
    }
    const bytes = this.#memory.subarray(this.#used, this.#used + byteLength);
    this.#used += byteLength;
    return bytes;
  };

  /** Call this once nothing can read or write the memory. After an error, a read may still run. */
  giveBack(): void {
    spare = this.#memory;
  }
}

let spare: Uint8Array | undefined;
/** The most bytes that a process keeps. */
const LARGEST = 4 * 2 ** 20;
const WORTH_IT = 16 * 2 ** 10;

/** The codecs whose values are in memory of their own, never views of the encoded bytes. */
const copying = new WeakSet<object>();

/** Promises that the codec's values are in memory of their own. */
export function copies<V>(codec: Codec<V>): Codec<V> {
  copying.add(codec);
  return codec;
}

export function isCopying<V>(codec: Codec<V>): boolean {
  return copying.has(codec);
}
