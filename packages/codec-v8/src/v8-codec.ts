import { DefaultDeserializer, serialize } from "node:v8";
import { type Codec, PartdError } from "@partd/core";
import { joinLists } from "@partd/core/author";

/**
 * Lists of what the structured clone algorithm carries, each list as the bytes of V8's own
 * serializer (`node:v8`): also Map, Set, Date, RegExp, BigInt, ArrayBuffer, typed arrays, errors,
 * `undefined`, and references that are shared or lead back. Functions, symbols, promises and the
 * like are refused with `ERR_PARTD_CODEC`. An instance of a class reads back as a plain object.
 *
 * A newer Node reads what an older one wrote, but not always the other way round.
 */
export function v8Codec<T = unknown>(): Codec<T[]> {
  return {
    name: "v8",

    encode(list) {
      if (!Array.isArray(list)) throw refuse("it takes a list of values.");
      const bytes = serialize(list);
      // An array that is mostly holes is written as its length and what it holds.
      return list.length <= bytes.byteLength ? bytes : serialize(Array.from(list));
    },

    decode(bytes) {
      const deserializer = new DefaultDeserializer(bytes);
      deserializer.readHeader();
      const list: unknown = deserializer.readValue();
      if (position(deserializer) !== bytes.byteOffset + bytes.byteLength) {
        throw new Error("bytes follow the value.");
      }
      if (!Array.isArray(list)) throw new Error("it is a structured clone, but not of a list.");
      // Each item that `encode` writes takes a byte; a length beyond that would only take memory.
      if (list.length > bytes.byteLength) throw new Error("the list is longer than its bytes.");
      return list as T[];
    },

    join: joinLists,
  };
}

/** The deserializer does not tell where it is, but gives views of what comes next, also of nothing. */
function position(deserializer: DefaultDeserializer): number {
  return deserializer.readRawBytes(0).byteOffset;
}

function refuse(reason: string): PartdError {
  return new PartdError("ERR_PARTD_CODEC", reason);
}
