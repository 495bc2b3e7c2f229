import { PartdError } from "@partd/core";

/** A Python tuple: an array that is written as a tuple again. What its methods make are arrays. */
export class PyTuple<T = unknown> extends Array<T> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

/** Makes a tuple of the items. */
export function pyTuple<T>(...items: T[]): PyTuple<T> {
  const tuple = new PyTuple<T>();
  for (const item of items) tuple.push(item);
  return tuple;
}

/** A Python bytearray: bytes that are written as one again. */
export class PyByteArray extends Uint8Array<ArrayBuffer> {
  static get [Symbol.species](): Uint8ArrayConstructor {
    return Uint8Array;
  }
}

/** A Python frozenset: a Set that is written as one again. */
export class PyFrozenSet<T = unknown> extends Set<T> {}

/** A `collections.deque`: an array that is written as one again. */
export class PyDeque<T = unknown> extends Array<T> {
  /** The most items that it holds in Python. Default: any number. */
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
  /** What makes Python's default, as in `new PyGlobal("builtins", "list")`; null for none. */
  factory: unknown = null;
}

/** What a Python datetime says beyond a `Date`. */
export interface PyDateTimeFields {
  /** Microseconds beyond the `Date`'s milliseconds, 0 to 999. Default 0. */
  readonly microsecond?: number | undefined;
  /** Seconds east of UTC; undefined for a naive datetime, whose `Date` is as if it were in UTC. */
  readonly utcOffset?: number | undefined;
  /** The name of a `datetime.timezone` that has one of its own. */
  readonly zone?: string | undefined;
  /** Whether it is the second of two times of day that a change of clocks makes the same. */
  readonly fold?: boolean | undefined;
  /**
   * Any other kind of zone, such as a `zoneinfo.ZoneInfo`, as Python pickles it. Its offset is not
   * known here: the `Date` is the time of day that the zone shows, as if it were in UTC.
   */
  readonly tzinfo?: PyObject | undefined;
}

/**
 * A Python datetime that a `Date` alone would change: a naive one, one in another zone than UTC, or
 * one with microseconds. A `Date` in all else, and written as it was read.
 */
export class PyDateTime extends Date {
  readonly microsecond: number;
  readonly utcOffset: number | undefined;
  readonly zone: string | undefined;
  readonly fold: boolean;
  readonly tzinfo: PyObject | undefined;

  /** @param time milliseconds since 1970, in UTC. */
  constructor(time: number, fields: PyDateTimeFields = {}) {
    super(time);
    this.microsecond = fields.microsecond ?? 0;
    this.utcOffset = fields.utcOffset;
    this.zone = fields.zone;
    this.fold = fields.fold ?? false;
    this.tzinfo = fields.tzinfo;
  }
}

/** A `datetime.date`. */
export class PyDate {
  /** 1 to 9999. */
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;

  constructor(year: number, month: number, day: number) {
    this.year = year;
    this.month = month;
    this.day = day;
    const date = new Date(0);
    date.setUTCFullYear(year, month - 1, day);
    const valid = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
    check(valid && isWithin(year, 1, 9999), "no date");
  }

  /** As `datetime.date.isoformat`. */
  toString(): string {
    return `${pad(this.year, 4)}-${pad(this.month, 2)}-${pad(this.day, 2)}`;
  }
}

/** A `datetime.time`. */
export class PyTime {
  /** Its time zone: a {@link PyTimeZone}, or as Python pickles it. */
  readonly tzinfo: PyTimeZone | PyObject | undefined;
  readonly fold: boolean;

  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly microsecond: number;

  constructor(
    hour: number,
    minute = 0,
    second = 0,
    microsecond = 0,
    fields: { readonly tzinfo?: PyTimeZone | PyObject | undefined; readonly fold?: boolean } = {},
  ) {
    this.hour = hour;
    this.minute = minute;
    this.second = second;
    this.microsecond = microsecond;
    check(
      isWithin(hour, 0, 23) &&
        isWithin(minute, 0, 59) &&
        isWithin(second, 0, 59) &&
        isWithin(microsecond, 0, 999_999),
      "no time of day",
    );
    this.tzinfo = fields.tzinfo;
    this.fold = fields.fold ?? false;
  }

  toString(): string {
    const { hour, minute, second, microsecond } = this;
    const fraction = microsecond > 0 ? `.${pad(microsecond, 6)}` : "";
    return `${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}${fraction}`;
  }
}

/** A `datetime.timedelta`. */
export class PyTimeDelta {
  /** Also negative. */
  readonly days: number;
  /** 0 to 86,399. */
  readonly seconds: number;
  /** 0 to 999,999. */
  readonly microseconds: number;

  constructor(days: number, seconds = 0, microseconds = 0) {
    this.days = days;
    this.seconds = seconds;
    this.microseconds = microseconds;
    check(
      isWithin(days, -999_999_999, 999_999_999) &&
        isWithin(seconds, 0, 86_399) &&
        isWithin(microseconds, 0, 999_999),
      "no timedelta",
    );
  }

  /** All of it in seconds, to the microsecond where it is less than 285 years. */
  totalSeconds(): number {
    return ((this.days * 86_400 + this.seconds) * 1e6 + this.microseconds) / 1e6;
  }
}

/** A `datetime.timezone`. */
export class PyTimeZone {
  /** East of UTC, less than a day. */
  readonly offset: PyTimeDelta;
  readonly name: string | undefined;

  constructor(offset: PyTimeDelta, name?: string | undefined) {
    this.offset = offset;
    this.name = name;
    check(Math.abs(offset.totalSeconds()) < 86_400, "no time zone");
  }
}

/** A `decimal.Decimal`, as its text: `"1.50"`, `"NaN"`. */
export class PyDecimal {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
    check(/^-?(\d+(\.\d*)?(E[+-]?\d+)?|\.\d+|Infinity|s?NaN\d*)$/i.test(text), "no Decimal");
  }

  toString(): string {
    return this.text;
  }
}

/** A `uuid.UUID`. */
export class PyUuid {
  /** 32 hexadecimal digits in lower case, with or without hyphens. */
  readonly hex: string;

  constructor(text: string) {
    this.hex = text.replaceAll("-", "").toLowerCase();
    check(/^[0-9a-f]{32}$/.test(this.hex), "no UUID");
  }

  toString(): string {
    return this.hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }
}

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

/** A `fractions.Fraction`. */
export class PyFraction {
  readonly numerator: number | bigint;
  readonly denominator: number | bigint;

  constructor(numerator: number | bigint, denominator: number | bigint = 1) {
    this.numerator = numerator;
    this.denominator = denominator;
  }
}

/** A path of `pathlib`. */
export class PyPath {
  readonly parts: readonly string[];
  /** Default `"PosixPath"`. */
  readonly kind: "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath";

  constructor(
    parts: readonly string[],
    kind: "PosixPath" | "PurePosixPath" | "WindowsPath" | "PureWindowsPath" = "PosixPath",
  ) {
    this.parts = parts;
    this.kind = kind;
  }

  toString(): string {
    const separator = this.kind.endsWith("WindowsPath") ? "\\" : "/";
    const [first = "", ...rest] = this.parts;
    return first.endsWith(separator) ? first + rest.join(separator) : this.parts.join(separator);
  }
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

/** A NumPy dtype. */
export class PyDtype {
  /** As `numpy.dtype.str` gives it, without the fields of records: `"<f8"`, `"|S5"`, `"<M8[ns]"`. */
  readonly text: string;
  /** What Python restores it from beyond its text: the fields of a record. */
  readonly state: PyTuple | undefined;

  constructor(text: string, state?: PyTuple) {
    this.text = text;
    this.state = state;
  }
}

/** A NumPy array. */
export class PyNdArray {
  dtype: PyDtype;
  shape: readonly number[];
  /** Its items end to end, raw; of objects a list. */
  data: Uint8Array | readonly unknown[];
  /** Whether the first index changes fastest. Default false. */
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
  /** Its item, raw. */
  readonly data: Uint8Array;

  constructor(dtype: PyDtype, data: Uint8Array) {
    this.dtype = dtype;
    this.data = data;
  }

  /** The number, BigInt, boolean or text that it is, where it is one. */
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

/** A name that a pickle refers to: a class or function, which is neither imported nor called. */
export class PyGlobal {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  toString(): string {
    return `${this.module}.${this.name}`;
  }
}

/**
 * An object that has no type of its own here: what Python would call, with what, and what it would
 * do to the result. Nothing of it is done here; it is written as it was read.
 */
export class PyObject {
  /** What `BUILD` would set: mostly a dict of attributes. Undefined for none. */
  state: unknown = undefined;
  /** What would be appended to it. */
  readonly items: unknown[] = [];
  /** Keys and values that would be set in it. */
  readonly entries: [key: unknown, value: unknown][] = [];

  readonly type: PyGlobal;
  readonly args: readonly unknown[];
  /** Whether it is made by `__new__` rather than by a call; with keywords: those. Default false. */
  readonly made: boolean | ReadonlyMap<string, unknown>;

  constructor(
    type: PyGlobal,
    args: readonly unknown[],
    made: boolean | ReadonlyMap<string, unknown> = false,
  ) {
    this.type = type;
    this.args = args;
    this.made = made;
  }
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, "0");
}

function isWithin(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function check(valid: boolean, what: string): void {
  if (!valid) throw new PartdError("ERR_PARTD_VALUE", `It is ${what} of Python's.`);
}
