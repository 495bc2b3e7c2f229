import {
  type Calls,
  call,
  float,
  int,
  latin1Bytes,
  list,
  misused,
  PyFloat,
  type Reducer,
  reducer,
  refuse,
} from "./object.js";

/** A Python tuple: an array that is written as a tuple. Its methods return plain arrays. */
export class PyTuple<T = unknown> extends Array<T> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** Makes a tuple of the items. */
export function pyTuple<T extends readonly unknown[]>(...items: T): PyTuple<T[number]> {
  return tupleOf(items);
}

/** A tuple of a list's items. */
export function tupleOf<T>(items: readonly T[]): PyTuple<T> {
  const tuple = new PyTuple<T>();
  for (const item of items) tuple.push(item);
  return tuple;
}

/** A Python bytearray: bytes that are written as a bytearray. */
export class PyByteArray extends Uint8Array<ArrayBuffer> {
  static get [Symbol.species](): Uint8ArrayConstructor {
    return Uint8Array;
  }
}

/** A Python frozenset: a Set that is written as a frozenset. */
export class PyFrozenSet<T = unknown> extends Set<T> {}

/** A Python complex number. */
export class PyComplex {
  readonly real: number;
  readonly imag: number;

  constructor(real: number, imag: number) {
    this.real = real;
    this.imag = imag;
  }
}

/** A Python range. */
export class PyRange {
  readonly start: number | bigint;
  readonly stop: number | bigint;
  readonly step: number | bigint;

  constructor(start: number | bigint, stop: number | bigint, step: number | bigint = 1) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
}

/** A Python slice, whose parts may be anything. */
export class PySlice {
  readonly start: unknown;
  readonly stop: unknown;
  readonly step: unknown;

  constructor(start: unknown, stop: unknown, step: unknown = null) {
    this.start = start;
    this.stop = stop;
    this.step = step;
  }
}

export const builtinCalls: Calls = {
  /** Protocols 0 to 2 have no opcode for bytes, and 0 to 3 have none for sets. */
  "_codecs.encode": ([text, encoding], spend) => {
    if (typeof text !== "string" || !/^latin-?1$/.test(String(encoding))) throw misused("encode");
    spend(text.length);
    return latin1Bytes(text);
  },
  "builtins.bytes": (args) => {
    if (args.length > 0) throw misused("bytes");
    return new Uint8Array();
  },
  "builtins.bytearray": ([source, encoding], spend) => {
    if (source === undefined) return new PyByteArray(new ArrayBuffer(0));
    if (source instanceof Uint8Array) {
      spend(source.byteLength);
      return byteArray(source);
    }
    if (typeof source !== "string" || !/^latin-?1$/.test(String(encoding))) {
      throw misused("bytearray");
    }
    spend(source.length);
    return byteArray(latin1Bytes(source));
  },
  "builtins.set": ([items], spend) => distinct(new Set(list(items, "set", spend)), items),
  "builtins.frozenset": ([items], spend) =>
    distinct(new PyFrozenSet(list(items, "frozenset", spend)), items),
  "builtins.complex": ([real, imag = 0]) => new PyComplex(float(real), float(imag)),
  "builtins.range": ([start, stop, step = 1]) => {
    if (Number(step) === 0) throw misused("range");
    return new PyRange(int(start), int(stop), int(step));
  },
  "builtins.slice": ([start, stop, step = null]) => new PySlice(start, stop, step),
};

export const builtinReducers: readonly Reducer[] = [
  reducer(PyComplex, 2, ({ real, imag }) =>
    call("builtins.complex", new PyFloat(real), new PyFloat(imag)),
  ),
  reducer(PyRange, 3, ({ start, stop, step }) => call("builtins.range", start, stop, step)),
  reducer(PySlice, 3, ({ start, stop, step }) => call("builtins.slice", start, stop, step)),
];

/** The set of the items, unless it loses one of several NaN, which are distinct in Python. */
function distinct<T>(set: Set<T>, items: unknown): Set<T> {
  if (set.has(Number.NaN as T) && (items as unknown[]).filter(Number.isNaN).length > 1) {
    throw refuse("two items of a set that are NaN, which are one here");
  }
  return set;
}

function byteArray(bytes: Uint8Array): PyByteArray {
  const copy = new PyByteArray(new ArrayBuffer(bytes.byteLength));
  copy.set(bytes);
  return copy;
}
