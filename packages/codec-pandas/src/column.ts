import { PyObject } from "@partd/codec-pickle";
import { PartdError } from "@partd/core";
import { viewOf } from "@partd/core/author";
import {
  Binary,
  Bool,
  DataType,
  DateUnit,
  Dictionary,
  DurationMicrosecond,
  DurationMillisecond,
  DurationNanosecond,
  DurationSecond,
  Float16,
  Float32,
  Float64,
  Int8,
  Int16,
  Int32,
  Int64,
  makeData,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  TimestampSecond,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import { Damage } from "./damage.js";

/**
 * One column's values as NumPy stores them: raw bytes if the dtype has a fixed size, else a list of
 * objects.
 */
export interface Values {
  /** `numpy.dtype.str` without the size of objects: `"<f8"`, `"|O"`. */
  readonly dtype: string;
  readonly data: Uint8Array | readonly unknown[];
}

/** What an extension dtype adds to the values: categories, or a time zone. */
export interface Extension {
  readonly categories?: Vector | undefined;
  readonly ordered?: boolean | undefined;
  /** The zone of UTC instants: an IANA name, or `"+01:00"`. */
  readonly timezone?: string | undefined;
}

/**
 * Converts values to a column. NaT becomes null, as do None and NaN among objects; NaN among
 * numbers stays.
 *
 * @param name the column's name, for messages.
 * @throws `ERR_PARTD_CODEC` for objects other than texts, bytes or bools, and for dtypes without an
 *   Arrow type.
 */
export function toColumn(values: Values, name: string, extension: Extension = {}): Vector {
  const { dtype, data } = values;
  if (Array.isArray(data)) return objectColumn(data, name);
  const bytes = nativeOrder(data as Uint8Array, dtype);
  const { buffer, byteLength } = bytes;
  if (extension.categories !== undefined) {
    return categoryColumn(dtype, bytes, extension.categories, extension.ordered ?? false);
  }
  const [, kind = "", size = "", unit = "ns"] = /^.(\w)(\d+)(?:\[(\w+)\])?$/.exec(dtype) ?? [];
  if (kind === "b") return boolColumn(bytes);
  if (kind === "M" || kind === "m") {
    const types = kind === "M" ? TIMESTAMPS : DURATIONS;
    const make = types[unit];
    if (make === undefined) throw refuse(name, `${dtype} has no Arrow type`);
    const ticks = new BigInt64Array(buffer, 0, byteLength / 8);
    return dateColumn(make(extension.timezone ?? null), ticks);
  }
  const make = NUMBERS[kind + size];
  if (make === undefined) throw refuse(name, `${dtype} has no Arrow type`);
  const [type, array] = make;
  return new Vector([
    makeData({
      type,
      nullCount: 0,
      data: new array(buffer, 0, byteLength / array.BYTES_PER_ELEMENT),
    } as never),
  ]);
}

/**
 * Converts a column to pandas' values: integers with nulls become floats, bools with nulls objects,
 * and dates count nanoseconds.
 *
 * @throws `ERR_PARTD_CODEC` for types without a pandas dtype, and for values that pandas would
 *   change.
 */
export function fromColumn(column: Vector, name: string): Values & Extension {
  const { type, nullCount, length } = column;
  if (DataType.isDictionary(type)) return fromDictionary(column as Vector<Dictionary>, name);
  if (DataType.isBool(type)) {
    if (nullCount > 0) return { dtype: "|O", data: [...column] };
    return { dtype: "|b1", data: Uint8Array.from({ length }, (_, i) => (column.get(i) ? 1 : 0)) };
  }
  if (DataType.isInt(type)) {
    if (nullCount > 0) return { dtype: "<f8", data: floats(column, name) };
    const order = type.bitWidth === 8 ? "|" : "<";
    return { dtype: `${order}${type.isSigned ? "i" : "u"}${type.bitWidth / 8}`, data: raw(column) };
  }
  if (DataType.isFloat(type)) {
    const size = 2 << type.precision;
    if (nullCount === 0) return { dtype: `<f${size}`, data: raw(column) };
    if (size === 4) return { dtype: "<f4", data: viewOf(Float32Array.from(nan(column))) };
    return { dtype: "<f8", data: viewOf(Float64Array.from(nan(column))) };
  }
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type) || DataType.isUtf8View(type)) {
    return { dtype: "|O", data: [...column] };
  }
  if (DataType.isBinary(type) || DataType.isLargeBinary(type) || DataType.isNull(type)) {
    return { dtype: "|O", data: Array.from({ length }, (_, i) => column.get(i)) };
  }
  if (DataType.isTimestamp(type)) {
    const data = viewOf(nanoseconds(column, 1000n ** BigInt(3 - type.unit), name));
    return { dtype: "<M8[ns]", data, timezone: type.timezone ?? undefined };
  }
  if (DataType.isDuration(type)) {
    return {
      dtype: "<m8[ns]",
      data: viewOf(nanoseconds(column, 1000n ** BigInt(3 - type.unit), name)),
    };
  }
  if (DataType.isDate(type)) {
    const perTick = type.unit === DateUnit.DAY ? 86_400_000_000_000n : 1_000_000n;
    return { dtype: "<M8[ns]", data: viewOf(nanoseconds(column, perTick, name)) };
  }
  throw refuse(name, `${type} has no pandas dtype`);
}

// ---- Columns ---------------------------------------------------------------------------------

type ArrayClass = {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, offset: number, length: number): unknown;
};

const NUMBERS: Readonly<Record<string, readonly [DataType, ArrayClass]>> = {
  i1: [new Int8(), Int8Array],
  i2: [new Int16(), Int16Array],
  i4: [new Int32(), Int32Array],
  i8: [new Int64(), BigInt64Array],
  u1: [new Uint8(), Uint8Array],
  u2: [new Uint16(), Uint16Array],
  u4: [new Uint32(), Uint32Array],
  u8: [new Uint64(), BigUint64Array],
  f2: [new Float16(), Uint16Array],
  f4: [new Float32(), Float32Array],
  f8: [new Float64(), Float64Array],
};

type DateType = (timezone: string | null) => DataType;

const TIMESTAMPS: Readonly<Record<string, DateType>> = {
  s: (zone) => new TimestampSecond(zone),
  ms: (zone) => new TimestampMillisecond(zone),
  us: (zone) => new TimestampMicrosecond(zone),
  ns: (zone) => new TimestampNanosecond(zone),
};

const DURATIONS: Readonly<Record<string, DateType>> = {
  s: () => new DurationSecond(),
  ms: () => new DurationMillisecond(),
  us: () => new DurationMicrosecond(),
  ns: () => new DurationNanosecond(),
};

const NAT = -(2n ** 63n);

function dateColumn(type: DataType, ticks: BigInt64Array): Vector {
  const { length } = ticks;
  const nullBitmap = new Uint8Array(((length + 63) >> 6) << 3);
  let nullCount = 0;
  for (let i = 0; i < length; i++) {
    if (ticks[i] === NAT) nullCount++;
    else nullBitmap[i >> 3] = (nullBitmap[i >> 3] as number) | (1 << (i & 7));
  }
  const nulls = nullCount > 0 ? { nullCount, nullBitmap } : { nullCount };
  return new Vector([makeData({ type, length, ...nulls, data: ticks } as never)]);
}

function boolColumn(bytes: Uint8Array): Vector {
  const data = new Uint8Array(((bytes.length + 63) >> 6) << 3);
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i]) data[i >> 3] = (data[i >> 3] as number) | (1 << (i & 7));
  }
  return new Vector([makeData({ type: new Bool(), length: bytes.length, nullCount: 0, data })]);
}

function objectColumn(items: readonly unknown[], name: string): Vector {
  const values = items.map((item) => (isMissing(item) ? null : item));
  const first = values.find((value) => value !== null);
  const type =
    typeof first === "boolean"
      ? new Bool()
      : first instanceof Uint8Array
        ? new Binary()
        : new Utf8();
  const isOfType = (value: unknown) =>
    value === null ||
    (first instanceof Uint8Array ? value instanceof Uint8Array : typeof value === typeof first);
  const bad = values.findIndex(
    (value) => !isOfType(value) || !/^(string|boolean|object)$/.test(typeof value),
  );
  if (bad >= 0 || (typeof first === "object" && !(first instanceof Uint8Array))) {
    throw refuse(
      name,
      `its objects are not texts, bytes or bools alone (row ${Math.max(bad, 0)}); read it as NdArray, or convert it`,
    );
  }
  const half = values.findIndex((value) => typeof value === "string" && !value.isWellFormed());
  if (half >= 0) throw refuse(name, `its text in row ${half} has ${HALF_PAIR}`);
  return vectorFromArray(values as string[], type as Utf8);
}

/** A column of Arrow is UTF-8, and would hold U+FFFD instead. */
export const HALF_PAIR = "half a surrogate pair, which has no UTF-8 form";

/** Whether the item is None, NaN, pandas.NA or NaT. */
function isMissing(item: unknown): boolean {
  if (item === null || (typeof item === "number" && Number.isNaN(item))) return true;
  const text = item instanceof PyObject ? `${item.type}` : `${item}`;
  return typeof item === "object" && /^pandas\._libs\.(missing\.NA|tslibs\.nattype\.)/.test(text);
}

function categoryColumn(
  dtype: string,
  bytes: Uint8Array,
  categories: Vector,
  ordered: boolean,
): Vector {
  const [type, array] = NUMBERS[dtype.slice(1)] as readonly [Int8, typeof Int8Array];
  const codes = new array(
    bytes.buffer as ArrayBuffer,
    0,
    bytes.byteLength / array.BYTES_PER_ELEMENT,
  );
  const { length } = codes;
  const nullBitmap = new Uint8Array(((length + 63) >> 6) << 3);
  let nullCount = 0;
  for (let i = 0; i < length; i++) {
    const code = Number(codes[i]);
    if (code >= categories.length) throw new Damage(`a category of row ${i} is not there.`);
    if (code < 0) nullCount++;
    else nullBitmap[i >> 3] = (nullBitmap[i >> 3] as number) | (1 << (i & 7));
  }
  return new Vector([
    makeData({
      type: new Dictionary(categories.type, type, undefined, ordered),
      length,
      nullCount,
      nullBitmap,
      data: codes,
      dictionary: categories,
    }),
  ]);
}

/** A little-endian copy, aligned for any typed array. */
function nativeOrder(data: Uint8Array, dtype: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(data);
  if (!dtype.startsWith(">")) return bytes;
  const size = itemSizeOf(dtype);
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
  return bytes;
}

export function itemSizeOf(dtype: string): number {
  return Number(/\d+/.exec(dtype)?.[0] ?? 8);
}

// ---- Values ----------------------------------------------------------------------------------

function raw(column: Vector): Uint8Array {
  return viewOf(column.toArray() as unknown as ArrayBufferView);
}

function* nan(column: Vector): Generator<number> {
  for (let i = 0; i < column.length; i++)
    yield column.get(i) === null ? Number.NaN : Number(column.get(i));
}

function floats(column: Vector, name: string): Uint8Array {
  const numbers = Float64Array.from(nan(column));
  for (const number of numbers) {
    if (Math.abs(number) > Number.MAX_SAFE_INTEGER) {
      throw refuse(name, "with nulls its integers are floats in pandas, which would round them");
    }
  }
  return viewOf(numbers);
}

function nanoseconds(column: Vector, perTick: bigint, name: string): BigInt64Array {
  const ticks = new BigInt64Array(column.length);
  let row = 0;
  for (const data of column.data) {
    const values = data.values as BigInt64Array | Int32Array;
    for (let i = 0; i < data.length; i++, row++) {
      const value = data.getValid(i) ? BigInt(values[i] as bigint) * perTick : NAT;
      if (value !== BigInt.asIntN(64, value))
        throw refuse(name, "a date is beyond the years 1677 to 2262");
      ticks[row] = value;
    }
  }
  return ticks;
}

function fromDictionary(column: Vector<Dictionary>, name: string): Values & Extension {
  const [first] = column.data;
  if (first?.dictionary === undefined)
    return {
      dtype: "|i1",
      data: new Uint8Array(),
      categories: vectorFromArray([], column.type.dictionary),
    };
  if (column.data.some(({ dictionary }) => dictionary !== first.dictionary)) {
    throw refuse(name, "its chunks have different dictionaries; append them one by one");
  }
  const { length: count } = first.dictionary;
  const wide = count > 127;
  const codes = wide ? new Int32Array(column.length) : new Int8Array(column.length);
  let row = 0;
  for (const data of column.data) {
    for (let i = 0; i < data.length; i++, row++) {
      const code = data.getValid(i) ? Number(data.values[i]) : -1;
      if (code >= count) throw refuse(name, `the category of row ${row} is not in its dictionary`);
      codes[row] = code;
    }
  }
  return {
    dtype: wide ? "<i4" : "|i1",
    data: viewOf(codes),
    categories: first.dictionary,
    ordered: column.type.isOrdered,
  };
}

/** An `ERR_PARTD_CODEC` that names the column. */
export function refuse(name: string, reason: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CODEC",
    `the column ${JSON.stringify(name)} cannot be carried: ${reason}.`,
  );
}
