import { PartdError } from "@partd/core";
import type { ByteReader } from "./byte-reader.js";
import { PyTuple } from "./python/builtins.js";
import { build, callOf, isKnownName, modernGlobal, newObject } from "./python/known.js";
import { PyGlobal, PyObject } from "./python/object.js";

/**
 * Evaluates what a pickle would import, call and construct: to a value of a known Python type, or to a
 * {@link PyObject} that describes the call.
 */
export class Evaluator {
  readonly #input: ByteReader;
  /** Whether objects of unknown types are kept. */
  readonly #keep: boolean;
  /** Bytes that calls may still copy or look at. */
  #budget: number;

  constructor(input: ByteReader, keep: boolean) {
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
    if (!call) return new PyObject(called, items);
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

  build(object: unknown, state: unknown): unknown {
    return build(object, state, this.#spend);
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

/** Checks that the arguments of a call are a tuple. */
function argumentsOf(value: unknown): PyTuple {
  if (value instanceof PyTuple) return value;
  throw new Error("the pickle calls something without a tuple of arguments.");
}

/** Whether the value is an object that a dict was read as. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/** An error for a pickle that holds more than plain data, with the place. */
export function refusal(input: ByteReader, reason: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CODEC",
    `the pickle holds more than plain data: ${reason}. (Byte ${input.position} of the frame.)`,
  );
}
