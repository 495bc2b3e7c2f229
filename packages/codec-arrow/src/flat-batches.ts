import {
  type Data,
  DataType,
  type Field,
  makeData,
  RecordBatch,
  type Schema,
  Struct,
  type TypeMap,
  Vector,
} from "apache-arrow";
import type { CheckedBatch } from "./check-stream.js";

/** Whether no column has children, and each has its values in buffers of its own or in a dictionary. */
export function isFlat(schema: Schema): boolean {
  return schema.fields.every(({ type }) =>
    isSimple(DataType.isDictionary(type) ? type.dictionary : type),
  );
}

/**
 * Makes the record batches of a flat schema from metadata that were checked. `apache-arrow`'s reader
 * decodes the metadata once more and passes the bytes through iterators, which took as long as all else
 * that `get` does. Returns `undefined` for batches that need the reader, or its error.
 */
export function flatBatches<T extends TypeMap>(
  schema: Schema<T>,
  batches: readonly CheckedBatch[],
): RecordBatch<T>[] | undefined {
  const struct = new Struct<T>(schema.fields);
  const types = (schema.fields as Field[]).map(({ type }) => type);
  const dictionaries = new Map<number, Vector>();
  const made: RecordBatch<T>[] = [];
  for (const batch of batches) {
    const { dictionary: id, rows: length } = batch;
    const valueType = id === undefined ? undefined : schema.dictionaries.get(id);
    const read = id === undefined ? types : valueType && [valueType];
    const columns = read && columnsOf(batch, read, dictionaries);
    if (columns === undefined) return undefined;
    if (id !== undefined) dictionaries.set(id, new Vector(columns).memoize());
    else made.push(new RecordBatch(schema, makeData({ type: struct, length, children: columns })));
  }
  return made;
}

function columnsOf(
  { isPlain, nodes, buffers, body }: CheckedBatch,
  types: readonly DataType[],
  dictionaries: ReadonlyMap<number, Vector>,
): Data[] | undefined {
  if (!isPlain) return undefined;
  const bytes = body.byteOffset % 8 === 0 ? body : body.slice(); // For arrays of 8-byte items.
  let next = 0;
  const buffer = () => {
    const start = buffers[next++] as number;
    return bytes.subarray(start, start + (buffers[next++] as number));
  };
  const columns: Data[] = [];
  for (const [i, type] of types.entries()) {
    const [length, nullCount] = [nodes[i * 2] as number, nodes[i * 2 + 1] as number];
    const hasOffsets = isOfBytes(type);
    if (nullCount < 0 || next + (hasOffsets ? 6 : 4) > buffers.length) return undefined;
    const validity = buffer();
    columns.push(
      makeData({
        type,
        length,
        nullCount,
        nullBitmap: nullCount > 0 ? validity : NO_NULLS,
        valueOffsets: hasOffsets ? buffer() : undefined,
        data: buffer(),
        dictionary: DataType.isDictionary(type) ? dictionaries.get(type.id) : undefined,
      } as never),
    );
  }
  return columns;
}

const NO_NULLS = new Uint8Array(0);

/** Whether the values are of any length, and so have offsets. */
function isOfBytes(type: DataType): boolean {
  return (
    DataType.isUtf8(type) ||
    DataType.isLargeUtf8(type) ||
    DataType.isBinary(type) ||
    DataType.isLargeBinary(type)
  );
}

function isSimple(type: DataType): boolean {
  return (
    isOfBytes(type) ||
    DataType.isInt(type) ||
    DataType.isFloat(type) ||
    DataType.isBool(type) ||
    DataType.isDate(type) ||
    DataType.isTime(type) ||
    DataType.isTimestamp(type) ||
    DataType.isDuration(type) ||
    DataType.isDecimal(type) ||
    DataType.isFixedSizeBinary(type)
  );
}
