import type { Batch } from "./batch.js";
import type {
  AppendOptions,
  EntriesOptions,
  GetOptions,
  KeysOptions,
  OperationOptions,
} from "./store.js";

/**
 * What a store supplies, over encoded keys: primitives, whose names begin with `_`. Four are
 * enough: `_append`, `_get`, `_delete` and `_keys`. `BaseStore` has the rest of a store.
 *
 * Primitives may rely on this: they run only after `_open` has resolved and before `_close` is
 * called; `_append`, `_get`, `_stream`, `_keys` and `_flush` may overlap one another; `_set`,
 * `_delete`, `_pop`, `_drop` and `_close` overlap nothing.
 */
export abstract class Primitives {
  /** Adds the batch whole or not at all. It is never empty. */
  protected abstract _append(batch: Batch, options: AppendOptions): Promise<void>;

  /**
   * Returns one value a key, in the order of `keys`, which may repeat; no bytes for an absent key.
   */
  protected abstract _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]>;

  /** Removes the present ones of `keys`. If it rejects, each of them may be gone or not. */
  protected abstract _delete(keys: readonly string[], options: OperationOptions): Promise<void>;

  /**
   * Lists encoded keys that hold at least one byte. It may be consumed while other operations run.
   */
  protected abstract _keys(options: KeysOptions): Promise<Iterable<string> | AsyncIterable<string>>;

  /**
   * Yields every encoded key with its value in the cheapest order, as `Store.entries` promises. In
   * batches it saves a promise an entry, which costs more than the entry. Returns `undefined` for
   * options that it has no better way for, such as `sorted`: then the keys are listed and their
   * values read in groups, which is the default. It may be consumed while other operations run.
   */
  protected async _entries(
    _options: EntriesOptions,
  ): Promise<Iterable<EntryOrBatch> | AsyncIterable<EntryOrBatch> | undefined> {
    return undefined;
  }

  /**
   * The keys of `_keys` in the order of their bytes, for a store that need not hold all of them.
   * Default `undefined`: they are sorted in memory.
   */
  protected async _sortedKeys(
    _options: KeysOptions,
  ): Promise<Iterable<string> | AsyncIterable<string> | undefined> {
    return undefined;
  }

  /** How many keys hold at least one byte. Default `undefined`: they are listed. */
  protected async _count(_options: OperationOptions): Promise<number | undefined> {
    return undefined;
  }

  /** Bytes of each key's value, without reading it. Default `undefined`: the values are read. */
  protected async _sizes(
    _keys: readonly string[],
    _options: OperationOptions,
  ): Promise<number[] | undefined> {
    return undefined;
  }

  /**
   * Acquires what the store needs. It runs before the first operation, and again if it rejected.
   */
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
    const copy = new Uint8Array(value); // Its owner may transfer it before it is appended.
    await this._delete([key], options);
    if (copy.length === 0) return;
    await this._append({ keys: [key], values: [copy], byteLength: copy.length }, options);
  }

  /**
   * Reads and removes. A subclass's own `_pop` that rejects must not have removed anything. The
   * default, in `BaseStore`, is `_get`, then `_delete`.
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
   * Runs `critical`, which calls primitives, while no other process can touch the store. Only a
   * store shared by several processes needs it. If `purpose.operation` is atomic in the store by
   * itself, it may run without a lock.
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

/** What an exclusive section is for. */
export interface ExclusivePurpose {
  readonly operation: "iset" | "delete" | "pop" | "drop" | "withLock";
  /** The encoded keys concerned. Default: all. */
  readonly keys?: readonly string[] | undefined;
}
