import { PyByteArray, PyFrozenSet, PySlice, PyTuple } from "./python/builtins.js";
import { PyArray } from "./python/collections.js";
import { isPythonValue } from "./python/known.js";
import { PyNdArray } from "./python/numpy.js";
import { PyFloat } from "./python/object.js";

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

/** The deepest nesting of a key that a pickle can hold; a key that holds itself is deeper. */
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
