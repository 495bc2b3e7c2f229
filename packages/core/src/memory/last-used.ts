/** A cache of the most recently used values, up to a total number of bytes. */
export class LastUsed<K, V> {
  readonly #mostBytes: number;
  /** In order of last use, the oldest first. */
  readonly #kept = new Map<K, Kept<V>>();
  #bytes = 0;

  /** @param mostBytes the most bytes to keep. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** The sum of what {@link keep} was given. */
  get byteLength(): number {
    return this.#bytes;
  }

  has(key: K): boolean {
    return this.#kept.has(key);
  }

  get(key: K): V | undefined {
    const kept = this.#kept.get(key);
    if (!kept) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.value;
  }

  /**
   * Keeps a value, in place of an earlier one of this key, and evicts the least recently used ones.
   */
  keep(key: K, value: V, byteLength: number): void {
    this.delete(key);
    if (byteLength > this.#mostBytes) return;
    this.#kept.set(key, { value, byteLength });
    this.#bytes += byteLength;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#mostBytes) break;
      this.delete(oldest);
    }
  }

  delete(key: K): void {
    const kept = this.#kept.get(key);
    if (!kept) return;
    this.#kept.delete(key);
    this.#bytes -= kept.byteLength;
  }
}

interface Kept<V> {
  readonly value: V;
  readonly byteLength: number;
}
