import { type Data, DataType, makeData, vectorFromArray } from "apache-arrow";

/** Rows of a column that a table had not. `others` hold the column's dictionary, if it has one. */
export function nullData(
  type: DataType,
  length: number,
  others: readonly (Data | undefined)[],
): Data {
  if (DataType.isDictionary(type)) {
    return makeData({
      type,
      length,
      nullCount: length,
      nullBitmap: new Uint8Array(Math.ceil(length / 64) * 8),
      data: new type.indices.ArrayType(length),
      dictionary:
        others.find((data) => data?.dictionary)?.dictionary ?? vectorFromArray([], type.dictionary),
    });
  }
  return vectorFromArray(new Array<null>(length).fill(null), type).data[0] as Data;
}
