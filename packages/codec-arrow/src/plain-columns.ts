import { type Data, DataType, type Table } from "apache-arrow";
import { checkColumn } from "./check-columns.js";

/**
 * Checks a table in memory, where that proves that its stream can be read: reading the stream back
 * takes as long as writing it. Returns false for a table that has to be read back, because a column is
 * of a type that `apache-arrow` writes in another form than it holds it, or is not held as its type says.
 *
 * @throws Error if a column's buffers are shorter than its length says.
 */
export function checkPlainColumns(table: Table): boolean {
  const { schema, batches } = table;
  const dictionaries = new Set<number>();
  for (const { name, type } of schema.fields) {
    if (typeof name !== "string" || !isPlain(type)) return false;
    if (!DataType.isDictionary(type)) continue;
    // The stream names a dictionary by its id, and adds to it or replaces it between batches.
    if (dictionaries.has(type.id) || batches.length > 1) return false;
    dictionaries.add(type.id);
  }
  for (const batch of batches) {
    const { children } = batch.data;
    if (batch.schema !== schema || children.length !== schema.fields.length) return false;
    const isHeld = children.every(
      (column, i) =>
        column.type === schema.fields[i]?.type &&
        column.length === batch.numRows &&
        isHeldAsTyped(column),
    );
    if (!isHeld) return false;
    for (const column of children) checkColumn(column);
  }
  return true;
}

function isPlain(type: DataType): boolean {
  if (DataType.isDictionary(type)) {
    return !DataType.isDictionary(type.dictionary) && isPlain(type.dictionary);
  }
  return DataType.isInt(type) || DataType.isFloat(type) || DataType.isUtf8(type);
}

/** Whether the arrays of a plain column are those of its type. */
function isHeldAsTyped({ type, values, valueOffsets, dictionary }: Data): boolean {
  if (DataType.isDictionary(type)) {
    const [only] = dictionary?.data ?? [];
    return (
      values instanceof type.indices.ArrayType &&
      only !== undefined &&
      dictionary?.data.length === 1 &&
      only.type === type.dictionary &&
      isHeldAsTyped(only)
    );
  }
  const isText = DataType.isUtf8(type);
  return values instanceof type.ArrayType && (!isText || valueOffsets instanceof Int32Array);
}
