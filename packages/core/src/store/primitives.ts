import type { Batch } from "./batch.js";
import type {
  AppendOptions,
  EntriesOptions,
  GetOptions,
  KeysOptions,
  OperationOptions,
} from "./store.js";

/**
 * What a store supplies, over encoded keys: primitives, whose names begin with `_`. Four are enough:
 * `_append`, `_get`, `_delete` and `_keys`. `BaseStore` has the rest of a store.
 *
 * What a primitive may rely on: it runs only after `_open` has resolved and before `_close` is
 * called; `_append`, `_get`, `_stream`, `_keys` and `_flush` may overlap one another; `_set`,
 * `_delete`, `_pop`, `_drop` and `_close` overlap nothing.
 */
export abstract class Primitives {
  /** Adds the batch whole or not at all. It is never empty. */
  protected abstract _append(batch: Batch, options: AppendOptions): Promise<void>;

  /** One value a key, in the order of `keys`, which may repeat; no bytes for an absent key. */
  protected abstract _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]>;

  /** Removes what is there of `keys`. If it rejects, each key is there still or gone. */
  protected abstract _delete(keys: readonly string[], options: OperationOptions): Promise<void>;

  /** Encoded keys that hold at least one byte. May be consumed after other operations have run. */
  protected abstract _keys(options: KeysOptions): Promise<Iterable<string> | AsyncIterable<string>>;

  /**
   * Every encoded key with its value in the order that is cheapest, as `Store.entries` promises it,
   * one by one or, since a turn of a promise costs more than an entry, in batches. Answers nothing for
   * options that it has no better way for, such as `sorted`. May be consumed after other
   * operations have run. Default: nothing, and the keys are listed and their values read in groups.
   */
  protected async _entries(
    _options: EntriesOptions,
  ): Promise<Iterable<EntryOrBatch> | AsyncIterable<EntryOrBatch> | undefined> {
    return undefined;
  }

  /**
   * The keys of `_keys` in the order of their bytes, for a store that need not hold all of them.
   * Default: nothing, and they are sorted in memory.
   */
  protected async _sortedKeys(
    _options: KeysOptions,
  ): Promise<Iterable<string> | AsyncIterable<string> | undefined> {
    return undefined;
  }

  /** How many keys hold at least one byte. Default: nothing, and they are listed. */
  protected async _count(_options: OperationOptions): Promise<number | undefined> {
    return undefined;
  }

  /** Bytes of each key's value, without reading it. Default: nothing, and values are read. */
  protected async _sizes(
    _keys: readonly string[],
    _options: OperationOptions,
  ): Promise<number[] | undefined> {
    return undefined;
  }

  /** Acquires what the store needs. Called before the first operation, again if it rejected. */
  protected async _open(): Promise<void> {}

  /** Fixes the value as it stands, then yields it in pieces, while other operations may run. */
  protected async _stream(
    key: string,
    options: GetOptions,
  ): Promise<Iterable<Uint8Array> | AsyncIterable<Uint8Array>> {
    const [value] = await this._get([key], options);
    return value?.byteLength ? [value] : [];
  }

  /** Replaces a key's value; `value` may be empty. */
  protected async _set(key: string, value: Uint8Array, options: AppendOptions): Promise<void> {
    await this._delete([key], options);
    if (value.byteLength === 0) return;
    await this._append({ keys: [key], values: [value], byteLength: value.byteLength }, options);
  }

  /**
   * Reads and removes. One of a store's own that rejects has removed nothing. Default, in `BaseStore`:
   * `_get`, then `_delete`.
   */
  protected abstract _pop(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]>;

  /** Brings what was appended to where it is kept. */
  protected async _flush(_options: OperationOptions): Promise<void> {}

  /** Removes everything. */
  protected async _drop(options: OperationOptions): Promise<void> {
    const keys: string[] = [];
    for await (const key of await this._keys(options)) keys.push(key);
    await this._delete(keys, options);
  }

  /** Releases what `_open` acquired; called only if that resolved. */
  protected async _close(): Promise<void> {}

  /**
   * Runs `critical`, in which primitives are called, while no other process can touch the store.
   * Only a store that several processes share needs it. A store in which an operation of `purpose` is
   * atomic by itself may run it without a lock.
   */
  protected _exclusive<T>(
    critical: () => Promise<T>,
    _options: OperationOptions,
    _purpose: ExclusivePurpose,
  ): Promise<T> {
    return critical();
  }
}

/** An encoded key with its value, or several of them. */
export type EntryOrBatch = TextEntry | readonly TextEntry[];
export type TextEntry = readonly [string, Uint8Array];

/** What is to be done while no other process can touch the store. */
export interface ExclusivePurpose {
  readonly operation: "iset" | "delete" | "pop" | "drop" | "withLock";
  /** Encoded keys that it concerns. All, unless given. */
  readonly keys?: readonly string[] | undefined;
}
