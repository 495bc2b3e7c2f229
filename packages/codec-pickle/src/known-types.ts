import { PartdError } from "@partd/core";
import {
  PyArray,
  PyByteArray,
  PyComplex,
  PyCounter,
  PyDate,
  PyDateTime,
  PyDecimal,
  PyDefaultDict,
  PyDeque,
  PyDtype,
  PyFraction,
  PyFrozenSet,
  PyGlobal,
  PyNdArray,
  PyObject,
  PyOrderedDict,
  PyPath,
  PyRange,
  PyScalar,
  PySlice,
  PyTime,
  PyTimeDelta,
  PyTimeZone,
  PyTuple,
  PyUuid,
  pyTuple,
} from "./python-types.js";

/** How Python makes an object: a call, and what is done to the result. */
export interface Reduction {
  readonly type: PyGlobal;
  readonly args: readonly unknown[];
  readonly made?: boolean | ReadonlyMap<string, unknown>;
  readonly state?: unknown;
  readonly items?: readonly unknown[];
  readonly entries?: Iterable<readonly [unknown, unknown]>;
}

type Call = (args: readonly unknown[], spend: (bytes: number) => void) => unknown;

/** What the call of a name makes, without that anything is called; `undefined` for any other name. */
export function callOf({ module, name }: PyGlobal): Call | undefined {
  return CALLS.get(`${module}.${name}`);
}

/** Whether a name belongs to data that is read as a {@link PyObject} without the option. */
export function isKnownName(module: string, name: string): boolean {
  const path = `${module}.${name}`;
  return CALLS.has(path) || NAMES.has(path) || FAMILIES.test(module);
}

/** The names of Python 2, which protocols 0 to 2 are written with. */
export function modernGlobal(module: string, name: string): PyGlobal {
  if (module === "__builtin__") {
    const names: Record<string, string> = { xrange: "range", long: "int", unicode: "str" };
    return new PyGlobal("builtins", Object.hasOwn(names, name) ? (names[name] as string) : name);
  }
  return new PyGlobal(module === "copy_reg" ? "copyreg" : module, name);
}

/** The reverse. */
export function oldGlobal({ module, name }: PyGlobal): PyGlobal {
  if (module === "builtins") {
    const names: Record<string, string> = { range: "xrange", int: "long", str: "unicode" };
    return new PyGlobal("__builtin__", Object.hasOwn(names, name) ? (names[name] as string) : name);
  }
  return module === "copyreg" ? new PyGlobal("copy_reg", name) : new PyGlobal(module, name);
}

/** Sets what `BUILD` sets, in an object of a type that is known here. */
export function build(object: unknown, state: unknown): unknown {
  if (object instanceof Unfinished) return object.finish(state);
  if (object instanceof PyObject && object.state === undefined) {
    object.state = state;
    return object;
  }
  if (object instanceof PyDtype && object.state === undefined) return dtypeFrom(object, state);
  if (object instanceof PyNdArray) {
    fillArray(object, state);
    return object;
  }
  throw refuse("it sets the state of an object that has none here");
}

/** An object of which only the state says what it is. */
export class Unfinished {
  readonly finish: (state: unknown) => unknown;

  constructor(finish: (state: unknown) => unknown) {
    this.finish = finish;
  }
}

/** An object that `__new__` made, which is known to be of a type here. */
export function newObject(type: PyGlobal, args: readonly unknown[]): unknown {
  if (`${type}` === "uuid.UUID" && args.length === 0) {
    return new Unfinished(
      (state) =>
        new PyUuid(
          BigInt(int(itemOf(state, "int")))
            .toString(16)
            .padStart(32, "0"),
        ),
    );
  }
  return undefined;
}

/** How an object of a class of this package is made in Python. */
export function reductionOf(value: object): Reduction | undefined {
  switch (value.constructor) {
    case PyObject: {
      const { type, args, made, state, items, entries } = value as PyObject;
      return { type, args, made, state, items, entries };
    }
    case PyDate: {
      const { year, month, day } = value as PyDate;
      return call("datetime.date", Uint8Array.of(year >> 8, year, month, day));
    }
    case PyTime:
      return timeReduction(value as PyTime);
    case PyTimeDelta: {
      const { days, seconds, microseconds } = value as PyTimeDelta;
      return call("datetime.timedelta", days, seconds, microseconds);
    }
    case PyTimeZone: {
      const { offset, name } = value as PyTimeZone;
      return call("datetime.timezone", ...(name === undefined ? [offset] : [offset, name]));
    }
    case PyDecimal:
      return call("decimal.Decimal", (value as PyDecimal).text);
    case PyUuid: {
      const state = { int: BigInt(`0x${(value as PyUuid).hex}`) };
      return { type: new PyGlobal("uuid", "UUID"), args: [], made: true, state };
    }
    case PyComplex: {
      const { real, imag } = value as PyComplex;
      return call("builtins.complex", new PyFloat(real), new PyFloat(imag));
    }
    case PyRange: {
      const { start, stop, step } = value as PyRange;
      return call("builtins.range", start, stop, step);
    }
    case PySlice: {
      const { start, stop, step } = value as PySlice;
      return call("builtins.slice", start, stop, step);
    }
    case PyFraction: {
      const { numerator, denominator } = value as PyFraction;
      return call("fractions.Fraction", `${numerator}/${denominator}`);
    }
    case PyPath:
      return call(`pathlib.${(value as PyPath).kind}`, ...(value as PyPath).parts);
    case PyOrderedDict:
      return { ...call("collections.OrderedDict"), entries: value as PyOrderedDict };
    case PyDefaultDict: {
      const { factory } = value as PyDefaultDict;
      const args = factory === null ? [] : [factory];
      return { ...call("collections.defaultdict", ...args), entries: value as PyDefaultDict };
    }
    case PyCounter:
      return call("collections.Counter", new Map(value as PyCounter));
    case PyDeque: {
      const { maxlen } = value as PyDeque;
      const args = maxlen === undefined ? [] : [pyTuple(), maxlen];
      return { ...call("collections.deque", ...args), items: [...(value as PyDeque)] };
    }
    case PyArray: {
      const { typecode, data } = value as PyArray;
      const items = typeof data === "string" ? data : Array.from(data);
      const exact = typeof items !== "string" && /[fd]/.test(typecode);
      return call(
        "array.array",
        typecode,
        exact ? items.map((n) => new PyFloat(Number(n))) : items,
      );
    }
    case PyDtype:
      return dtypeReduction(value as PyDtype);
    case PyNdArray: {
      const { dtype, shape, data, fortran } = value as PyNdArray;
      const type = new PyGlobal("numpy.core.multiarray", "_reconstruct");
      const args = [new PyGlobal("numpy", "ndarray"), pyTuple(0), latin1Bytes("b")];
      const content = Array.isArray(data) ? [...data] : viewOf(data as Uint8Array);
      return { type, args, state: pyTuple<unknown>(1, pyTuple(...shape), dtype, fortran, content) };
    }
    case PyScalar: {
      const { dtype, data } = value as PyScalar;
      return call("numpy.core.multiarray.scalar", dtype, data);
    }
    default:
      return undefined;
  }
}

/** A number that is a float in Python also where it has no fraction. */
export class PyFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

function call(path: string, ...args: unknown[]): Reduction {
  const dot = path.lastIndexOf(".");
  return { type: new PyGlobal(path.slice(0, dot), path.slice(dot + 1)), args };
}

function timeReduction(time: PyTime): Reduction {
  const { hour, minute, second, microsecond, fold, tzinfo } = time;
  const packed = Uint8Array.of(
    fold ? hour | 0x80 : hour,
    minute,
    second,
    microsecond >> 16,
    microsecond >> 8,
    microsecond,
  );
  return call("datetime.time", ...(tzinfo === undefined ? [packed] : [packed, tzinfo]));
}

/** The state is version, order, three of records, bytes, alignment, flags, and the unit of dates. */
function dtypeReduction({ text, state }: PyDtype): Reduction {
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
  const dates = pyTuple<unknown>(
    {},
    pyTuple<unknown>(latin1Bytes(unit ?? "generic"), Number(count || 1), 1, 1),
  );
  const written = /^[Mm]/.test(letters)
    ? pyTuple<unknown>(4, ...head, ...rest, dates)
    : pyTuple<unknown>(3, ...head, ...rest);
  return { ...call("numpy.dtype", letters, false, true), state: state ?? written };
}

// ---- What calls make -------------------------------------------------------------------------

const CALLS = new Map<string, Call>();

function allow(paths: string, call: Call): void {
  for (const path of paths.split(" ")) CALLS.set(path, call);
}

/** Protocols 0 to 2 have no opcode for bytes, and 0 to 3 have none for sets. */
allow("_codecs.encode", ([text, encoding], spend) => {
  if (typeof text !== "string" || !/^latin-?1$/.test(String(encoding))) throw misused("encode");
  spend(text.length);
  return latin1Bytes(text);
});
allow("builtins.bytes", (args) => {
  if (args.length > 0) throw misused("bytes");
  return new Uint8Array();
});
allow("builtins.bytearray", ([source, encoding], spend) => {
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
});
allow("builtins.set", ([items], spend) => new Set(list(items, "set", spend)));
allow("builtins.frozenset", ([items], spend) => new PyFrozenSet(list(items, "frozenset", spend)));
allow("builtins.complex", ([real, imag = 0]) => new PyComplex(float(real), float(imag)));
allow("builtins.range", ([start, stop, step = 1]) => new PyRange(int(start), int(stop), int(step)));
allow("builtins.slice", ([start, stop, step = null]) => new PySlice(start, stop, step));
/** How protocols below 4 write a method: no attribute is read. */
allow("builtins.getattr", ([of, name]) => {
  if (!(of instanceof PyGlobal) || typeof name !== "string" || !isKnownName(of.module, of.name)) {
    throw refuse("it reads an attribute");
  }
  return new PyGlobal(of.module, `${of.name}.${name}`);
});
/** How protocols 0 and 1 make an object without a call. */
allow("copyreg._reconstructor", ([type, base, state]) => {
  if (!(type instanceof PyGlobal) || `${base}` !== "builtins.object" || state !== null) {
    throw refuse("it makes an object of a type with a base");
  }
  return newObject(type, []) ?? new PyObject(type, [], true);
});

allow("datetime.timedelta", ([days = 0, seconds = 0, microseconds = 0]) =>
  valid("timedelta", () => new PyTimeDelta(number(days), number(seconds), number(microseconds))),
);
allow("datetime.timezone", ([offset, name]) => {
  if (!(offset instanceof PyTimeDelta) || !(name === undefined || typeof name === "string")) {
    throw misused("timezone");
  }
  return valid("timezone", () => new PyTimeZone(offset, name));
});
allow("datetime.date", ([state]) => {
  const bytes = packed(state, 4, "date");
  return valid("date", () => new PyDate(word(bytes, 0), bytes[2] as number, bytes[3] as number));
});
allow("datetime.time", ([state, tzinfo]) => {
  const bytes = packed(state, 6, "time");
  const [hour = 0, minute, second] = bytes;
  const fold = hour >= 0x80;
  if (!(tzinfo === undefined || tzinfo instanceof PyTimeZone || tzinfo instanceof PyObject)) {
    throw misused("time");
  }
  return valid(
    "time",
    () => new PyTime(hour & 0x7f, minute, second, micros(bytes, 3), { fold, tzinfo }),
  );
});
allow("datetime.datetime", ([state, zone]) => {
  const bytes = packed(state, 10, "datetime");
  if (!(zone === undefined || zone instanceof PyTimeZone || zone instanceof PyObject)) {
    throw misused("datetime");
  }
  return readDateTime(bytes, zone);
});

allow("decimal.Decimal", ([text]) => valid("Decimal", () => new PyDecimal(text as string)));
allow("fractions.Fraction", ([first, second]) => {
  if (typeof first !== "string") return new PyFraction(int(first), int(second ?? 1));
  const match = /^(-?\d+)(?:\/(\d+))?$/.exec(first);
  if (!match) throw misused("Fraction");
  return new PyFraction(integer(match[1] as string), integer(match[2] ?? "1"));
});
for (const kind of ["PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"] as const) {
  allow(`pathlib.${kind}`, (parts) => {
    if (!parts.every((part) => typeof part === "string")) throw misused(kind);
    return new PyPath(parts as string[], kind);
  });
}
allow("collections.OrderedDict", ([items]) => {
  if (items !== undefined) throw misused("OrderedDict");
  return new PyOrderedDict();
});
allow("collections.defaultdict", ([factory = null]) => {
  const dict = new PyDefaultDict();
  dict.factory = factory;
  return dict;
});
allow("collections.Counter", ([items], spend) => {
  if (items === undefined) return new PyCounter();
  if (typeof items !== "object" || items === null) throw misused("Counter");
  const entries = items instanceof Map ? [...items] : Object.entries(items);
  spend(entries.length);
  return new PyCounter(entries);
});
allow("collections.deque", ([items, maxlen], spend) => {
  const deque = new PyDeque();
  for (const item of list(items, "deque", spend)) deque.push(item);
  if (maxlen !== undefined && maxlen !== null) deque.maxlen = number(maxlen);
  return deque;
});
allow("array.array", ([typecode, items = []], spend) => {
  if (typeof items === "string") return valid("array", () => new PyArray(String(typecode), items));
  const data = list(items, "array", spend) as (number | bigint)[];
  return valid("array", () => new PyArray(String(typecode), data));
});
allow("array._array_reconstructor", ([, typecode, format, bytes], spend) => {
  if (!(bytes instanceof Uint8Array)) throw misused("array");
  spend(bytes.byteLength);
  return valid("array", () => new PyArray(String(typecode), machineFormat(bytes, number(format))));
});

const NUMPY = ["numpy.core", "numpy._core"];
allow("numpy.dtype", ([letters]) => {
  if (typeof letters !== "string") throw misused("dtype");
  return new PyDtype(letters);
});
for (const core of NUMPY) {
  allow(`${core}.multiarray.scalar`, ([dtype, data]) => {
    if (!(dtype instanceof PyDtype)) throw misused("scalar");
    if (!(data instanceof Uint8Array)) throw refuse("a NumPy scalar that is an object");
    return new PyScalar(dtype, data);
  });
  allow(`${core}.multiarray._reconstruct`, ([type]) => {
    if (`${type}` !== "numpy.ndarray") throw refuse(`it holds a ${type}`);
    return new PyNdArray(new PyDtype("|V0"), [0], new Uint8Array());
  });
  allow(`${core}.numeric._frombuffer`, ([bytes, dtype, shape, order]) => {
    const array = new PyNdArray(new PyDtype("|V0"), [0], new Uint8Array());
    fillArray(array, pyTuple<unknown>(1, shape, dtype, order === "F", bytes));
    return array;
  });
}

/** Names that stand as arguments. */
const NAMES = new Set([
  "builtins.object",
  ...["int", "float", "str", "bytes", "bool", "list", "dict", "tuple"].map((n) => `builtins.${n}`),
  "array.array",
  "numpy.ndarray",
  "uuid.UUID",
]);
/** Nothing of pandas and of time zones is interpreted here, and nothing imported. */
const FAMILIES = /^(pandas|pytz|zoneinfo|dateutil\.tz|dateutil\.zoneinfo)(\.|$)/;

/** Year, month, day, hour, minute, second and microsecond in 2, 1, 1, 1, 1, 1 and 3 bytes. */
function readDateTime(bytes: Uint8Array, zone: PyTimeZone | PyObject | undefined): Date {
  const at = (index: number) => bytes[index] as number;
  const fold = at(2) >= 0x80;
  const month = at(2) & 0x7f;
  const year = word(bytes, 0);
  const microseconds = micros(bytes, 7);
  const wall = new Date(0);
  wall.setUTCFullYear(year, month - 1, at(3));
  wall.setUTCHours(at(4), at(5), at(6));
  const isValid =
    year >= 1 &&
    year <= 9999 &&
    wall.getUTCMonth() === month - 1 &&
    wall.getUTCDate() === at(3) &&
    at(4) < 24 &&
    at(5) < 60 &&
    at(6) < 60 &&
    microseconds < 1e6;
  if (!isValid) throw misused("datetime");
  const offset = zone instanceof PyTimeZone ? zone.offset : undefined;
  const rest = microseconds - (offset?.microseconds ?? 0);
  const seconds = offset ? offset.days * 86_400 + offset.seconds : 0;
  const time = wall.getTime() - seconds * 1000 + Math.floor(rest / 1000);
  const microsecond = rest - Math.floor(rest / 1000) * 1000;
  const utcOffset = offset?.totalSeconds();
  const name = zone instanceof PyTimeZone ? zone.name : undefined;
  if (utcOffset === 0 && name === undefined && microsecond === 0 && !fold) return new Date(time);
  const tzinfo = zone instanceof PyObject ? zone : undefined;
  return new PyDateTime(time, { microsecond, utcOffset, zone: name, fold, tzinfo });
}

function packed(state: unknown, length: number, name: string): Uint8Array {
  const bytes = typeof state === "string" ? latin1Bytes(state) : state;
  if (!(bytes instanceof Uint8Array) || bytes.byteLength !== length) throw misused(name);
  return bytes;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) * 0x100 + (bytes[at + 1] as number);
}

function micros(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) * 0x10000 + word(bytes, at + 1);
}

/** Version, order, and for dates the unit; fields of records stay as they are. */
function dtypeFrom({ text }: PyDtype, state: unknown): PyDtype {
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
  return new PyDtype(full, names === null && !text.startsWith("V") ? undefined : state);
}

function fillArray(array: PyNdArray, state: unknown): void {
  if (!(state instanceof PyTuple)) throw misused("ndarray");
  const [shape, dtype, fortran, content] = state.slice(-4) as [unknown, unknown, unknown, unknown];
  const bytes = typeof content === "string" ? latin1Bytes(content) : content;
  const data = bytes instanceof Uint8Array ? viewOf(bytes) : bytes;
  if (!(dtype instanceof PyDtype) || !(shape instanceof PyTuple)) throw misused("ndarray");
  if (!(data instanceof Uint8Array || Array.isArray(data))) throw misused("ndarray");
  const lengths = Array.from(shape, number);
  const items = lengths.reduce((product, length) => product * length, 1);
  const itemSize = Number(/\d+/.exec(dtype.text)?.[0] ?? 0) * (/^.?U/.test(dtype.text) ? 4 : 1);
  const fits = Array.isArray(data) ? data.length === items : data.byteLength === items * itemSize;
  if (!fits || lengths.some((length) => !(length >= 0))) throw misused("ndarray");
  array.dtype = dtype;
  array.shape = lengths;
  array.data = data;
  array.fortran = fortran === true;
}

/** NumPy takes bytes, no bytearray. */
function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The numbers of `array.array`, by the number that Python gives each form of them. */
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

function list(items: unknown, name: string, spend: (bytes: number) => void): readonly unknown[] {
  if (items === undefined) return [];
  if (!Array.isArray(items)) throw misused(name);
  spend(items.length);
  return items;
}

function itemOf(dict: unknown, name: string): unknown {
  if (dict instanceof Map) return dict.get(name);
  if (typeof dict !== "object" || dict === null || !Object.hasOwn(dict, name)) {
    throw new Error("an object has not the state of its type.");
  }
  return (dict as Record<string, unknown>)[name];
}

function int(value: unknown): number | bigint {
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return value as number | bigint;
  throw new Error("the pickle gives something else than an int.");
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function integer(text: string): number | bigint {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

function number(value: unknown): number {
  return Number(int(value));
}

function float(value: unknown): number {
  if (typeof value === "number") return value;
  throw new Error("the pickle gives something else than a float.");
}

function byteArray(bytes: Uint8Array): PyByteArray {
  const copy = new PyByteArray(new ArrayBuffer(bytes.byteLength));
  copy.set(bytes);
  return copy;
}

export function latin1Bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => {
    const code = character.charCodeAt(0);
    if (code > 0xff || character.length > 1) throw misused("encode");
    return code;
  });
}

function valid<T>(name: string, make: () => T): T {
  try {
    return make();
  } catch {
    throw misused(name);
  }
}

function misused(name: string): Error {
  return new Error(`the pickle calls ${name} with arguments that it does not take.`);
}

export function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", `the pickle holds more than plain data: ${reason}.`);
}
