import { allocateBytes } from "@partd/core/author";

/**
 * Memory for the values of an answer. A store reads them into it as they will be sent, in order, each
 * behind its head: one copy between the store and the system instead of three.
 */
export class ValueBlock {
  readonly #take: () => Uint8Array<ArrayBuffer>;
  #memory: Uint8Array<ArrayBuffer> | undefined;
  #offset = 0;
  readonly #places: Uint8Array[] = [];

  /** @param take allocates the memory; called when the store begins to read, which may be late. */
  constructor(take: () => Uint8Array<ArrayBuffer>) {
    this.#take = take;
  }

  /** The memory in which the values lie. */
  get memory(): Uint8Array<ArrayBuffer> {
    this.#memory ??= this.#take();
    return this.#memory;
  }

  /** For `GetOptions.allocate`. */
  readonly allocate = (byteLength: number): Uint8Array => {
    const fits = this.#offset + SEGMENT_HEAD + byteLength <= this.memory.byteLength;
    const place = fits ? this.#place(byteLength) : allocateBytes(byteLength);
    this.#places.push(place);
    return place;
  };

  /** Whether all the values lie in this block. */
  holds(values: readonly Uint8Array[]): boolean {
    return (
      values.length === this.#places.length &&
      values.every((value, i) => value === this.#places[i] && value.buffer === this.memory.buffer)
    );
  }

  /** The values with their heads. */
  get bytes(): Uint8Array {
    return this.memory.subarray(0, this.#offset);
  }

  #place(byteLength: number): Uint8Array {
    let head = byteLength * 2;
    for (; head >= 0x80; head >>>= 7) this.memory[this.#offset++] = (head & 0x7f) | 0x80;
    this.memory[this.#offset++] = head;
    const start = this.#offset;
    this.#offset += byteLength;
    return this.memory.subarray(start, this.#offset);
  }
}

/** The longest head of a value: a block is far shorter than 2^27 bytes. */
export const SEGMENT_HEAD = 4;
