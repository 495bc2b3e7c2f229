import { viewOf } from "@partd/core/author";
import { PyTuple, pyTuple } from "./builtins.js";
import {
  type Calls,
  call,
  latin1Bytes,
  misused,
  number,
  PyGlobal,
  type Reducer,
  type Reduction,
  Refusal,
  reducer,
  refuse,
} from "./object.js";

/** A NumPy dtype. */
export class PyDtype {
  /** As `numpy.dtype.str` gives it, without the fields of records: `"<f8"`, `"|S5"`, `"<M8[ns]"`. */
  readonly text: string;
  /** The state from which Python restores the fields of a record; undefined for other dtypes. */
  readonly state: PyTuple | undefined;

  constructor(text: string, state?: PyTuple) {
    this.text = text;
    this.state = state;
  }
}

/** A `numpy.ndarray`. */
export class PyNdArray {
  dtype: PyDtype;
  /** The length of each dimension: `[]` for an array of one item without dimensions. */
  shape: readonly number[];
  /** The items end to end, in the byte order of `dtype`; for dtype `object` a list of values. */
  data: Uint8Array | readonly unknown[];
  /** Whether the first index changes fastest (Fortran order) rather than the last. Default false. */
  fortran: boolean;

  constructor(
    dtype: PyDtype,
    shape: readonly number[],
    data: Uint8Array | readonly unknown[],
    fortran = false,
  ) {
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
    this.fortran = fortran;
  }
}

/** A NumPy scalar, such as a `numpy.float32`. */
export class PyScalar {
  readonly dtype: PyDtype;
  /** The item's bytes, in the byte order of `dtype`. */
  readonly data: Uint8Array;

  constructor(dtype: PyDtype, data: Uint8Array) {
    this.dtype = dtype;
    this.data = data;
  }

  /** The scalar as a number, BigInt, boolean or text; undefined for any other dtype. */
  get value(): number | bigint | boolean | string | undefined {
    const [, order = "", kind = "", size = ""] = /^([<>|=]?)(\w)(\d*)/.exec(this.dtype.text) ?? [];
    const view = new DataView(this.data.buffer, this.data.byteOffset, this.data.byteLength);
    const little = order !== ">";
    switch (kind + size) {
      case "b1":
        return view.getUint8(0) !== 0;
      case "i1":
        return view.getInt8(0);
      case "u1":
        return view.getUint8(0);
      case "i2":
        return view.getInt16(0, little);
      case "u2":
        return view.getUint16(0, little);
      case "i4":
        return view.getInt32(0, little);
      case "u4":
        return view.getUint32(0, little);
      case "u8":
        return view.getBigUint64(0, little);
      case "i8":
      case "M8":
      case "m8":
        return view.getBigInt64(0, little);
      case "f4":
        return view.getFloat32(0, little);
      case "f8":
        return view.getFloat64(0, little);
      default: {
        if (kind !== "U") return undefined;
        let text = "";
        for (let at = 0; at < view.byteLength; at += 4) {
          text += String.fromCodePoint(view.getUint32(at, little));
        }
        return text;
      }
    }
  }
}

export const numpyCalls: Calls = {
  "numpy.dtype": ([letters]) => {
    if (typeof letters !== "string" || letters.length > LONGEST) throw misused("dtype");
    return new PyDtype(letters);
  },
  ...callsOf("numpy.core"), // Before NumPy 2.
  ...callsOf("numpy._core"),
};

export const numpyReducers: readonly Reducer[] = [
  reducer(PyDtype, 2, reduceDtype),
  reducer(PyNdArray, 4, ({ dtype, shape, data, fortran }) => {
    const type = new PyGlobal("numpy.core.multiarray", "_reconstruct");
    const args = [new PyGlobal("numpy", "ndarray"), pyTuple(0), latin1Bytes("b")];
    const content = Array.isArray(data) ? [...data] : viewOf(data as Uint8Array);
    return { type, args, state: pyTuple(1, pyTuple(...shape), dtype, fortran, content) };
  }),
  reducer(PyScalar, 2, ({ dtype, data }) => call("numpy.core.multiarray.scalar", dtype, data)),
];

function callsOf(core: string): Calls {
  return {
    [`${core}.multiarray.scalar`]: ([dtype, data]) => {
      if (!(dtype instanceof PyDtype)) throw misused("scalar");
      if (!(data instanceof Uint8Array)) throw refuse("a NumPy scalar that is an object");
      if (data.byteLength !== itemSizeOf(dtype)) throw misused("scalar");
      return new PyScalar(dtype, data);
    },
    [`${core}.multiarray._reconstruct`]: ([type]) => {
      if (`${type}` !== "numpy.ndarray") throw refuse(`it holds a ${type}`);
      return new PyNdArray(new PyDtype("|V0"), [0], new Uint8Array());
    },
    [`${core}.numeric._frombuffer`]: ([bytes, dtype, shape, order], spend) => {
      const array = new PyNdArray(new PyDtype("|V0"), [0], new Uint8Array());
      fillArray(array, pyTuple(1, shape, dtype, order === "F", bytes), spend);
      return array;
    },
  };
}

/**
 * The state is a version, the byte order, three fields of records, sizes, alignment, flags, and the
 * unit of dates.
 */
function reduceDtype({ text, state }: PyDtype): Reduction {
  if (!DTYPE.test(text)) throw new Refusal(`a PyDtype of ${JSON.stringify(text)}, which is none`);
  const [, order = "", letters = "", count = "", unit] =
    /^([<>|=]?)(.*?)(?:\[(\d*)(\w+)\])?$/.exec(text) ?? [];
  const size = Number(letters.slice(1));
  const rest = {
    U: [size * 4, 4, 8],
    S: [size, 1, 0],
    V: [size, 1, 0],
    O: [-1, -1, 63],
  }[letters[0] as string] ?? [-1, -1, 0];
  const head = [order === "=" ? "<" : order || "|", null, null, null];
  const dates = pyTuple({}, pyTuple(latin1Bytes(unit ?? "generic"), Number(count || 1), 1, 1));
  const written = /^[Mm]/.test(letters)
    ? pyTuple(4, ...head, ...rest, dates)
    : pyTuple(3, ...head, ...rest);
  return { ...call("numpy.dtype", letters, false, true), state: state ?? written };
}

/**
 * Applies a state: the byte order and, for dates, the unit. The fields of records stay in the
 * state.
 */
export function dtypeFrom({ text }: PyDtype, state: unknown): PyDtype {
  if (!(state instanceof PyTuple) || state.length < 8) throw misused("dtype");
  const [, order, , names] = state;
  const unit = (state[8] as unknown[] | undefined)?.[1];
  let suffix = "";
  if (/^[Mm]8/.test(text) && unit instanceof PyTuple) {
    const [name, count] = unit;
    const letters = name instanceof Uint8Array ? String.fromCharCode(...name.subarray(0, 8)) : name;
    if (letters !== "generic") suffix = `[${number(count) === 1 ? "" : number(count)}${letters}]`;
  }
  const full = `${order === "=" ? "<" : order}${text}${suffix}`;
  if (full.length > LONGEST) throw misused("dtype");
  return new PyDtype(full, names === null && !text.startsWith("V") ? undefined : state);
}

export function fillArray(array: PyNdArray, state: unknown, spend: (bytes: number) => void): void {
  if (!(state instanceof PyTuple)) throw misused("ndarray");
  const [shape, dtype, fortran, content] = state.slice(-4) as [unknown, unknown, unknown, unknown];
  if (typeof content === "string") spend(content.length);
  const bytes = typeof content === "string" ? latin1Bytes(content) : content;
  // NumPy takes bytes, but no bytearray.
  const data = bytes instanceof Uint8Array ? viewOf(bytes) : bytes;
  if (!(dtype instanceof PyDtype) || !(shape instanceof PyTuple)) throw misused("ndarray");
  if (!(data instanceof Uint8Array || Array.isArray(data))) throw misused("ndarray");
  if (shape.length > MOST_DIMENSIONS) throw misused("ndarray");
  const lengths = Array.from(shape, number);
  const items = lengths.reduce((product, length) => product * length, 1);
  const fits = Array.isArray(data)
    ? data.length === items && /[OV]/.test(dtype.text)
    : data.byteLength === items * itemSizeOf(dtype);
  if (!fits || lengths.some((length) => !(length >= 0))) throw misused("ndarray");
  array.dtype = dtype;
  array.shape = lengths;
  array.data = data;
  array.fortran = fortran === true;
}

const DTYPE = /^[<>|=]?[biufcmMOSUV]\d*(\[\d*\w+\])?$/;

function itemSizeOf({ text }: PyDtype): number {
  return Number(/\d+/.exec(text)?.[0] ?? 0) * (/^.?U/.test(text) ? 4 : 1);
}

/** NumPy's own limit. */
const MOST_DIMENSIONS = 64;
/** No dtype has a longer text. Each use of one looks at all of it. */
const LONGEST = 64;
