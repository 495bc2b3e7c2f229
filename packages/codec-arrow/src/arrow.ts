import {
  Encode,
  type EncodeOptions,
  type Key,
  type KeyTree,
  type OperationOptions,
  type Store,
  type Values,
} from "@partd/core";
import { ENCODE_OPTIONS, type GetOptions, type OptionNames, takeOptions } from "@partd/core/author";
import { Table, type TypeMap } from "apache-arrow";
import { type ArrowCodecOptions, arrowCodec, type UnknownColumns } from "./arrow-codec.js";
import { checkSameSchema } from "./join-tables.js";

export interface ArrowOptions extends Pick<ArrowCodecOptions, "schema">, EncodeOptions {}

export interface ArrowGetOptions<C extends PropertyKey> extends GetOptions {
  /** Names of the columns to read, in the order of the result. Default: all. */
  readonly columns?: readonly C[] | undefined;
}

const OPTIONS: OptionNames<ArrowOptions> = { ...ENCODE_OPTIONS, schema: ["same", "merge"] };

/**
 * A store of Apache Arrow tables over a store of bytes. `append` adds a table's rows to those of
 * its key, as one Arrow IPC stream; `get` returns one table of all rows, whose columns are views of
 * the bytes read. An absent key is a table without columns.
 *
 * @typeParam T the columns, by name; reads do not check it.
 * @example new Arrow<{ delay: Int16; origin: Utf8 }>(new Dict())
 */
export class Arrow<T extends TypeMap = UnknownColumns> extends Encode<Table<T>> {
  readonly #options: ArrowOptions;

  constructor(store: Store, options: ArrowOptions = {}) {
    const taken = takeOptions("new Arrow", options, OPTIONS, new.target !== Arrow);
    super(store, arrowCodec<T>(taken), taken);
    this.#options = taken;
  }

  /**
   * @throws `ERR_PARTD_CODEC` if the appended tables differ in schema or a column is missing;
   *   `ERR_PARTD_CORRUPT` if the bytes are damaged.
   */
  override get<const K extends KeyTree>(
    keys: K,
    options?: GetOptions,
  ): Promise<Values<K, Table<T>>>;
  override get<const K extends KeyTree, const C extends keyof T>(
    keys: K,
    options: ArrowGetOptions<C>,
  ): Promise<Values<K, Table<Pick<T, C>>>>;
  override get(keys: KeyTree, options?: ArrowGetOptions<PropertyKey>): Promise<never> {
    const { columns, ...rest } = options ?? {};
    const narrowed = this.#narrowed(columns);
    return (narrowed ? narrowed.get(keys, rest) : super.get(keys, options)) as Promise<never>;
  }

  /** Yields each appended record batch as a table of its own. */
  override stream(key: Key, options?: GetOptions): AsyncGenerator<Table<T>, void, undefined>;
  override stream<const C extends keyof T>(
    key: Key,
    options: ArrowGetOptions<C>,
  ): AsyncGenerator<Table<Pick<T, C>>, void, undefined>;
  override async *stream(
    key: Key,
    options?: ArrowGetOptions<PropertyKey>,
  ): AsyncGenerator<never, void, undefined> {
    const { columns, ...rest } = options ?? {};
    const tables = this.#narrowed(columns)?.stream(key, rest) ?? super.stream(key, options);
    let first: Table<T> | undefined;
    for await (const table of tables) {
      first ??= table;
      if (this.#options.schema !== "merge") checkSameSchema(first, table, key);
      if (table.batches.length <= 1) yield table as never;
      else for (const batch of table.batches) yield new Table(table.schema, [batch]) as never;
    }
  }

  override withLock<R>(
    critical: (store: Arrow<T>, bytes: Store) => R | Promise<R>,
    options?: OperationOptions,
  ): Promise<R> {
    return super.withLock(
      critical as (store: Encode<Table<T>>, bytes: Store) => R | Promise<R>,
      options,
    );
  }

  protected override _over(store: Store): Arrow<T> {
    return new Arrow(store, this.#options);
  }

  /** The store that reads only the requested columns; `undefined` without a request. */
  #narrowed(
    columns: ArrowGetOptions<PropertyKey>["columns"] | undefined,
  ): Encode<Table<T>> | undefined {
    if (columns === undefined) return undefined;
    const { schema, concurrency } = this.#options;
    const codec = arrowCodec<T>({ schema, columns: columns.map(String) });
    return new Encode(this._store, codec, { concurrency });
  }
}
