import { type Codec, Encode, type Store } from "@partd/core";
import {
  COMPRESSOR_OPTIONS,
  type CompressorOptions,
  checkDecodedSize,
  compressorCodec,
  takeOptions,
} from "@partd/core/author";
import { compress, decompress } from "#engine";
import { readDecodedSize } from "./format.js";

/**
 * A store of bytes over another, compressed with Snappy: fast rather than small. The frames are
 * those of Python's `partd.Snappy`, Google's raw format without a checksum
 * (https://github.com/google/snappy/blob/main/format_description.txt).
 *
 * @example new Snappy(new FileStore("data"))
 */
export class Snappy extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: CompressorOptions = {}) {
    const taken = takeOptions("new Snappy", options, COMPRESSOR_OPTIONS, new.target !== Snappy);
    super(store, snappyCodec(taken), taken);
  }
}

/** The codec of {@link Snappy}. */
export function snappyCodec(options: CompressorOptions = {}): Codec<Uint8Array> {
  return compressorCodec(
    {
      name: "snappy",
      compress,
      decompress(bytes, maxDecodedBytes) {
        const size = readDecodedSize(bytes);
        checkDecodedSize(size, maxDecodedBytes);
        return decompress(bytes, size);
      },
    },
    options,
  );
}
