import { MsgPackDecoder, MsgPackEncoder } from "@partd/codec-msgpack/format";
import {
  PyDtype,
  PyGlobal,
  PyNdArray,
  PyObject,
  PyTimeDelta,
  PyTimeZone,
  PyTuple,
  pyTuple,
} from "@partd/codec-pickle";
import { Pickler, Unpickler } from "@partd/codec-pickle/format";
import { isPartdError, PartdError } from "@partd/core";
import { concatBytes, frame, splitFrames } from "@partd/core/author";
import {
  type Data,
  DataType,
  Field,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  type Vector,
  vectorFromArray,
} from "apache-arrow";
import {
  arrayColumn,
  type Extension,
  fromColumn,
  indexValues,
  itemOf,
  itemSizeOf,
  pyArray,
  refuse,
  toColumn,
  type Values,
  zoneName,
} from "./arrays.js";
import type { Compression } from "./compression.js";

const unpickler = new Unpickler({ objects: "keep" });
const pickler = new Pickler();
const encoder = new MsgPackEncoder();
const decoder = new MsgPackDecoder();

/** A column and its name. */
export type Column = readonly [name: string, column: Vector];

/** The index of a frame: a range, or one column a level. */
export type Index = RangeIndex | readonly Column[];

export interface RangeIndex {
  readonly kind: "range";
  readonly name: string | null;
  readonly start: number;
  readonly stop: number;
  readonly step: number;
}

/** The bytes of one frame of Python's `PandasBlocks` as a table. */
export async function decodeFrame(bytes: Uint8Array, compression: Compression): Promise<Table> {
  const [head, ...parts] = splitFrames(bytes, "").map(({ bytes: part }) => part);
  const headers = head && unpickler.load(head);
  if (!Array.isArray(headers) || headers.length !== parts.length || headers.length < 2) {
    throw new Error("it is no frame of pandas.");
  }
  const labels = await decodeIndex(headers[0], parts[0] as Uint8Array, compression);
  const names = labelsOf(labels);
  const index = await decodeIndex(headers[1], parts[1] as Uint8Array, compression);
  const columns: Column[] = [];
  for (let i = 2; i < headers.length; i++) {
    for (const [place, column] of await decodeBlock(
      headers[i],
      parts[i] as Uint8Array,
      names,
      compression,
    )) {
      columns[place] = [names[place] as string, column];
    }
  }
  if (columns.length !== names.length || columns.includes(undefined as never)) {
    throw new Error("a column has no block.");
  }
  return tableOf(columns, index, areNumbers(labels) ? "int64" : "unicode");
}

/** A table as such bytes. */
export async function encodeFrame(table: Table, compression: Compression): Promise<Uint8Array> {
  const { columns, index } = partsOf(table);
  const headers: unknown[] = [];
  const parts: Uint8Array[] = [];
  const labels = labelValues(columns, table);
  headers.push(indexHeader(null, labels));
  parts.push(await packed(labels, compression));
  if (
    !("kind" in index) &&
    index.length === 1 &&
    isPlainIndex(fromColumn(index[0]?.[1] as Vector, "index"))
  ) {
    const [[name, column]] = index as readonly [Column];
    const values = fromColumn(column, name);
    headers.push(indexHeader(levelName(name), values));
    parts.push(await packed(values, compression));
  } else {
    headers.push(pyTuple<unknown>(null, null)[0]);
    parts.push(pickler.dump(pickledIndex(index)));
  }
  for (const [i, [name, column]] of columns.entries()) {
    const values = fromColumn(column, name);
    const { dtype, categories, ordered, timezone } = values;
    const place = pyArray({
      dtype: "<i8",
      data: new Uint8Array(BigInt64Array.of(BigInt(i)).buffer),
    });
    const extension = categories
      ? pyTuple<unknown>(
          "categorical_type",
          pyTuple<unknown>(ordered ?? false, pickledLevel(categories, null)),
        )
      : timezone !== undefined
        ? pyTuple<unknown>("datetime64_tz_type", pyTuple(pickledZone(timezone)))
        : pyTuple<unknown>("numpy_type", pyTuple());
    const flat = categories !== undefined || timezone !== undefined;
    const shape = flat ? pyTuple(column.length) : pyTuple(1, column.length);
    const stored = timezone !== undefined ? "<i8" : dtype;
    headers.push(
      pyTuple<unknown>(place, new PyDtype(stored === "|O" ? "|O8" : stored), shape, extension),
    );
    parts.push(await packed(values, compression));
  }
  return concatBytes([pickler.dump(headers), ...parts].map(frame));
}

/** The columns of a table, and those that its metadata says are its index. */
export function partsOf(table: Table): { columns: Column[]; index: Index } {
  const all = table.schema.fields.map(
    (field, i): Column => [field.name, table.getChildAt(i) as Vector],
  );
  const names = new Set(all.map(([name]) => name));
  if (names.size < all.length) throw refuse(all[0]?.[0] ?? "", "another has its name");
  const described = metadataOf(table).index_columns;
  const levels = described?.filter((name) => typeof name === "string") ?? [];
  const range = described?.find((entry) => typeof entry === "object");
  const columns = all.filter(([name]) => !levels.includes(name));
  const index = levels.map((level): Column => {
    const found = all.find(([name]) => name === level);
    if (found === undefined)
      throw refuse(String(level), "the metadata name it as an index column, and it is not there");
    return found;
  });
  if (index.length > 0) return { columns, index };
  const { name = null, start = 0, step = 1 } = (range ?? {}) as Partial<RangeIndex>;
  return {
    columns,
    index: { kind: "range", name, start, stop: start + step * table.numRows, step },
  };
}

/** A table with its index as pandas' own Arrow metadata name it. */
export function tableOf(
  columns: readonly Column[],
  index: Index,
  labels: "unicode" | "int64" = "unicode",
): Table {
  const levels = "kind" in index ? [] : index;
  const all = [...columns, ...levels];
  const described = {
    index_columns: "kind" in index ? [index] : levels.map(([name]) => name),
    column_indexes: [
      {
        name: null,
        field_name: null,
        pandas_type: labels,
        numpy_type: labels === "int64" ? labels : "object",
        metadata: null,
      },
    ],
    columns: all.map(([name, column]) => ({
      name: levels.some(([level]) => level === name) ? levelName(name) : name,
      field_name: name,
      pandas_type: `${column.type}`.toLowerCase(),
      numpy_type: "object",
      metadata: null,
    })),
    creator: { library: "@partd/codec-pandas" },
    pandas_version: "1.5.3",
  };
  const fields = all.map(([name, { type }]) => new Field(name, type, true));
  const schema = new Schema(fields, new Map([["pandas", JSON.stringify(described)]]));
  const rows = all[0]?.[1].length ?? 0;
  if (all.some(([, column]) => column.length !== rows))
    throw new Error("columns differ in length.");
  const children = all.map(
    ([, { type, data }]) => data[0] ?? makeData({ type, length: 0 } as never),
  );
  const struct = makeData({
    type: new Struct(fields),
    length: rows,
    nullCount: 0,
    children: children as Data[],
  });
  return new Table(schema, rows > 0 ? [new RecordBatch(schema, struct)] : []);
}

interface PandasMetadata {
  readonly column_indexes?: readonly { readonly pandas_type?: string }[];
  readonly index_columns?: readonly (string | RangeIndex)[];
}

function metadataOf(table: Table): PandasMetadata {
  try {
    return JSON.parse(table.schema.metadata.get("pandas") ?? "{}") as PandasMetadata;
  } catch (cause) {
    throw new PartdError("ERR_PARTD_CODEC", "the table's metadata of pandas are no JSON.", {
      cause,
    });
  }
}

const LEVEL = /^__index_level_\d+__$/;

/** What a level is called in pandas: those without a name have one in Arrow. */
export function levelName(name: string): string | null {
  return LEVEL.test(name) ? null : name;
}

// ---- Indexes ---------------------------------------------------------------------------------

async function decodeIndex(
  header: unknown,
  bytes: Uint8Array,
  compression: Compression,
): Promise<Index> {
  if (header === null) return unpickledIndex(unpickler.load(bytes));
  if (!(header instanceof PyTuple) || !(header[2] instanceof PyDtype))
    throw new Error("an index is none.");
  const [, attributes, dtype, category] = header as unknown as [unknown, unknown, PyDtype, unknown];
  const name = nameOf(itemOf(attributes, "name"), 0);
  const values = await unpacked(bytes, dtype, undefined, compression);
  const extension: Extension =
    category instanceof PyTuple
      ? { ordered: category[0] === true, categories: indexValues(category[1], name) }
      : {};
  if (
    Array.isArray(values.data) &&
    values.data.every((item) => Number.isSafeInteger(item)) &&
    values.data.length > 0
  ) {
    return [[name, vectorFromArray(values.data.map(String))]];
  }
  return [[name, toColumn(values, name, extension)]];
}

function unpickledIndex(index: unknown): Index {
  if (!(index instanceof PyObject)) throw new Error("an index is none.");
  const [type, state] = index.args;
  const kind = `${type}`.split(".").at(-1);
  if (kind === "RangeIndex") {
    const [start, stop, step] = ["start", "stop", "step"].map((part) =>
      Number(itemOf(state, part)),
    );
    const name = itemOf(state, "name");
    return {
      kind: "range",
      name: typeof name === "string" ? name : null,
      start,
      stop,
      step,
    } as RangeIndex;
  }
  if (kind === "MultiIndex") {
    const levels = itemOf(state, "levels") as unknown[];
    const codes = itemOf(state, "codes") as unknown[];
    const names = itemOf(state, "names") as unknown[];
    if (![levels, codes, names].every(Array.isArray)) throw new Error("an index is none.");
    return levels.map((level, i): Column => {
      const name = nameOf(names[i], i);
      const values = indexValues(level, name);
      const at = codes[i];
      if (!(at instanceof PyNdArray)) throw new Error("an index is none.");
      const places = toColumn({ dtype: at.dtype.text, data: at.data }, name);
      const rows = Array.from({ length: places.length }, (_, row) => Number(places.get(row)));
      return [name, taken(values, rows, name)];
    });
  }
  return [[nameOf(itemOf(state, "name"), 0), indexValues(index, "index")]];
}

/** The values at these places, null for -1. Dates are taken raw: else they are milliseconds. */
function taken(values: Vector, places: readonly number[], name: string): Vector {
  const { dtype, data, timezone } = fromColumn(values, name);
  if (!/[Mm]8/.test(dtype)) {
    const items = places.map((place) => (place < 0 ? null : values.get(place)));
    return vectorFromArray(items as never, values.type) as Vector;
  }
  const ticks = new BigInt64Array((data as Uint8Array).slice().buffer);
  const own = BigInt64Array.from(places, (place) => ticks[place] ?? -(2n ** 63n));
  return toColumn({ dtype, data: new Uint8Array(own.buffer) }, name, { timezone });
}

function nameOf(name: unknown, level: number): string {
  return typeof name === "string" ? name : `__index_level_${level}__`;
}

function areNumbers(labels: Index): boolean {
  return "kind" in labels || DataType.isInt(labels[0]?.[1].type);
}

function labelsOf(index: Index): string[] {
  if ("kind" in index) {
    const { start, stop, step } = index;
    return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) =>
      String(start + i * step),
    );
  }
  if (index.length !== 1) throw refuse("", "columns of several levels have no Arrow schema");
  return Array.from(index[0]?.[1] as Vector, String);
}

/** Whether an index is written as its values; others are pickled whole, as in Python. */
function isPlainIndex({ dtype, timezone }: Values & Extension): boolean {
  return timezone === undefined && !/[Mm]8/.test(dtype);
}

function indexHeader(
  name: string | null,
  { dtype, categories, ordered }: Values & Extension,
): PyTuple {
  const type = categories
    ? new PyGlobal("pandas.core.indexes.category", "CategoricalIndex")
    : new PyGlobal("pandas.core.indexes.base", "Index");
  const category = categories
    ? pyTuple<unknown>(ordered ?? false, pickledLevel(categories, null))
    : null;
  return pyTuple<unknown>(type, { name }, new PyDtype(dtype === "|O" ? "|O8" : dtype), category);
}

/** Names of columns: numbers where the table was read from a frame whose names are. */
function labelValues(columns: readonly Column[], table: Table): Values {
  const isNumbers = metadataOf(table).column_indexes?.[0]?.pandas_type === "int64";
  const names = columns.map(([name]) => name);
  if (!isNumbers || !names.every((name) => /^-?\d{1,15}$/.test(name))) {
    return { dtype: "|O", data: names };
  }
  const numbers = BigInt64Array.from(names, BigInt);
  return { dtype: "<i8", data: new Uint8Array(numbers.buffer) };
}

function pickledIndex(index: Index): PyObject {
  const make = new PyGlobal("pandas.core.indexes.base", "_new_Index");
  if ("kind" in index) {
    const { name, start, stop, step } = index;
    const type = new PyGlobal("pandas.core.indexes.range", "RangeIndex");
    return new PyObject(make, pyTuple<unknown>(type, { name, start, stop, step }));
  }
  if (index.length === 1) {
    const [[name, column]] = index as readonly [Column];
    return pickledLevel(column, levelName(name));
  }
  const levels: PyObject[] = [];
  const codes: PyNdArray[] = [];
  for (const [name, column] of index) {
    const places = new Map<unknown, number>();
    const rows: number[] = [];
    const { dtype, data } = fromColumn(column, name);
    const ticks = /[Mm]8/.test(dtype) && new BigInt64Array((data as Uint8Array).slice().buffer);
    const own = Int32Array.from({ length: column.length }, (_, row) => {
      if (column.get(row) === null) return -1;
      const value: unknown = ticks ? ticks[row] : column.get(row);
      const place = places.get(value) ?? rows.push(row) - 1;
      places.set(value, place);
      return place;
    });
    const distinct = taken(column, rows, name);
    levels.push(pickledLevel(distinct, levelName(name)));
    codes.push(pyArray({ dtype: "<i4", data: new Uint8Array(own.buffer) }));
  }
  const type = new PyGlobal("pandas.core.indexes.multi", "MultiIndex");
  const names = index.map(([name]) => levelName(name));
  return new PyObject(make, pyTuple<unknown>(type, { levels, codes, sortorder: null, names }));
}

/** One level as pandas pickles its Index. */
function pickledLevel(column: Vector, name: string | null): PyObject {
  const values = fromColumn(column, name ?? "index");
  if (values.categories !== undefined)
    throw refuse(name ?? "index", "an index of categories is not written");
  if (values.dtype === "<M8[ns]") {
    const make = new PyGlobal("pandas.core.indexes.datetimes", "_new_DatetimeIndex");
    const type = new PyGlobal("pandas.core.indexes.datetimes", "DatetimeIndex");
    const tz = values.timezone === undefined ? null : pickledZone(values.timezone);
    return new PyObject(
      make,
      pyTuple<unknown>(type, { data: pyArray(values), name, tz, freq: null }),
    );
  }
  const make = new PyGlobal("pandas.core.indexes.base", "_new_Index");
  const type = new PyGlobal("pandas.core.indexes.base", "Index");
  return new PyObject(make, pyTuple<unknown>(type, { data: pyArray(values), name }));
}

function pickledZone(timezone: string): unknown {
  const offset = /^([+-])(\d\d):(\d\d)$/.exec(timezone);
  if (offset) {
    const [, sign, hours, minutes] = offset;
    const seconds = (Number(hours) * 3600 + Number(minutes) * 60) * (sign === "-" ? -1 : 1);
    const days = Math.floor(seconds / 86_400);
    return new PyTimeZone(new PyTimeDelta(days, seconds - days * 86_400));
  }
  if (timezone === "UTC") return new PyObject(new PyGlobal("pytz", "_UTC"), pyTuple());
  return new PyObject(new PyGlobal("pytz", "_p"), pyTuple(timezone));
}

// ---- Blocks ----------------------------------------------------------------------------------

async function decodeBlock(
  header: unknown,
  bytes: Uint8Array,
  names: readonly string[],
  compression: Compression,
): Promise<[place: number, column: Vector][]> {
  const [placement, dtype, shape, extension] = (
    header instanceof PyTuple ? header : []
  ) as unknown[];
  if (
    !(placement instanceof PyNdArray) ||
    !(shape instanceof PyTuple) ||
    !(extension instanceof PyTuple)
  ) {
    throw new Error("a block is none.");
  }
  const places = Array.from(
    toColumn({ dtype: placement.dtype.text, data: placement.data }, "blocks"),
    Number,
  );
  const name = names[places[0] as number] ?? "";
  const rows = Number(shape.at(-1));
  const [kind, details] = extension as unknown as [unknown, PyTuple];
  if (kind === "other") {
    const whole = arrayColumn(unpickler.load(bytes), name);
    return split(whole, places, rows);
  }
  if (!(dtype instanceof PyDtype)) throw new Error("a block has no dtype.");
  const items = shape.reduce((product: number, length) => product * Number(length), 1);
  const values = await unpacked(bytes, dtype, items, compression);
  switch (kind) {
    case "numpy_type":
      return split(toColumn(values, name), places, rows);
    case "categorical_type":
      return split(
        toColumn(values, name, {
          ordered: details[0] === true,
          categories: indexValues(details[1], name),
        }),
        places,
        rows,
      );
    case "datetime64_tz_type":
      return split(
        toColumn({ ...values, dtype: "<M8[ns]" }, name, { timezone: zoneName(details[0], name) }),
        places,
        rows,
      );
    default:
      throw new Error("a block is of an unknown kind.");
  }
}

/** Rows of a block are columns of the frame. */
function split(whole: Vector, places: readonly number[], rows: number): [number, Vector][] {
  if (whole.length !== rows * places.length)
    throw new Error("a block has not the shape it claims.");
  return places.map((place, i) => [place, whole.slice(i * rows, (i + 1) * rows)]);
}

async function packed({ dtype, data }: Values, compression: Compression): Promise<Uint8Array> {
  if (!Array.isArray(data)) return compression.numbers(data as Uint8Array, itemSizeOf(dtype));
  return compression.objects(frame(encodeObjects(data)));
}

function encodeObjects(items: unknown[]): Uint8Array {
  try {
    return encoder.encode(items);
  } catch (error) {
    if (!isPartdError(error, "ERR_PARTD_CODEC")) throw error;
    return pickler.dump(items);
  }
}

async function unpacked(
  bytes: Uint8Array,
  dtype: PyDtype,
  items: number | undefined,
  compression: Compression,
): Promise<Values> {
  if (/O/.test(dtype.text)) {
    const framed = await compression.readObjects(bytes);
    const data: unknown[] = [];
    for (const { bytes: list } of splitFrames(framed, "")) {
      const decoded =
        list[0] === 0x80 && list.length > 1 ? unpickler.load(list) : decoder.decode(list);
      if (!Array.isArray(decoded)) throw new Error("its objects are no list.");
      for (const item of decoded) data.push(item);
    }
    if (items !== undefined && data.length !== items)
      throw new Error("a block has not the shape it claims.");
    return { dtype: "|O", data };
  }
  const size = itemSizeOf(dtype.text);
  const data = await compression.readNumbers(bytes, items === undefined ? undefined : items * size);
  if (data.byteLength % size !== 0 || (items !== undefined && data.byteLength !== items * size)) {
    throw new Error("a block has not the shape it claims.");
  }
  return { dtype: dtype.text, data };
}
