import { allocateBytes } from "@partd/core/author";
import type { DivideMemory } from "./divider.js";

/** Keys with their whole values. */
export type EntryBatch = readonly (readonly [key: string, value: Uint8Array])[];

/** A key whose value is too long to be held in memory. */
export class LongEntry {
  readonly key: string;
  readonly length: number;
  readonly pieces: () => AsyncIterable<Uint8Array>;

  constructor(key: string, length: number, pieces: () => AsyncIterable<Uint8Array>) {
    this.key = key;
    this.length = length;
    this.pieces = pieces;
  }
}

/** Entries that are the only ones of their keys, as `compact` makes them: each is a whole value. */
export class LoneEntries {
  #batch: (readonly [string, Uint8Array])[] = [];
  #byteLength = 0;

  get isEmpty(): boolean {
    return this.#batch.length === 0;
  }

  /** Whether it is time to {@link take} them. */
  get isFull(): boolean {
    return this.#byteLength >= BATCH_BYTES || this.#batch.length >= BATCH_KEYS;
  }

  /** In bytes, of the values. */
  get byteLength(): number {
    return this.#byteLength;
  }

  take(): EntryBatch {
    const batch = this.#batch;
    this.#batch = [];
    this.#byteLength = 0;
    return batch;
  }

  /**
   * Adds the entries that `divide.c` has found. Small neighbours share memory. @returns the value of a
   * large one behind them, which the caller has to fill.
   */
  add(memory: DivideMemory, large: number): Uint8Array | undefined {
    const all = memory.exports.loneEntries();
    if (all === 0) return undefined;
    const words = memory.words(memory.out(0), all * LONE_WORDS);
    const hasLarge = large > 0 && words[LONE_WORDS * all - 1] === large;
    this.#addSmall(memory, words, hasLarge ? all - 1 : all);
    if (!hasLarge) return undefined;
    const value = allocateBytes(large);
    this.#batch.push([this.#keyAt(memory, words, all - 1), value]);
    this.#byteLength += large;
    return value;
  }

  #keyAt({ bytes }: DivideMemory, words: Uint32Array, i: number): string {
    const start = words[LONE_WORDS * i] as number;
    return bytes.toString("latin1", start, start + (words[LONE_WORDS * i + 1] as number));
  }

  #addSmall(memory: DivideMemory, words: Uint32Array, count: number): void {
    const valueAt = (i: number) => words[LONE_WORDS * i + 2] as number;
    const endOf = (i: number) => valueAt(i) + (words[LONE_WORDS * i + 3] as number);
    for (let i = 0; i < count; ) {
      const start = valueAt(i);
      let end = endOf(i);
      let stop = i + 1;
      while (stop < count && valueAt(stop) === end && endOf(stop) - start <= SHARED_BYTES) {
        end = endOf(stop++);
      }
      const { buffer } = new Uint8Array(memory.slice(start, end));
      for (; i < stop; i++) {
        const value = new Uint8Array(buffer, valueAt(i) - start, endOf(i) - valueAt(i));
        this.#batch.push([this.#keyAt(memory, words, i), value]);
      }
      this.#byteLength += end - start;
    }
  }
}

/** Words of an entry in the list. */
const LONE_WORDS = 4;
/** Values that are held at a time; a longer one is returned in pieces. */
export const HELD_BYTES = 32 * 2 ** 20;
/** The most bytes that small values share. */
export const SHARED_BYTES = 16 * 1024;
export const BATCH_KEYS = 512;
export const BATCH_BYTES = 2 ** 20;
