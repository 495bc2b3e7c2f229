import {
  Encode,
  type EncodeOptions,
  type Entries,
  type EntriesOptions,
  type Key,
  type KeysOptions,
  type KeyTree,
  type OperationOptions,
  type Store,
  type Values,
} from "@partd/core";
import type { AppendOptions, GetOptions, IsetOptions } from "@partd/core/author";
import { Table, type TypeMap } from "apache-arrow";
import { type ArrowCodecOptions, arrowCodec, type UnknownColumns } from "./arrow-codec.js";
import { checkSameSchema } from "./join-tables.js";

export interface ArrowOptions extends Pick<ArrowCodecOptions, "schema">, EncodeOptions {}

export interface ArrowGetOptions<C extends PropertyKey> extends GetOptions {
  /** Names of the columns to read, in the order of the result. Default: all. */
  readonly columns?: readonly C[] | undefined;
}

/**
 * A store of Apache Arrow tables over a store of bytes. `append` adds a table's rows to those of
 * its key, as one Arrow IPC stream; `get` returns one table of all rows, whose columns are views of
 * the bytes read. An absent key is a table without columns.
 *
 * @typeParam T the columns, by name; reads do not check it.
 * @example new Arrow<{ delay: Int16; origin: Utf8 }>(new Dict())
 */
export class Arrow<T extends TypeMap = UnknownColumns> implements Store<Table<T>> {
  readonly #store: Store;
  readonly #options: ArrowOptions;
  readonly #tables: Encode<Table<T>>;

  constructor(store: Store, options?: ArrowOptions);
  /** @internal `tables` is an existing decorator of `store`. */
  constructor(store: Store, options?: ArrowOptions, tables?: Encode<Table<T>>);
  constructor(store: Store, options: ArrowOptions = {}, tables?: Encode<Table<T>>) {
    this.#store = store;
    this.#options = options;
    this.#tables = tables ?? new Encode(store, arrowCodec<T>(options), options);
  }

  append(data: Entries<Table<T>>, options?: AppendOptions): Promise<void> {
    return this.#tables.append(data, options);
  }

  /**
   * @throws `ERR_PARTD_CODEC` if the appended tables differ in schema or a column is missing;
   *   `ERR_PARTD_CORRUPT` if the bytes are damaged.
   */
  get<const K extends KeyTree>(keys: K, options?: GetOptions): Promise<Values<K, Table<T>>>;
  get<const K extends KeyTree, const C extends keyof T>(
    keys: K,
    options: ArrowGetOptions<C>,
  ): Promise<Values<K, Table<Pick<T, C>>>>;
  get(keys: KeyTree, options?: ArrowGetOptions<PropertyKey>): Promise<never> {
    return this.#reading(options).get(keys, options) as Promise<never>;
  }

  /** Yields each appended record batch as a table of its own. */
  stream(key: Key, options?: GetOptions): AsyncGenerator<Table<T>, void, undefined>;
  stream<const C extends keyof T>(
    key: Key,
    options: ArrowGetOptions<C>,
  ): AsyncGenerator<Table<Pick<T, C>>, void, undefined>;
  async *stream(
    key: Key,
    options?: ArrowGetOptions<PropertyKey>,
  ): AsyncGenerator<never, void, undefined> {
    let first: Table<T> | undefined;
    for await (const table of this.#reading(options).stream(key, options)) {
      first ??= table;
      if (this.#options.schema !== "merge") checkSameSchema(first, table, key);
      if (table.batches.length <= 1) yield table as never;
      else for (const batch of table.batches) yield new Table(table.schema, [batch]) as never;
    }
  }

  iset(key: Key, value: Table<T>, options?: IsetOptions): Promise<void> {
    return this.#tables.iset(key, value, options);
  }

  delete(keys: Key | readonly Key[], options?: OperationOptions): Promise<void> {
    return this.#tables.delete(keys, options);
  }

  pop<const K extends KeyTree>(keys: K, options?: GetOptions): Promise<Values<K, Table<T>>> {
    return this.#tables.pop(keys, options);
  }

  keys(options?: KeysOptions): AsyncIterable<Key> {
    return this.#tables.keys(options);
  }

  entries(options?: EntriesOptions): AsyncIterable<readonly [Key, Table<T>]> {
    return this.#tables.entries(options);
  }

  count(options?: OperationOptions): Promise<number> {
    return this.#tables.count(options);
  }

  size(key: Key, options?: OperationOptions): Promise<number> {
    return this.#tables.size(key, options);
  }

  withLock<R>(
    critical: (store: Arrow<T>) => R | Promise<R>,
    options?: OperationOptions,
  ): Promise<R> {
    // Lock `#tables` rather than `#store`: its `withLock` waits for the calls made in `critical`.
    return this.#tables.withLock(
      (tables, store) => critical(new Arrow<T>(store, this.#options, tables)),
      options,
    );
  }

  flush(options?: OperationOptions): Promise<void> {
    return this.#tables.flush(options);
  }

  drop(options?: OperationOptions): Promise<void> {
    return this.#tables.drop(options);
  }

  /** Closes the store below too. */
  close(): Promise<void> {
    return this.#tables.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #reading(options: ArrowGetOptions<PropertyKey> | undefined): Encode<Table<T>> {
    const columns = options?.columns?.map(String);
    if (columns === undefined) return this.#tables;
    return new Encode(this.#store, arrowCodec<T>({ ...this.#options, columns }), this.#options);
  }
}
