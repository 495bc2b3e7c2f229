import { pyTuple } from "./builtins.js";
import {
  type Calls,
  call,
  check,
  exact,
  list,
  misused,
  number,
  PyFloat,
  type Reducer,
  reducer,
  valid,
} from "./object.js";

/** A `collections.deque`: an array that is written as a deque. */
export class PyDeque<T = unknown> extends Array<T> {
  /** The most items that Python keeps in it. Default: any number. */
  maxlen: number | undefined = undefined;

  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** A `collections.OrderedDict`. */
export class PyOrderedDict<K = unknown, V = unknown> extends Map<K, V> {}

/** A `collections.Counter`. */
export class PyCounter<K = unknown> extends Map<K, number | bigint> {}

/** A `collections.defaultdict`. */
export class PyDefaultDict<K = unknown, V = unknown> extends Map<K, V> {
  /** What makes Python's default value, as in `new PyGlobal("builtins", "list")`; null for none. */
  factory: unknown = null;
}

/** An `array.array` of numbers, or of text for `"u"`. */
export class PyArray {
  /** Python's letter: `"b"`, `"B"`, `"h"`, `"H"`, `"i"`, `"I"`, `"l"`, `"L"`, `"q"`, `"Q"`, `"f"`, `"d"`, `"u"`. */
  readonly typecode: string;
  readonly data: ArrayLike<number | bigint> | string;

  constructor(typecode: string, data: ArrayLike<number | bigint> | string) {
    this.typecode = typecode;
    this.data = data;
    check(/^[bBhHiIlLqQfdu]$/.test(typecode), "no array.array");
  }
}

export const collectionCalls: Calls = {
  "collections.OrderedDict": ([items]) => {
    if (items !== undefined) throw misused("OrderedDict");
    return new PyOrderedDict();
  },
  "collections.defaultdict": ([factory = null]) => {
    const dict = new PyDefaultDict();
    dict.factory = factory;
    return dict;
  },
  "collections.Counter": ([items], spend) => {
    if (items === undefined) return new PyCounter();
    if (typeof items !== "object" || items === null) throw misused("Counter");
    const entries = items instanceof Map ? [...items] : Object.entries(items);
    spend(entries.length);
    return new PyCounter(entries);
  },
  "collections.deque": ([items, maxlen], spend) => {
    const deque = new PyDeque();
    for (const item of list(items, "deque", spend)) deque.push(item);
    if (maxlen !== undefined && maxlen !== null) deque.maxlen = number(maxlen);
    return deque;
  },
  "array.array": ([typecode, items = []], spend) => {
    if (typeof items === "string")
      return valid("array", () => new PyArray(String(typecode), items));
    const data = list(items, "array", spend) as (number | bigint)[];
    return valid("array", () => new PyArray(String(typecode), data));
  },
  "array._array_reconstructor": ([, typecode, format, bytes], spend) => {
    if (!(bytes instanceof Uint8Array)) throw misused("array");
    spend(bytes.byteLength);
    return valid(
      "array",
      () => new PyArray(String(typecode), machineFormat(bytes, number(format))),
    );
  },
};

export const collectionReducers: readonly Reducer[] = [
  reducer(PyOrderedDict, 0, (dict) => ({ ...call("collections.OrderedDict"), entries: dict })),
  reducer(PyDefaultDict, 1, (dict) => {
    const args = dict.factory === null ? [] : [dict.factory];
    return { ...call("collections.defaultdict", ...args), entries: dict };
  }),
  reducer(PyCounter, 0, (counter) => call("collections.Counter", new Map(counter))),
  reducer(PyDeque, 1, (deque) => {
    const args = deque.maxlen === undefined ? [] : [pyTuple(), deque.maxlen];
    return { ...call("collections.deque", ...args), items: [...deque] };
  }),
  reducer(PyArray, 2, ({ typecode, data }) => {
    const items = typeof data === "string" ? data : Array.from(data);
    const isFloat = typeof items !== "string" && /[fd]/.test(typecode);
    const args = isFloat ? items.map((n) => new PyFloat(Number(n))) : items;
    return call("array.array", typecode, args);
  }),
];

/** Decodes the items of an `array.array` by Python's number for their machine format. */
function machineFormat(bytes: Uint8Array, format: number): ArrayLike<number | bigint> | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = format % 2 === 0;
  const each = <T>(size: number, read: (at: number) => T): T[] => {
    if (bytes.byteLength % size !== 0) throw misused("array");
    return Array.from({ length: bytes.byteLength / size }, (_, i) => read(i * size));
  };
  switch (format >> 1) {
    case 0:
      return format === 0 ? each(1, (at) => view.getUint8(at)) : each(1, (at) => view.getInt8(at));
    case 1:
      return each(2, (at) => view.getUint16(at, little));
    case 2:
      return each(2, (at) => view.getInt16(at, little));
    case 3:
      return each(4, (at) => view.getUint32(at, little));
    case 4:
      return each(4, (at) => view.getInt32(at, little));
    case 5:
      return each(8, (at) => exact(view.getBigUint64(at, little)));
    case 6:
      return each(8, (at) => exact(view.getBigInt64(at, little)));
    case 7:
      return each(4, (at) => view.getFloat32(at, little));
    case 8:
      return each(8, (at) => view.getFloat64(at, little));
    case 9:
      return each(2, (at) => String.fromCharCode(view.getUint16(at, little))).join("");
    case 10:
      return each(4, (at) => String.fromCodePoint(view.getUint32(at, little))).join("");
    default:
      throw misused("array");
  }
}
