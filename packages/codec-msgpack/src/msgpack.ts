import { isPickle, Pickler, Unpickler } from "@partd/codec-pickle/format";
import {
  type Codec,
  Encode,
  type EncodeOptions,
  isPartdError,
  PartdError,
  type Store,
} from "@partd/core";
import { ENCODE_OPTIONS, joinLists, type OptionNames, takeOptions } from "@partd/core/author";
import { MsgPackDecoder, MsgPackEncoder, type MsgPackFormatOptions } from "./format.js";

export interface MsgPackOptions extends Omit<MsgPackFormatOptions, "keys"> {
  /**
   * What to do with lists that MessagePack cannot carry, which Python's `partd.Python` writes as
   * pickles. Lists with a `Map` whose keys are not all strings or bytes count as such, because Python
   * would not read them from MessagePack.
   * - `"both"`, the default: read and write pickles, with the types of `@partd/codec-pickle`. With
   *   `extensions`, which pickles cannot carry, none is written.
   * - `"read"`: read pickles, and refuse to write them.
   * - `"refuse"`: refuse both.
   */
  readonly pickles?: "both" | "read" | "refuse" | undefined;
}

const OPTIONS: OptionNames<MsgPackOptions & EncodeOptions> = {
  ...ENCODE_OPTIONS,
  integers: ["auto", "number", "bigint"],
  maps: ["auto", "map"],
  extensions: "object",
  pickles: ["both", "read", "refuse"],
};

/**
 * A store of lists of MessagePack values over a store of bytes: `append` adds a list's items to a
 * key's list, and `get` returns all of them. `stream` yields the lists as they were appended. The
 * bytes are those of Python's `partd.Python`.
 *
 * @typeParam T the item type; reads do not check it.
 * @example new MsgPack<{ delay: number }>(new Dict())
 */
export class MsgPack<T = unknown> extends Encode<T[]> {
  constructor(store: Store, options: MsgPackOptions & EncodeOptions = {}) {
    const taken = takeOptions("new MsgPack", options, OPTIONS, new.target !== MsgPack);
    super(store, msgPackCodec<T>(taken), taken);
  }
}

/**
 * Lists of what MessagePack carries: null, booleans, numbers, BigInts of 64 bits, strings, bytes,
 * lists, objects and `Map`s, Dates, and extension types. Integers are never rounded;
 * {@link MsgPackOptions} says how integers and maps are read.
 *
 * A list with any other value is written as one pickle, as Python's `partd.Python` does; one key
 * may hold both. `encode` refuses, with `ERR_PARTD_CODEC`, what a pickle cannot carry either or
 * what would not read back as it was. A class instance is written as its own properties. Bytes of 4
 * KiB or more are views of the frame that was read, and keep it in memory; fewer are a copy.
 */
export function msgPackCodec<T = unknown>(options: MsgPackOptions = {}): Codec<T[]> {
  const encoder = new MsgPackEncoder(options);
  /** What Python reads, which has no keys but texts and bytes in MessagePack. */
  const strictEncoder = new MsgPackEncoder({ ...options, keys: "text" });
  const decoder = new MsgPackDecoder(options);
  const { integers, maps: dicts, pickles = "both" } = options;
  const fallsBack = pickles === "both" && !options.extensions?.length;
  const pickler = new Pickler();
  const unpickler = new Unpickler({ integers, dicts });
  return {
    name: "msgpack",

    encode(list) {
      if (!Array.isArray(list)) throw refuse("it takes a list of values.");
      if (!fallsBack) return encoder.encode(list);
      try {
        return strictEncoder.encode(list);
      } catch (error) {
        // Python falls back for any reason. Here, some values are in neither format.
        if (!isPartdError(error, "ERR_PARTD_CODEC")) throw error;
      }
      try {
        return pickler.dump(list);
      } catch {
        return encoder.encode(list); // If it fails, its error is the one to report.
      }
    },

    decode(bytes) {
      const pickled = isPickle(bytes);
      if (pickled && pickles === "refuse") {
        throw refuse("it is a pickle, which this store was told not to read ({ pickles }).");
      }
      const list = pickled ? unpickler.load(bytes) : decoder.decode(bytes);
      if (!Array.isArray(list)) {
        const format = pickled ? "a pickle, but not of" : "MessagePack, but not";
        throw refuse(`it is ${format} a list; write a list, also of one item.`);
      }
      return list as T[];
    },

    join: joinLists,
  };
}

function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", reason);
}
