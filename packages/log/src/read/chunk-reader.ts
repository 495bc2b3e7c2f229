import { SHORT } from "./divider.js";
import { type Chunk, NO_SPAN, type Span } from "./partition.js";
import type { Slots } from "./slots.js";

/** Goes through the chunks of a partition in their order, some entries at a time. */
export class ChunkReader {
  readonly #slots: Slots;
  #bytes = NO_SPAN;
  #words = NO_SPAN.words();
  /** The word behind the next one, and the end of them: they are read backwards. */
  #word = 0;
  #wordEnd = 0;
  /** Where the next bytes are, and the end of those in the chunk. */
  #front = 0;
  #frontEnd = 0;
  /** Bytes of the last entry that are in later chunks. */
  #left = 0;
  /** Of the last entry: its place in the partition, and the number of its key. */
  #row = -1;
  #number = 0;

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  begin({ bytes, start, end }: Chunk): void {
    if (bytes !== this.#bytes) this.#words = bytes.words();
    this.#bytes = bytes;
    this.#word = end / 4 - 1;
    this.#front = start;
    this.#frontEnd = start + (this.#words[this.#word] as number);
    this.#wordEnd = Math.ceil(this.#frontEnd / 4);
  }

  /** Numbers keys and sums up lengths; false at the end of the chunk. */
  count(): boolean {
    const slots = this.#slots;
    this.#rest();
    for (let i = 0; i < SOME; i++) {
      const length = this.#next(true);
      if (length === NONE) return false;
      slots.add(this.#row, this.#number, length);
      this.#take(length);
    }
    return true;
  }

  /**
   * Copies values of the slots `from` to `to`, each to where it ends so far; false at the end of the
   * chunk.
   */
  copy(target: Span, ends: Float64Array, from: number, to: number): boolean {
    const slots = this.#slots;
    const bytes = this.#bytes;
    let start = this.#front;
    let length = this.#rest();
    for (let i = 0; ; i++) {
      if (length > 0) {
        const slot = slots.slotOf(this.#number);
        if (slot >= from && slot < to && slots.counts(this.#row, slot)) {
          const end = ends[slot - from] as number;
          target.copy(end, bytes, start, length);
          ends[slot - from] = end + length;
        }
      }
      if (i === SOME) return true;
      length = this.#next(false);
      if (length === NONE) return false;
      start = this.#front;
      length = this.#take(length);
    }
  }

  /** Where the bytes of one value lie in the chunk. */
  *rangesOf(slot: number): Generator<readonly [from: number, to: number], void, undefined> {
    const slots = this.#slots;
    let start = this.#front;
    for (let length = this.#rest(); length !== NONE; ) {
      if (length > 0 && slots.slotOf(this.#number) === slot && slots.counts(this.#row, slot)) {
        yield [start, start + length];
      }
      const next = this.#next(false);
      if (next === NONE) return;
      start = this.#front;
      length = this.#take(next);
    }
  }

  /**
   * Goes to the next entry, and past the keys that are defined before it.
   *
   * @returns its length, or {@link NONE} at the end of the chunk.
   */
  #next(defines: boolean): number {
    const words = this.#words;
    while (this.#word > this.#wordEnd) {
      const word = words[--this.#word] as number;
      let number = 0;
      let length = word;
      if (word >= SHORT) {
        number = Math.floor(word / SHORT);
        length = word % SHORT;
      } else if (word === 0) {
        number = words[--this.#word] as number;
        length = words[--this.#word] as number;
      }
      if (number > 0) {
        this.#row++;
        this.#number = number;
        return length;
      }
      if (defines) this.#slots.define(this.#bytes.bytes, this.#front, this.#front + length);
      this.#front += length;
    }
    return NONE;
  }

  /** Passes the bytes of an entry; those that are in the chunk are counted. */
  #take(length: number): number {
    const taken = Math.min(length, this.#frontEnd - this.#front);
    this.#front += taken;
    this.#left = length - taken;
    return taken;
  }

  #rest(): number {
    return this.#left > 0 ? this.#take(this.#left) : 0;
  }
}

/** No entry. */
const NONE = -1;
/** Entries that are read in one go: some 100 µs. */
const SOME = 1024;
