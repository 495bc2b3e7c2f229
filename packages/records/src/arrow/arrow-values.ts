import { setField } from "@partd/core/author";
import type { Data, DataType, Vector } from "apache-arrow";
import { parseKeyNumber } from "../json/json-number.js";

/** What is needed of `apache-arrow`. */
interface Package {
  readonly DataType: typeof DataType;
  readonly Vector: typeof Vector;
}

/** The value with this index, as plain data. */
type Values = (index: number) => unknown;

/** An object of these members. */
export function objectsOf(
  names: readonly string[],
  members: readonly Values[],
): (index: number) => object {
  return (index) => {
    const object: { [name: string]: unknown } = {};
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      const value = members[i]!(index);
      if (name !== "__proto__") object[name] = value;
      else setField(object, name, value);
    }
    return object;
  };
}

/**
 * The values of a column. Times, dictionaries with 64-bit indices and unions are read from the column's
 * buffers, because the package would round their values or refuse them.
 */
export function valuesOf(data: Data, arrow: Package): Values {
  const values = presentValuesOf(data, arrow);
  // A union has no nulls of its own; its items have.
  if (arrow.DataType.isUnion(data.type) || data.nullCount === 0) return values;
  return (index) => (data.getValid(index) ? values(index) : null);
}

function presentValuesOf(data: Data, arrow: Package): Values {
  const { type, children } = data;
  const types = arrow.DataType;
  if (types.isDictionary(type)) return wordsOf(data, arrow);
  if (types.isTimestamp(type)) {
    const moments = data.values as BigInt64Array;
    const perUnit = MILLISECONDS_PER_UNIT[type.unit]!;
    return (index) => dateOf(moments[index]!, perUnit);
  }
  if (types.isDate(type)) {
    const days = data.values as ArrayLike<number | bigint>;
    const unit = type.unit === DAY ? DAY_MILLISECONDS : 1;
    return (index) => new Date(Number(days[index]!) * unit);
  }
  if (types.isUnion(type)) {
    const members = children.map((child) => valuesOf(child, arrow));
    const { typeIds, valueOffsets } = data;
    return (index) => {
      const member = members[type.typeIdToChildIndex[typeIds[index]!]!]!;
      return member(type.mode === DENSE ? valueOffsets[index]! : index);
    };
  }
  if (types.isStruct(type)) {
    const names = type.children.map(({ name }) => name);
    return objectsOf(
      names,
      children.map((child) => valuesOf(child, arrow)),
    );
  }
  if (types.isMap(type)) {
    const [keys, items] = children[0]!.children.map((child) => valuesOf(child, arrow));
    return (index) => {
      const places = placesOf(data, index);
      return objectsOf(
        places.map((place) => keyName(keys!(place))),
        places.map((place) => () => items!(place)),
      )(0);
    };
  }
  if (types.isList(type) || types.isLargeList(type) || types.isFixedSizeList(type)) {
    const items = valuesOf(children[0]!, arrow);
    return (index) => placesOf(data, index).map(items);
  }
  const column = new arrow.Vector([data]);
  if (types.isDecimal(type)) {
    return (index) => decimalOf(column.get(index) as Uint32Array, type.scale);
  }
  return (index) => column.get(index);
}

/** The name of a map's key in an object. Dates would be text of the local time. */
export function keyName(key: unknown): string {
  return key instanceof Date && !Number.isNaN(key.getTime()) ? key.toISOString() : String(key);
}

/** The values of a dictionary column. A stream's later batches may add parts to the dictionary. */
function wordsOf(data: Data, arrow: Package): Values {
  const { dictionary } = data;
  const indices = data.values as ArrayLike<number | bigint>;
  const parts = (dictionary?.data ?? []).map((part) => valuesOf(part, arrow));
  const lengths = (dictionary?.data ?? []).map(({ length }) => length);
  // Text is decoded once. Other values are made each time, because the caller may change them.
  const texts: string[] = [];
  return (at) => {
    const index = Number(indices[at]);
    const text = texts[index];
    if (text !== undefined) return text;
    let [part, place] = [0, index];
    while (place >= (lengths[part] ?? Infinity)) place -= lengths[part++]!;
    const word = parts[part]?.(place);
    if (word === undefined) throw new Error(`a dictionary has no value ${index}.`);
    if (typeof word === "string") texts[index] = word;
    return word;
  };
}

/** The indices of a list's items. @throws an Error for damaged offsets, which the package does not check. */
function placesOf({ type, valueOffsets, children }: Data, index: number): number[] {
  const { listSize } = type as { readonly listSize?: number };
  const [start, end] =
    listSize === undefined
      ? [Number(valueOffsets[index]), Number(valueOffsets[index + 1])]
      : [index * listSize, (index + 1) * listSize];
  const { length } = children[0]!;
  if (!(start >= 0 && start <= end && end <= length)) {
    throw new Error(`a list has the items ${start} to ${end} of ${length}.`);
  }
  return Array.from({ length: end - start }, (_, i) => start + i);
}

/** The millisecond that contains a moment: rounds down, also before 1970. */
function dateOf(units: bigint, [times, per]: readonly [times: bigint, per: bigint]): Date {
  const scaled = units * times;
  const milliseconds = scaled / per;
  return new Date(Number(scaled % per < 0n ? milliseconds - 1n : milliseconds));
}

/** By the unit of a timestamp: seconds, milliseconds, microseconds, nanoseconds. */
const MILLISECONDS_PER_UNIT: readonly (readonly [times: bigint, per: bigint])[] = [
  [1000n, 1n],
  [1n, 1n],
  [1n, 1000n],
  [1n, 1_000_000n],
];
const DAY = 0;
const DAY_MILLISECONDS = 86_400_000;
const DENSE = 1;

/** The number that a decimal is, or a bigint for an integer that a number would round. */
function decimalOf(words: Uint32Array, scale: number): number | bigint {
  let unscaled = 0n;
  for (let i = words.length - 1; i >= 0; i--) unscaled = (unscaled << 32n) | BigInt(words[i]!);
  return parseKeyNumber(`${BigInt.asIntN(32 * words.length, unscaled)}e${-scale}`);
}
