import { type Codec, Encode, type EncodeOptions, PartdError, type Store } from "@partd/core";
import { joinLists } from "@partd/core/author";
import { Pickler } from "./pickler.js";
import { Unpickler } from "./unpickler.js";

export interface PickleCodecOptions {
  /**
   * What ints are read as. `"auto"`, the default: a number where it is exact, that is within
   * ±(2^53 - 1), else a BigInt. `"number"`: always a number, and `ERR_PARTD_CODEC` for one that
   * would be rounded. `"bigint"`: always a BigInt.
   */
  readonly integers?: "auto" | "number" | "bigint" | undefined;
  /**
   * What dicts are read as. `"auto"`, the default: an object where all keys are strings, else a
   * `Map`. `"map"`: always a `Map`, which also keeps the order of keys such as `"7"`.
   */
  readonly dicts?: "auto" | "map" | undefined;
  /**
   * What to make of objects whose type is not known here. `"refuse"`, the default:
   * `ERR_PARTD_CODEC`, with the name of the type. `"keep"`: a `PyObject`, or a `PyGlobal` for a class
   * or function, of which nothing is imported or called, and which is written as it was read.
   */
  readonly objects?: "refuse" | "keep" | undefined;
  /** The protocol to write, 2 to 5. Default 5, Python's highest; Python before 3.8 reads up to 4. */
  readonly protocol?: 2 | 3 | 4 | 5 | undefined;
}

export type PickleOptions = PickleCodecOptions & EncodeOptions;

/**
 * A store of lists of Python data over a store of bytes: `append` adds a list's items to a key's
 * list, and `get` returns all of them. `stream` yields the lists as they were appended. The bytes
 * are those of Python's `partd.Pickle`. Nothing in a pickle is ever imported or called.
 *
 * @typeParam T the items. What they are is not checked when they are read.
 * @example new Pickle<{ delay: number }>(new Dict())
 */
export class Pickle<T = unknown> extends Encode<T[]> {
  constructor(store: Store, options?: PickleOptions) {
    super(store, pickleCodec<T>(options), options);
  }
}

/**
 * Lists of Python data, each list as one pickle; all protocols are read. What each type of Python's
 * is here, and the reverse, is in the README.
 *
 * Values that are shared, or hold themselves, are so again. Whatever else a pickle asks for is
 * `ERR_PARTD_CODEC`, and so is a value that would not read back. Bytes of 4 KiB or more are views of
 * the frame that was read and keep it alive; fewer are a copy.
 *
 * @see https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */
export function pickleCodec<T = unknown>(options: PickleCodecOptions = {}): Codec<T[]> {
  const pickler = new Pickler(options.protocol);
  const unpickler = new Unpickler(options);
  return {
    name: "pickle",

    encode(list) {
      if (!Array.isArray(list)) {
        throw new PartdError("ERR_PARTD_CODEC", "it takes a list of values.");
      }
      return pickler.dump(list);
    },

    decode(bytes) {
      const list = unpickler.load(bytes);
      if (!Array.isArray(list)) throw new Error("it is a pickle, but not of a list.");
      return list as T[];
    },

    join: joinLists,
  };
}
