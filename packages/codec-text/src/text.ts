import type { Key, Store } from "@partd/core";
import { Unframed } from "./unframed.js";
import { decodeUtf8, encodeUtf8, unfinishedBytes } from "./utf8.js";

/**
 * A store of strings over a store of bytes. A key's value is its strings end to end, in UTF-8 and
 * with nothing in between, so other programs can read and write it as plain text. `stream` yields
 * whole characters (code points), wherever the bytes are cut.
 *
 * A string with half a surrogate pair has no UTF-8 form: `ERR_PARTD_CODEC`. Bytes that are not
 * UTF-8 are `ERR_PARTD_CORRUPT`, with the offset of the first invalid byte. A byte order mark is
 * kept like any other character.
 *
 * @example new Text(new Dict())
 */
export class Text extends Unframed<string> {
  protected override _encode(value: string, key: Key): Uint8Array {
    return encodeUtf8(value, key);
  }

  protected override _decode(bytes: Uint8Array, key: Key, offset: number): string {
    return decodeUtf8(bytes, key, offset);
  }

  protected override _lastEnd(bytes: Uint8Array): number {
    return bytes.byteLength - unfinishedBytes(bytes);
  }

  protected override _over(store: Store): Text {
    return new Text(store);
  }
}
