/**
 * Numbers the keys of a segment from 0, in order of arrival. Keys are kept as bytes under a hash table
 * of plain numbers: a `Map` takes four times the memory and twice the time, keeps the strings alive
 * that keys were sliced from, and two million strings burden the garbage collector.
 */
export class KeyDictionary {
  #size = 0;
  /** The bytes of all keys, end to end; encoded keys are ASCII. */
  #bytes = Buffer.allocUnsafeSlow(1024);
  /** Where each key begins, then where the last one ends. */
  #starts = new Uint32Array(65);
  #hashes = new Uint32Array(64);
  /** Open addressing with linear probing, at most two thirds full: numbers plus 1, or 0. */
  #places = new Uint32Array(128);
  /** The key that was found last, because batches often hold the same keys in the same order. */
  #found = NONE;

  /** @param expected keys for which memory is allocated at once. */
  constructor(expected = 0) {
    if (expected <= this.#hashes.length) return;
    this.#starts = new Uint32Array(expected + 1);
    this.#hashes = new Uint32Array(expected);
    this.#places = new Uint32Array(2 ** Math.ceil(Math.log2(1.5 * expected)));
  }

  get size(): number {
    return this.#size;
  }

  /** In bytes. */
  get memory(): number {
    return this.#bytes.length + 4 * (3 * this.#hashes.length) + 4 * this.#places.length;
  }

  /** Returns the key's number, and gives it one if it has none. */
  number(key: string): number {
    if (this.#is(this.#found + 1, key)) return ++this.#found;
    const hash = seededHash(key);
    const found = this.#find(key, hash);
    if (found !== NONE) {
      this.#found = found;
      return found;
    }
    const start = this.#reserve(key.length);
    this.#bytes.write(key, start, "latin1");
    return this.#add(start + key.length, hash);
  }

  /** The key's number, or {@link NONE}. */
  find(key: string): number {
    return this.#find(key, seededHash(key));
  }

  text(number: number): string {
    return this.#bytes.toString("latin1", this.#starts[number], this.#starts[number + 1]);
  }

  startsWith(number: number, text: string): boolean {
    const end = this.#starts[number + 1] as number;
    return beginsWith(this.#bytes, this.#starts[number] as number, end, text);
  }

  byteLength(number: number): number {
    return (this.#starts[number + 1] as number) - (this.#starts[number] as number);
  }

  /** Copies the key's bytes to `target`. @returns the position behind them. */
  copy(number: number, target: Buffer, at: number): number {
    const start = this.#starts[number] as number;
    const length = this.byteLength(number);
    if (length > SHORT_KEY) this.#bytes.copy(target, at, start, start + length);
    else for (let i = 0; i < length; i++) target[at + i] = this.#bytes[start + i] as number;
    return at + length;
  }

  /** The hash by which indexes are sorted. */
  orderHash(number: number): number {
    return orderHash(
      this.#bytes,
      this.#starts[number] as number,
      this.#starts[number + 1] as number,
    );
  }

  /** Compares the bytes of two keys. */
  compare(one: number, other: number): number {
    const { [other]: start, [other + 1]: end } = this.#starts;
    return this.#bytes.compare(this.#bytes, start, end, this.#starts[one], this.#starts[one + 1]);
  }

  #find(key: string, hash: number): number {
    const mask = this.#places.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const number = (this.#places[place] as number) - 1;
      if (number === NONE) return NONE;
      if (this.#hashes[number] === hash && this.#is(number, key)) return number;
    }
  }

  #is(number: number, key: string): boolean {
    if (number >= this.#size) return false;
    const start = this.#starts[number] as number;
    const { length } = key;
    if ((this.#starts[number + 1] as number) - start !== length) return false;
    // Backwards, because keys differ mostly at their end.
    for (let i = length - 1; i >= 0; i--) {
      if (this.#bytes[start + i] !== key.charCodeAt(i)) return false;
    }
    return true;
  }

  /** Makes room for a key of that length. @returns where its bytes go. */
  #reserve(length: number): number {
    const number = this.#size;
    const start = this.#starts[number] as number;
    if (start + length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(grownSize(this.#bytes.length, start + length));
      this.#bytes.copy(larger, 0, 0, start);
      this.#bytes = larger;
    }
    if (number === this.#hashes.length) {
      const size = grownSize(number, number + 1);
      this.#hashes = grown(this.#hashes, size);
      this.#starts = grown(this.#starts, size + 1);
    }
    if (3 * (number + 1) > 2 * this.#places.length) this.#growPlaces();
    return start;
  }

  /** Adds the key whose bytes have been written, up to `end`. */
  #add(end: number, hash: number): number {
    const number = this.#size++;
    this.#starts[number + 1] = end;
    this.#hashes[number] = hash;
    this.#place(number);
    this.#found = number;
    return number;
  }

  #growPlaces(): void {
    this.#places = new Uint32Array(2 * this.#places.length);
    for (let number = 0; number < this.#size; number++) this.#place(number);
  }

  #place(number: number): void {
    const mask = this.#places.length - 1;
    let place = (this.#hashes[number] as number) & mask;
    while (this.#places[place] !== 0) place = (place + 1) & mask;
    this.#places[place] = number + 1;
  }
}

/** Up to this many bytes a loop copies faster than a call. */
const SHORT_KEY = 64;

/** No number. */
export const NONE = -1;

/** Whether the key at these bytes begins with `text`. */
export function beginsWith(bytes: Uint8Array, from: number, to: number, text: string): boolean {
  const { length } = text;
  if (length > to - from) return false;
  for (let i = 0; i < length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** FNV-1a with the last step of MurmurHash3: the sort order of an index, as in `log-format.md`. */
export function orderHash(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let hash = 0x811c9dc5;
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  return mixed(hash);
}

/** The same for an encoded key. */
export function orderHashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return mixed(hash);
}

/** Secret, so that no one can choose keys that collide. */
const SEED = Math.floor(Math.random() * 2 ** 32) | 0;

function seededHash(key: string): number {
  let hash = SEED;
  for (let i = 0; i < key.length; i++)
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x5bd1e995) ^ (hash >>> 15);
  return mixed(hash);
}

function mixed(hash: number): number {
  let mix = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35);
  return (mix ^ (mix >>> 16)) >>> 0;
}

type Column = Uint32Array | Int32Array | Float64Array;

export function grown<T extends Column>(column: T, size: number): T {
  const larger = new (column.constructor as new (size: number) => T)(size);
  larger.set(column as never);
  return larger;
}

export function grownSize(size: number, needed: number): number {
  // A large one grows by half: doubling would leave up to half of it idle.
  let next = size;
  while (next < needed) next = next < 2 ** 20 ? next * 2 : Math.ceil(next * 1.5);
  return next;
}
