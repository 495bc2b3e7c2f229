import { Encode, type EncodeOptions, type Store } from "@partd/core";
import type { MsgPackOptions } from "./format.js";
import { msgPackCodec } from "./msgpack-codec.js";

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
