import type {
  Entries,
  EntriesOptions,
  Key,
  KeysOptions,
  KeyTree,
  OperationOptions,
  Store,
  Values,
} from "@partd/core";
import {
  type AppendOptions,
  concatBytes,
  copyTree,
  entriesByKey,
  entriesOf,
  Gate,
  type GetOptions,
  type IsetOptions,
  listKeys,
  nestValues,
  Pace,
} from "@partd/core/author";

/**
 * A store whose values lie end to end in the store below, without the frames that `Encode` puts
 * around each append.
 */
export abstract class Unframed<V> implements Store<V> {
  readonly #store: Store;
  /**
   * `close` and the end of `withLock` wait here for appends that have not reached the store below.
   */
  readonly #appends = new Gate();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Appends encoded values. */
  protected _append(
    store: Store,
    encoded: readonly (readonly [Key, Uint8Array])[],
    options?: AppendOptions,
  ): Promise<void> {
    return store.append(encoded, options);
  }

  protected abstract _encode(value: V, key: Key): Uint8Array;

  /** @param offset where `bytes` begin in the key's value. */
  protected abstract _decode(bytes: Uint8Array, key: Key, offset: number): V;

  /** Where the last whole item in `bytes` ends: the bytes before it can be decoded. */
  protected abstract _lastEnd(bytes: Uint8Array): number;

  /** The same kind of store over `store`. */
  protected abstract _over(store: Store): Unframed<V>;

  async append(data: Entries<V>, options?: AppendOptions): Promise<void> {
    const encoded: [Key, Uint8Array][] = [];
    for (const [key, value] of entriesOf(data)) encoded.push([key, this._encode(value, key)]);
    await this.#appends.shared(() => this._append(this.#store, encoded, options), options);
  }

  async get<const K extends KeyTree>(keys: K, options?: GetOptions): Promise<Values<K, V>> {
    const flat = listKeys(keys);
    const tree = copyTree(keys);
    const raw = await this.#store.get(flat, options);
    return nestValues(tree, await this.#decodeAll(flat, raw, options));
  }

  async *stream(key: Key, options?: GetOptions): AsyncGenerator<V, void, undefined> {
    let held: Uint8Array[] = [];
    let offset = 0;
    for await (const piece of this.#store.stream(key, options)) {
      // Join pieces only when an item ends, so that a long item is copied once.
      const whole = held.length > 0 && this._lastEnd(piece) > 0;
      const bytes = whole ? concatBytes([...held, piece]) : piece;
      const end = this._lastEnd(bytes);
      if (end === 0) {
        held.push(piece);
        continue;
      }
      yield this._decode(bytes.subarray(0, end), key, offset);
      offset += end;
      held = end < bytes.byteLength ? [bytes.subarray(end)] : [];
    }
    if (held.length > 0) yield this._decode(concatBytes(held), key, offset);
  }

  async iset(key: Key, value: V, options?: IsetOptions): Promise<void> {
    await this.#store.iset(key, this._encode(value, key), options);
  }

  delete(keys: Key | readonly Key[], options?: OperationOptions): Promise<void> {
    return this.#store.delete(keys, options);
  }

  /** Deletes only what decodes: after `ERR_PARTD_CORRUPT` the store is as it was. */
  async pop<const K extends KeyTree>(keys: K, options?: GetOptions): Promise<Values<K, V>> {
    const flat = listKeys(keys);
    const tree = copyTree(keys);
    return this.#store.withLock(async (store) => {
      const values = await this.#decodeAll(flat, await store.get(flat, options), options);
      await store.delete(flat, options);
      return nestValues(tree, values);
    }, options);
  }

  keys(options?: KeysOptions): AsyncIterable<Key> {
    return this.#store.keys(options);
  }

  async *entries(options: EntriesOptions = {}): AsyncGenerator<readonly [Key, V], void, undefined> {
    if (options.longest !== undefined) {
      const sizes = (keys: readonly Key[]) =>
        Promise.all(keys.map((key) => this.#store.size(key, { signal: options.signal })));
      yield* entriesByKey(this, options, sizes);
      return;
    }
    for await (const [key, bytes] of this.#store.entries(options)) {
      yield [key, this._decode(bytes, key, 0)];
    }
  }

  count(options?: OperationOptions): Promise<number> {
    return this.#store.count(options);
  }

  size(key: Key, options?: OperationOptions): Promise<number> {
    return this.#store.size(key, options);
  }

  withLock<T>(
    critical: (store: Store<V>) => T | Promise<T>,
    options?: OperationOptions,
  ): Promise<T> {
    return this.#store.withLock(async (store) => {
      const held = this._over(store);
      try {
        return await critical(held);
      } finally {
        await held.#appends.exclusive(async () => {});
      }
    }, options);
  }

  flush(options?: OperationOptions): Promise<void> {
    return this.#store.flush(options);
  }

  drop(options?: OperationOptions): Promise<void> {
    return this.#store.drop(options);
  }

  /** Closes the store below too. */
  close(): Promise<void> {
    return this.#appends.exclusive(() => this.#store.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Yields to the event loop between values. */
  async #decodeAll(keys: readonly Key[], raw: readonly Uint8Array[], options?: GetOptions) {
    const values: V[] = [];
    const pace = new Pace();
    for (const [i, bytes] of raw.entries()) {
      values.push(this._decode(bytes, keys[i] as Key, 0));
      if (!pace.isOver) continue;
      await pace.rest();
      options?.signal?.throwIfAborted();
    }
    return values;
  }
}
