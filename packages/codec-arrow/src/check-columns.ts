import { type Data, DataType, type Union, UnionMode } from "apache-arrow";

/** A stream contradicts itself; the message says how. */
export class Damage extends Error {}

/**
 * Throws if a column's buffers are shorter than its length says, or refer to values that do not
 * exist: `apache-arrow` would read those as undefined or empty.
 */
export function checkColumn(data: Data): void {
  const { type, length, offset, values, valueOffsets, children, nullBitmap } = data;
  const rows = offset + length;
  if (!Number.isSafeInteger(rows) || rows < 0) throw shorter(type);
  // Check this before `nullCount`, which reads as many bits as the column claims rows.
  if (!DataType.isUnion(type) && !DataType.isNull(type)) {
    const bits = (nullBitmap?.byteLength ?? 0) * 8;
    need(bits === 0 || bits >= rows);
    need(bits > 0 || data.nullCount <= 0);
  }
  if (DataType.isMap(type) && children[0]?.children.length !== 2) {
    throw new Damage("a map has no keys and values.");
  }
  if (length > 0 && valueOffsets !== undefined && !DataType.isUnion(type)) {
    need(valueOffsets.length > length);
    const held = children.length > 0 ? children[0]?.length : values?.length;
    need(ascending(valueOffsets, length, held ?? 0));
  } else if (DataType.isBool(type)) {
    need(values.length * 8 >= rows);
  } else if (DataType.isFixedSizeList(type)) {
    need(type.listSize >= 0 && (children[0]?.length ?? 0) >= length * type.listSize);
  } else if (DataType.isStruct(type)) {
    need(children.every((child) => child.length >= length));
  } else if (DataType.isUnion(type)) {
    need(data.typeIds.length >= length);
    checkUnion(data);
  } else if (DataType.isBinaryView(type) || DataType.isUtf8View(type)) {
    need(values.byteLength >= length * 16);
    checkViews(data);
  } else if (values !== undefined && !DataType.isNull(type) && valueOffsets === undefined) {
    need(values.length >= length * data.stride);
  }
  if (DataType.isDictionary(type)) {
    if (data.dictionary === undefined) throw new Damage("a dictionary is missing.");
    checkCodes(data, data.dictionary.length);
    for (const piece of data.dictionary.data) checkColumn(piece);
  }
  for (const child of children) checkColumn(child);

  function need(enough: boolean): void {
    if (!enough) throw shorter(type);
  }
}

/** Whether the offsets of `rows` values never descend, and stay within `held` items. */
function ascending(offsets: Int32Array | BigInt64Array, rows: number, held: number): boolean {
  let before = 0;
  // Read 64-bit offsets in halves: a BigInt for each row would cost more than all other checks.
  const wide = offsets.BYTES_PER_ELEMENT === 8;
  const words = new Int32Array(offsets.buffer, offsets.byteOffset, (rows + 1) * (wide ? 2 : 1));
  for (let i = 0; i < words.length; i++) {
    const low = words[i] as number;
    const offset = wide ? (words[++i] as number) * 2 ** 32 + (low >>> 0) : low;
    if (offset < before) return false;
    before = offset;
  }
  return before <= held;
}

function checkUnion(data: Data): void {
  const { length, typeIds, valueOffsets, children } = data;
  const type = data.type as Union;
  const places: Readonly<Record<number, number>> = type.typeIdToChildIndex;
  for (let i = 0; i < length; i++) {
    const child = children[places[typeIds[i] as number] as number];
    const at = type.mode === UnionMode.Dense ? Number(valueOffsets[i]) : i;
    if (child === undefined || at < 0 || !(at < child.length)) throw shorter(type);
  }
}

/** Checks values of more than 12 bytes, which lie in other buffers. */
function checkViews(data: Data): void {
  const { length, values, variadicBuffers } = data;
  const words = new DataView(values.buffer, values.byteOffset, values.byteLength);
  for (let i = 0; i < length; i++) {
    const byteLength = words.getInt32(i * 16, true);
    if (byteLength >= 0 && byteLength <= 12) continue;
    const buffer = variadicBuffers[words.getInt32(i * 16 + 8, true)];
    const end = words.getInt32(i * 16 + 12, true) + byteLength;
    const isInside = buffer !== undefined && byteLength > 0 && end <= buffer.byteLength;
    if ((!isInside || end < byteLength) && data.getValid(i)) throw shorter(data.type);
  }
}

/** Checks dictionary codes: one beyond the dictionary would be read as undefined. */
function checkCodes(data: Data, values: number): void {
  const codes = data.values as ArrayLike<number | bigint>;
  for (let i = 0; i < data.length; i++) {
    const code = codes[i] as number | bigint;
    if ((code < 0 || code >= values) && data.getValid(i)) {
      throw new Damage("a dictionary has fewer values than its codes say.");
    }
  }
}

function shorter(type: DataType): Error {
  return new Damage(`a column of ${String(type)} has fewer values than rows.`);
}
