import { checkOptions, unlessAborted } from "../async/abort.js";
import { Gate } from "../async/gate.js";
import { ItemIterator } from "../async/item-iterator.js";
import { Pace } from "../async/pace.js";
import { isPartdError, PartdError } from "../errors.js";
import { copyTree, flattenKeys, nestValues } from "../keys/key-tree.js";
import { decodeKey, encodeKey, type Key, type KeyTree, keptText } from "../keys/keys.js";
import { lengthOf } from "../memory/typed-array.js";
import { describeArgument } from "../option-names.js";
import { type Batch, changedMeanwhile, checkIntact, takeBytes, toBatch } from "./batch.js";
import { checkCritical, checkNotHeld, runHolding } from "./held-locks.js";
import { byteEntries, checkLongest, prefixText, selectKeys, streamedSize } from "./listing.js";
import { checkOperation } from "./operation-options.js";
import {
  type EntryOrBatch,
  type ExclusivePurpose,
  Primitives,
  type TextEntry,
} from "./primitives.js";
import type {
  AppendOptions,
  Entries,
  EntriesOptions,
  GetOptions,
  IsetOptions,
  KeysOptions,
  OperationOptions,
  Store,
  Values,
} from "./store.js";

/**
 * The part of a byte store that is the same for all stores: forms of arguments, nesting, idempotent
 * set, opening and closing, and which operations may overlap within this process. A store extends
 * it and supplies {@link Primitives}.
 */
export abstract class BaseStore extends Primitives implements Store {
  readonly #gate = new Gate();
  /** Encoded keys that `iset` has set through this object. */
  readonly #isets: Set<string>;
  #opening: Promise<void> | undefined;
  #opened = false;
  #closing: Promise<void> | undefined;

  /** @internal `parent` is the store whose lock this one is used under. */
  constructor(parent?: BaseStore) {
    super();
    if (parent !== undefined && !(parent instanceof BaseStore)) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `new ${new.target.name}() takes no options, and not ${describeArgument(parent)}.`,
      );
    }
    this.#isets = parent ? parent.#isets : new Set();
  }

  // ---- The store -------------------------------------------------------------------------------

  async append(data: Entries<Uint8Array>, options: AppendOptions = {}): Promise<void> {
    const batch = toBatch(data); // First: append("x", bytes) has no wrong option, but wrong data.
    checkOperation("append", options);
    let hasWaited = false;
    const appended = this.#shared(options, () => {
      if (hasWaited) checkIntact(batch);
      return batch.keys.length > 0 ? this._append(batch, options) : undefined;
    });
    hasWaited = true;
    await appended;
  }

  async get<const K extends KeyTree>(
    keys: K,
    options: GetOptions = {},
  ): Promise<Values<K, Uint8Array>> {
    checkOperation("get", options);
    const flat = flattenKeys(keys);
    const tree = copyTree(keys);
    const values = await this.#shared(options, () => this._get(flat, options));
    return nestValues(tree, values);
  }

  async *stream(key: Key, options: GetOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    checkOperation("stream", options);
    const text = encodeKey(key);
    const pieces = await this.#shared(options, () => this._stream(text, options));
    for await (const piece of pieces) {
      this.#check(options);
      yield piece;
    }
  }

  async iset(key: Key, value: Uint8Array, options: IsetOptions = {}): Promise<void> {
    checkOperation("iset", options);
    const text = encodeKey(key);
    const bytes = takeBytes(key, value);
    const { length } = bytes;
    this.#check(options);
    const isDone = () => !options.replace && this.#isets.has(text);
    if (isDone()) return;
    await this.#exclusive({ operation: "iset", keys: [text] }, options, async () => {
      if (isDone()) return; // Another call was first.
      if (lengthOf.call(bytes) !== length) throw changedMeanwhile(text);
      await this._set(text, bytes, options);
      this.#isets.add(keptText(text));
    });
  }

  async delete(keys: Key | readonly Key[], options: OperationOptions = {}): Promise<void> {
    checkOperation("delete", options);
    const flat = flattenKeys(keys);
    await this.#exclusive({ operation: "delete", keys: flat }, options, () =>
      this._whileRemoving(flat, () => this._delete(flat, options)),
    );
  }

  async pop<const K extends KeyTree>(
    keys: K,
    options: GetOptions = {},
  ): Promise<Values<K, Uint8Array>> {
    checkOperation("pop", options);
    const flat = flattenKeys(keys);
    const tree = copyTree(keys);
    const values = await this.#exclusive({ operation: "pop", keys: flat }, options, async () => {
      const popped = await this._pop(flat, options);
      this.#forgetIsets(flat);
      return popped;
    });
    return nestValues(tree, values);
  }

  async *keys(options: KeysOptions = {}): AsyncGenerator<Key, void, undefined> {
    checkOperation("keys", options);
    this.#check(options);
    prefixText(options); // Rejects a prefix that is not a key before anything is opened.
    const sorted = options.sorted
      ? await this.#shared(options, () => this._sortedKeys(options))
      : undefined;
    const texts = sorted ?? (await this.#shared(options, () => this._keys(options)));
    const rest = { ...options, sorted: options.sorted && sorted === undefined };
    const isPlain = options.prefix === undefined && !rest.sorted;
    const pace = new Pace();
    for await (const text of isPlain ? texts : selectKeys(texts, rest)) {
      if (pace.due) await pace.rest();
      this.#check(options);
      yield decodeKey(text);
    }
  }

  entries(
    options: EntriesOptions = {},
  ): AsyncIterableIterator<readonly [Key, Uint8Array], void, undefined> {
    return new ItemIterator(this.#entries(options), { check: () => this.#check(options) });
  }

  async *#entries(
    options: EntriesOptions,
  ): AsyncGenerator<readonly (readonly [Key, Uint8Array])[], void, undefined> {
    checkOperation("entries", options);
    this.#check(options);
    prefixText(options);
    checkLongest(options);
    const own = await this.#shared(options, () => this._entries(options));
    if (own !== undefined) {
      for await (const some of own) {
        const batch = isEntry(some) ? [some] : some;
        yield batch.map((entry) => {
          const key = decodeKey(entry[0]);
          return key === entry[0] ? entry : [key, entry[1]];
        });
      }
      return;
    }
    const sizes = (keys: readonly Key[]) =>
      this.#shared(options, () => this._sizes(keys.map(encodeKey), options));
    const pace = new Pace();
    for await (const entry of byteEntries(this, options, sizes)) {
      if (pace.due) await pace.rest();
      yield [entry];
    }
  }

  async count(options: OperationOptions = {}): Promise<number> {
    checkOperation("count", options);
    const count = await this.#shared(options, () => this._count(options));
    if (count !== undefined) return count;
    let listed = 0;
    const texts = await this.#shared(options, () => this._keys(options));
    for await (const _ of texts) {
      this.#check(options);
      listed++;
    }
    return listed;
  }

  async size(key: Key, options: OperationOptions = {}): Promise<number> {
    checkOperation("size", options);
    const [size] = await this.sizes([key], options);
    return size as number;
  }

  /** For authors: what `size` returns, for each of `keys`. */
  async sizes(keys: readonly Key[], options: OperationOptions = {}): Promise<readonly number[]> {
    checkOperation("sizes", options);
    const texts = keys.map(encodeKey);
    const known = await this.#shared(options, () => this._sizes(texts, options));
    if (known !== undefined) return known;
    const sizes: number[] = [];
    for (const key of keys) sizes.push(await streamedSize(this, key, options));
    return sizes;
  }

  async withLock<T>(
    critical: (store: Store) => T | Promise<T>,
    options: OperationOptions = {},
  ): Promise<T> {
    checkOperation("withLock", options);
    checkCritical(critical);
    return this.#exclusive({ operation: "withLock" }, options, async () => {
      const held = new HeldStore(this);
      try {
        return await runHolding(this, () => critical(held));
      } finally {
        // Wait for what was begun in it. Unlike a store that closes, it does not flush.
        held.#closing = Promise.resolve();
        await held.#gate.exclusive(async () => {});
      }
    });
  }

  async flush(options: OperationOptions = {}): Promise<void> {
    checkOperation("flush", options);
    await this.#shared(options, () => this._flush(options));
  }

  async drop(options: OperationOptions = {}): Promise<void> {
    checkOperation("drop", options);
    await this.#exclusive({ operation: "drop" }, options, async () => {
      try {
        await this._drop(options);
      } finally {
        this.#isets.clear();
      }
    });
  }

  close(): Promise<void> {
    try {
      checkNotHeld(this);
    } catch (error) {
      return Promise.reject(error);
    }
    this.#closing ??= this.#close().catch((error: unknown) => {
      if (this.#opened) this.#closing = undefined; // The flush failed: still open.
      throw error;
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected async _pop(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    const values = await this._get(keys, options);
    await this._whileRemoving(keys, () => this._delete(keys, options));
    return values;
  }

  /**
   * Runs the removal of keys, for a subclass's own `_pop`. A failed removal may have removed some
   * of the keys, so the next `iset` of each sets again.
   */
  protected async _whileRemoving(
    keys: readonly string[],
    removal: () => Promise<void>,
  ): Promise<void> {
    try {
      await removal();
    } finally {
      this.#forgetIsets(keys);
    }
  }

  // ---- State -----------------------------------------------------------------------------------

  async #close(): Promise<void> {
    await this.#gate.exclusive(async () => {
      await this.#opening?.catch(() => {}); // Its callers have received the error.
      if (!this.#opened) return;
      await this._flush({});
      this.#opened = false;
      await this._close();
    });
  }

  async #shared<T>(options: OperationOptions, operation: () => T | Promise<T>): Promise<T> {
    this.#check(options);
    if (!this.#gate.enter("shared")) await this.#gate.wait("shared", options);
    try {
      if (!this.#opened) await this.#open(options);
      return await operation();
    } catch (error) {
      throw asPartdError(error, options);
    } finally {
      this.#gate.leave();
    }
  }

  #exclusive<T>(
    purpose: ExclusivePurpose,
    options: OperationOptions,
    operation: () => Promise<T>,
  ): Promise<T> {
    this.#check(options);
    return this.#gate.exclusive(async () => {
      if (!this.#opened) await this.#open(options);
      // What `critical` throws is passed on unchanged.
      const isCallers = purpose.operation === "withLock";
      try {
        return await this._exclusive(operation, options, purpose);
      } catch (error) {
        throw isCallers ? error : asPartdError(error, options);
      }
    }, options);
  }

  /** Opens once, however many operations wait for it; tries again after a failure. */
  async #open({ signal }: OperationOptions): Promise<void> {
    this.#opening ??= this._open().then(
      () => {
        this.#opened = true;
        this.#opening = undefined;
      },
      (error: unknown) => {
        this.#opening = undefined;
        throw asPartdError(error, {});
      },
    );
    await unlessAborted(this.#opening, signal);
  }

  #check(options: OperationOptions): void {
    checkOptions(options);
    checkNotHeld(this);
    if (!this.#closing) return;
    throw new PartdError("ERR_PARTD_CLOSED", "The store is closed; make a new one to go on.");
  }

  #forgetIsets(keys: readonly string[]): void {
    for (const key of keys) this.#isets.delete(key);
  }
}

function isEntry(some: EntryOrBatch): some is TextEntry {
  return typeof some[0] === "string";
}

/** Wraps what a primitive threw, for example the system error of a third-party store. */
function asPartdError(error: unknown, { signal }: OperationOptions): unknown {
  if (isPartdError(error) || (signal?.aborted && error === signal.reason)) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new PartdError("ERR_PARTD_IO", `The store failed: ${message}`, { cause: error });
}

/**
 * What `withLock` passes: the same primitives, without waiting for the lock that is held. (`["_x"]`
 * is TypeScript's way to a protected member of another object.)
 */
class HeldStore extends BaseStore {
  readonly #outer: BaseStore;

  constructor(outer: BaseStore) {
    super(outer);
    this.#outer = outer;
  }

  protected override _append(batch: Batch, options: AppendOptions) {
    return this.#outer["_append"](batch, options);
  }
  protected override _get(keys: readonly string[], options: GetOptions) {
    return this.#outer["_get"](keys, options);
  }
  protected override _stream(key: string, options: GetOptions) {
    return this.#outer["_stream"](key, options);
  }
  protected override _set(key: string, value: Uint8Array, options: AppendOptions) {
    return this.#outer["_set"](key, value, options);
  }
  protected override _delete(keys: readonly string[], options: OperationOptions) {
    return this.#outer["_delete"](keys, options);
  }
  protected override _pop(keys: readonly string[], options: GetOptions) {
    return this.#outer["_pop"](keys, options);
  }
  protected override _keys(options: KeysOptions) {
    return this.#outer["_keys"](options);
  }
  protected override _sortedKeys(options: KeysOptions) {
    return this.#outer["_sortedKeys"](options);
  }
  protected override _entries(options: EntriesOptions) {
    return this.#outer["_entries"](options);
  }
  protected override _count(options: OperationOptions) {
    return this.#outer["_count"](options);
  }
  protected override _sizes(keys: readonly string[], options: OperationOptions) {
    return this.#outer["_sizes"](keys, options);
  }
  protected override _flush(options: OperationOptions) {
    return this.#outer["_flush"](options);
  }
  protected override _drop(options: OperationOptions) {
    return this.#outer["_drop"](options);
  }
}
