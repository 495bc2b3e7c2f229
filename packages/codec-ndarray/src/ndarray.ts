import {
  type Entries,
  encodeKey,
  isPartdError,
  type Key,
  type KeysOptions,
  type KeyTree,
  type OperationOptions,
  PartdError,
  type Store,
  type Values,
} from "@partd/core";
import {
  copyTree,
  countKeys,
  Decorator,
  describeKey,
  entriesOf,
  type GetOptions,
  type IsetOptions,
  listKeys,
  Pace,
  streamFrames,
  takeOptions,
} from "@partd/core/author";
import { type Dtype, parseDtype } from "./dtype.js";
import {
  checkKey,
  dtypeEntry,
  dtypeKey,
  isDtypeKey,
  KnownDtypes,
  noDtype,
  replaceArray,
  withDtypes,
} from "./dtype-key.js";
import {
  decodeArray,
  decodeObjects,
  dtypeOf,
  encodeArray,
  type NdValue,
  WholeItems,
} from "./values.js";

export interface NdArrayOptions<V extends NdValue = NdValue> {
  /**
   * The array type of every key, as in `{ type: Float32Array }`. The store's values have this type,
   * an absent key is an empty array of it, and any other dtype is `ERR_PARTD_CODEC`. Default: each
   * key has the dtype of its first append, and an absent key is an empty `Float64Array`.
   */
  readonly type?: (abstract new (length: number) => V) | undefined;
}

/**
 * A store of arrays over a store of bytes. A key's value is its arrays end to end, raw, and
 * `<key>.dtype` holds their dtype. The bytes are those of Python's `partd.Numpy`.
 *
 * A typed array is written as it is, `ndarray(dtype, data)` under the given dtype, and a plain
 * array as NumPy objects, in MessagePack or, where that cannot carry them, as a pickle. `get`
 * returns one array, a view of the bytes read if their alignment and byte order allow it; `stream`
 * yields arrays of whole items.
 *
 * All appends to a key have one dtype; another is `ERR_PARTD_CODEC`. A different byte order is
 * converted to the stored one. Keys that end in `.dtype` are `ERR_PARTD_KEY`.
 *
 * @example new NdArray(new Dict())
 */
export class NdArray<V extends NdValue = NdValue> extends Decorator<V> {
  readonly holdsValues = true;
  readonly #options: NdArrayOptions<V>;
  readonly #known: KnownDtypes;
  /** Encoded keys that `iset` has set through this object. */
  readonly #isets: Set<string>;

  constructor(store: Store, options?: NdArrayOptions<V>);
  /** @internal `outer` is the store whose `withLock` made this one. */
  constructor(store: Store, options?: NdArrayOptions<V>, outer?: NdArray<V>);
  constructor(store: Store, options: NdArrayOptions<V> = {}, outer?: NdArray<V>) {
    const names = { type: "function" } as const;
    const taken = takeOptions("new NdArray", options, names, new.target !== NdArray);
    super(store);
    this.#options = taken;
    this.#known = outer ? outer.#known : new KnownDtypes();
    this.#isets = outer ? outer.#isets : new Set();
  }

  /** @throws `ERR_PARTD_CODEC` if a value is not an array, or its dtype is not the key's. */
  override async append(data: Entries<V>, options?: OperationOptions): Promise<void> {
    const all = [...entriesOf(data)].map(([key, value]) => this.#arrayFor(key, value));
    const arrays = all.filter(({ bytes }) => bytes.byteLength > 0); // Empty arrays leave no trace.
    const known = arrays.map(({ text }) => this.#known.get(text));
    if (known.every((dtype) => dtype !== undefined)) {
      const batch = arrays.map((array, i) => entryOf(array, known[i] as Dtype));
      await this.#known.appending(this._store.append(batch, options));
      return;
    }
    // A key's first append, or one during removals: write dtype and items in one batch, so that
    // neither a crash nor another writer can separate them.
    await this._store.withLock(async (store) => {
      const { dtypes, batch } = await this.#newDtypes(store, arrays, options);
      for (const array of arrays) batch.push(entryOf(array, dtypes.get(array.text) as Dtype));
      await store.append(batch, options);
      for (const [text, dtype] of dtypes) this.#known.set(text, dtype);
    }, options);
  }

  override async *stream(key: Key, options?: GetOptions): AsyncGenerator<V, void, undefined> {
    let dtype = await this.#storedDtype(key, options);
    if (dtype === undefined) {
      for await (const piece of this._store.stream(key, options)) {
        // The key may have been written since: then it has a dtype now.
        dtype = await this.#storedDtype(key, options);
        if (dtype === undefined) throw noDtype(key, piece);
        break;
      }
      if (dtype === undefined) return;
    }
    const pieces = this._store.stream(key, options);
    if (dtype.kind === "O") {
      for await (const { bytes, offset } of streamFrames(pieces, key)) {
        options?.signal?.throwIfAborted(); // A piece may hold many frames.
        yield this.#checked(key, () => decodeObjects(bytes, offset));
      }
      return;
    }
    const numbers = dtype;
    const items = new WholeItems(numbers);
    for await (const piece of pieces) {
      const bytes = items.push(piece);
      if (bytes.byteLength > 0) yield this.#checked(key, () => decodeArray(bytes, numbers, key));
    }
    if (items.rest.byteLength > 0) this.#checked(key, () => decodeArray(items.rest, numbers, key));
  }

  /**
   * As atomic as the store's own `iset` if the dtype stays, and as its `append` if the key is new.
   * If the dtype changes, a failure restores what was there, but a process killed at that moment
   * may leave the key empty.
   */
  override async iset(key: Key, value: V, options?: IsetOptions): Promise<void> {
    const array = this.#arrayFor(key, value);
    options?.signal?.throwIfAborted();
    const isDone = () => !options?.replace && this.#isets.has(array.text);
    if (isDone()) return;
    await this.#removing([array.text], () =>
      this._store.withLock(async (store) => {
        if (isDone()) return; // Another call was first.
        await replaceArray(store, array, options);
        this.#isets.add(array.text);
      }, options),
    );
  }

  override async delete(keys: Key | readonly Key[], options?: OperationOptions): Promise<void> {
    const flat = listKeys(keys);
    for (const key of flat) checkKey(key);
    await this.#removing(flat.map(encodeKey), () => super.delete(flat, options));
  }

  override async pop<const K extends KeyTree>(
    keys: K,
    options?: GetOptions,
  ): Promise<Values<K, V>> {
    const texts = listKeys(keys).map(encodeKey);
    const tree = copyTree(keys);
    return this.#removing(texts, () => super.pop(tree, options));
  }

  /** Yields the keys of arrays, without those of their dtypes. */
  override async *keys(options?: KeysOptions): AsyncGenerator<Key, void, undefined> {
    for await (const key of this._store.keys(options)) if (!isDtypeKey(key)) yield key;
  }

  override count(options?: OperationOptions): Promise<number> {
    return countKeys(this, options);
  }

  override withLock<T>(
    critical: (store: Store<V>, below: Store) => T | Promise<T>,
    options?: OperationOptions,
  ): Promise<T> {
    return this.#removing(undefined, () => super.withLock(critical, options));
  }

  override async drop(options?: OperationOptions): Promise<void> {
    await this.#removing(undefined, () => super.drop(options));
    this.#isets.clear();
  }

  protected override _over(store: Store): NdArray<V> {
    return new NdArray(store, this.#options, this);
  }

  /** @throws `ERR_PARTD_CORRUPT` if a value ends within an item, or its dtype is missing. */
  protected override async _get(keys: readonly Key[], options?: GetOptions): Promise<V[]> {
    // One `get` reads items and dtypes. A writer never stores items before their dtype.
    const raw = await this._store.get(withDtypes(keys), options);
    const arrays: V[] = [];
    const pace = new Pace(); // Objects and numbers in the other byte order take time.
    for (const [i, key] of keys.entries()) {
      const bytes = raw[i] as Uint8Array;
      const dtype = this.#parse(key, raw[keys.length + i] as Uint8Array);
      if (dtype === undefined && bytes.byteLength > 0) throw noDtype(key, bytes);
      arrays.push(dtype ? this.#checked(key, () => decodeArray(bytes, dtype, key)) : this.#empty());
      if (!pace.isOver) continue;
      await pace.rest();
      options?.signal?.throwIfAborted();
    }
    return arrays;
  }

  protected override async _delete(keys: readonly Key[], options?: OperationOptions) {
    await this._store.delete(withDtypes(keys), options);
    for (const key of keys) this.#isets.delete(encodeKey(key));
  }

  /** Encodes an array, and makes all checks that do not read the store. */
  #arrayFor(key: Key, value: V): KeyedArray {
    const text = encodeKey(key);
    checkKey(key);
    return this.#naming(key, "encode", () => {
      const dtype = dtypeOf(value);
      this.#checkType(value, dtype);
      return { key, text, value, dtype, bytes: encodeArray(value, dtype) };
    });
  }

  /** The dtype of each array's key, and the entries for dtypes that the store lacks. */
  async #newDtypes(store: Store, arrays: readonly KeyedArray[], options?: GetOptions) {
    const stored = await store.get(
      arrays.map(({ key }) => dtypeKey(key)),
      options,
    );
    const dtypes = new Map<string, Dtype>();
    const batch: (readonly [Key, Uint8Array])[] = [];
    for (const [i, { key, text, dtype }] of arrays.entries()) {
      const found = dtypes.get(text) ?? this.#parse(key, stored[i] as Uint8Array);
      if (found === undefined) batch.push(dtypeEntry(key, dtype));
      dtypes.set(text, found ?? dtype);
    }
    return { dtypes, batch };
  }

  async #storedDtype(key: Key, options?: GetOptions): Promise<Dtype | undefined> {
    return this.#parse(key, await this._store.get(dtypeKey(key), options));
  }

  #parse(key: Key, bytes: Uint8Array): Dtype | undefined {
    if (bytes.byteLength === 0) return undefined;
    return this.#naming(key, "decode", () => parseDtype(utf8.decode(bytes)));
  }

  #checked(key: Key, decode: () => NdValue): V {
    return this.#naming(key, "decode", () => {
      const value = decode();
      this.#checkType(value, dtypeOf(value));
      return value as V;
    });
  }

  #checkType(value: NdValue, dtype: Dtype): void {
    const { type } = this.#options;
    if (type === undefined || dtype.text === dtypeOf(this.#empty()).text) return;
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `it is of dtype ${dtype.text} (${value.constructor.name}), and this store was made for ${type.name}.`,
    );
  }

  #empty(): V {
    const type = (this.#options.type ?? Float64Array) as new (length: number) => V;
    return new type(0);
  }

  async #removing<T>(texts: readonly string[] | undefined, removal: () => Promise<T>): Promise<T> {
    return this._calls.shared(() => this.#known.removing(texts, removal));
  }

  /** Makes errors name the key. */
  #naming<T>(key: Key, verb: string, work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (isPartdError(cause) && cause.key !== undefined) throw cause;
      const { code, offset } = isPartdError(cause) ? cause : { code: undefined, offset: undefined };
      throw new PartdError(
        code ?? (verb === "encode" ? "ERR_PARTD_CODEC" : "ERR_PARTD_CORRUPT"),
        `The array of key ${describeKey(key)} cannot be ${verb}d: ${(cause as Error).message}`,
        { key, offset, cause },
      );
    }
  }
}

interface KeyedArray {
  readonly key: Key;
  readonly text: string;
  readonly value: NdValue;
  /** The dtype of the value itself. */
  readonly dtype: Dtype;
  readonly bytes: Uint8Array;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function entryOf(array: KeyedArray, stored: Dtype): readonly [Key, Uint8Array] {
  const { key, value, dtype, bytes } = array;
  if (dtype.text === stored.text) return [key, bytes];
  if (dtype.type === stored.type) return [key, encodeArray(value, stored)];
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `The array of key ${describeKey(key)} is of dtype ${stored.text}, and ${dtype.text} cannot be appended to it; convert it, or use another key.`,
    { key },
  );
}
