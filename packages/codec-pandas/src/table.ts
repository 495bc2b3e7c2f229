import { PartdError } from "@partd/core";
import {
  type Data,
  Field,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  type Vector,
} from "apache-arrow";
import { HALF_PAIR, refuse } from "./column.js";

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

/** Splits a table into its columns and its index, which the metadata name. */
export function partsOf(table: Table): { columns: Column[]; index: Index } {
  const all = table.schema.fields.map(
    (field, i): Column => [field.name, table.getChildAt(i) as Vector],
  );
  const names = new Set(all.map(([name]) => name));
  if (names.size < all.length) throw refuse(all[0]?.[0] ?? "", "another has its name");
  const half = all.find(([name]) => !name.isWellFormed());
  if (half !== undefined) throw refuse(half[0], `its name has ${HALF_PAIR}`);
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

/** Makes a table whose metadata name its index, as pandas' own Arrow metadata do. */
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

/** A level's name in pandas, null for a level without one, which has a name only in Arrow. */
export function levelName(name: string): string | null {
  return LEVEL.test(name) ? null : name;
}
