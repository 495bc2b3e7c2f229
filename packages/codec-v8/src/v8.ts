import { Encode, type EncodeOptions, type Store } from "@partd/core";
import { v8Codec } from "./v8-codec.js";

/**
 * A store of lists of structured-clone values over a store of bytes: `append` adds a list's items
 * to a key's list, and `get` returns all of them. `stream` yields the lists as they were appended.
 *
 * @typeParam T the items. What they are is not checked when they are read.
 * @example new V8<Map<string, Date>>(new Dict())
 */
export class V8<T = unknown> extends Encode<T[]> {
  constructor(store: Store, options?: EncodeOptions) {
    super(store, v8Codec<T>(), options);
  }
}
