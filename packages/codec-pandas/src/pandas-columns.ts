import { NdArray, type NdValue, ndarray } from "@partd/codec-ndarray";
import { Pickler, Unpickler } from "@partd/codec-pickle/format";
import {
  decodeKey,
  type Entries,
  type EntriesOptions,
  encodeKey,
  isPartdError,
  type Key,
  type KeysOptions,
  type KeyTree,
  type OperationOptions,
  PartdError,
  type Store,
  tuple,
  type Values,
} from "@partd/core";
import {
  countKeys,
  Decorator,
  describeKey,
  entriesByKey,
  entriesOf,
  type GetOptions,
  type IsetOptions,
  selectKeys,
} from "@partd/core/author";
import { Table, type Vector } from "apache-arrow";
import { fromColumn, refuse, toColumn } from "./column.js";
import { Damage, explained } from "./damage.js";
import { pythonLabel } from "./labels.js";
import { type Column, type Level, levelName, levelOf, partsOf, tableOf } from "./table.js";

export interface PandasColumnsGetOptions extends GetOptions {
  /** Names of the columns to read, in the order of the result; no others are read. Default: all. */
  readonly columns?: readonly string[] | undefined;
}

/**
 * A store of tables over a store of bytes, each column under a key of its own. The bytes are those
 * of Python's `partd.PandasColumns`. An index of one level is a column, as in `PandasBlocks`. As in
 * Python, categories are refused, and dates are stored in UTC without their zone.
 *
 * @example new PandasColumns(new FileStore("shuffle"))
 */
export class PandasColumns extends Decorator<Table, PandasColumns> {
  readonly holdsValues = true;
  readonly #arrays: NdArray;

  constructor(store: Store) {
    super(store);
    this.#arrays = new NdArray(store);
  }

  override async append(data: Entries<Table>, options?: OperationOptions): Promise<void> {
    const arrays: [Key, NdValue][] = [];
    const isets: [Key, Uint8Array][] = [];
    for (const [key, table] of entriesOf(data)) {
      if (!(table instanceof Table)) {
        throw new PartdError("ERR_PARTD_CODEC", "it takes a Table of apache-arrow.", { key });
      }
      const { columns, index } = partsOf(table);
      if (!("kind" in index) && index.length > 1)
        throw refuse("", "Python has no index of several levels here");
      const [, level, label] = onlyLevel(index, table.numRows);
      isets.push([under(key, ".columns"), pickler.dump(columns.map(([column]) => column))]);
      isets.push([under(key, ".index-name"), pickler.dump(pythonLabel(label))]);
      for (const [column, vector] of [...columns, [".index", level] as const]) {
        arrays.push([under(key, column), arrayOf(vector, column)]);
      }
    }
    await this._calls.shared(async () => {
      for (const [key, bytes] of isets) await this._store.iset(key, bytes, options);
      await this.#arrays.append(arrays, options);
    }, options);
  }

  /** @throws `ERR_PARTD_CODEC` if a column is missing. */
  override get<const K extends KeyTree>(
    keys: K,
    options?: PandasColumnsGetOptions,
  ): Promise<Values<K, Table>> {
    return super.get(keys, options);
  }

  override async *stream(
    key: Key,
    options?: PandasColumnsGetOptions,
  ): AsyncGenerator<Table, void, undefined> {
    const table = await this.#read(key, options ?? {});
    if (table.numCols > 0) yield table;
  }

  /** Sets a key that has no table yet; with `replace`, any key. */
  override async iset(key: Key, value: Table, options?: IsetOptions): Promise<void> {
    await this.withLock(async (store) => {
      const names = await store.#namesOf(key, options);
      if (names !== undefined && !options?.replace) return;
      await store.delete(key, options);
      await store.append([[key, value]], options);
    }, options);
  }

  override async *keys(options: KeysOptions = {}): AsyncGenerator<Key, void, undefined> {
    const texts = selectKeys(this.#tableKeys({ signal: options.signal }), options);
    for await (const text of texts) yield decodeKey(text);
  }

  override entries(options?: EntriesOptions): AsyncIterable<readonly [Key, Table]> {
    return entriesByKey(this, options);
  }

  override count(options?: OperationOptions): Promise<number> {
    return countKeys(this, options);
  }

  /** Bytes of all columns, as they are stored. */
  override async size(key: Key, options?: OperationOptions): Promise<number> {
    let bytes = 0;
    for await (const column of this._store.keys({ ...options, prefix: key })) {
      bytes += await this._store.size(column, options);
    }
    return bytes;
  }

  override drop(options?: OperationOptions): Promise<void> {
    return this.#arrays.drop(options);
  }

  override close(): Promise<void> {
    return this._calls.exclusive(() => this.#arrays.close());
  }

  protected override _over(store: Store): PandasColumns {
    return new PandasColumns(store);
  }

  protected override async _get(
    keys: readonly Key[],
    options: PandasColumnsGetOptions = {},
  ): Promise<Table[]> {
    const tables: Table[] = [];
    for (const key of keys) tables.push(await this.#read(key, options));
    return tables;
  }

  protected override async _delete(keys: readonly Key[], options?: OperationOptions) {
    await this._calls.shared(async () => {
      for (const key of keys) {
        const names = (await this.#namesOf(key, options)) ?? [];
        await this.#arrays.delete(
          [...names, ".index"].map((name) => under(key, name)),
          options,
        );
        await this._store.delete([under(key, ".columns"), under(key, ".index-name")], options);
      }
    }, options);
  }

  async *#tableKeys(options: OperationOptions): AsyncGenerator<string, void, undefined> {
    for await (const key of this._store.keys(options)) {
      if (typeof key === "string" || key.parts.at(-1) !== ".columns") continue;
      const parts = key.parts.slice(0, -1);
      yield encodeKey(parts.length === 1 ? (parts[0] as string) : tuple(...parts));
    }
  }

  async #namesOf(key: Key, options?: GetOptions): Promise<string[] | undefined> {
    const bytes = await this._store.get(under(key, ".columns"), options);
    if (bytes.byteLength === 0) return undefined;
    return naming(key, () => {
      const names = unpickler.load(bytes);
      if (!Array.isArray(names)) throw new Damage("the names of columns are not a list.");
      return names.map(String);
    });
  }

  async #read(key: Key, { columns, ...options }: PandasColumnsGetOptions): Promise<Table> {
    const names = await this.#namesOf(key, options);
    if (names === undefined) return new Table();
    const missing = columns?.find((name) => !names.includes(name));
    if (missing !== undefined) {
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `there is no column ${JSON.stringify(missing)}; there are ${names.join(", ")}.`,
        { key },
      );
    }
    const wanted = [...(columns ?? names), ".index"];
    const arrays = await this.#arrays.get(
      wanted.map((name) => under(key, name)),
      options,
    );
    const pickledLabel = await this._store.get(under(key, ".index-name"), options);
    return naming(key, () => {
      const all = wanted.map((name, i): Column => [name, columnOf(arrays[i] as NdValue, name)]);
      const [, index] = all.pop() as Column;
      return tableOf(all, [levelOf(unpickler.load(pickledLabel), 0, index)]);
    });
  }
}

/** Makes errors of damaged columns name the key. */
function naming<T>(key: Key, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const cause = explained(error);
    const { code, offset } = isPartdError(cause) ? cause : { code: undefined, offset: 0 };
    throw new PartdError(
      code ?? "ERR_PARTD_CORRUPT",
      `The table of key ${describeKey(key)} cannot be read: ${(cause as Error).message}`,
      { key, offset, cause },
    );
  }
}

const pickler = new Pickler();
const unpickler = new Unpickler();

/** The key of a column: `("x", "column")`, as Python's `extend` makes it. */
function under(key: Key, name: string): Key {
  return typeof key === "string" ? tuple(key, name) : tuple(...key.parts, name);
}

function onlyLevel(index: ReturnType<typeof partsOf>["index"], rows: number): Level {
  if (!("kind" in index)) return index[0] as Level;
  const { name, start, step } = index;
  const data = new Uint8Array(
    BigInt64Array.from({ length: rows }, (_, i) => BigInt(start + i * step)).buffer,
  );
  return [levelName(name, 0), toColumn({ dtype: "<i8", data }, ".index"), name];
}

function arrayOf(column: Vector, name: string): NdValue {
  const { dtype, data, categories } = fromColumn(column, name);
  if (categories !== undefined)
    throw refuse(name, "Python has no categories here; append its texts");
  if (Array.isArray(data)) return data as unknown[];
  return typedArray(dtype, new Uint8Array(data as Uint8Array));
}

function typedArray(dtype: string, { buffer }: Uint8Array): NdValue {
  const types = {
    i1: Int8Array,
    u1: Uint8Array,
    i2: Int16Array,
    u2: Uint16Array,
    i4: Int32Array,
    u4: Uint32Array,
    i8: BigInt64Array,
    u8: BigUint64Array,
    f4: Float32Array,
    f8: Float64Array,
  } as const;
  const type = types[dtype.slice(1) as keyof typeof types];
  if (type !== undefined) return new type(buffer as ArrayBuffer);
  if (dtype === "|b1") return ndarray(dtype, new Uint8Array(buffer as ArrayBuffer));
  if (/[Mm]8/.test(dtype)) return ndarray(dtype, new BigInt64Array(buffer as ArrayBuffer));
  throw refuse(dtype, "float16 is not written here");
}

function columnOf(array: NdValue, name: string): Vector {
  if (Array.isArray(array)) return toColumn({ dtype: "|O", data: array }, name);
  const data = "dtype" in array ? array.data : array;
  const dtype = "dtype" in array ? array.dtype : `<${LETTERS[data.constructor.name]}`;
  return toColumn(
    { dtype, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) },
    name,
  );
}

const LETTERS: Readonly<Record<string, string>> = {
  Int8Array: "i1",
  Uint8Array: "u1",
  Int16Array: "i2",
  Uint16Array: "u2",
  Int32Array: "i4",
  Uint32Array: "u4",
  BigInt64Array: "i8",
  BigUint64Array: "u8",
  Float32Array: "f4",
  Float64Array: "f8",
};
