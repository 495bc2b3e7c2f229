import { DataType, Float64, Int, type Table, type Vector, vectorFromArray } from "apache-arrow";
import { refuse } from "./column.js";
import { labelsOf, levelName, partsOf, type RangeIndex, tableOf } from "./table.js";

/**
 * Frames of one key in the form in which they can be joined, as `pandas.concat` does: a range becomes a
 * column of numbers, and a column has one type: integers of different widths get one that holds all of
 * them. pandas stores integers with nulls as floats, and a column of nulls alone as objects; beside
 * frames without nulls it is what these are.
 */
export function joinable(frames: readonly Table[]): Table[] {
  const tables = frames.map(withIndexColumn);
  const types = tables.map(({ schema }) =>
    schema.fields.map(({ name, type }) => `${name} ${type}`),
  );
  if (types.every((one) => one.join() === types[0]?.join())) return tables;
  const common = commonTypes(tables);
  const unified = (column: Vector, name: string) => inType(column, common.get(name), name);
  return tables.map((table) => {
    const { columns, index } = partsOf(table);
    return tableOf(
      columns.map(([name, column]) => [name, unified(column, name)]),
      "kind" in index
        ? index
        : index.map(([name, column, label]) => [name, unified(column, name), label]),
      labelsOf(table),
    );
  });
}

function withIndexColumn(table: Table): Table {
  const { columns, index } = partsOf(table);
  if (!("kind" in index)) return table;
  // A few bytes may claim any range; with columns, each row has bytes.
  if (columns.length === 0 && table.numRows > MOST_OF_RANGE) {
    throw refuse("", `a range of ${table.numRows} rows without a column is not joined to others`);
  }
  const level = [levelName(index.name, 0), rangeColumn(index, table.numRows), index.name] as const;
  return tableOf(columns, [level], labelsOf(table));
}

const MOST_OF_RANGE = 2 ** 16;

function rangeColumn({ start, step }: RangeIndex, rows: number) {
  const numbers = BigInt64Array.from({ length: rows }, (_, i) => BigInt(start + i * step));
  return vectorFromArray(numbers);
}

/** By the name of a column: the type in which all tables can have it, if there is one. */
function commonTypes(tables: readonly Table[]): Map<string, DataType> {
  const common = new Map<string, DataType>();
  const isOther = new Set<string>();
  for (const table of tables) {
    for (const [i, { name, type }] of table.schema.fields.entries()) {
      const earlier = common.get(name);
      if (isOfNulls(table.getChildAt(i) as Vector) || `${earlier}` === `${type}`) continue;
      if (earlier === undefined) common.set(name, type);
      else if (isNumber(earlier) && isNumber(type)) common.set(name, commonNumber(earlier, type));
      else isOther.add(name);
    }
  }
  for (const name of isOther) common.delete(name);
  return common;
}

function isNumber(type: DataType): boolean {
  return DataType.isInt(type) || DataType.isFloat(type);
}

/** As NumPy's `promote_types`, but that floats are always of 64 bits. */
function commonNumber(a: DataType, b: DataType): DataType {
  if (!DataType.isInt(a) || !DataType.isInt(b)) return new Float64();
  if (a.isSigned === b.isSigned) return a.bitWidth > b.bitWidth ? a : b;
  const [signed, unsigned] = a.isSigned ? [a, b] : [b, a];
  if (signed.bitWidth > unsigned.bitWidth) return signed;
  const width = ({ 8: 16, 16: 32, 32: 64 } as const)[unsigned.bitWidth as 8 | 16 | 32];
  return width === undefined ? new Float64() : new Int(true, width);
}

function inType(column: Vector, type: DataType | undefined, name: string): Vector {
  if (type === undefined || `${column.type}` === `${type}` || DataType.isDictionary(type))
    return column;
  if (DataType.isInt(type)) return intColumn(column, type);
  if (isNumber(column.type)) return floatColumn(column, name);
  return vectorFromArray(new Array(column.length).fill(null), type) as Vector;
}

function isOfNulls({ type, nullCount, length }: Vector): boolean {
  return DataType.isUtf8(type) && length > 0 && nullCount === length;
}

function intColumn(column: Vector, type: Int): Vector {
  const toItem = type.bitWidth === 64 ? BigInt : Number;
  const values = Array.from(column, (value: unknown) => toItem(value as number | bigint));
  return vectorFromArray(values as number[], type) as Vector;
}

function floatColumn(column: Vector, name: string): Vector {
  const values = Array.from(column, (value: unknown) => (value === null ? null : Number(value)));
  const isInt = DataType.isInt(column.type);
  if (isInt && values.some((value) => Math.abs(value ?? 0) > Number.MAX_SAFE_INTEGER)) {
    throw refuse(name, "beside floats its integers are floats in pandas, which would round them");
  }
  return vectorFromArray(values, new Float64());
}
