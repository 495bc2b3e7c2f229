import {
  PyDate,
  PyDtype,
  PyGlobal,
  PyNdArray,
  PyObject,
  PyTuple,
  pyTuple,
} from "@partd/codec-pickle";
import { type DataType, Int64, type Table, type Vector, vectorFromArray } from "apache-arrow";
import { type Extension, fromColumn, HALF_PAIR, refuse, toColumn, type Values } from "./column.js";
import type { Compression } from "./compression.js";
import { Damage } from "./damage.js";
import { type Label, type Labels, labelOf, pythonLabel, textOf } from "./labels.js";
import {
  type Frequency,
  labelledObject,
  type ObjectLabel,
  periodLabels,
  pickledPeriods,
} from "./object-labels.js";
import { packed, pickler, unpacked, unpickler } from "./packed.js";
import { indexValues, itemOf, pickledZone, pyArray } from "./pickled-array.js";
import {
  type Column,
  type Index,
  type Level,
  labelFrom,
  labelsOf,
  lengthOf,
  levelName,
  levelOf,
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

interface Levels {
  readonly names: readonly unknown[];
  readonly levels: readonly unknown[];
  readonly codes: readonly unknown[];
}

/** The parts of an index of several levels; `undefined` for any other. */
function levelsOf(index: unknown): Levels | undefined {
  if (!(index instanceof PyObject)) return undefined;
  const [type, state] = index.args;
  if (`${type}`.split(".").at(-1) !== "MultiIndex") return undefined;
  const [names, levels, codes] = ["names", "levels", "codes"].map((part) => itemOf(state, part));
  if (![names, levels, codes].every(Array.isArray)) throw new Damage("an index is none.");
  return { names, levels, codes } as Levels;
}

/** For each row, its place in the values of a level, or -1. */
function placesOf(codes: unknown, name: string): number[] {
  if (!(codes instanceof PyNdArray)) throw new Damage("an index is none.");
  const places = toColumn({ dtype: codes.dtype.text, data: codes.data }, name);
  return Array.from({ length: places.length }, (_, row) => Number(places.get(row)));
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

/** A frame's column names, and their pandas labels if those are not plain strings. */
export interface ColumnNames {
  readonly names: string[];
  readonly labels?: Labels | undefined;
}

/**
 * Decodes a frame's column names, which pandas stores as an index. There they may be of any type; here
 * they are strings, as pandas prints them, and the labels are kept beside them.
 *
 * @param most more columns than the frame can have: a range of a few bytes may claim any number.
 */
export async function decodeLabels(
  header: unknown,
  bytes: Uint8Array,
  compression: Compression,
  most: number,
): Promise<ColumnNames> {
  if (header instanceof PyTuple && header[2] instanceof PyDtype) {
    const { data } = await unpacked(bytes, header[2], undefined, compression);
    if (Array.isArray(data)) return named(data, [itemOf(header[1], "name")], "|O");
  }
  const levels = header === null ? levelsOf(unpickler.load(bytes)) : undefined;
  if (levels !== undefined) return namedByLevels(levels);
  const index = await decodeIndex(header, bytes, compression);
  if ("kind" in index) {
    const { name, start, step } = index;
    const length = lengthOf(index);
    if (length > most) throw new Damage("it claims more columns than its bytes can hold.");
    const values = Array.from({ length }, (_, i) => BigInt(start + i * step));
    return named(values, [pythonLabel(name)], "<i8");
  }
  const names = index.map(([, , label]) => pythonLabel(label));
  if (index.length === 1) {
    const [[name, column]] = index as readonly [Level];
    const { dtype, timezone, data } = fromColumn(column, name);
    if (/[Mm]8/.test(dtype)) {
      const bytes = (data as Uint8Array).slice();
      const ticks = Array.from(new BigInt64Array(bytes.buffer));
      const texts = Array.from(column, (tick) =>
        dtype[1] === "M" ? dateText(tick) : String(tick),
      );
      return {
        names: texts,
        labels: { names: [labelFrom(names[0])], dtype, timezone, labels: ticks.map(String) },
      };
    }
    const isWide = /^<[iu]8/.test(dtype);
    const values = Array.from(column as Vector<DataType>, (value) =>
      isWide ? BigInt(value as bigint) : value,
    );
    return named(values, names, /^(<[iu]8|<f8|\|b1)$/.test(dtype) ? dtype : "|O");
  }
  throw new Damage("an index is none.");
}

/** Columns of several levels, each label a tuple. */
function namedByLevels({ names, levels, codes }: Levels): ColumnNames {
  const columns = levels.map((level, i) => {
    const name = levelName(names[i], i);
    const labels = labelsOfLevel(level, name);
    return placesOf(codes[i], name).map((place) => {
      if (place < 0) return null;
      const label = labels[place];
      if (label === undefined)
        throw new Damage("a level of an index has not the values of its rows.");
      return label;
    });
  });
  const rows = columns[0]?.length ?? 0;
  if (columns.some(({ length }) => length !== rows)) throw new Damage("an index is none.");
  const labels = Array.from({ length: rows }, (_, row) =>
    columns.map((column) => column[row] as Label),
  );
  return {
    names: labels.map(textOf),
    labels: { names: names.map(labelFrom), dtype: "|O", labels },
  };
}

function labelsOfLevel(level: unknown, name: string): Label[] {
  const periods = periodLabels(level);
  if (periods !== undefined) return periods;
  const column = indexValues(level, name);
  const { dtype, data, timezone: zone } = fromColumn(column, name);
  if (/[Mm]8/.test(dtype)) {
    const ticks = new BigInt64Array((data as Uint8Array).slice().buffer);
    return Array.from(ticks, (tick): Label => {
      if (tick === -(2n ** 63n)) return null;
      if (dtype[1] === "m") return { timedelta: String(tick) };
      return { timestamp: String(tick), ...(zone === undefined ? {} : { zone }) };
    });
  }
  return Array.from(column, (value: unknown) => {
    const label = labelOf(value);
    if (label === undefined) throw refuse(name, `its label in a level has ${HALF_PAIR}`);
    return label;
  });
}

function named(values: readonly unknown[], levels: readonly unknown[], dtype: string): ColumnNames {
  const labels = values.map((value) => {
    const label = labelOf(value);
    if (label !== undefined) return label;
    if (typeof value === "string") throw refuse(value, `its name has ${HALF_PAIR}`);
    throw refuse("", "columns whose names are neither texts nor numbers have no Arrow schema");
  });
  const names = labels.map(textOf);
  const isPlain = levels.length === 1 && (levels[0] ?? null) === null && values.every(isText);
  return isPlain ? { names } : { names, labels: { names: levels.map(labelFrom), dtype, labels } };
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function dateText(ms: unknown): string {
  return ms === null ? "NaT" : new Date(Number(ms)).toISOString().slice(0, 19).replace("T", " ");
}

/** Encodes a frame's column names, which pandas stores as an index. */
export async function encodeLabels(
  columns: readonly Column[],
  table: Table,
  compression: Compression,
): Promise<[header: unknown, part: Uint8Array]> {
  const known = labelsOf(table);
  if (known === undefined) {
    const values = { dtype: "|O", data: columns.map(([name]) => name) };
    return [indexHeader(null, values), await packed(values, compression)];
  }
  const { names, dtype, timezone, labels } = known;
  if (names.length > 1) return [null, pickler.dump(pickledLevels(names, labels))];
  const name = names[0] ?? null;
  const values = valuesOfLabels(dtype, labels);
  if (!/[Mm]8/.test(dtype)) return [indexHeader(name, values), await packed(values, compression)];
  return [null, pickler.dump(pickledLevel(toColumn(values, "columns", { timezone }), name))];
}

function valuesOfLabels(dtype: string, labels: readonly Label[]): Values {
  const values = labels.map(pythonLabel);
  switch (dtype) {
    case "<i8":
    case "<u8":
    case "<M8[ns]":
    case "<m8[ns]": {
      const ticks = BigInt64Array.from(values, (value) => BigInt.asIntN(64, BigInt(String(value))));
      return { dtype, data: new Uint8Array(ticks.buffer) };
    }
    case "<f8":
      return { dtype, data: new Uint8Array(Float64Array.from(values, Number).buffer) };
    case "|b1":
      return { dtype, data: Uint8Array.from(values, Number) };
    default:
      return { dtype: "|O", data: values };
  }
}

/** The dtype of a level of labels. @throws `ERR_PARTD_CODEC` for a level that would not be read. */
function commonDtype(labels: readonly Label[]): string {
  const values = labels.map(pythonLabel);
  const areAll = (type: string) => values.every((value) => typeof value === type);
  if (areAll("string") || values.every((value) => value instanceof Uint8Array)) return "|O";
  if (areAll("boolean")) return "|b1";
  const integers = values.map((value) => {
    return Number.isInteger(value) && !Object.is(value, -0) ? BigInt(value as number) : value;
  });
  const fit = (least: bigint, most: bigint) =>
    integers.every((value) => typeof value === "bigint" && value >= least && value <= most);
  if (fit(-(2n ** 63n), 2n ** 63n - 1n)) return "<i8";
  if (fit(0n, 2n ** 64n - 1n)) return "<u8";
  if (areAll("number")) return "<f8";
  if (values.every((value) => value instanceof PyDate || value instanceof PyObject)) return "|O";
  throw refuse("", "a level of its columns has labels of several types; give them one type");
}

/** The distinct labels of a level as an index. */
function pickledLabels(labels: readonly Label[], name: Label): PyObject {
  const [first] = labels;
  const ticks = (one: string) => labels.map((label) => (label as Record<string, string>)[one]);
  const isOf = (form: string, detail: string) =>
    labels.length > 0 &&
    labels.every((label) => typeof label === "object" && label !== null && form in label) &&
    new Set(labels.map((label) => JSON.stringify((label as never)[detail]))).size === 1;
  if (isOf("timestamp", "zone")) {
    const { zone: timezone } = first as { zone?: string };
    const values = valuesOfLabels("<M8[ns]", ticks("timestamp") as Label[]);
    return pickledLevel(toColumn(values, "columns", { timezone }), name);
  }
  if (isOf("timedelta", "none")) {
    return pickledIndexOf(pyArray(valuesOfLabels("<m8[ns]", ticks("timedelta") as Label[])), name);
  }
  if (isOf("period", "freq")) {
    const { freq } = first as { freq: Frequency };
    if (labelledObject(first as ObjectLabel) !== undefined) {
      const ordinals = pyArray(valuesOfLabels("<i8", ticks("period") as Label[]));
      return pickledPeriods(ordinals, freq, pythonLabel(name));
    }
  }
  return pickledIndexOf(pyArray(valuesOfLabels(commonDtype(labels), labels)), name);
}

/** Labels of several levels, each a tuple, as a MultiIndex. */
function pickledLevels(names: readonly Label[], labels: readonly Label[]): PyObject {
  const levels: PyObject[] = [];
  const codes: PyNdArray[] = [];
  for (const [i, name] of names.entries()) {
    const places = new Map<string, number>();
    const distinct: Label[] = [];
    const own = labels.map((tuple) => {
      const label = (Array.isArray(tuple) ? tuple[i] : null) as Label;
      if (label === null) return -1;
      const key = JSON.stringify(label);
      const place = places.get(key) ?? distinct.push(label) - 1;
      places.set(key, place);
      return place;
    });
    levels.push(pickledLabels(distinct, name));
    codes.push(pyArray({ dtype: "<i4", data: new Uint8Array(Int32Array.from(own).buffer) }));
  }
  return pickledMultiIndex(levels, codes, names);
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
  const category = categories ? pyTuple(ordered ?? false, pickledLevel(categories, null)) : null;
  return pyTuple(
    type,
    { name: pythonLabel(name) },
    new PyDtype(dtype === "|O" ? "|O8" : dtype),
    category,
  );
}

const make = new PyGlobal("pandas.core.indexes.base", "_new_Index");

function pickledMultiIndex(
  levels: readonly PyObject[],
  codes: readonly PyNdArray[],
  labels: readonly Label[],
): PyObject {
  const type = new PyGlobal("pandas.core.indexes.multi", "MultiIndex");
  const names = labels.map(pythonLabel);
  return new PyObject(make, pyTuple(type, { levels, codes, sortorder: null, names }));
}

function pickledIndexOf(data: PyNdArray, name: Label): PyObject {
  const type = new PyGlobal("pandas.core.indexes.base", "Index");
  return new PyObject(make, pyTuple(type, { data, name: pythonLabel(name) }));
}

function pickledIndex(index: Index): PyObject {
  if ("kind" in index) {
    const { name, start, stop, step } = index;
    const type = new PyGlobal("pandas.core.indexes.range", "RangeIndex");
    return new PyObject(make, pyTuple(type, { name: pythonLabel(name), start, stop, step }));
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
