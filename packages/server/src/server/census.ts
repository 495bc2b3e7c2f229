import { decodeKey, type Key } from "@partd/core";

/** The most keys that are counted: counting more would cost more memory than it is worth. */
const MOST_KEYS = 1_000_000;
/** Their texts together, in bytes. */
const MOST_TEXT = 128 << 20;

/**
 * The keys that a server has met, and how many bytes were appended to each. From these a server
 * knows which values it can read together and which it has to read in pieces, and its users see the
 * skew of their shuffle. The text of a key is held once for all connections.
 */
export class Census {
  readonly #keys = new Map<string, CountedKey>();
  #bytes = 0;
  /** Bytes of the texts. */
  #text = 0;
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
   * The key of an encoded text.
   *
   * @throws `ERR_PARTD_KEY` if it is none.
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
      // The key may have been forgotten while the append was under way.
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

  /** The store was dropped. */
  clear(): void {
    for (const key of this.#keys.values()) this.setSize(key, 0);
    this.complete = true;
  }

  /** A connection knows the key by a number, until `release`. */
  retain(key: CountedKey): void {
    key.uses++;
  }

  /** A connection no longer knows the key by a number. */
  release(key: CountedKey): void {
    key.uses--;
    this.forget(key);
  }

  /** Lets go of a key that holds nothing and that no connection has numbered. */
  forget(key: CountedKey): void {
    if (key.bytes > 0 || key.uses > 0 || !(this.complete || !key.exact)) return;
    if (this.#keys.get(key.text) !== key) return;
    this.#keys.delete(key.text);
    key.forgotten = true;
    this.#text -= key.text.length;
  }

  /** Keys that are not empty, as far as appends through this server tell. */
  *counted(): Generator<CountedKey, void, undefined> {
    for (const key of this.#keys.values()) if (key.bytes > 0) yield key;
  }
}

/** A key that a server has met. */
export class CountedKey {
  readonly text: string;
  readonly key: Key;
  /** Appended through this server. */
  bytes = 0;
  /** Whether `bytes` is all that the key holds. */
  exact: boolean;
  /** Connections that have numbered it. */
  uses = 0;
  /** Whether the census has let go of it. */
  forgotten = false;

  constructor(text: string, key: Key, exact: boolean) {
    this.text = text;
    this.key = key;
    this.exact = exact;
  }
}
