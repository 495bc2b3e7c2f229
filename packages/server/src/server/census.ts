import { decodeKey, type Key } from "@partd/core";

/** The most keys to count: counting more would cost more memory than it is worth. */
const MOST_KEYS = 1_000_000;
/** The most bytes of their texts. */
const MOST_TEXT = 128 << 20;

/**
 * The keys that a server has seen, and how many bytes were appended to each. They tell which values the
 * server can read together and which it has to read in pieces, and show users the skew of their
 * shuffle. The text of a key is held once for all connections.
 */
export class Census {
  readonly #keys = new Map<string, CountedKey>();
  #bytes = 0;
  /** Bytes of the texts. */
  #text = 0;
  /** The last statistics, and the time until which they are returned again. */
  #recent: { readonly stats: KeyStats; readonly until: number } | undefined;
  /** Whether the store was empty at the start, so that all its bytes are known here. */
  complete: boolean;

  constructor(complete: boolean) {
    this.complete = complete;
  }

  /** Bytes appended through this server to keys that were not deleted since. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Returns the key of an encoded text.
   *
   * @throws `ERR_PARTD_KEY` if no key has this text.
   */
  find(text: string): CountedKey {
    const known = this.#keys.get(text);
    if (known) return known;
    const counted = new CountedKey(text, decodeKey(text), this.complete);
    if (this.#keys.size < MOST_KEYS && this.#text + text.length < MOST_TEXT) {
      this.#keys.set(text, counted);
      this.#text += text.length;
    } else {
      counted.exact = false;
    }
    return counted;
  }

  /** Adds what was appended: `values[i]` to `keys[i]`. */
  add(keys: readonly CountedKey[], values: readonly Uint8Array[]): void {
    let bytes = 0;
    for (let i = 0; i < keys.length; i++) {
      const { byteLength } = values[i] as Uint8Array;
      const key = keys[i] as CountedKey;
      // The key may have been forgotten during the append.
      (key.forgotten ? this.find(key.text) : key).bytes += byteLength;
      bytes += byteLength;
    }
    this.#bytes += bytes;
  }

  /** Notes that the key now holds `byteLength` bytes. */
  setSize(met: CountedKey, byteLength: number): void {
    const key = met.forgotten ? this.find(met.text) : met;
    this.#bytes += byteLength - key.bytes;
    key.bytes = byteLength;
    key.exact = this.#keys.get(key.text) === key;
    this.forget(key);
  }

  /** Call this when the store was dropped. */
  clear(): void {
    for (const key of this.#keys.values()) this.setSize(key, 0);
    this.complete = true;
  }

  /** Call this when a connection gives the key a number; `release` must follow. */
  retain(key: CountedKey): void {
    key.uses++;
  }

  /** Call this when a connection no longer uses the key's number. */
  release(key: CountedKey): void {
    key.uses--;
    this.forget(key);
  }

  /** Forgets a key that holds nothing and has no number in any connection. */
  forget(key: CountedKey): void {
    if (key.bytes > 0 || key.uses > 0 || !(this.complete || !key.exact)) return;
    if (this.#keys.get(key.text) !== key) return;
    this.#keys.delete(key.text);
    key.forgotten = true;
    this.#text -= key.text.length;
  }

  /** Scanning a million keys takes a while, so it gets at most a tenth of the time. */
  stats(): KeyStats {
    const start = performance.now();
    if (this.#recent && start < this.#recent.until) return this.#recent.stats;
    const stats = keyStats(this.#counted());
    const took = performance.now() - start;
    this.#recent = { stats, until: took < 2 ? 0 : start + 10 * took };
    return stats;
  }

  /** The keys that are not empty, as far as this server's appends show. */
  *#counted(): Generator<CountedKey, void, undefined> {
    for (const key of this.#keys.values()) if (key.bytes > 0) yield key;
  }
}

/** A key that a server has seen. */
export class CountedKey {
  readonly text: string;
  readonly key: Key;
  /** Bytes appended through this server. */
  bytes = 0;
  /** Whether `bytes` is all that the key holds. */
  exact: boolean;
  /** How many connections have numbered it. */
  uses = 0;
  /** Whether the census has dropped it. */
  forgotten = false;

  constructor(text: string, key: Key, exact: boolean) {
    this.text = text;
    this.key = key;
    this.exact = exact;
  }
}

/** How the bytes that were appended through this server are spread over keys. */
export interface KeyStats {
  /** Keys that were appended to; those beyond the first million are not counted. */
  readonly count: number;
  /** Bytes that were appended to them. */
  readonly bytes: number;
  /** The largest, in descending order; at most 20. */
  readonly largest: readonly { readonly key: string; readonly bytes: number }[];
  /** `sizes[i]` is the number of keys with at least 2^i and less than 2^(i + 1) bytes. */
  readonly sizes: readonly number[];
}

/** The most keys that are named. */
const LARGEST = 20;

function keyStats(keys: Iterable<CountedKey>): KeyStats {
  const sizes: number[] = [];
  // In ascending order: the first is the smallest of the largest.
  const largest: CountedKey[] = [];
  let count = 0;
  let bytes = 0;
  for (const key of keys) {
    count++;
    bytes += key.bytes;
    const size = Math.floor(Math.log2(key.bytes));
    while (sizes.length <= size) sizes.push(0);
    sizes[size] = (sizes[size] as number) + 1;
    if (largest.length === LARGEST && key.bytes <= (largest[0] as CountedKey).bytes) continue;
    let place = largest.findIndex((other) => other.bytes > key.bytes);
    if (place < 0) place = largest.length;
    largest.splice(place, 0, key);
    if (largest.length > LARGEST) largest.shift();
  }
  return {
    count,
    bytes,
    largest: largest.reverse().map(({ key, bytes }) => ({ key: String(key), bytes })),
    sizes,
  };
}
