import { PyDate, PyDtype, type PyNdArray, PyObject, PyTuple } from "@partd/codec-pickle";
import type { DataType, Table, Vector } from "apache-arrow";
import { fromColumn, HALF_PAIR, refuse, toColumn, type Values } from "./column.js";
import type { Compression } from "./compression.js";
import { Damage } from "./damage.js";
import {
  decodeIndex,
  indexHeader,
  type Levels,
  levelsOf,
  pickledIndexOf,
  pickledLevel,
  pickledMultiIndex,
  placesOf,
} from "./frame-index.js";
import { type Label, type Labels, labelOf, pythonLabel, textOf } from "./labels.js";
import {
  type Frequency,
  labelledObject,
  type ObjectLabel,
  periodLabels,
  pickledPeriods,
} from "./object-labels.js";
import { packed, pickler, unpacked, unpickler } from "./packed.js";
import { indexValues, itemOf, pyArray } from "./pickled-array.js";
import { type Column, type Level, labelFrom, labelsOf, lengthOf, levelName } from "./table.js";

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
