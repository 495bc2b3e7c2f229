import { PyDtype, PyGlobal, PyNdArray, PyObject, PyTuple, pyTuple } from "@partd/codec-pickle";
import { DataType, type Table, type Vector, vectorFromArray } from "apache-arrow";
import { type Extension, fromColumn, refuse, toColumn, type Values } from "./column.js";
import type { Compression } from "./compression.js";
import { packed, pickler, unpacked, unpickler } from "./packed.js";
import { indexValues, itemOf, pickledZone, pyArray } from "./pickled-array.js";
import { type Column, type Index, levelName, metadataOf, type RangeIndex } from "./table.js";

export async function decodeIndex(
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

/**
 * The values at `places`, null for -1. Dates are copied as raw ticks, because `get` returns
 * milliseconds.
 */
function taken(values: Vector, places: readonly number[], name: string): Vector {
  if (places.some((place) => place >= values.length)) {
    throw new Error("a level of an index has not the values that its rows name.");
  }
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

export function areNumbers(labels: Index): boolean {
  return "kind" in labels || DataType.isInt(labels[0]?.[1].type);
}

export function labelsOf(index: Index): string[] {
  if ("kind" in index) {
    const { start, stop, step } = index;
    return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) =>
      String(start + i * step),
    );
  }
  if (index.length !== 1) throw refuse("", "columns of several levels have no Arrow schema");
  return Array.from(index[0]?.[1] as Vector, String);
}

/** Encodes a frame's column names, which pandas stores as an index. */
export async function encodeLabels(
  columns: readonly Column[],
  table: Table,
  compression: Compression,
): Promise<[header: unknown, part: Uint8Array]> {
  const labels = labelValues(columns, table);
  return [indexHeader(null, labels), await packed(labels, compression)];
}

export async function encodeIndex(
  index: Index,
  compression: Compression,
): Promise<[header: unknown, part: Uint8Array]> {
  if (
    !("kind" in index) &&
    index.length === 1 &&
    isPlainIndex(fromColumn(index[0]?.[1] as Vector, "index"))
  ) {
    const [[name, column]] = index as readonly [Column];
    const values = fromColumn(column, name);
    return [indexHeader(levelName(name), values), await packed(values, compression)];
  }
  return [null, pickler.dump(pickledIndex(index))];
}

/** Whether an index is written as its values. Python pickles all others whole. */
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

/** Column names: as integers if the table was read from a frame with integer names. */
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

/** A level of an index, in the form in which pandas pickles it. */
export function pickledLevel(column: Vector, name: string | null): PyObject {
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
