import { PyByteArray, PyFrozenSet, PySlice, PyTuple } from "./python/builtins.js";
import { PyArray } from "./python/collections.js";
import { PyDate, PyDateTime, PyTimeDelta } from "./python/datetime.js";
import { isPythonValue } from "./python/known.js";
import { PyNdArray } from "./python/numpy.js";
import { PyFloat } from "./python/object.js";
import { PyDecimal, PyFraction, PyUuid } from "./python/scalars.js";

/**
 * Describes two of the keys that are equal in Python, or returns `undefined`: 1, 1n, 1.0 and true;
 * tuples of these; bytes and dates of the same content.
 */
export function equalKeys(keys: Iterable<unknown>): string | undefined {
  let plain: "string" | "number" | undefined;
  let seen: Map<string, unknown> | undefined;
  const waiting: unknown[] = [];
  for (const key of keys) {
    if (seen === undefined) {
      // Keys of one such type are as distinct in Python as in a Map.
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
 * Describes the first key that Python cannot hash, and so not have as a key of a dict or in a set:
 * lists, dicts, sets, bytearrays, slices and arrays, also within tuples and frozensets.
 */
export function unhashableKey(keys: Iterable<unknown>, depth = 0): string | undefined {
  for (const key of keys) {
    if (typeof key !== "object" || key === null) continue;
    if (key instanceof PyTuple || key instanceof PyFrozenSet) {
      if (depth === MAX_DEPTH) return `a key that is nested more than ${MAX_DEPTH} deep`;
      const inner = unhashableKey(key, depth + 1);
      if (inner !== undefined) return inner;
    } else if (!isHashable(key)) return `a key that is ${nameOf(key)}`;
  }
  return undefined;
}

/** Of what a pickle holds; a key that holds itself is deeper. */
const MAX_DEPTH = 1000;

function isHashable(key: object): boolean {
  if (key instanceof PyFloat) return true;
  if (Array.isArray(key) || key instanceof Map || key instanceof Set) return false;
  if (key instanceof PyByteArray || key instanceof PyArray) return false;
  if (key instanceof PyNdArray || key instanceof PySlice) return false;
  return key instanceof Date || key instanceof Uint8Array || isPythonValue(key);
}

function nameOf(key: object): string {
  const name = key.constructor?.name ?? "object";
  return `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`;
}

/** A text that is the same for equal keys; `undefined` for keys that equal no other. */
function identity(key: unknown): string | undefined {
  switch (typeof key) {
    case "string":
      return `s${key}`;
    case "boolean":
      return `n${Number(key)}`;
    case "number":
      if (Number.isNaN(key)) return undefined;
      return Number.isInteger(key) ? `n${BigInt(key)}` : `n${key}`;
    case "bigint":
      return `n${key}`;
  }
  if (key === null || typeof key !== "object") return `${key}`;
  if (key instanceof PyTuple) {
    const items = Array.from(key, identity);
    return items.includes(undefined)
      ? undefined
      : `t${items.map((item) => `${item?.length}:${item}`).join("")}`;
  }
  if (key instanceof PyFrozenSet) {
    const items = [...key].map(identity);
    return items.includes(undefined) ? undefined : `f${items.sort().join(",")}`;
  }
  if (key instanceof PyDateTime && (key.utcOffset === undefined || key.tzinfo !== undefined)) {
    return `w${key.getTime()}.${key.microsecond}.${key.tzinfo ? "z" : ""}`;
  }
  if (key instanceof Date) {
    return `d${key.getTime()}.${key instanceof PyDateTime ? key.microsecond : 0}`;
  }
  if (key instanceof Uint8Array) return `b${key.join()}`;
  if (key instanceof PyDecimal) {
    const value = Number(key.text);
    return Number.isInteger(value) && /^-?\d+(\.0*)?$/.test(key.text)
      ? `n${BigInt(key.text.split(".")[0] as string)}`
      : `n${value}`;
  }
  if (key instanceof PyFraction) {
    return Number(key.denominator) === 1
      ? `n${key.numerator}`
      : `q${key.numerator}/${key.denominator}`;
  }
  if (key instanceof PyDate || key instanceof PyUuid) return `${key.constructor.name}${key}`;
  if (key instanceof PyTimeDelta)
    return `PyTimeDelta${key.days},${key.seconds},${key.microseconds}`;
  return undefined;
}

function show(key: unknown): string {
  if (typeof key === "bigint") return `${key}n`;
  if (typeof key === "string") return JSON.stringify(key.slice(0, 40));
  if (typeof key === "object" && key !== null) return `of ${key.constructor?.name}`;
  return String(key);
}
