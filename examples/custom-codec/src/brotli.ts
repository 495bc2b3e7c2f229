import { promisify } from "node:util";
import { brotliCompress, brotliDecompress, constants } from "node:zlib";
import { type Codec, Encode, type Store } from "@partd/core";
import {
  type CompressorOptions,
  checkDecodedSize,
  checkIntegerOption,
  compressorCodec,
} from "@partd/core/author";

export interface BrotliOptions extends CompressorOptions {
  /** From 0, fast, to 11, small and very slow. Default 5. */
  readonly quality?: number | undefined;
}

/** A store of bytes over another, compressed with Brotli. */
export class Brotli extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: BrotliOptions = {}) {
    super(store, brotliCodec(options), options);
  }
}

/** The codec of {@link Brotli}. */
export function brotliCodec(options: BrotliOptions = {}): Codec<Uint8Array> {
  const quality = checkIntegerOption("quality", options.quality ?? 5, 0, 11);
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality };
  return compressorCodec(
    {
      name: "brotli",
      compress: (bytes) => promisify(brotliCompress)(bytes, { params }),
      decompress,
    },
    options,
  );
}

async function decompress(bytes: Uint8Array, maxDecodedBytes: number): Promise<Uint8Array> {
  const maxOutputLength = Math.min(maxDecodedBytes, 2 ** 32);
  try {
    // A copy, since what Node gives may be a view of memory that it uses for others too.
    return new Uint8Array(await promisify(brotliDecompress)(bytes, { maxOutputLength }));
  } catch (error) {
    const tooLarge = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    if (tooLarge) checkDecodedSize(maxDecodedBytes + 1, maxDecodedBytes);
    throw error;
  }
}
