import { type Arena, Chain } from "./arena.js";
import { NONE } from "./slab.js";

/** The chains of an {@link Arena} by number, in typed arrays. */
export class Chains {
  #first = new Int32Array(0);
  #last = new Int32Array(0);
  /** An array that was given away may be longer than 2 GiB. */
  #skip = new Float64Array(0);
  #room = new Int32Array(0);
  /** Where the next byte goes, in the block of the last extent. */
  #end = new Int32Array(0);
  /** Up to where bytes may be added with nothing else to do: see `ease`. */
  #easy = new Int32Array(0);
  #length = new Float64Array(0);
  readonly #arena: Arena;
  readonly #chain = new Chain();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  length(number: number): number {
    return this.#length[number] as number;
  }

  /** Makes the chain of that number an empty one. */
  clear(number: number): void {
    if (number >= this.#length.length) this.#grow(Math.max(64, 2 * number));
    this.#first[number] = NONE;
    this.#last[number] = NONE;
    this.#skip[number] = 0;
    this.#room[number] = 0;
    this.#end[number] = 0;
    this.#easy[number] = 0;
    this.#length[number] = 0;
  }

  /**
   * Adds bytes if that is easy, as it is for most appends; answers whether it was. Else nothing has
   * happened, and it takes an `append` and an `ease`.
   */
  add(number: number, bytes: Uint8Array): boolean {
    const end = this.#end[number] as number;
    const length = bytes.byteLength;
    if (end + length > (this.#easy[number] as number)) return false;
    this.#arena.block(this.#last[number] as number).set(bytes, end);
    this.#end[number] = end + length;
    this.#room[number] = (this.#room[number] as number) - length;
    this.#length[number] = (this.#length[number] as number) + length;
    return true;
  }

  append(number: number, bytes: Uint8Array, owned: boolean): void {
    const chain = this.take(number);
    try {
      this.#arena.append(chain, bytes, owned);
    } finally {
      this.put(number, chain);
    }
  }

  /** `length` bytes more are easy to add, as far as there is room for them. */
  ease(number: number, length: number): void {
    this.#easy[number] =
      (this.#end[number] as number) + Math.min(this.#room[number] as number, length);
  }

  /** The chain as an object, which is the same one each time: to be put back if it was changed. */
  take(number: number): Chain {
    const chain = this.#chain;
    chain.first = this.#first[number] as number;
    chain.last = this.#last[number] as number;
    chain.skip = this.#skip[number] as number;
    chain.room = this.#room[number] as number;
    chain.end = this.#end[number] as number;
    chain.length = this.#length[number] as number;
    chain.block = this.#arena.block(chain.last);
    return chain;
  }

  put(number: number, chain: Chain): void {
    this.#first[number] = chain.first;
    this.#last[number] = chain.last;
    this.#skip[number] = chain.skip;
    this.#room[number] = chain.room;
    this.#end[number] = chain.end;
    this.#easy[number] = 0;
    this.#length[number] = chain.length;
  }

  /** Gives all memory back. */
  reset(): void {
    this.#grow(0);
  }

  #grow(capacity: number): void {
    this.#first = resized(this.#first, capacity);
    this.#last = resized(this.#last, capacity);
    this.#skip = resizedFloats(this.#skip, capacity);
    this.#room = resized(this.#room, capacity);
    this.#end = resized(this.#end, capacity);
    this.#easy = resized(this.#easy, capacity);
    this.#length = resizedFloats(this.#length, capacity);
  }
}

export function resized(numbers: Int32Array, capacity: number): Int32Array<ArrayBuffer> {
  const more = new Int32Array(capacity);
  more.set(numbers.subarray(0, capacity));
  return more;
}

function resizedFloats(numbers: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const more = new Float64Array(capacity);
  more.set(numbers.subarray(0, capacity));
  return more;
}
