import { KeyTable } from "../index/key-table.js";
import { grown, grownSize } from "../index/range-columns.js";

/** The keys of a partition, each in a slot, and how long their values are. */
export class Slots {
  readonly #keys: KeyTable;
  /** The slot of each definition, which are numbered from 1: each segment has its own of a key. */
  #slotOf: Uint32Array;
  #defined = 0;
  #lengths: Float64Array;
  /**
   * From which row on a key's bytes count, behind its last deletion: nothing until there is one.
   */
  #first: Uint32Array | undefined;

  /** Takes memory at once for as many as a partition like this one had. */
  constructor({ size, defined }: SlotCounts = NO_SLOTS) {
    this.#keys = new KeyTable(size);
    this.#slotOf = new Uint32Array(Math.max(FEWEST, defined + 1));
    this.#lengths = new Float64Array(Math.max(FEWEST, size));
  }

  get size(): number {
    return this.#keys.size;
  }

  get defined(): number {
    return this.#defined;
  }

  define(bytes: Buffer, from: number, to: number): void {
    const slot = this.#keys.numberOf(bytes, from, to);
    const number = ++this.#defined;
    if (number === this.#slotOf.length) {
      this.#slotOf = grown(this.#slotOf, grownSize(number, number + 1));
    }
    this.#slotOf[number] = slot;
    if (slot < this.#lengths.length) return;
    const size = grownSize(slot, slot + 1);
    this.#lengths = grown(this.#lengths, size);
    if (this.#first) this.#first = grown(this.#first, size);
  }

  /** Adds to the value of a definition. */
  add(row: number, number: number, length: number): void {
    const slot = this.#slotOf[number] as number;
    if (length > 0) (this.#lengths[slot] as number) += length;
    else {
      this.#lengths[slot] = 0;
      this.#first ??= new Uint32Array(this.#lengths.length);
      this.#first[slot] = row + 1;
    }
  }

  key(slot: number): string {
    return this.#keys.text(slot);
  }

  length(slot: number): number {
    return this.#lengths[slot] as number;
  }

  slotOf(number: number): number {
    return this.#slotOf[number] as number;
  }

  /** Whether the row is part of the value of its slot. */
  counts(row: number, slot: number): boolean {
    return this.#first === undefined || row >= (this.#first[slot] as number);
  }

  /** Bytes of the values from `from` to `to`. */
  bytesOf(from: number, to: number): number {
    let sum = 0;
    for (let slot = from; slot < to; slot++) sum += this.#lengths[slot] as number;
    return sum;
  }

  /** Where each of the values begins, when they are laid end to end. */
  layOut(from: number, to: number): Float64Array {
    const starts = new Float64Array(to - from);
    for (let slot = from, at = 0; slot < to; slot++) {
      starts[slot - from] = at;
      at += this.#lengths[slot] as number;
    }
    return starts;
  }
}

/** How many keys and definitions of them there are. */
export type SlotCounts = Pick<Slots, "size" | "defined">;

export const NO_SLOTS: SlotCounts = { size: 0, defined: 0 };
const FEWEST = 1024;
