import { checkFields } from "../losses.js";
import { builtinCalls, builtinReducers, PyByteArray, PyFrozenSet, PyTuple } from "./builtins.js";
import { collectionCalls, collectionReducers } from "./collections.js";
import { datetimeCalls, datetimeReducers } from "./datetime.js";
import { dtypeFrom, fillArray, numpyCalls, numpyReducers, PyDtype, PyNdArray } from "./numpy.js";
import {
  type Call,
  type Calls,
  PyGlobal,
  PyObject,
  type Reducer,
  type Reduction,
  refuse,
} from "./object.js";
import { scalarCalls, scalarReducers, uuidFrom } from "./scalars.js";

/** The function that stands in for a call of this name, or `undefined` for an unknown name. */
export function callOf({ module, name }: PyGlobal): Call | undefined {
  return CALLS.get(`${module}.${name}`);
}

/** Whether the name belongs to data that is read without `{ objects: "keep" }`. */
export function isKnownName(module: string, name: string): boolean {
  const path = `${module}.${name}`;
  return CALLS.has(path) || NAMES.has(path) || FAMILIES.test(module);
}

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

/** The object that `__new__` of a known type makes; undefined for any other type. */
export function newObject(type: PyGlobal, args: readonly unknown[]): unknown {
  if (`${type}` === "uuid.UUID" && args.length === 0) return new Unfinished(uuidFrom);
  return undefined;
}

/** Carries out `BUILD` for an object of a known type, and returns the object that results. */
export function build(object: unknown, state: unknown, spend: (bytes: number) => void): unknown {
  if (object instanceof Unfinished) return object.finish(state);
  if (object instanceof PyObject && object.state === undefined) {
    object.state = state;
    return object;
  }
  if (object instanceof PyDtype && object.state === undefined) return dtypeFrom(object, state);
  if (object instanceof PyNdArray) {
    fillArray(object, state, spend);
    return object;
  }
  throw refuse("it sets the state of an object that has none here");
}

/** An object that is made only once its state is known. */
export class Unfinished {
  readonly finish: (state: unknown) => unknown;

  constructor(finish: (state: unknown) => unknown) {
    this.finish = finish;
  }
}

/** The modern form of a name of Python 2, which protocols 0 to 2 use. */
export function modernGlobal(module: string, name: string): PyGlobal {
  if (module === "__builtin__") {
    const names: Record<string, string> = { xrange: "range", long: "int", unicode: "str" };
    return new PyGlobal("builtins", Object.hasOwn(names, name) ? (names[name] as string) : name);
  }
  if (module === "exceptions") return new PyGlobal("builtins", name);
  return new PyGlobal(module === "copy_reg" ? "copyreg" : module, name);
}

/** The name of Python 2 for a modern one. */
export function oldGlobal({ module, name }: PyGlobal): PyGlobal {
  if (module === "builtins") {
    const names: Record<string, string> = { range: "xrange", int: "long", str: "unicode" };
    return new PyGlobal("__builtin__", Object.hasOwn(names, name) ? (names[name] as string) : name);
  }
  return module === "copyreg" ? new PyGlobal("copy_reg", name) : new PyGlobal(module, name);
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

/** Calls that result in names or objects of them. */
const NAME_CALLS: Calls = {
  /** Protocols below 4 name a method this way. No attribute is read. */
  "builtins.getattr": ([of, name]) => {
    if (!(of instanceof PyGlobal) || typeof name !== "string" || !isKnownName(of.module, of.name)) {
      throw refuse("it reads an attribute");
    }
    return new PyGlobal(of.module, `${of.name}.${name}`);
  },
  /** Protocols 0 and 1 make an object without a call this way. */
  "copyreg._reconstructor": ([type, base, state]) => {
    if (!(type instanceof PyGlobal) || `${base}` !== "builtins.object" || state !== null) {
      throw refuse("it makes an object of a type with a base");
    }
    return newObject(type, []) ?? new PyObject(type, [], true);
  },
};

const CALLS = new Map<string, Call>(
  [NAME_CALLS, builtinCalls, collectionCalls, datetimeCalls, numpyCalls, scalarCalls].flatMap(
    (calls) => Object.entries(calls),
  ),
);

/** Names that occur as arguments. */
const NAMES = new Set([
  "builtins.object",
  ...["int", "float", "str", "bytes", "bool", "list", "dict", "tuple"].map((n) => `builtins.${n}`),
  "array.array",
  "numpy.ndarray",
  "uuid.UUID",
]);
/** Objects of pandas and of time zones are kept as PyObjects: neither interpreted nor imported. */
const FAMILIES = /^(pandas|pytz|zoneinfo|dateutil\.tz|dateutil\.zoneinfo)(\.|$)/;
