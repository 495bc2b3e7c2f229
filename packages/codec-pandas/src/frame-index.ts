import { PyDtype, PyGlobal, PyNdArray, PyObject, PyTuple, pyTuple } from "@partd/codec-pickle";
import { DataType, Int64, type Table, type Vector, vectorFromArray } from "apache-arrow";
import { type Extension, fromColumn, refuse, toColumn, type Values } from "./column.js";
import type { Compression } from "./compression.js";
import { Damage } from "./damage.js";
import { packed, pickler, unpacked, unpickler } from "./packed.js";
import { indexValues, itemOf, pickledZone, pyArray } from "./pickled-array.js";
import {
  type Column,
  type Index,
  type Label,
  type Level,
  labelFrom,
  levelName,
  levelOf,
  metadataOf,
  type RangeIndex,
} from "./table.js";

export async function decodeIndex(
  header: unknown,
  bytes: Uint8Array,
  compression: Compression,
): Promise<Index> {
  if (header === null) return unpickledIndex(unpickler.load(bytes));
  if (!(header instanceof PyTuple) || !(header[2] instanceof PyDtype))
    throw new Damage("an index is none.");
  const [, attributes, dtype, category] = header as unknown as [unknown, unknown, PyDtype, unknown];
  const label = itemOf(attributes, "name");
  const name = levelName(label, 0);
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
    return [levelOf(label, 0, vectorFromArray(values.data.map(BigInt as never), new Int64()))];
  }
  return [levelOf(label, 0, toColumn(values, name, extension))];
}

function unpickledIndex(index: unknown): Index {
  if (!(index instanceof PyObject)) throw new Damage("an index is none.");
  const [type, state] = index.args;
  const kind = `${type}`.split(".").at(-1);
  if (kind === "RangeIndex") {
    const [start, stop, step] = ["start", "stop", "step"].map((part) =>
      Number(itemOf(state, part)),
    );
    return {
      kind: "range",
      name: labelFrom(itemOf(state, "name")),
      start,
      stop,
      step,
    } as RangeIndex;
  }
  if (kind === "MultiIndex") {
    const levels = itemOf(state, "levels") as unknown[];
    const codes = itemOf(state, "codes") as unknown[];
    const names = itemOf(state, "names") as unknown[];
    if (![levels, codes, names].every(Array.isArray)) throw new Damage("an index is none.");
    return levels.map((level, i): Level => {
      const name = levelName(names[i], i);
      const values = indexValues(level, name);
      const at = codes[i];
      if (!(at instanceof PyNdArray)) throw new Damage("an index is none.");
      const places = toColumn({ dtype: at.dtype.text, data: at.data }, name);
      const rows = Array.from({ length: places.length }, (_, row) => Number(places.get(row)));
      return levelOf(names[i], i, taken(values, rows, name));
    });
  }
  return [levelOf(itemOf(state, "name"), 0, indexValues(index, "index"))];
}

/**
 * The values at `places`, null for -1. Dates are copied as raw ticks, because `get` returns
 * milliseconds.
 */
function taken(values: Vector, places: readonly number[], name: string): Vector {
  if (places.some((place) => place >= values.length)) {
    throw new Damage("a level of an index has not the values that its rows name.");
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

/** A frame's column names, and whether they are integers there. */
export interface ColumnNames {
  readonly names: string[];
  readonly areNumbers: boolean;
}

/**
 * Decodes a frame's column names, which pandas stores as an index. They may be of any type there;
 * here they are texts, those that are dates, bools or None as pandas prints them.
 *
 * @param most more than there can be columns: a range of a few bytes may claim any number.
 */
export async function decodeLabels(
  header: unknown,
  bytes: Uint8Array,
  compression: Compression,
  most: number,
): Promise<ColumnNames> {
  if (header instanceof PyTuple && header[2] instanceof PyDtype) {
    const { data } = await unpacked(bytes, header[2], undefined, compression);
    if (Array.isArray(data)) return { names: data.map(labelText), areNumbers: false };
  }
  const index = await decodeIndex(header, bytes, compression);
  if ("kind" in index) {
    const { start, stop, step } = index;
    const length = Math.max(0, Math.ceil((stop - start) / step));
    if (!(length <= most)) throw new Damage("it claims more columns than its bytes can hold.");
    const names = Array.from({ length }, (_, i) => String(start + i * step));
    return { names, areNumbers: true };
  }
  const [level] = index;
  if (level === undefined || index.length > 1)
    throw refuse("", "columns of several levels have no Arrow schema");
  const { type } = level[1];
  const labels = Array.from(level[1] as Vector<DataType>);
  const dates = DataType.isTimestamp(type) ? labels.map((ms) => new Date(Number(ms))) : labels;
  return { names: dates.map(labelText), areNumbers: DataType.isInt(type) };
}

function labelText(label: unknown): string {
  if (typeof label === "string") return label;
  if (label === null) return "None";
  if (typeof label === "boolean") return label ? "True" : "False";
  if (label instanceof Date) return label.toISOString().slice(0, 19).replace("T", " ");
  if (typeof label === "number" || typeof label === "bigint") return String(label);
  throw refuse("", "columns whose names are neither texts nor numbers have no Arrow schema");
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
    const [[name, column, label]] = index as readonly [Level];
    const values = fromColumn(column, name);
    return [indexHeader(label, values), await packed(values, compression)];
  }
  return [null, pickler.dump(pickledIndex(index))];
}

/** Whether an index is written as its values. Python pickles all others whole. */
function isPlainIndex({ dtype, timezone }: Values & Extension): boolean {
  return timezone === undefined && !/[Mm]8/.test(dtype);
}

function indexHeader(name: Label, { dtype, categories, ordered }: Values & Extension): PyTuple {
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
    const [[, column, label]] = index as readonly [Level];
    return pickledLevel(column, label);
  }
  const levels: PyObject[] = [];
  const codes: PyNdArray[] = [];
  for (const [name, column, label] of index) {
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
    levels.push(pickledLevel(distinct, label));
    codes.push(pyArray({ dtype: "<i4", data: new Uint8Array(own.buffer) }));
  }
  const type = new PyGlobal("pandas.core.indexes.multi", "MultiIndex");
  const names = index.map(([, , label]) => label);
  return new PyObject(make, pyTuple<unknown>(type, { levels, codes, sortorder: null, names }));
}

/** A level of an index, in the form in which pandas pickles it. */
export function pickledLevel(column: Vector, name: Label): PyObject {
  const values = fromColumn(column, `${name ?? "index"}`);
  if (values.categories !== undefined)
    throw refuse(`${name ?? "index"}`, "an index of categories is not written");
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
