import { type Codec, Encode, type Store } from "@partd/core";
import {
  COMPRESSOR_OPTIONS,
  type CompressorOptions,
  checkIntegerOption,
  compressorCodec,
  takeOptions,
} from "@partd/core/author";
import { startWorker } from "#worker";
import { compress, decompress } from "./libbz2.js";
import { WorkerPool } from "./worker-pool.js";

export interface BZ2Options extends CompressorOptions {
  /** Size of the blocks that are sorted as a whole, in 100 kB: 1 to 9. Default 9. */
  readonly level?: number | undefined;
}

/**
 * A store of bytes over another, compressed with bzip2: smaller and slower than zlib, and with
 * CRC-32 checksums. The frames are those of Python's `partd.BZ2`.
 *
 * @example new BZ2(new FileStore("data"))
 */
export class BZ2 extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: BZ2Options = {}) {
    const taken = takeOptions(
      "new BZ2",
      options,
      { ...COMPRESSOR_OPTIONS, level: true },
      new.target !== BZ2,
    );
    super(store, bz2Codec(taken), taken);
  }
}

/** The codec of {@link BZ2}. */
export function bz2Codec(options: BZ2Options = {}): Codec<Uint8Array> {
  const level = checkIntegerOption("level", options.level ?? 9, 1, 9);
  return compressorCodec(
    {
      name: "bz2",
      compress: (bytes) =>
        bytes.byteLength < COMPRESS_APART
          ? compress(bytes, level)
          : workers.run({ work: "compress", bytes, setting: level }),
      decompress: (bytes, maxDecodedBytes) =>
        bytes.byteLength < DECOMPRESS_APART
          ? decompress(bytes, maxDecodedBytes)
          : workers.run({ work: "decompress", bytes, setting: maxDecodedBytes }),
    },
    options,
  );
}

/** From these sizes on, a job goes to a worker: a block may hold the thread for more than 10 ms. */
const COMPRESS_APART = 128 * 1024;
const DECOMPRESS_APART = 64 * 1024;

const workers = new WorkerPool(startWorker);
