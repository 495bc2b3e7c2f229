import { PartdError } from "@partd/core";
import type { ByteReader } from "./byte-reader.js";
import { PyTuple } from "./python/builtins.js";
import { callOf, isKnownName, modernGlobal, newObject } from "./python/known.js";
import { PyGlobal, PyObject } from "./python/object.js";

/**
 * What a pickle would import, call and make: a value of Python's data that is known here, or a
 * {@link PyObject} that says what would be called.
 */
export class Calls {
  readonly #input: ByteReader;
  /** Whether objects of unknown types are kept. */
  readonly #keep: boolean;
  /** Bytes that copies may still take. */
  #budget: number;

  constructor(input: ByteReader, keep: boolean) {
    this.#input = input;
    this.#keep = keep;
    this.#budget = input.byteLength * 4;
  }

  /** @throws `ERR_PARTD_CODEC` for what is no plain data, unless objects are kept. */
  global(module: string, name: string): PyGlobal {
    const global = modernGlobal(module, name);
    if (!this.#keep && !isKnownName(global.module, global.name)) {
      throw new PartdError(
        "ERR_PARTD_CODEC",
        `the pickle asks for ${JSON.stringify(`${global}`.slice(0, 100))}, which is no plain data; convert it in Python, for example with list, dict or str, or read with { objects: "keep" }.`,
      );
    }
    return global;
  }

  call(called: unknown, args: unknown): unknown {
    if (!(called instanceof PyGlobal)) throw new Error("it calls what is no function.");
    const call = callOf(called);
    if (call) return call(argumentsOf(args), (bytes) => this.#spend(bytes));
    return new PyObject(called, argumentsOf(args));
  }

  make(type: unknown, args: unknown, made: true | ReadonlyMap<string, unknown>): unknown {
    if (!(type instanceof PyGlobal)) throw new Error("it makes an object of no class.");
    if (callOf(type)) throw refusal(this.#input, `it makes an object of ${type} by hand`);
    const known = made === true ? newObject(type, argumentsOf(args)) : undefined;
    return known ?? new PyObject(type, argumentsOf(args), made);
  }

  /** Copies made by calls: together of the order of the pickle, which has to say it all once. */
  #spend(bytes: number): void {
    this.#budget -= bytes;
    if (this.#budget < 0) throw refusal(this.#input, "it makes more copies than it is long");
  }
}

/** The arguments of a call, which are a tuple. */
function argumentsOf(value: unknown): PyTuple {
  if (value instanceof PyTuple) return value;
  throw new Error("the pickle calls something without a tuple of arguments.");
}

export function keywordsOf(value: unknown): ReadonlyMap<string, unknown> {
  if (value instanceof Map) return value;
  if (isRecord(value)) return new Map(Object.entries(value));
  throw new Error("the pickle makes something with keywords that are no dict.");
}

/** An object that a dict was read as. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/** What is more than plain data, and where it was found. */
export function refusal(input: ByteReader, reason: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CODEC",
    `the pickle holds more than plain data: ${reason}. (Byte ${input.position} of the frame.)`,
  );
}
