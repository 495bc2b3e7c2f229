import { brandOf, hasFields, hasViewFields, isLost, lengthOf } from "@partd/core/author";
import { builtinReducers, PyByteArray, PyFrozenSet, PyTuple } from "./python/builtins.js";
import { collectionReducers } from "./python/collections.js";
import { datetimeReducers } from "./python/datetime.js";
import { numpyReducers } from "./python/numpy.js";
import { PyGlobal, PyObject, type Reducer, type Reduction, Refusal } from "./python/object.js";
import { scalarReducers } from "./python/scalars.js";

/** How Python makes an object that a class of this package stands for. */
export function reductionOf(value: object): Reduction | undefined {
  if (value instanceof PyObject) return value;
  const reducer = reducerOf(value);
  if (reducer === undefined) return undefined;
  const items = Array.isArray(value) ? value.length : 0;
  checkFields(value, items + reducer.fields);
  return reducer.reduce(value as never);
}

/** The reducer of its class, or of a class that it extends. */
function reducerOf(value: object): Reducer | undefined {
  let type: unknown = Object.getPrototypeOf(value);
  for (; type !== null && type !== Object.prototype; type = Object.getPrototypeOf(type)) {
    const reducer = REDUCERS.get(type);
    if (reducer !== undefined) return reducer;
  }
  return undefined;
}

/** Whether the value is of a class that stands for a type of Python's. */
export function isPythonValue(value: object): boolean {
  return (
    value instanceof PyTuple ||
    value instanceof PyByteArray ||
    value instanceof PyFrozenSet ||
    value instanceof PyGlobal ||
    value instanceof PyObject ||
    reducerOf(value) !== undefined
  );
}

/** Reducers by the prototype of their class. */
const REDUCERS = new Map<unknown, Reducer>(
  [
    ...builtinReducers,
    ...collectionReducers,
    ...datetimeReducers,
    ...numpyReducers,
    ...scalarReducers,
  ].map((reducer) => [reducer.type.prototype, reducer]),
);

/**
 * Refuses fields on an array, which would be lost. A hole reads as `undefined`, and is refused as
 * that.
 */
export function checkItems(value: readonly unknown[]): void {
  if (hasFields(value)) throw new Refusal(`fields on ${nameOf(value)}`);
  checkSymbols(value);
}

/** Refuses fields on a Map, Set or Date beyond those of its class, which would be lost. */
export function checkFields(value: object, own = 0): void {
  if (Object.keys(value).length > own) throw new Refusal(`fields on ${nameOf(value)}`);
  checkSymbols(value);
}

/** Refuses properties whose names are symbols, which would be lost. */
export function checkSymbols(value: object): void {
  if (Object.getOwnPropertySymbols(value).length === 0) return;
  throw new Refusal("a property whose name is a symbol");
}

/** Refuses a Map or the like that looks like an object, because its prototype or tag was changed. */
export function checkBrand(value: object): void {
  const brand = brandOf(value);
  if (brand !== undefined) throw new Refusal(`${brand} whose prototype or tag was changed`);
}

/** Refuses bytes that are none because their memory went, and fields on bytes, which would be lost. */
export function checkBytes(value: Uint8Array): void {
  if (lengthOf.call(value) === 0 && isLost(value)) {
    throw new Refusal("bytes whose buffer was transferred or made shorter");
  }
  if (!hasViewFields(value)) return;
  checkSymbols(value);
  throw new Refusal(`fields on ${nameOf(value)}`);
}

export function nameOf(value: object): string {
  return `a ${value.constructor?.name ?? "value of this type"}`;
}
