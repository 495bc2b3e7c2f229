import { Encode, type EncodeOptions, type Store } from "@partd/core";
import type { PickleOptions as FormatOptions } from "./options.js";
import { pickleCodec } from "./pickle-codec.js";

export type PickleOptions = FormatOptions & EncodeOptions;

/**
 * A store of lists of plain Python data over a store of bytes: `append` adds a list's items to a
 * key's list, and `get` returns all of them. `stream` yields the lists as they were appended. The
 * bytes are those of Python's `partd.Pickle`. Nothing in a pickle is ever imported or called.
 *
 * @typeParam T the items. What they are is not checked when they are read.
 * @example new Pickle<{ delay: number }>(new Dict())
 */
export class Pickle<T = unknown> extends Encode<T[]> {
  constructor(store: Store, options?: PickleOptions) {
    super(store, pickleCodec<T>(options), options);
  }
}
