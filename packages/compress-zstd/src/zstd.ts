import { type Codec, Encode, type Store } from "@partd/core";
import {
  COMPRESSOR_OPTIONS,
  type CompressorOptions,
  checkIntegerOption,
  compressorCodec,
  takeOptions,
} from "@partd/core/author";
import { compress, decompress } from "#engine";

export interface ZstdOptions extends CompressorOptions {
  /** From 1 (fast) to 22 (smallest and very slow). Default 3. */
  readonly level?: number | undefined;
}

/**
 * A store of bytes over another, compressed with Zstandard: nearly as small as zlib, and faster to
 * write. The frames are standard ones (RFC 8878), which any zstd reads.
 *
 * @example new Zstd(new FileStore("data"), { level: 9 })
 */
export class Zstd extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: ZstdOptions = {}) {
    const taken = takeOptions(
      "new Zstd",
      options,
      { ...COMPRESSOR_OPTIONS, level: true },
      new.target !== Zstd,
    );
    super(store, zstdCodec(taken), taken);
  }
}

/** The codec of {@link Zstd}. */
export function zstdCodec(options: ZstdOptions = {}): Codec<Uint8Array> {
  const level = checkIntegerOption("level", options.level ?? 3, 1, 22);
  return compressorCodec(
    { name: "zstd", compress: (bytes) => compress(bytes, level), decompress },
    options,
  );
}
