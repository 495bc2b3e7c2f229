import { type Key, PartdError } from "@partd/core";
import { describeKey } from "@partd/core/author";
import {
  type Data,
  DataType,
  type Field,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  type TypeMap,
  UnionMode,
  vectorFromArray,
} from "apache-arrow";
import { unifyDictionaries } from "./dictionaries.js";
import { describeType } from "./types.js";

/**
 * Joins tables into one with all rows, in order. Columns keep their data; only dictionaries that
 * differ are united.
 *
 * @param wanted names of the requested columns; default all.
 * @throws `ERR_PARTD_CODEC` if the schemas do not match.
 */
export function joinTables<T extends TypeMap>(
  tables: readonly Table<T>[],
  mode: "same" | "merge",
  wanted?: readonly string[],
): Table<T> {
  const first = tables[0];
  if (first === undefined) return new Table<T>();
  const columns = mode === "merge" ? mergedColumns(tables, wanted) : sameColumns(tables);
  // A table without rows has a batch that apache-arrow made, without columns: leave it out.
  const filled = tables.map(({ batches }) => batches.filter(({ numRows }) => numRows > 0));
  const lengths = filled.flatMap((batches) => batches.map(({ numRows }) => numRows));
  if (lengths.length <= 1 && tables.length === 1) return first;
  const unified = columns.map(({ field, places }) => {
    const pieces = filled.flatMap((batches, t) =>
      batches.map((batch) => {
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

/** A column of the joined table, and its position in each of the tables. */
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
      if (DataType.isNull(column.field.type)) {
        // A column of the type Null takes the type of any other, as in pyarrow's promotion.
        column.field = field;
        column.places.fill(undefined);
      }
      if (DataType.isNull(field.type) && !DataType.isNull(column.field.type)) {
        columns.set(field.name, column);
        continue;
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

/**
 * Null rows, for a table that lacks the column. `others` hold the column's dictionary, if it has
 * one.
 */
function nullData(type: DataType, length: number, others: readonly (Data | undefined)[]): Data {
  const nulls = {
    length,
    nullCount: length,
    nullBitmap: new Uint8Array(((length + 63) >> 6) << 3),
  };
  const children = (lengthOf: (child: number) => number): Data[] =>
    ((type.children ?? []) as Field[]).map((field, c) => {
      const inner = others.map((data) => data?.children[c]);
      return nullData(field.type, lengthOf(c), inner);
    });
  if (DataType.isNull(type)) return makeData({ type, length });
  if (DataType.isDictionary(type)) {
    const dictionary = others.find((data) => data?.dictionary)?.dictionary;
    const data = new type.indices.ArrayType(length);
    return makeData({
      type,
      ...nulls,
      data,
      dictionary: dictionary ?? vectorFromArray([], type.dictionary),
    });
  }
  if (DataType.isUnion(type)) {
    // A union has no nulls of its own: make all rows of its first type, and null there.
    const typeIds = new Int8Array(length).fill(type.typeIds[0] as number);
    return type.mode === UnionMode.Sparse
      ? makeData({ type, length, typeIds, children: children(() => length) } as never)
      : makeData({
          type,
          length,
          typeIds,
          valueOffsets: new Int32Array(length),
          children: children((c) => (c === 0 ? Math.min(length, 1) : 0)),
        } as never);
  }
  if (DataType.isStruct(type)) {
    return makeData({ type, ...nulls, children: children(() => length) } as never);
  }
  if (DataType.isFixedSizeList(type)) {
    const [child] = children(() => length * type.listSize);
    return makeData({ type, ...nulls, child } as never);
  }
  return vectorFromArray(new Array<null>(length).fill(null), type).data[0] as Data;
}

/**
 * Whether two fields can be joined. Nullability is ignored: a table may declare a column without nulls
 * as not nullable.
 */
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
