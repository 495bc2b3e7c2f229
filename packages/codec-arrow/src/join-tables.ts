import { type Key, PartdError } from "@partd/core";
import { describeKey } from "@partd/core/author";
import {
  type Data,
  type Field,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  type TypeMap,
} from "apache-arrow";
import { unifyDictionaries } from "./dictionaries.js";
import { nullData } from "./null-data.js";
import { describeType } from "./types.js";

/**
 * One table of the rows of all, in order. Columns keep their data; only dictionaries that differ are
 * made one.
 *
 * @param wanted names of the columns that were asked for, by default all
 * @throws `ERR_PARTD_CODEC` where the schemas do not go together.
 */
export function joinTables<T extends TypeMap>(
  tables: readonly Table<T>[],
  mode: "same" | "merge",
  wanted?: readonly string[],
): Table<T> {
  const first = tables[0];
  if (first === undefined) return new Table<T>();
  const columns = mode === "merge" ? mergedColumns(tables, wanted) : sameColumns(tables);
  const lengths = tables.flatMap(({ batches }) => batches.map(({ numRows }) => numRows));
  if (lengths.length <= 1 && tables.length === 1) return first;
  const unified = columns.map(({ field, places }) => {
    const pieces = tables.flatMap((table, t) =>
      table.batches.map((batch) => {
        const place = places[t];
        return place === undefined ? undefined : (batch.data.children[place] as Data);
      }),
    );
    const { type, data } = unifyDictionaries(field.type, pieces);
    return {
      field: field.clone({ type }),
      data: data.map((piece, b) => piece ?? nullData(type, lengths[b] as number, data)),
    };
  });
  const schema = new Schema<T>(
    unified.map(({ field }) => field) as Field<T[keyof T]>[],
    first.schema.metadata,
  );
  const struct = new Struct<T>(schema.fields);
  const batches = lengths.map((length, b) => {
    const children = unified.map(({ data }) => data[b] as Data);
    return new RecordBatch<T>(schema, makeData({ type: struct, length, nullCount: 0, children }));
  });
  return new Table<T>(schema, batches);
}

/** @throws `ERR_PARTD_CODEC`, naming the key, unless both have the same columns. */
export function checkSameSchema(first: Table, next: Table, key: Key): void {
  if (first === next) return;
  try {
    sameColumns([first, next]);
  } catch (cause) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `The tables of key ${describeKey(key)} cannot be joined: ${(cause as Error).message}`,
      { key, cause },
    );
  }
}

/** A column of the joined table, and where it stands in each of the tables. */
interface Column {
  readonly field: Field;
  readonly places: readonly (number | undefined)[];
}

function sameColumns(tables: readonly Table[]): Column[] {
  const [first, ...others] = tables as [Table, ...Table[]];
  for (const [i, { schema }] of others.entries()) {
    const { fields } = first.schema;
    const same =
      schema.fields.length === fields.length &&
      schema.fields.every((field, place) => sameField(field, fields[place] as Field));
    if (same) continue;
    throw refuse(
      `append ${i + 2} has the schema ${describe(schema)}, and the first has ${describe(first.schema)}; append tables of one schema, or read with { schema: "merge" }`,
    );
  }
  return first.schema.fields.map((field, place) => ({
    field: field.clone({ nullable: tables.some((table) => fieldAt(table, place)?.nullable) }),
    places: tables.map(() => place),
  }));
}

function mergedColumns(tables: readonly Table[], wanted?: readonly string[]): Column[] {
  const columns = new Map<string, { field: Field; places: (number | undefined)[] }>();
  for (const [t, { schema }] of tables.entries()) {
    for (const [place, field] of schema.fields.entries()) {
      const column = columns.get(field.name) ?? { field, places: tables.map(() => undefined) };
      if (column.places[t] !== undefined) {
        throw refuse(`append ${t + 1} has two columns named ${JSON.stringify(field.name)}`);
      }
      if (!sameField(field, column.field)) {
        throw refuse(
          `the column ${JSON.stringify(field.name)} is ${describeType(field.type)} in append ${t + 1} and ${describeType(column.field.type)} before; convert it`,
        );
      }
      column.places[t] = place;
      columns.set(field.name, column);
    }
  }
  const found = wanted?.map((name) => {
    const column = columns.get(name);
    if (column === undefined) throw refuse(`no table has a column ${JSON.stringify(name)}`);
    return column;
  });
  return (found ?? [...columns.values()]).map(({ field, places }) => ({
    field: field.clone({
      nullable: tables.some((table, t) => fieldAt(table, places[t])?.nullable !== false),
    }),
    places,
  }));
}

function fieldAt(table: Table, place: number | undefined): Field | undefined {
  return place === undefined ? undefined : table.schema.fields[place];
}

/** Whether nulls are allowed may differ: a table without any says so by itself. */
function sameField(a: Field, b: Field): boolean {
  return a === b || (a.name === b.name && describeType(a.type) === describeType(b.type));
}

function describe(schema: Schema): string {
  const fields = schema.fields.map(({ name, type }) => `${name}: ${describeType(type)}`);
  return `{ ${fields.join(", ")} }`;
}

function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", `${reason}.`);
}
