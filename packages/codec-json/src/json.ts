import { type Codec, Encode, type EncodeOptions, type Store } from "@partd/core";
import { type JsonValue, jsonCodec } from "./json-codec.js";

/**
 * A store of lists of JSON values over a store of bytes: `append` adds a list's items to a key's
 * list, and `get` returns all of them. `stream` yields the lists as they were appended.
 *
 * @typeParam T the items. What they are is not checked when they are read.
 * @example new Json<{ delay: number }>(new Dict())
 */
export class Json<T = JsonValue> extends Encode<T[]> {
  constructor(store: Store, options?: EncodeOptions) {
    super(store, jsonCodec as Codec<unknown[]> as Codec<T[]>, options);
  }
}
