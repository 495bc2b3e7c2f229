import { type Codec, Encode, PartdError, type Store } from "@partd/core";
import {
  COMPRESSOR_OPTIONS,
  type CompressorOptions,
  checkDecodedSize,
  checkIntegerOption,
  compressorCodec,
  takeOptions,
} from "@partd/core/author";
import { compress, decompress, MAX_BYTES, readHeader } from "./libblosc.js";

export interface BloscOptions extends CompressorOptions {
  /** The compressor of the shuffled blocks. Default `"blosclz"`. */
  readonly cname?: "blosclz" | "lz4" | "lz4hc" | "zlib" | "zstd" | undefined;
  /** From 0 (stored) to 9 (smallest). Default 9. */
  readonly clevel?: number | undefined;
  /**
   * How items are rearranged before compression: `"byte"` puts the first bytes of all items first,
   * then the second bytes, and so on; `"bit"` does the same with bits; `"none"` leaves them.
   * Default `"byte"`.
   */
  readonly shuffle?: "byte" | "bit" | "none" | undefined;
  /** Bytes of an item: 8 for a float64. 1 to 255, default 8. */
  readonly typesize?: number | undefined;
}

/**
 * A store of bytes over another, compressed with Blosc: made for columns of numbers, whose bytes it
 * shuffles so that similar ones lie together. The frames and the defaults are those of Python's
 * `partd.Blosc`.
 *
 * @example new Blosc(new FileStore("data"), { cname: "zstd", clevel: 5, typesize: 4 })
 */
export class Blosc extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: BloscOptions = {}) {
    const taken = takeOptions(
      "new Blosc",
      options,
      { ...COMPRESSOR_OPTIONS, cname: true, clevel: true, shuffle: true, typesize: true },
      new.target !== Blosc,
    );
    super(store, bloscCodec(taken), taken);
  }
}

/** The codec of {@link Blosc}. */
export function bloscCodec(options: BloscOptions = {}): Codec<Uint8Array> {
  const settings = {
    compressor: choose("cname", COMPRESSORS, options.cname ?? "blosclz"),
    level: checkIntegerOption("clevel", options.clevel ?? 9, 0, 9),
    shuffle: choose("shuffle", SHUFFLES, options.shuffle ?? "byte"),
    typesize: checkIntegerOption("typesize", options.typesize ?? 8, 1, 255),
  };
  return compressorCodec(
    {
      name: "blosc",
      compress(bytes) {
        if (bytes.byteLength > MAX_BYTES) {
          throw new PartdError(
            "ERR_PARTD_VALUE",
            `Blosc takes at most ${MAX_BYTES} bytes at once.`,
          );
        }
        return compress(bytes, settings);
      },
      decompress(bytes, maxDecodedBytes) {
        const { decodedBytes } = readHeader(bytes);
        checkDecodedSize(decodedBytes, maxDecodedBytes);
        return decompress(bytes, decodedBytes);
      },
    },
    options,
  );
}

/** Blosc's numbers for compressors; 3 is snappy, which is not built in. */
const COMPRESSORS = new Map([
  ["blosclz", 0],
  ["lz4", 1],
  ["lz4hc", 2],
  ["zlib", 4],
  ["zstd", 5],
]);
const SHUFFLES = new Map([
  ["none", 0],
  ["byte", 1],
  ["bit", 2],
]);

function choose(name: string, numbers: ReadonlyMap<string, number>, value: string): number {
  const number = numbers.get(value);
  if (number !== undefined) return number;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${name} must be one of ${[...numbers.keys()].join(", ")}, not ${String(value)}.`,
  );
}
