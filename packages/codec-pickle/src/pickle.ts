import { type Codec, Encode, type EncodeOptions, PartdError, type Store } from "@partd/core";
import { ENCODE_OPTIONS, joinLists, type OptionNames, takeOptions } from "@partd/core/author";
import { Pickler } from "./pickler.js";
import { type UnpickleOptions, Unpickler } from "./unpickler.js";

export interface PickleCodecOptions extends UnpickleOptions {
  /** The protocol to write, 2 to 5. Default 5, Python's highest; Python before 3.8 reads up to 4. */
  readonly protocol?: 2 | 3 | 4 | 5 | undefined;
}

export type PickleOptions = PickleCodecOptions & EncodeOptions;

const OPTIONS: OptionNames<PickleOptions> = {
  ...ENCODE_OPTIONS,
  integers: ["auto", "number", "bigint"],
  dicts: ["auto", "map"],
  objects: ["refuse", "keep"],
  protocol: true,
};

/**
 * A store of lists of Python data over a store of bytes: `append` adds a list's items to a key's
 * list, and `get` returns all of them. `stream` yields the lists as they were appended. The bytes
 * are those of Python's `partd.Pickle`. Nothing in a pickle is ever imported or called.
 *
 * @typeParam T the item type; reads do not check it.
 * @example new Pickle<{ delay: number }>(new Dict())
 */
export class Pickle<T = unknown> extends Encode<T[]> {
  constructor(store: Store, options: PickleOptions = {}) {
    const taken = takeOptions("new Pickle", options, OPTIONS, new.target !== Pickle);
    super(store, pickleCodec<T>(taken), taken);
  }
}

/**
 * Lists of Python data, each list as one pickle. All protocols are read. The README maps Python's
 * types to those here.
 *
 * Shared and circular references are kept. A pickle that asks for anything else is
 * `ERR_PARTD_CODEC`, and so is a value that would not read back as it was. Bytes of 4 KiB or more
 * are views of the frame that was read, and keep it in memory; fewer are a copy.
 *
 * @see https://github.com/python/cpython/blob/main/Lib/pickletools.py
 */
export function pickleCodec<T = unknown>(options: PickleCodecOptions = {}): Codec<T[]> {
  const pickler = new Pickler(options.protocol);
  const unpickler = new Unpickler(options);
  return {
    name: "pickle",

    encode(list) {
      if (!Array.isArray(list)) throw refuse("it takes a list of values.");
      return pickler.dump(list);
    },

    decode(bytes) {
      const list = unpickler.load(bytes);
      if (!Array.isArray(list)) {
        throw refuse("it is a pickle, but not of a list; write a list, also of one item.");
      }
      return list as T[];
    },

    join: joinLists,
  };
}

function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", reason);
}
