import { isBytes, viewOf } from "@partd/core/author";
import {
  PyByteArray,
  PyComplex,
  PyFrozenSet,
  PyRange,
  PySlice,
  PyTuple,
} from "./python/builtins.js";
import { PyArray } from "./python/collections.js";
import { PyDate, PyDateTime, PyTime, PyTimeDelta, PyTimeZone } from "./python/datetime.js";
import { PyDtype, PyNdArray, PyScalar } from "./python/numpy.js";
import { PyFloat, PyGlobal, Refusal } from "./python/object.js";
import { PyDecimal, PyFraction, PyPath, PyUuid } from "./python/scalars.js";
import { isPythonValue } from "./reduction.js";

/**
 * Refuses keys that Python cannot hash, and those that are distinct here and equal in Python, which
 * would lose an entry there.
 */
export function checkKeys(keys: () => Iterable<unknown>): void {
  const unhashable = unhashableKey(keys());
  if (unhashable !== undefined) throw new Refusal(`${unhashable}, which Python cannot hash`);
  const equal = equalKeys(keys());
  if (equal !== undefined) throw new Refusal(`${equal}, which are one in Python`);
}

/**
 * Describes the first key that Python cannot hash, which can therefore be neither a key of a dict nor
 * in a set: lists, dicts, sets, bytearrays, slices and arrays, also within tuples and frozensets.
 */
export function unhashableKey(
  keys: Iterable<unknown>,
  depth = 0,
  seen = new Set<unknown>(),
): string | undefined {
  for (const key of keys) {
    if (typeof key !== "object" || key === null) continue;
    if (key instanceof PyTuple || key instanceof PyFrozenSet) {
      if (depth === MAX_DEPTH) return `a key that is nested more than ${MAX_DEPTH} deep`;
      if (seen.has(key)) continue;
      const inner = unhashableKey(key, depth + 1, seen);
      seen.add(key); // Only now: a key that holds itself is refused for its depth.
      if (inner !== undefined) return inner;
    } else if (!isHashable(key)) return `a key that is ${nameOf(key)}`;
  }
  return undefined;
}

/** Python's own pickler fails at about this many levels. A key that holds itself is deeper. */
export const MAX_DEPTH = 1000;

function isHashable(key: object): boolean {
  if (key instanceof PyFloat) return true;
  if (Array.isArray(key) || key instanceof Map || key instanceof Set) return false;
  if (key instanceof PyByteArray || key instanceof PyArray) return false;
  if (key instanceof PyNdArray || key instanceof PySlice) return false;
  return key instanceof Date || isBytes(key) || isPythonValue(key);
}

function nameOf(key: object): string {
  const name = key.constructor?.name ?? "object";
  return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
}

// ---- Equal keys --------------------------------------------------------------------------------

/**
 * Describes two of the keys that are equal in Python, or returns `undefined`. Equal are, for example,
 * 1, 1n, 1.0 and true; `Fraction(1, 2)` and 0.5; tuples of these; and bytes, dates and others with the
 * same content.
 */
export function equalKeys(keys: Iterable<unknown>): string | undefined {
  let plain: "string" | "number" | undefined;
  let seen: Map<string, unknown> | undefined;
  const waiting: unknown[] = [];
  for (const key of keys) {
    if (seen === undefined) {
      // Keys that are all strings, or all numbers, are as distinct in Python as in a Map.
      const type = typeof key;
      if ((type === "string" || type === "number") && (plain ?? type) === type) {
        plain = type;
        waiting.push(key);
        continue;
      }
      seen = new Map();
      for (const earlier of waiting) seen.set(identity(earlier) as string, earlier);
    }
    const id = identity(key);
    if (id === undefined) continue;
    if (seen.has(id)) return `the keys ${show(seen.get(id))} and ${show(key)}`;
    seen.set(id, key);
  }
  return undefined;
}

/**
 * A text that is equal for keys that are equal in Python; `undefined` for keys that equal no other, and
 * for objects of unknown classes.
 */
function identity(key: unknown): string | undefined {
  switch (typeof key) {
    case "string":
      return `s${key}`;
    case "boolean":
      return `n${Number(key)}`;
    case "number":
      return identityOfNumber(key);
    case "bigint":
      return `n${key}`;
    case "object":
      return key === null ? "null" : identityOfObject(key);
    default:
      return `${String(key)}`;
  }
}

function identityOfObject(key: object): string | undefined {
  if (key instanceof PyTuple) return identityOfItems("t", key);
  if (key instanceof PyFrozenSet) return identityOfItems("f", key);
  if (key instanceof Date) return identityOfDate(key);
  if (isBytes(key)) return `b${viewOf(key).join()}`;
  if (key instanceof PyFloat) return identityOfNumber(key.value);
  if (key instanceof PyComplex) {
    if (key.imag === 0) return identityOfNumber(key.real);
    return Number.isNaN(key.real + key.imag) ? undefined : `c${key.real},${key.imag}`;
  }
  if (key instanceof PyDecimal) return identityOfDecimal(key.text);
  if (key instanceof PyFraction) return ratio(BigInt(key.numerator), BigInt(key.denominator));
  if (key instanceof PyScalar) return identityOfScalar(key);
  if (key instanceof PyRange) return identityOfRange(key);
  if (key instanceof PyTime) return identityOfTime(key);
  if (key instanceof PyTimeDelta) return `delta${microseconds(key)}`;
  if (key instanceof PyTimeZone) return `zone${microseconds(key.offset)}`;
  if (key instanceof PyDate || key instanceof PyUuid) return `${key.constructor.name}${key}`;
  if (key instanceof PyGlobal) return `global${key}`;
  if (key instanceof PyDtype) return key.state === undefined ? `dtype${key.text}` : undefined;
  if (key instanceof PyPath) {
    const isOfWindows = key.kind.endsWith("WindowsPath");
    return `path${isOfWindows}${JSON.stringify(key.parts)[isOfWindows ? "toLowerCase" : "toString"]()}`;
  }
  return undefined;
}

function identityOfItems(type: "t" | "f", items: Iterable<unknown>): string | undefined {
  const texts: string[] = [];
  let length = 0;
  for (const item of items) {
    const text = identity(item);
    if (text === undefined) return undefined;
    length += text.length;
    if (length > LONGEST) return undefined;
    texts.push(`${text.length}:${text}`);
  }
  if (type === "f") texts.sort();
  return type + texts.join("");
}

/**
 * Tuples that hold one tuple twice, 40 levels deep, are 400 bytes as a pickle and 2^40 items to compare,
 * which Python would not get through either.
 */
const LONGEST = 2 ** 20;

// ---- Numbers: integers, floats, fractions and decimals of one value are equal -------------------

function identityOfNumber(value: number): string | undefined {
  if (Number.isNaN(value)) return undefined;
  if (!Number.isFinite(value)) return `n${value}`;
  let denominator = 1n;
  while (!Number.isInteger(value)) {
    value *= 2; // Exact: a number with a fraction is far below the largest.
    denominator *= 2n;
  }
  return ratio(BigInt(value), denominator);
}

function identityOfDecimal(text: string): string | undefined {
  const [, sign, whole, fraction = "", exponent = "0"] =
    /^(-?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i.exec(text) ?? [];
  if (whole === undefined) return /nan/i.test(text) ? undefined : `n${Number(text)}`; // Infinity
  const digits = BigInt(`${whole}${fraction}`);
  if (digits === 0n) return "n0";
  const power = Number(exponent) - fraction.length;
  const value = sign === "-" ? -digits : digits;
  // Far beyond any float: do not compute powers of ten that a few bytes ask for.
  if (Math.abs(power) > MOST_DIGITS) return `d${value}e${power}`;
  return power >= 0 ? ratio(value * 10n ** BigInt(power), 1n) : ratio(value, 10n ** BigInt(-power));
}

/** The smallest float has 1,074 digits after the point. */
const MOST_DIGITS = 1100;

/** A number as the fraction in lowest terms. */
function ratio(numerator: bigint, denominator: bigint): string {
  let [a, b] = [numerator, denominator];
  while (b !== 0n) [a, b] = [b, a % b];
  if (denominator < 0n !== a < 0n) a = -a;
  const rest = denominator / a;
  return rest === 1n ? `n${numerator / a}` : `n${numerator / a}/${rest}`;
}

function identityOfScalar(scalar: PyScalar): string | undefined {
  const kind = /[a-zA-Z?]/.exec(scalar.dtype.text)?.[0] ?? "";
  const { value } = scalar;
  if (value !== undefined && !"mM".includes(kind)) return identity(value);
  return kind === "S" ? `b${scalar.data.join()}` : `${scalar.dtype.text}${scalar.data.join()}`;
}

// ---- Ranges and times --------------------------------------------------------------------------

/** Ranges with the same items are equal. */
function identityOfRange({ start, stop, step }: PyRange): string {
  const [first, by] = [BigInt(start), BigInt(step)];
  const distance = BigInt(stop) - first;
  const isEmpty = by === 0n || distance === 0n || distance > 0n !== by > 0n;
  const length = isEmpty ? 0n : (distance - (by > 0n ? 1n : -1n)) / by + 1n;
  return `range${length}${length > 0n ? `,${first}` : ""}${length > 1n ? `,${by}` : ""}`;
}

function identityOfDate(key: Date): string {
  if (key instanceof PyDateTime && (key.utcOffset === undefined || key.tzinfo !== undefined)) {
    return `w${key.getTime()}.${key.microsecond}.${key.tzinfo ? "z" : ""}`;
  }
  return `d${key.getTime()}.${key instanceof PyDateTime ? key.microsecond : 0}`;
}

/** If the offset of a time's zone depends on the date, the time equals one without a zone. */
function identityOfTime({ hour, minute, second, microsecond, tzinfo }: PyTime): string {
  const time = ((hour * 60 + minute) * 60 + second) * 1e6 + microsecond;
  return tzinfo instanceof PyTimeZone ? `utc${time - microseconds(tzinfo.offset)}` : `time${time}`;
}

function microseconds({ days, seconds, microseconds }: PyTimeDelta): number {
  return (days * 86_400 + seconds) * 1e6 + microseconds;
}

function show(key: unknown): string {
  if (typeof key === "bigint") return `${key}n`;
  if (typeof key === "string") return JSON.stringify(key.slice(0, 40));
  if (typeof key === "object" && key !== null) return `of ${key.constructor?.name}`;
  return String(key);
}
