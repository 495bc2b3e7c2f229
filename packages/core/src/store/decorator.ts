import { Gate } from "../async/gate.js";
import { PartdError } from "../errors.js";
import { copyTree, listKeys, nestValues } from "../keys/key-tree.js";
import type { Key, KeyTree } from "../keys/keys.js";
import { describeArgument } from "../option-names.js";
import { entriesByKey } from "./listing.js";
import { checkOperation } from "./operation-options.js";
import type {
  Entries,
  EntriesOptions,
  GetOptions,
  IsetOptions,
  KeysOptions,
  LowerStore,
  OperationOptions,
  Store,
  Values,
} from "./store.js";

/**
 * The part that is the same for all decorators, which are stores of values over a store of bytes.
 * It passes on what needs no translation, gives values the nesting of their keys, and builds the
 * same decorator over a locked store. A decorator supplies `append`, `stream`, `iset`, `_get` and
 * `_over`.
 *
 * @typeParam Held what `withLock` passes.
 */
export abstract class Decorator<V, Held extends Store<V> = Store<V>> implements Store<V> {
  /** The store below. */
  protected readonly _store: Store;
  /**
   * `close`, and the end of `withLock`, wait for the operations that share this gate. Operations
   * that do not call the store below synchronously have to share it.
   */
  protected readonly _calls = new Gate();

  /** @throws `ERR_PARTD_VALUE` if `store` is not a store of bytes. */
  constructor(store: Store) {
    checkByteStore(
      `new ${new.target.name || "Decorator"}`,
      store,
      "one codec is enough, the outermost",
    );
    this._store = store;
  }

  /** Reads one value a key, in the order of `keys`, which may repeat. */
  protected abstract _get(keys: readonly Key[], options?: GetOptions): Promise<V[]>;

  /**
   * Makes this decorator over another store, with the same options and the same memory of `iset`.
   */
  protected abstract _over(store: Store): Held & Decorator<V, Held>;

  protected _delete(keys: readonly Key[], options?: OperationOptions): Promise<void> {
    return this._store.delete(keys, options);
  }

  abstract append(data: Entries<V>, options?: OperationOptions): Promise<void>;

  abstract stream(key: Key, options?: GetOptions): AsyncIterable<V>;

  abstract iset(key: Key, value: V, options?: IsetOptions): Promise<void>;

  /** @throws `ERR_PARTD_CORRUPT`, with key and offset, if what is stored does not decode. */
  async get<const K extends KeyTree>(keys: K, options?: GetOptions): Promise<Values<K, V>> {
    const flat = listKeys(keys);
    const tree = copyTree(keys);
    return nestValues(tree, await this._get(flat, options));
  }

  async delete(keys: Key | readonly Key[], options?: OperationOptions): Promise<void> {
    await this._delete(listKeys(keys), options);
  }

  /** Deletes only what has been decoded: after `ERR_PARTD_CORRUPT` the store is as it was. */
  async pop<const K extends KeyTree>(keys: K, options: GetOptions = {}): Promise<Values<K, V>> {
    checkOperation("pop", options);
    const flat = listKeys(keys);
    const tree = copyTree(keys);
    return this._store.withLock(async (store) => {
      const held = this._over(store);
      const values = await held._get(flat, options);
      await held._delete(flat, options);
      return nestValues(tree, values);
    }, options);
  }

  keys(options?: KeysOptions): AsyncIterable<Key> {
    return this._store.keys(options);
  }

  entries(options: EntriesOptions = {}): AsyncIterable<readonly [Key, V]> {
    const sizes = (keys: readonly Key[]) =>
      Promise.all(keys.map((key) => this.size(key, { signal: options.signal })));
    return entriesByKey(this, options, sizes);
  }

  count(options?: OperationOptions): Promise<number> {
    return this._store.count(options);
  }

  size(key: Key, options?: OperationOptions): Promise<number> {
    return this._store.size(key, options);
  }

  /** `critical` also gets the store below, under the same lock. */
  withLock<T>(
    critical: (store: Held, below: Store) => T | Promise<T>,
    options?: OperationOptions,
  ): Promise<T> {
    return this._store.withLock(async (store) => {
      const held = this._over(store);
      try {
        return await critical(held, store);
      } finally {
        await held._calls.exclusive(async () => {});
      }
    }, options);
  }

  flush(options?: OperationOptions): Promise<void> {
    return this._store.flush(options);
  }

  drop(options?: OperationOptions): Promise<void> {
    return this._store.drop(options);
  }

  /** Closes the store below too. */
  close(): Promise<void> {
    return this._calls.exclusive(() => this._store.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * @param call what takes the store, as its callers write it: `"new Json"`.
 * @param advice what to do instead with a store of values.
 * @throws `ERR_PARTD_VALUE` unless `store` is a store of bytes.
 */
export function checkByteStore(call: string, store: unknown, advice: string): void {
  const given = store as Partial<LowerStore> | null | undefined;
  if (typeof given?.append !== "function" || typeof given.get !== "function") {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${call}() takes a store first, as in ${call}(new Dict()), not ${describeArgument(store)}.`,
    );
  }
  if (given.holdsValues !== true) return;
  const name = given.constructor?.name || "one with a codec";
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${call}() takes a store of bytes, and ${name} is a store of values: ${advice}.`,
  );
}
