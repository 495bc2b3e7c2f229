import { type Codec, PartdError } from "@partd/core";
import { joinLists } from "@partd/core/author";
import type { PickleOptions } from "./options.js";
import { Pickler } from "./pickler.js";
import { Unpickler } from "./unpickler.js";

/**
 * Lists of plain Python data, each list as one pickle:
 *
 * | Python | here |
 * |---|---|
 * | None, bool, str | null, boolean, string |
 * | int of any size | a number where it is exact, else a BigInt |
 * | float | a number; one without a fraction is written as an int |
 * | bytes, bytearray | `Uint8Array`, written as bytes |
 * | list, tuple | array, {@link PyTuple} (an array, too) |
 * | dict | an object where all keys are strings, else a `Map` |
 * | set, frozenset | `Set`, written as set |
 * | datetime | `Date`, in UTC and of whole milliseconds; else {@link PyDateTime} (a `Date`, too) |
 *
 * Values that are shared, or hold themselves, are so again. Whatever else a pickle asks for is
 * `ERR_PARTD_CODEC`, and so is a value that would not read back.
 *
 * @see https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */
export function pickleCodec<T = unknown>(options: PickleOptions = {}): Codec<T[]> {
  const pickler = new Pickler(options);
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
