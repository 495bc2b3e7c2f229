import { Pickler, Unpickler } from "@partd/codec-pickle/format";
import {
  type Codec,
  Encode,
  type EncodeOptions,
  isPartdError,
  PartdError,
  type Store,
} from "@partd/core";
import { joinLists } from "@partd/core/author";
import { MsgPackDecoder, MsgPackEncoder, type MsgPackFormatOptions } from "./format.js";

export interface MsgPackOptions extends MsgPackFormatOptions {
  /**
   * What to do with lists that MessagePack cannot carry, and that Python's `partd.Python` therefore
   * writes as a pickle. `"both"`, the default: read and write them so, with the types of
   * `@partd/codec-pickle`; nothing is written so where there are `extensions`, which pickles do not
   * know. `"read"`: read them, and refuse to write one. `"refuse"`: neither.
   */
  readonly pickles?: "both" | "read" | "refuse" | undefined;
}

/**
 * A store of lists of MessagePack values over a store of bytes: `append` adds a list's items to a
 * key's list, and `get` returns all of them. `stream` yields the lists as they were appended. The
 * bytes are those of Python's `partd.Python`.
 *
 * @typeParam T the items. What they are is not checked when they are read.
 * @example new MsgPack<{ delay: number }>(new Dict())
 */
export class MsgPack<T = unknown> extends Encode<T[]> {
  constructor(store: Store, options?: MsgPackOptions & EncodeOptions) {
    super(store, msgPackCodec<T>(options), options);
  }
}

/**
 * Lists of what MessagePack carries: null, booleans, numbers, BigInts of 64 bits, strings, bytes,
 * lists, objects and `Map`s, Dates, and extension types. Integers are never rounded: see
 * {@link MsgPackOptions} for what they and maps are read as.
 *
 * A list of anything else is one pickle, as Python's `partd.Python` writes it; a key may hold both,
 * mixed. What a pickle cannot carry either, or would not read back as it was, is refused with
 * `ERR_PARTD_CODEC`; an instance of a class is written as its own properties. Bytes of 4 KiB or more
 * are views of the frame that was read and keep it alive; fewer are a copy.
 */
export function msgPackCodec<T = unknown>(options: MsgPackOptions = {}): Codec<T[]> {
  const encoder = new MsgPackEncoder(options);
  const decoder = new MsgPackDecoder(options);
  const { integers, maps: dicts, pickles = "both" } = options;
  const fallsBack = pickles === "both" && !options.extensions?.length;
  const pickler = new Pickler();
  const unpickler = new Unpickler({ integers, dicts });
  return {
    name: "msgpack",

    encode(list) {
      if (!Array.isArray(list)) throw refuse("it takes a list of values.");
      try {
        return encoder.encode(list);
      } catch (error) {
        // Python falls back for every reason; here some values are in neither format.
        if (!fallsBack || !isPartdError(error, "ERR_PARTD_CODEC")) throw error;
        try {
          return pickler.dump(list);
        } catch {
          throw error;
        }
      }
    },

    decode(bytes) {
      const pickled = isPickle(bytes);
      if (pickled && pickles === "refuse") {
        throw refuse("it is a pickle, which this store was told not to read ({ pickles }).");
      }
      const list = pickled ? unpickler.load(bytes) : decoder.decode(bytes);
      if (!Array.isArray(list)) throw new Error("it is MessagePack, but not a list.");
      return list as T[];
    },

    join: joinLists,
  };
}

/** The PROTO opcode and a protocol of 2 to 5. For MessagePack it would be a map of nothing. */
function isPickle(bytes: Uint8Array): boolean {
  const protocol = bytes[1];
  return bytes[0] === 0x80 && protocol !== undefined && protocol >= 2 && protocol <= 5;
}

function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", reason);
}
