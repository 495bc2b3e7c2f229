import { PartdError } from "@partd/core";
import {
  type Data,
  DataType,
  type Field,
  makeData,
  RecordBatch,
  type Schema,
  Table,
  type TypeMap,
  type Union,
  UnionMode,
} from "apache-arrow";

/**
 * The table in a form that `apache-arrow` writes correctly. It writes slices wrongly if they
 * contain columns of the type Null, views or dense unions, cannot write a table without rows, and
 * counts the bytes of a buffer in 32 bits.
 *
 * @throws `ERR_PARTD_CODEC` if a column has a buffer of 2 GiB or more in one record batch, or a name
 *   or the metadata hold half a surrogate pair.
 */
export function writableTable<T extends TypeMap>(table: Table<T>): Table<T> {
  checkTexts(table.schema);
  if (table.numRows === 0) return new Table<T>(table.schema);
  let changed = false;
  const batches = table.batches.map((batch) => {
    const data = settled(batch.data);
    checkSizes(data);
    if (data === batch.data) return batch;
    changed = true;
    return new RecordBatch<T>(table.schema, data as RecordBatch<T>["data"]);
  });
  return changed ? new Table<T>(table.schema, batches) : table;
}

/** The same rows without an offset, for the types whose offset `apache-arrow` ignores. */
function settled(data: Data): Data {
  const { type, length, offset, children } = data;
  if (DataType.isNull(type)) return data.nullCount === length ? data : makeData({ type, length });
  if (DataType.isDictionary(type) || !needsSettling(type)) return data;
  if (DataType.isUtf8View(type) || DataType.isBinaryView(type)) {
    return offset === 0 ? data : withoutOffset(data, children);
  }
  if (DataType.isUnion(type)) {
    if (type.mode === UnionMode.Dense) return settledDenseUnion(data);
    return withChildren(data, children.map(settled));
  }
  if (data.valueOffsets !== undefined) {
    // A list. The writer slices the items by the offsets, so these begin at 0 once the items are
    // sliced.
    const begin = Number(data.valueOffsets[0]);
    const end = Number(data.valueOffsets[length]);
    // `encode` finds this when it reads the stream back.
    if (!(begin >= 0 && end >= begin)) return data;
    const items = settled((children[0] as Data).slice(begin, end - begin));
    const offsets = data.valueOffsets.slice(0, length + 1) as Int32Array | BigInt64Array;
    if (offsets instanceof Int32Array)
      for (let i = 0; i <= length; i++) offsets[i] = (offsets[i] as number) - begin;
    else for (let i = 0; i <= length; i++) offsets[i] = (offsets[i] as bigint) - BigInt(begin);
    return data.clone(type, offset, length, data.nullCount, withBuffer(data, 0, offsets), [items]);
  }
  return withChildren(data, children.map(settled));
}

function withChildren(data: Data, children: Data[]): Data {
  if (children.every((child, i) => child === data.children[i])) return data;
  const { type, offset, length, nullCount, buffers } = data;
  return data.clone(type, offset, length, nullCount, buffers, children);
}

/** `values` begin at the slice, but the bits of nulls do not: `offset` counts only for them. */
function withoutOffset(data: Data, children: Data[]): Data {
  const { type, length, nullCount, variadicBuffers } = data;
  const buffers = nullCount > 0 ? withBuffer(data, 2, validity(data)) : data.buffers;
  return data.clone(type, 0, length, nullCount, buffers, children, variadicBuffers);
}

/** The buffers, with the offsets (0) or the validity (2) replaced. */
function withBuffer(data: Data, place: 0 | 2, buffer: unknown): typeof data.buffers {
  const buffers = [...(data.buffers as unknown as unknown[])];
  buffers[place] = buffer;
  return buffers as unknown as typeof data.buffers;
}

function validity(data: Data): Uint8Array {
  const bits = new Uint8Array(((data.length + 63) >> 6) << 3);
  for (let i = 0; i < data.length; i++) {
    if (data.getValid(i)) bits[i >> 3] = (bits[i >> 3] as number) | (1 << (i & 7));
  }
  return bits;
}

/** Slices each child from the first value that is used to the last. */
function settledDenseUnion(data: Data): Data {
  const { length, typeIds, valueOffsets, children } = data;
  const type = data.type as Union;
  const places: Readonly<Record<number, number>> = type.typeIdToChildIndex;
  const begins = children.map(() => Number.POSITIVE_INFINITY);
  const ends = children.map(() => 0);
  for (let i = 0; i < length; i++) {
    const place = places[typeIds[i] as number] as number;
    const at = valueOffsets[i] as number;
    begins[place] = Math.min(begins[place] as number, at);
    ends[place] = Math.max(ends[place] as number, at + 1);
  }
  return makeData({
    type,
    length,
    typeIds: typeIds.slice(0, length),
    valueOffsets: Int32Array.from({ length }, (_, i) => {
      const place = places[typeIds[i] as number] as number;
      return (valueOffsets[i] as number) - (begins[place] as number);
    }),
    children: children.map((child, place) => {
      const begin = begins[place] as number;
      return settled(
        begin === Number.POSITIVE_INFINITY
          ? child.slice(0, 0)
          : child.slice(begin, (ends[place] as number) - begin),
      );
    }),
  } as never);
}

/** Whether a type is or contains one that is written wrongly. */
function needsSettling(type: DataType): boolean {
  if (
    DataType.isNull(type) ||
    DataType.isUtf8View(type) ||
    DataType.isBinaryView(type) ||
    (DataType.isUnion(type) && type.mode === UnionMode.Dense)
  ) {
    return true;
  }
  if (DataType.isDictionary(type)) return false;
  return (type.children ?? []).some((field: { readonly type: DataType }) =>
    needsSettling(field.type),
  );
}

function checkSizes(data: Data): void {
  const { type, length, stride, values, valueOffsets, children } = data;
  if (valueOffsets !== undefined) {
    const begin = Number(valueOffsets[0]);
    const held = (Number(valueOffsets[length]) - begin) * (children.length > 0 ? 0 : 1);
    if (!DataType.isUnion(type)) checkSize(type, held);
    checkSize(type, (length + 1) * valueOffsets.BYTES_PER_ELEMENT);
  } else if (values !== undefined) {
    checkSize(type, Math.min(values.length, length * stride) * values.BYTES_PER_ELEMENT);
  }
  for (const buffer of data.variadicBuffers ?? []) checkSize(type, buffer.byteLength);
  for (const child of children) checkSizes(child);
  for (const piece of data.dictionary?.data ?? []) checkSizes(piece);
}

function checkSize(type: DataType, byteLength: number): void {
  if (byteLength <= MAX_BUFFER_BYTES) return;
  if (Number.isNaN(byteLength)) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      `a column of ${String(type)} has fewer values than the table has rows; give all columns one length.`,
    );
  }
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `a column of ${String(type)} has ${byteLength} bytes in one record batch, and less than 2 GiB can be written; append the rows in several steps.`,
  );
}

/** The writer pads buffers to a multiple of 8 bytes, and counts them in 31 bits. */
const MAX_BUFFER_BYTES = 2 ** 31 - 8;

/**
 * Refuses names and metadata with half a surrogate pair, which `apache-arrow` would write as U+FFFD.
 */
function checkTexts({ fields, metadata }: Schema): void {
  checkMetadata(metadata, "the schema");
  for (const field of fields) checkField(field, "");
}

function checkField({ name, type, metadata }: Field, path: string): void {
  const place = `${path}${JSON.stringify(name)}`;
  check(name, `the name of column ${place}`);
  checkMetadata(metadata, `column ${place}`);
  for (const child of (type.children ?? []) as Field[]) checkField(child, `${place}.`);
}

function checkMetadata(metadata: ReadonlyMap<string, string>, place: string): void {
  for (const [key, value] of metadata) {
    check(key, `the metadata's key ${JSON.stringify(key)} of ${place}`);
    check(value, `the metadata ${JSON.stringify(key)} of ${place}`);
  }
}

function check(text: unknown, place: string): void {
  if (typeof text !== "string" || text.isWellFormed()) return;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    `${place} has half a surrogate pair, which has no UTF-8 form; replace it, for example with toWellFormed().`,
  );
}
