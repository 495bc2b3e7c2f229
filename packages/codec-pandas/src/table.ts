import { PartdError } from "@partd/core";
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
} from "apache-arrow";
import { HALF_PAIR, refuse } from "./column.js";
import { Damage } from "./damage.js";
import { type Label, type Labels, labelOf, textOf } from "./labels.js";

/** A column and its name. */
export type Column = readonly [name: string, column: Vector];

/** A level of an index. Its column name in the table may differ from its label. */
export type Level = readonly [name: string, column: Vector, label: Label];

/** The index of a frame: a range, or one column a level. */
export type Index = RangeIndex | readonly Level[];

export interface RangeIndex {
  readonly kind: "range";
  readonly name: Label;
  readonly start: number;
  readonly stop: number;
  readonly step: number;
}

/** Splits a table into its columns and its index, which the metadata name. */
export function partsOf(table: Table): { columns: Column[]; index: Index } {
  const all = table.schema.fields.map(
    (field, i): Column => [field.name, table.getChildAt(i) as Vector],
  );
  checkNames(all);
  const half = all.find(([name]) => !name.isWellFormed());
  if (half !== undefined) throw refuse(half[0], `its name has ${HALF_PAIR}`);
  const { index_columns: described, columns: entries } = metadataOf(table);
  const levels = described?.filter((name) => typeof name === "string") ?? [];
  const range = described?.find((entry) => typeof entry === "object");
  const columns = all.filter(([name]) => !levels.includes(name));
  const index = levels.map((level): Level => {
    const found = all.find(([name]) => name === level);
    if (found === undefined)
      throw refuse(String(level), "the metadata name it as an index column, and it is not there");
    const entry = entries?.find(({ field_name }) => field_name === level);
    return [
      ...found,
      entry === undefined ? nameOf(found[0]) : (entry.metadata?.label ?? labelFrom(entry.name)),
    ];
  });
  if (index.length > 0) return { columns, index };
  const { label, start = 0, step = 1, ...rest } = (range ?? {}) as Partial<RangeIndex> & Labelled;
  const name = label ?? rest.name ?? null;
  return {
    columns,
    index: { kind: "range", name, start, stop: start + step * table.numRows, step },
  };
}

/** Makes a table whose metadata name its index, as pandas' own Arrow metadata do. */
export function tableOf(columns: readonly Column[], index: Index, labels?: Labels): Table {
  checkNames(columns);
  const levels = "kind" in index ? [] : withOwnNames(index, columns);
  const all: Column[] = [...columns, ...levels.map(([name, column]) => [name, column] as const)];
  const described = {
    index_columns:
      "kind" in index
        ? [{ ...index, ...withLabel(index.name, "label") }]
        : levels.map(([name]) => name),
    column_indexes: describedLabels(labels),
    columns: all.map(([name, column], i) => ({
      field_name: name,
      pandas_type: `${column.type}`.toLowerCase(),
      numpy_type: "object",
      metadata: null,
      ...withLabel(levels[i - columns.length]?.[2] ?? (i < columns.length ? name : null)),
    })),
    creator: { library: "@partd/codec-pandas" },
    pandas_version: "1.5.3",
  };
  const fields = all.map(([name, { type }]) => new Field(name, type, true));
  const schema = new Schema(fields, new Map([["pandas", JSON.stringify(described)]]));
  // A frame without columns has the rows of its range.
  const rows = all[0]?.[1].length ?? ("kind" in index ? lengthOf(index) : 0);
  if (all.some(([, column]) => column.length !== rows))
    throw new Damage("columns differ in length.");
  const children = all.map(
    ([, { type, data }]) => data[0] ?? makeData({ type, length: 0 } as never),
  );
  const struct = makeData({
    type: new Struct(fields),
    length: rows,
    nullCount: 0,
    children: children as Data[],
  });
  // Without rows, only a batch has the categories of a column.
  const isEmpty = rows === 0 && !fields.some(({ type }) => DataType.isDictionary(type));
  return new Table(schema, isEmpty ? [] : [new RecordBatch(schema, struct)]);
}

/** How many numbers are in a range. */
export function lengthOf({ start, stop, step }: RangeIndex): number {
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!Number.isSafeInteger(length)) throw new Damage("a range is none.");
  return length;
}

/**
 * @throws if two columns have the same name, as pandas allows (1 and "1", or equal names):
 *   `apache-arrow` takes them for one.
 */
function checkNames(columns: readonly Column[]): void {
  const names = new Set<string>();
  for (const [name] of columns) {
    if (names.has(name)) throw refuse(name, "another has its name");
    names.add(name);
  }
}

/** Gives each level a name that no column and no earlier level has. */
function withOwnNames(levels: readonly Level[], columns: readonly Column[]): Level[] {
  const taken = new Set(columns.map(([name]) => name));
  return levels.map(([name, column, label], i) => {
    let own = name;
    for (let number = i; taken.has(own); number++) own = `__index_level_${number}__`;
    taken.add(own);
    return [own, column, label];
  });
}

/**
 * The entry for a name that is neither string nor integer: its text, which is all that others read, and
 * its label.
 */
function withLabel(label: Label, key = "metadata") {
  if (label === null || typeof label === "string" || typeof label === "number") {
    return { name: label };
  }
  return { name: textOf(label), [key]: key === "metadata" ? { label } : label };
}

/**
 * An entry for each level of the columns' labels, as in pandas' metadata; the first one has the labels.
 */
function describedLabels(labels: Labels | undefined) {
  const { names, dtype, categories } = labels ?? { names: [null], dtype: "|O" };
  const type = categories ? "categorical" : (PANDAS_TYPES[dtype] ?? "mixed");
  return names.map((name, i) => ({
    field_name: null,
    pandas_type: labels !== undefined && dtype === "|O" && !categories ? "mixed" : type,
    numpy_type: dtype === "|O" ? "object" : type,
    metadata: labels !== undefined && i === 0 ? { labels } : null,
    ...{ name: name === null ? null : textOf(name) },
  }));
}

const PANDAS_TYPES: Readonly<Record<string, string>> = {
  "|O": "unicode",
  "<i8": "int64",
  "<u8": "uint64",
  "<f8": "float64",
  "|b1": "bool",
  "<M8[ns]": "datetime64[ns]",
};

/** The labels of a table's columns, if its metadata describe these columns. */
export function labelsOf(table: Table): Labels | undefined {
  const { column_indexes: levels, columns: entries, index_columns: described } = metadataOf(table);
  const index = (described ?? []) as readonly unknown[];
  const isColumn = (name: unknown) => !index.includes(name);
  const labels = levels?.[0]?.metadata?.labels;
  const known = entries?.map(({ field_name }) => field_name).filter(isColumn) ?? [];
  const names = table.schema.names.filter(isColumn);
  const isSame = known.length === names.length && names.every((name, i) => name === known[i]);
  if (labels !== undefined) {
    const { labels: each, names: levels } = labels;
    return isSame && each?.length === names.length && levels?.length > 0 ? labels : undefined;
  }
  const areNumbers = levels?.[0]?.pandas_type === "int64";
  if (!areNumbers || !names.every((name) => /^-?\d{1,15}$/.test(`${String(name)}`)))
    return undefined;
  return { names: [null], dtype: "<i8", labels: names.map((name) => ({ int: String(name) })) };
}

interface Labelled {
  readonly label?: Label;
}

interface PandasMetadata {
  readonly column_indexes?: readonly {
    readonly pandas_type?: string;
    readonly metadata?: { readonly labels?: Labels } | null;
  }[];
  readonly index_columns?: readonly (string | RangeIndex)[];
  readonly columns?: readonly {
    readonly name?: unknown;
    readonly field_name?: unknown;
    readonly metadata?: Labelled | null;
  }[];
}

export function metadataOf(table: Table): PandasMetadata {
  try {
    return JSON.parse(table.schema.metadata.get("pandas") ?? "{}") as PandasMetadata;
  } catch (cause) {
    throw new PartdError("ERR_PARTD_CODEC", "the table's metadata of pandas are no JSON.", {
      cause,
    });
  }
}

const LEVEL = /^__index_level_\d+__$/;

/** The label of a level with this column name; null for the name that a level without a label gets. */
function nameOf(name: string): string | null {
  return LEVEL.test(name) ? null : name;
}

/** A Python label in this form; null if JSON cannot hold it. */
export function labelFrom(label: unknown): Label {
  return labelOf(label) ?? null;
}

/** The level with this label, at its place in the index. */
export function levelOf(label: unknown, place: number, column: Vector): Level {
  return [levelName(label, place), column, labelFrom(label)];
}

/** The name of a level as a column, also for errors. */
export function levelName(label: unknown, place: number): string {
  return typeof label === "string" ? label : `__index_level_${place}__`;
}
