import type { Key, KeyTree } from "../keys/keys.js";

/**
 * What to append: an object, a `Map`, or any iterable of `[key, value]` pairs. Tuples as keys, and
 * `__proto__`, which an object literal would take for its prototype, need one of the latter two.
 */
export type Entries<V> = Readonly<Record<string, V>> | Iterable<readonly [Key, V]>;

/** The shape of `get`'s answer: one value for a key, lists where `keys` has lists. */
export type Values<K, V> = KeyTree extends K
  ? ValueTree<V>
  : K extends Key
    ? V
    : { -readonly [I in keyof K]: Values<K[I], V> };

/** The answer for keys whose nesting the compiler does not know. */
export type ValueTree<V> = V | ValueTree<V>[];

/** Options that every operation takes. */
export interface OperationOptions {
  /**
   * Gives the operation up: its promise rejects with the signal's reason. What was to be written
   * is then written whole or not at all.
   */
  readonly signal?: AbortSignal | undefined;
}

/** Which keys a listing gives, and in which order. */
export interface KeysOptions extends OperationOptions {
  /**
   * Only tuples that begin with this key's parts and have more: `"2024"` gives `tuple("2024", "JFK")`,
   * and neither `"2024"` nor `"2024-01"`. Default: all keys.
   */
  readonly prefix?: Key | undefined;
  /**
   * In the order of the encoded keys, byte by byte; the listing then waits for all keys, which may
   * take memory for them. Default: the order that is cheapest for the store.
   */
  readonly sorted?: boolean | undefined;
}

/** Which entries a listing gives, in which order, and in which pieces. */
export interface EntriesOptions extends KeysOptions {
  /**
   * A value of more bytes than this, as they are stored, comes piece by piece, as `stream` gives it, in
   * entries of its key one right behind the other. A piece may be longer than this. Default: each
   * value whole.
   */
  readonly longest?: number | undefined;
}

/**
 * A key-value store in which writing appends.
 *
 * A key that was never written reads as the empty value. Calls may overlap freely; appends to one
 * key that are awaited one after the other are read back in that order. A store does no I/O until
 * its first operation, and `close()` (or `await using`) ends it. Every failure is a `PartdError`,
 * but for an aborted operation, which rejects with the signal's reason.
 *
 * @typeParam V the values: bytes, unless a codec is wrapped around the store.
 */
export interface Store<V = Uint8Array> extends AsyncDisposable {
  /**
   * Adds each value to the end of its key's value: all of them, or none if it rejects. A store that
   * divides its keys into buckets may promise this within each bucket only, and says so. A key may
   * occur several times. The caller may change a buffer once the promise has resolved.
   *
   * @throws `ERR_PARTD_KEY`, `ERR_PARTD_VALUE`, `ERR_PARTD_CLOSED`, and what the store adds.
   */
  append(data: Entries<V>, options?: OperationOptions): Promise<void>;

  /**
   * Reads one value for a key, a list for a list of keys, nested lists for nested lists. The
   * answer is the caller's own.
   *
   * @throws `ERR_PARTD_KEY`, also for lists nested more than 1,000 deep; `ERR_PARTD_VALUE` for a value
   *   too long to be held in one piece; `ERR_PARTD_CLOSED`, and what the store adds.
   */
  get<const K extends KeyTree>(keys: K, options?: OperationOptions): Promise<Values<K, V>>;

  /**
   * Reads a key's value piece by piece, in order, without holding it whole. It is the value as it
   * stood when the first piece was asked for. After `close()` it comes to its end or rejects with
   * `ERR_PARTD_CLOSED`, and is never cut short.
   */
  stream(key: Key, options?: OperationOptions): AsyncIterable<V>;

  /**
   * Idempotent set: the first call for a key through this store object replaces the key's value,
   * later ones do nothing, until the key is deleted or the store dropped (also if that fails midway).
   */
  iset(key: Key, value: V, options?: OperationOptions): Promise<void>;

  /**
   * Removes keys and their values. A key that is not there is no error. If it rejects, some keys
   * may be gone; call it again to have all gone.
   */
  delete(keys: Key | readonly Key[], options?: OperationOptions): Promise<void>;

  /** `get` and `delete` with nothing in between. If the deletion fails, some keys may be gone. */
  pop<const K extends KeyTree>(keys: K, options?: OperationOptions): Promise<Values<K, V>>;

  /** Every key that holds at least one byte, in no order unless `sorted`. */
  keys(options?: KeysOptions): AsyncIterable<Key>;

  /**
   * Every key with its value, each once, in the order that is cheapest for the store unless `sorted`:
   * the fast way to read many. A key that is written or deleted meanwhile may be there or not; its
   * value is whole, as it stood at one moment.
   *
   * @throws as `get` and `keys`.
   */
  entries(options?: EntriesOptions): AsyncIterable<readonly [Key, V]>;

  /** How many keys hold at least one byte. */
  count(options?: OperationOptions): Promise<number>;

  /** Bytes of a key's value as they are stored, which a codec does not decode; 0 for an absent key. */
  size(key: Key, options?: OperationOptions): Promise<number>;

  /**
   * Runs `critical` while no one else, in this process or another, can touch the store. Inside,
   * use the store that is passed: a call on the outer one would wait for itself, and rejects. The lock
   * is released when `critical` has ended and what it began is done, awaited or not; what it wrote
   * before it failed stays.
   *
   * @throws what `critical` throws; `ERR_PARTD_LOCK` where the lock cannot be had, or was lost.
   */
  withLock<T>(
    critical: (store: Store<V>) => T | Promise<T>,
    options?: OperationOptions,
  ): Promise<T>;

  /** Resolves when all that was appended before has reached the lowest store. */
  flush(options?: OperationOptions): Promise<void>;

  /** Destroys the data set. The store stays usable, and empty. */
  drop(options?: OperationOptions): Promise<void>;

  /**
   * Flushes, then releases every resource, also those of the stores below. Any later operation
   * rejects with `ERR_PARTD_CLOSED`; closing again does nothing. If the flush fails, so does
   * `close`, and the store stays open so that it can be tried again.
   */
  close(): Promise<void>;
}

// ---- Options for authors ------------------------------------------------------------------------
//
// A store that hands work to another one may pass these. They are not part of what programs use: a
// store may ignore each of them.

export interface AppendOptions extends OperationOptions {
  /**
   * The caller gives the values away: the store may keep the arrays, and nobody may change them, or
   * anything else in their buffers, from now on. Saves a store in memory a copy of large values.
   * Default `false`.
   */
  readonly owned?: boolean | undefined;
}

export interface IsetOptions extends AppendOptions {
  /**
   * Set the key even if it was set before through this store object. A server needs this, because
   * it passes on the sets of many clients. Default `false`.
   */
  readonly replace?: boolean | undefined;
}

export interface GetOptions extends OperationOptions {
  /**
   * Returns an array of `byteLength` bytes for a value to be read into; called once for each value, in
   * the order of the keys. A store that reads without a copy returns that very array; any other store
   * returns memory of its own. Under a decorator it receives the bytes as they are stored. Default:
   * an array of its own for each value.
   */
  readonly allocate?: ((byteLength: number) => Uint8Array) | undefined;
}

/** A store of bytes as a decorator or a server uses it: any store can be one. */
export interface LowerStore extends Store {
  /**
   * The size in bytes at which an append here is worth its cost: a buffer above makes batches of about
   * this size. Default: the buffer chooses.
   */
  readonly batchBytes?: number | undefined;
  /**
   * Whether a batch of many small values costs little more than one of few large values, as in a log.
   * A buffer above then passes on at once what it would hardly merge in memory. Default `false`.
   */
  readonly takesSmallValues?: boolean | undefined;
  /**
   * Whether it takes values, as under a codec, and so cannot be used as a store of bytes. Default
   * `false`.
   */
  readonly holdsValues?: boolean | undefined;
  append(data: Entries<Uint8Array>, options?: AppendOptions): Promise<void>;
  get<const K extends KeyTree>(keys: K, options?: GetOptions): Promise<Values<K, Uint8Array>>;
  stream(key: Key, options?: GetOptions): AsyncIterable<Uint8Array>;
  iset(key: Key, value: Uint8Array, options?: IsetOptions): Promise<void>;
  pop<const K extends KeyTree>(keys: K, options?: GetOptions): Promise<Values<K, Uint8Array>>;
  /** What `size` answers for each key, where many at once cost less than one by one. */
  sizes?(keys: readonly Key[], options?: OperationOptions): Promise<readonly number[]>;
}
