import { type Codec, PartdError } from "@partd/core";
import { joinLists } from "@partd/core/author";
import { MsgPackDecoder, MsgPackEncoder, type MsgPackOptions } from "./format.js";

/**
 * Lists of what MessagePack carries: null, booleans, numbers, BigInts of 64 bits, strings, bytes,
 * lists, objects and `Map`s, Dates, and extension types. Integers are never rounded: see
 * {@link MsgPackOptions} for what they and maps are read as. What would not read back as it was is
 * refused with `ERR_PARTD_CODEC`; an instance of a class is written as its own properties.
 *
 * Python's `partd.Python` writes a pickle where MessagePack cannot carry a list; such a frame is
 * `ERR_PARTD_CODEC`, too.
 */
export function msgPackCodec<T = unknown>(options: MsgPackOptions = {}): Codec<T[]> {
  const encoder = new MsgPackEncoder(options);
  const decoder = new MsgPackDecoder(options);
  return {
    name: "msgpack",

    encode(list) {
      if (!Array.isArray(list)) throw refuse("it takes a list of values.");
      return encoder.encode(list);
    },

    decode(bytes) {
      if (isPickle(bytes)) {
        throw refuse(
          "it is a pickle, which Python's partd.Python writes where MessagePack cannot carry a list; @partd/codec-pickle reads it.",
        );
      }
      const list = decoder.decode(bytes);
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
