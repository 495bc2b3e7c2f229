import { keptText } from "../keys/keys.js";

/**
 * Assigns numbers to keys, from 0 up, and uses those of removed keys again. It is a hash table over
 * typed arrays: with a `Map` and an object for each, a million short keys would take three times
 * the memory, and far longer garbage collections.
 */
export class KeyTable {
  /** Number to key. */
  #names: (string | undefined)[] = [];
  /** Number to the hash of its key. */
  #hashes = new Int32Array(LEAST);
  /** Open addressing with linear probing, at most half full: a key's number, or `ABSENT`. */
  #places = new Int32Array(2 * LEAST).fill(ABSENT);
  #free: number[] = [];
  #size = 0;
  /** The number found last, and whether it was the successor of the one found before. */
  #found = ABSENT;
  #isInOrder = true;

  /** How many keys there are. */
  get size(): number {
    return this.#size;
  }

  /** The number of a key, or `ABSENT`. */
  find(key: string): number {
    // Batches often hold the same keys in the same order: trying the successor first saves the
    // hash, two thirds of the time. It is not tried if the last key was out of order, because with
    // very many keys each try is two cache misses.
    const next = this.#found + 1 < this.#names.length ? this.#found + 1 : 0;
    if (this.#isInOrder && this.#names[next] === key) {
      this.#found = next;
      return next;
    }
    const hash = hashOf(key);
    const mask = this.#places.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const number = this.#places[place] as number;
      if (number === ABSENT) return ABSENT;
      if (this.#hashes[number] === hash && this.#names[number] === key) {
        this.#isInOrder = number === next;
        this.#found = number;
        return number;
      }
    }
  }

  /** Gives a number to a key that has none. */
  add(key: string): number {
    if (2 * (this.#size + 1) > this.#places.length) this.#grow();
    const number = this.#free.pop() ?? this.#names.length;
    const hash = hashOf(key);
    this.#names[number] = keptText(key);
    this.#hashes[number] = hash;
    this.#place(number, hash);
    this.#size++;
    return number;
  }

  key(number: number): string {
    return this.#names[number] as string;
  }

  /** Removes the key of a number, which may then be given to another key. */
  remove(number: number): void {
    const mask = this.#places.length - 1;
    let hole = (this.#hashes[number] as number) & mask;
    while (this.#places[hole] !== number) hole = (hole + 1) & mask;
    // Close the gap: move up the keys behind it, unless that would put them before their own place.
    for (let place = (hole + 1) & mask; ; place = (place + 1) & mask) {
      const other = this.#places[place] as number;
      if (other === ABSENT) break;
      const home = (this.#hashes[other] as number) & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      this.#places[hole] = other;
      hole = place;
    }
    this.#places[hole] = ABSENT;
    this.#names[number] = undefined;
    this.#free.push(number);
    this.#size--;
  }

  /** Gives all memory back. There must be no key any more. */
  reset(): void {
    this.#names = [];
    this.#free = [];
    this.#hashes = new Int32Array(LEAST);
    this.#places = new Int32Array(2 * LEAST).fill(ABSENT);
  }

  *numbers(): Generator<number, void, undefined> {
    for (let number = 0; number < this.#names.length; number++) {
      if (this.#names[number] !== undefined) yield number;
    }
  }

  #grow(): void {
    const capacity = this.#places.length;
    const hashes = new Int32Array(capacity);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    this.#places = new Int32Array(2 * capacity).fill(ABSENT);
    for (const number of this.numbers()) this.#place(number, hashes[number] as number);
  }

  #place(number: number, hash: number): void {
    const mask = this.#places.length - 1;
    let place = hash & mask;
    while (this.#places[place] !== ABSENT) place = (place + 1) & mask;
    this.#places[place] = number;
  }
}

/** Stands for no number. */
export const ABSENT = -1;

const LEAST = 64;

/** Secret, so that no one can choose keys that collide. */
const SEED = Math.floor(Math.random() * 2 ** 32) | 0;

/** Multiply and fold, character by character, with a final mix. Keys are short. */
function hashOf(key: string): number {
  let hash = SEED;
  for (let i = 0; i < key.length; i++)
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x5bd1e995) ^ (hash >>> 15);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
