import { PartdError } from "@partd/core";
import type { OpcodeReader } from "./opcode-reader.js";
import { builtinCalls, PyTuple } from "./python/builtins.js";
import { collectionCalls, PyDefaultDict } from "./python/collections.js";
import { datetimeCalls } from "./python/datetime.js";
import { dtypeFrom, fillArray, numpyCalls, PyDtype, PyNdArray } from "./python/numpy.js";
import {
  type Call,
  type Calls,
  modernGlobal,
  PyFloat,
  PyGlobal,
  PyObject,
  type Reduction,
  Refusal,
  refuse,
} from "./python/object.js";
import { scalarCalls, uuidFrom } from "./python/scalars.js";
import { nameOf } from "./reduction.js";

/**
 * Evaluates what a pickle would import, call and construct: to a value of a known Python type, or to a
 * {@link PyObject} that describes the call.
 */
export class Evaluator {
  readonly #input: OpcodeReader;
  /** Whether objects of unknown types are kept. */
  readonly #keep: boolean;
  /** Bytes that calls may still copy or look at. */
  #budget: number;

  constructor(input: OpcodeReader, keep: boolean) {
    this.#input = input;
    this.#keep = keep;
    this.#budget = input.byteLength * 4;
  }

  /**
   * @throws `ERR_PARTD_CODEC` for a name that is not plain data, unless unknown objects are kept.
   */
  global(module: string, name: string): PyGlobal {
    const global = modernGlobal(module, name);
    if (!this.#keep && !isKnownName(global.module, global.name)) {
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `the pickle asks for ${JSON.stringify(`${global}`.slice(0, 100))}, which is not plain data; convert it in Python, for example with list, dict or str, or read with { objects: "keep" }.`,
      );
    }
    return global;
  }

  call(called: unknown, args: unknown): unknown {
    if (!(called instanceof PyGlobal)) throw new Error("it calls what is not a function.");
    const call = callOf(called);
    const items = argumentsOf(args);
    if (!call || (this.#keep && isOfBase(called, items))) return new PyObject(called, items);
    this.#spend(items.length);
    return call(items, this.#spend);
  }

  /** @param keywords a dict, if `__new__` takes keywords. */
  make(type: unknown, args: unknown, keywords?: unknown): unknown {
    if (!(type instanceof PyGlobal)) throw new Error("it makes an object of no class.");
    if (callOf(type)) throw refusal(this.#input, `it makes an object of ${type} by hand`);
    const items = argumentsOf(args);
    if (keywords !== undefined) return new PyObject(type, items, this.#keywords(keywords));
    return newObject(type, items) ?? new PyObject(type, items, true);
  }

  #keywords(value: unknown): ReadonlyMap<string, unknown> {
    if (value instanceof Map) return value;
    if (!isRecord(value)) {
      throw new Error("the pickle makes something with keywords that are not a dict.");
    }
    const entries = Object.entries(value);
    this.#spend(entries.length);
    return new Map(entries);
  }

  /** Carries out `BUILD` for an object of a known type, and returns the object that results. */
  build(object: unknown, state: unknown): unknown {
    if (object instanceof Unfinished) return object.finish(state);
    if (object instanceof PyObject && object.state === undefined) {
      object.state = state;
      return object;
    }
    if (object instanceof PyDtype && object.state === undefined) return dtypeFrom(object, state);
    if (object instanceof PyNdArray) {
      fillArray(object, state, this.#spend);
      return object;
    }
    throw refuse("it sets the state of an object that has none here");
  }

  /**
   * Limits what calls copy and look at to four times the length of the pickle. One argument may be
   * that of many calls, each of a few bytes.
   */
  readonly #spend = (bytes: number): void => {
    this.#budget -= bytes;
    if (this.#budget < 0) throw refusal(this.#input, "it makes more copies than it is long");
  };
}

/**
 * Refuses a value that would be written and not read: one that was made of what Python does not take, or
 * an object of an unknown type.
 *
 * @param keep whether such objects are kept when they are read.
 */
export function checkReads(value: object, reduction: Reduction, keep: boolean): void {
  const { type, args, made = false, state } = reduction;
  checkName(type, keep);
  const call = callOf(type);
  if (call === undefined || made !== false || value instanceof Map) return;
  if (keep && isOfBase(type, args)) return;
  try {
    const plain = Array.from(args, (arg) => (arg instanceof PyFloat ? arg.value : arg));
    const read = call(plain, free);
    if (read instanceof PyNdArray) fillArray(read, state, free);
  } catch {
    throw new Refusal(`${nameOf(value)} of what ${type} does not take`);
  }
}

/** Refuses a name that is not read without `{ objects: "keep" }`. */
export function checkName(global: PyGlobal, keep: boolean): void {
  if (keep || isKnownName(global.module, global.name)) return;
  throw new Refusal(`${global}, which is read only with { objects: "keep" }`);
}

function free(): void {}

/** Checks that the arguments of a call are a tuple. */
function argumentsOf(value: unknown): PyTuple {
  if (value instanceof PyTuple) return value;
  throw new Error("the pickle calls something without a tuple of arguments.");
}

/** The name of pandas' NA, which stands among values. */
const MISSING = "pandas._libs.missing.NA";

/** Whether the value is an object that a dict was read as. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/** An error for a pickle that holds more than plain data, with the place. */
export function refusal(input: OpcodeReader, reason: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CODEC",
    `the pickle holds more than plain data: ${reason}. (Byte ${input.position} of the frame.)`,
  );
}

/**
 * Finds a class or function in the data itself; those that are an object's arguments do not count.
 */
export function findGlobal(root: unknown): PyGlobal | undefined {
  const seen = new Set<unknown>();
  const waiting = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (value instanceof PyGlobal && `${value}` !== MISSING) return value;
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    if (value instanceof PyObject || value instanceof PyDtype || ArrayBuffer.isView(value))
      continue;
    seen.add(value);
    if (Array.isArray(value) || value instanceof Set) for (const item of value) waiting.push(item);
    else if (value instanceof Map) {
      for (const [key, item] of value) waiting.push(key, item);
      // The factory is an argument.
      if (value instanceof PyDefaultDict && !(value.factory instanceof PyGlobal)) {
        waiting.push(value.factory);
      }
    } else if (value instanceof PyNdArray) waiting.push(value.data);
    else for (const item of Object.values(value)) waiting.push(item);
  }
  return undefined;
}

/** The function that stands in for a call of this name, or `undefined` for an unknown name. */
function callOf({ module, name }: PyGlobal): Call | undefined {
  return CALLS.get(`${module}.${name}`);
}

/** Whether the name belongs to data that is read without `{ objects: "keep" }`. */
function isKnownName(module: string, name: string): boolean {
  const path = `${module}.${name}`;
  return CALLS.has(path) || NAMES.has(path) || FAMILIES.test(module);
}

/** The object that `__new__` of a known type makes; undefined for any other type. */
function newObject(type: PyGlobal, args: readonly unknown[]): unknown {
  if (`${type}` === "uuid.UUID" && args.length === 0) return new Unfinished(uuidFrom);
  return undefined;
}

/** An object that is made only once its state is known. */
class Unfinished {
  readonly finish: (state: unknown) => unknown;

  constructor(finish: (state: unknown) => unknown) {
    this.finish = finish;
  }
}

/** Whether a class on this base takes nothing from it: the zones of dateutil are of `datetime.tzinfo`. */
function isZone(base: unknown, state: unknown): boolean {
  if (`${base}` !== ZONE || !(state instanceof PyObject)) return false;
  return `${state.type}` === ZONE && state.args.length === 0;
}

const ZONE = "datetime.tzinfo";

/** Whether the call makes an object of a class on another, such as a subclass of int, by protocol 0 or 1. */
function isOfBase(called: PyGlobal, [, base, state]: readonly unknown[]): boolean {
  if (`${called}` !== "copyreg._reconstructor" || !(base instanceof PyGlobal)) return false;
  return `${base}` !== "builtins.object" && !isZone(base, state);
}

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
    const isPlain = `${base}` === "builtins.object" ? state === null : isZone(base, state);
    if (!(type instanceof PyGlobal) || !isPlain) {
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
  ZONE,
]);
/** Objects of pandas and of time zones are kept as PyObjects: neither interpreted nor imported. */
const FAMILIES = /^(pandas|pytz|zoneinfo|dateutil\.tz|dateutil\.zoneinfo)(\.|$)/;
