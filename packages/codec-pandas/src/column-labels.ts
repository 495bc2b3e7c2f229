import { PyDate, PyDtype, type PyNdArray, PyObject, PyTuple } from "@partd/codec-pickle";
import type { Table, Vector } from "apache-arrow";
import { fromColumn, HALF_PAIR, refuse, toColumn, type Values } from "./column.js";
import type { Compression } from "./compression.js";
import { Damage } from "./damage.js";
import {
  decodeIndex,
  indexHeader,
  type Levels,
  levelsOf,
  pickledCategories,
  pickledIndexOf,
  pickledLevel,
  pickledMultiIndex,
  pickledRange,
  placesOf,
} from "./frame-index.js";
import { type Label, type Labels, type LevelType, labelOf, pythonLabel, textOf } from "./labels.js";
import {
  type Frequency,
  labelledObject,
  type ObjectLabel,
  periodLabels,
  pickledPeriods,
} from "./object-labels.js";
import { packed, pickler, unpacked, unpickler } from "./packed.js";
import { indexValues, itemOf, pyArray } from "./pickled-array.js";
import {
  type Column,
  type Level,
  labelFrom,
  lengthOf,
  levelName,
  labelsOf as tableLabels,
} from "./table.js";

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
    if (Array.isArray(data)) {
      const [name, labels] = [labelFrom(itemOf(header[1], "name")), labelsOf(data)];
      const names = labels.map(textOf);
      return name === null && data.every(isText)
        ? { names }
        : { names, labels: { names: [name], dtype: "|O", labels } };
    }
  }
  const levels = header === null ? levelsOf(unpickler.load(bytes)) : undefined;
  if (levels !== undefined) return namedByLevels(levels);
  const index = await decodeIndex(header, bytes, compression);
  if ("kind" in index) {
    const { name, start, step } = index;
    const length = lengthOf(index);
    if (length > most) throw new Damage("it claims more columns than its bytes can hold.");
    const labels = Array.from({ length }, (_, i) => labelFrom(BigInt(start + i * step)));
    return named({ names: [name], dtype: "<i8", labels, range: { start, step } });
  }
  if (index.length !== 1) throw new Damage("an index is none.");
  const [[name, column, label]] = index as readonly [Level];
  const { dtype, timezone, data, categories, ordered } = fromColumn(column, name);
  if (categories !== undefined) {
    const type = categoricalType(categories, name, ordered);
    const codes = Array.from(toColumn({ dtype, data }, name), Number);
    const labels = codes.map((code) => type.categories?.[code] ?? null);
    return named({ names: [label], labels, ...type });
  }
  const labels = labelsOfColumn(column, name);
  if (!/[Mm]8/.test(dtype)) return named({ names: [label], dtype, labels });
  const ticks = Array.from(new BigInt64Array((data as Uint8Array).slice().buffer), String);
  return {
    names: labels.map((moment) => (moment === null ? "NaT" : textOf(moment))),
    labels: { names: [label], dtype, timezone, labels: ticks },
  };
}

function named(labels: Labels): ColumnNames {
  return { names: labels.labels.map(textOf), labels };
}

/** Columns of several levels, each label a tuple. */
function namedByLevels({ names, levels, codes }: Levels): ColumnNames {
  const types: LevelType[] = [];
  const columns = levels.map((level, i) => {
    const name = levelName(names[i], i);
    const [labels, type] = labelsOfLevel(level, name);
    types.push(type);
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
  return named({ names: names.map(labelFrom), dtype: "|O", labels, levels: types });
}

function labelsOfLevel(level: unknown, name: string): [Label[], LevelType] {
  const periods = periodLabels(level);
  if (periods !== undefined) return [periods, { dtype: "|O" }];
  const column = indexValues(level, name);
  const { dtype, categories, ordered } = fromColumn(column, name);
  if (categories === undefined) return [labelsOfColumn(column, name), { dtype }];
  return [labelsOfColumn(column, name), categoricalType(categories, name, ordered)];
}

function categoricalType(categories: Vector, name: string, ordered = false): LevelType {
  const { dtype } = fromColumn(categories, name);
  return { dtype, categories: labelsOfColumn(categories, name), ordered };
}

function labelsOfColumn(column: Vector, name: string): Label[] {
  const { dtype, data, categories, timezone: zone } = fromColumn(column, name);
  if (categories !== undefined) {
    const each = labelsOfColumn(categories, name);
    return Array.from(toColumn({ dtype, data }, name), (code) => each[Number(code)] ?? null);
  }
  if (!/[Mm]8/.test(dtype)) return labelsOf(column);
  const ticks = new BigInt64Array((data as Uint8Array).slice().buffer);
  return Array.from(ticks, (tick): Label => {
    if (tick === -(2n ** 63n)) return null;
    if (dtype[1] === "m") return { timedelta: String(tick) };
    return { timestamp: String(tick), ...(zone === undefined ? {} : { zone }) };
  });
}

function labelsOf(values: Iterable<unknown>): Label[] {
  return Array.from(values, (value) => {
    const label = labelOf(value);
    if (label !== undefined) return label;
    if (typeof value === "string") throw refuse(value, `its name has ${HALF_PAIR}`);
    throw refuse("", "columns whose names are neither texts nor numbers have no Arrow schema");
  });
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

/** Encodes a frame's column names, which pandas stores as an index. */
export async function encodeLabels(
  columns: readonly Column[],
  table: Table,
  compression: Compression,
): Promise<[header: unknown, part: Uint8Array]> {
  const known = tableLabels(table);
  if (known === undefined) {
    const values = { dtype: "|O", data: columns.map(([name]) => name) };
    return [indexHeader(null, values.dtype), await packed(values, compression)];
  }
  const { names, dtype, timezone, labels, range, categories, ordered } = known;
  if (known.levels !== undefined || names.length > 1) {
    return [null, pickler.dump(pickledLevels(known))];
  }
  const name = names[0] ?? null;
  if (range !== undefined && isRange(range, labels)) {
    const stop = range.start + labels.length * range.step;
    return [null, pickler.dump(pickledRange({ name, ...range, stop }))];
  }
  if (categories !== undefined) {
    const codes = Int32Array.from(placesAmong(categories, labels));
    const values = { dtype: "<i4", data: new Uint8Array(codes.buffer) };
    const header = indexHeader(name, values.dtype, pickledLabels(categories, null, dtype), ordered);
    return [header, await packed(values, compression)];
  }
  const values = valuesOfLabels(dtype, labels);
  if (!/[Mm]8/.test(dtype))
    return [indexHeader(name, values.dtype), await packed(values, compression)];
  return [null, pickler.dump(pickledLevel(toColumn(values, "columns", { timezone }), name))];
}

function isRange({ start, step }: Exclude<Labels["range"], undefined>, labels: readonly Label[]) {
  if (![start, step].every(Number.isSafeInteger) || step === 0) return false;
  return labels.every((label, i) => label === start + i * step);
}

/** The place of each label among the distinct ones, -1 for null. */
function placesAmong(distinct: readonly Label[], labels: readonly Label[]): number[] {
  if (!Array.isArray(distinct))
    throw refuse("", "the metadata of pandas hold categories that are no list");
  const places = new Map(distinct.map((label, place) => [JSON.stringify(label), place]));
  return labels.map((label) => {
    const place = label === null ? -1 : places.get(JSON.stringify(label));
    if (place === undefined)
      throw refuse("", "a label of its columns is not one of the categories");
    return place;
  });
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

/** The dtype of a level, which may be wider than its labels need. */
function levelDtype(labels: readonly Label[], dtype: string | undefined): string {
  if (labels.length === 0) return dtype ?? "|O";
  const least = commonDtype(labels);
  const isWider =
    dtype === "<f8"
      ? labels.every((label) => typeof pythonLabel(label) === "number")
      : dtype === "<u8" && labels.every((label) => BigInt(pythonLabel(label) as number) >= 0n);
  return isWider && /8$/.test(least) ? (dtype as string) : least;
}

/** The distinct labels of a level as an index. */
function pickledLabels(labels: readonly Label[], name: Label, dtype?: string): PyObject {
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
  return pickledIndexOf(pyArray(valuesOfLabels(levelDtype(labels, dtype), labels)), name);
}

/** Labels of several levels, each a tuple, as a MultiIndex. */
function pickledLevels({ names, labels, levels: types }: Labels): PyObject {
  const levels: PyObject[] = [];
  const codes: PyNdArray[] = [];
  for (const [i, name] of names.entries()) {
    const own = labels.map((tuple) => ((Array.isArray(tuple) ? tuple[i] : null) ?? null) as Label);
    const { dtype, categories, ordered = false } = types?.[i] ?? {};
    const distinct = categories ?? distinctOf(own);
    const data = Int32Array.from(placesAmong(distinct, own));
    codes.push(pyArray({ dtype: "<i4", data: new Uint8Array(data.buffer) }));
    levels.push(
      categories === undefined
        ? pickledLabels(distinct, name, dtype)
        : pickledCategories(pickledLabels(categories, null, dtype), ordered, name),
    );
  }
  return pickledMultiIndex(levels, codes, names);
}

function distinctOf(labels: readonly Label[]): Label[] {
  const found = labels
    .filter((label) => label !== null)
    .map((label) => [JSON.stringify(label), label] as const);
  return [...new Map(found).values()];
}
