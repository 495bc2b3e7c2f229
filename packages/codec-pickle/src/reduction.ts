import { checkFields } from "./losses.js";
import { builtinReducers, PyByteArray, PyFrozenSet, PyTuple } from "./python/builtins.js";
import { collectionReducers } from "./python/collections.js";
import { datetimeReducers } from "./python/datetime.js";
import { numpyReducers } from "./python/numpy.js";
import { PyGlobal, PyObject, type Reducer, type Reduction } from "./python/object.js";
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
