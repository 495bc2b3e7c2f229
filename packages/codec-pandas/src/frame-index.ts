import { PyDtype, PyGlobal, PyNdArray, PyObject, PyTuple, pyTuple } from "@partd/codec-pickle";
import { Int64, type Vector, vectorFromArray } from "apache-arrow";
import { type Extension, fromColumn, refuse, toColumn, type Values } from "./column.js";
import type { Compression } from "./compression.js";
import { Damage } from "./damage.js";
import { type Label, pythonLabel, textOf } from "./labels.js";
import { packed, pickler, unpacked, unpickler } from "./packed.js";
import { indexValues, itemOf, pickledZone, pyArray } from "./pickled-array.js";
import { type Index, type Level, labelFrom, levelName, levelOf, type RangeIndex } from "./table.js";

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
  const several = levelsOf(index);
  if (several !== undefined) {
    const { names, levels, codes } = several;
    return levels.map((level, i): Level => {
      const name = levelName(names[i], i);
      const values = indexValues(level, name);
      return levelOf(names[i], i, taken(values, placesOf(codes[i], name), name));
    });
  }
  return [levelOf(itemOf(state, "name"), 0, indexValues(index, "index"))];
}

export interface Levels {
  readonly names: readonly unknown[];
  readonly levels: readonly unknown[];
  readonly codes: readonly unknown[];
}

/** The parts of an index of several levels; `undefined` for any other. */
export function levelsOf(index: unknown): Levels | undefined {
  if (!(index instanceof PyObject)) return undefined;
  const [type, state] = index.args;
  if (`${type}`.split(".").at(-1) !== "MultiIndex") return undefined;
  const [names, levels, codes] = ["names", "levels", "codes"].map((part) => itemOf(state, part));
  if (![names, levels, codes].every(Array.isArray)) throw new Damage("an index is none.");
  return { names, levels, codes } as Levels;
}

/** For each row, its place in the values of a level, or -1. */
export function placesOf(codes: unknown, name: string): number[] {
  if (!(codes instanceof PyNdArray)) throw new Damage("an index is none.");
  const places = toColumn({ dtype: codes.dtype.text, data: codes.data }, name);
  return Array.from({ length: places.length }, (_, row) => Number(places.get(row)));
}

/**
 * The values at `places`, null for -1. Dates are copied as raw ticks, because `get` returns
 * milliseconds, and categories as codes, to keep those that no row has.
 */
function taken(values: Vector, places: readonly number[], name: string): Vector {
  if (places.some((place) => place >= values.length)) {
    throw new Damage("a level of an index has not the values that its rows name.");
  }
  const { dtype, data, timezone, categories, ordered } = fromColumn(values, name);
  if (categories !== undefined) {
    const codes = toColumn({ dtype, data }, name);
    const own = Int32Array.from(places, (place) => (place < 0 ? -1 : Number(codes.get(place))));
    const taken = { dtype: "<i4", data: new Uint8Array(own.buffer) };
    return toColumn(taken, name, { categories, ordered });
  }
  if (!/[Mm]8/.test(dtype)) {
    const items = places.map((place) => (place < 0 ? null : values.get(place)));
    return vectorFromArray(items as never, values.type) as Vector;
  }
  const ticks = new BigInt64Array((data as Uint8Array).slice().buffer);
  const own = BigInt64Array.from(places, (place) => ticks[place] ?? -(2n ** 63n));
  return toColumn({ dtype, data: new Uint8Array(own.buffer) }, name, { timezone });
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
    const { dtype, ordered } = values;
    const categories = values.categories && pickledLevel(values.categories, null);
    return [indexHeader(label, dtype, categories, ordered), await packed(values, compression)];
  }
  return [null, pickler.dump(pickledIndex(index))];
}

/** Whether an index is written as its values. Python pickles all others whole. */
function isPlainIndex({ dtype, timezone }: Values & Extension): boolean {
  return timezone === undefined && !/[Mm]8/.test(dtype);
}

/** @param categories if the values are codes of these. */
export function indexHeader(
  name: Label,
  dtype: string,
  categories?: PyObject,
  ordered = false,
): PyTuple {
  return pyTuple(
    categories ? CATEGORICAL : new PyGlobal("pandas.core.indexes.base", "Index"),
    { name: pythonLabel(name) },
    new PyDtype(dtype === "|O" ? "|O8" : dtype),
    categories ? pyTuple(ordered, categories) : null,
  );
}

const CATEGORICAL = new PyGlobal("pandas.core.indexes.category", "CategoricalIndex");

const make = new PyGlobal("pandas.core.indexes.base", "_new_Index");

export function pickledMultiIndex(
  levels: readonly PyObject[],
  codes: readonly PyNdArray[],
  labels: readonly Label[],
): PyObject {
  const type = new PyGlobal("pandas.core.indexes.multi", "MultiIndex");
  const names = labels.map(pythonLabel);
  return new PyObject(make, pyTuple(type, { levels, codes, sortorder: null, names }));
}

export function pickledIndexOf(data: PyNdArray, name: Label): PyObject {
  const type = new PyGlobal("pandas.core.indexes.base", "Index");
  return new PyObject(make, pyTuple(type, { data, name: pythonLabel(name) }));
}

export function pickledRange({ name, start, stop, step }: Omit<RangeIndex, "kind">): PyObject {
  const type = new PyGlobal("pandas.core.indexes.range", "RangeIndex");
  return new PyObject(make, pyTuple(type, { name: pythonLabel(name), start, stop, step }));
}

/** A level whose values are the categories, each once. */
export function pickledCategories(categories: PyObject, ordered: boolean, name: Label): PyObject {
  const type = new PyGlobal("pandas.core.dtypes.dtypes", "CategoricalDtype");
  const dtype = new PyObject(type, pyTuple(categories, ordered));
  return new PyObject(
    make,
    pyTuple(CATEGORICAL, { data: categories, dtype, name: pythonLabel(name) }),
  );
}

function pickledIndex(index: Index): PyObject {
  if ("kind" in index) return pickledRange(index);
  if (index.length === 1) {
    const [[, column, label]] = index as readonly [Level];
    return pickledLevel(column, label);
  }
  const levels: PyObject[] = [];
  const codes: PyNdArray[] = [];
  for (const [name, column, label] of index) {
    const places = new Map<unknown, number>();
    const rows: number[] = [];
    const { dtype, data, categories, ordered = false } = fromColumn(column, name);
    if (categories !== undefined) {
      levels.push(pickledCategories(pickledLevel(categories, null), ordered, label));
      codes.push(pyArray({ dtype, data }));
      continue;
    }
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
  return pickledMultiIndex(
    levels,
    codes,
    index.map(([, , label]) => label),
  );
}

/** A level of an index, in the form in which pandas pickles it. */
export function pickledLevel(column: Vector, name: Label): PyObject {
  const values = fromColumn(column, textOf(name ?? "index"));
  if (values.categories !== undefined)
    throw refuse(textOf(name ?? "index"), "an index of categories is not written");
  if (values.dtype === "<M8[ns]") {
    const make = new PyGlobal("pandas.core.indexes.datetimes", "_new_DatetimeIndex");
    const type = new PyGlobal("pandas.core.indexes.datetimes", "DatetimeIndex");
    const tz = values.timezone === undefined ? null : pickledZone(values.timezone);
    return new PyObject(
      make,
      pyTuple(type, { data: pyArray(values), name: pythonLabel(name), tz, freq: null }),
    );
  }
  return pickledIndexOf(pyArray(values), name);
}
