import { type Codec, Encode, PartdError, type Store } from "@partd/core";
import {
  allocateBytes,
  allocateEncoded,
  COMPRESSOR_OPTIONS,
  type CompressorOptions,
  checkDecodedSize,
  checkIntegerOption,
  compressorCodec,
  needWebAssembly,
  takeOptions,
} from "@partd/core/author";
import { EmbeddedWasm, WASM, type WasmExports, wasmAllocate, wasmBytes } from "./blosc-wasm.js";

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

/** Settings in Blosc's own numbers. */
interface BloscSettings {
  readonly compressor: number;
  readonly level: number;
  readonly shuffle: number;
  readonly typesize: number;
}

/** The largest input of one call, in bytes. */
const MAX_BYTES = 2 ** 31 - 1 - 16;

function compress(bytes: Uint8Array, settings: BloscSettings): Promise<Uint8Array> {
  const { compressor, level, shuffle, typesize } = settings;
  needWebAssembly();
  return libblosc.use((lib) => {
    const capacity = lib.bound(bytes.byteLength) >>> 0;
    return convert(lib, bytes, capacity, allocateEncoded, (...at) =>
      lib.compress(at[0], bytes.byteLength, at[1], capacity, compressor, level, shuffle, typesize),
    );
  });
}

/** @param decodedBytes from {@link readHeader} */
function decompress(bytes: Uint8Array, decodedBytes: number): Promise<Uint8Array> {
  needWebAssembly();
  return libblosc.use((lib) =>
    convert(lib, bytes, decodedBytes, allocateBytes, (input, output) => {
      const written = lib.decompress(input, bytes.byteLength, output, decodedBytes);
      return written === decodedBytes ? written : -1;
    }),
  );
}

/**
 * Reads the header of a Blosc frame, its first 16 bytes
 * (https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst).
 *
 * @throws Error if there is no such header; `ERR_PARTD_CODEC` if it names a compressor that is not
 *   built in.
 */
function readHeader(bytes: Uint8Array): { decodedBytes: number } {
  if (bytes.byteLength < HEADER) throw new Error("they are cut short.");
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER);
  const [version, flags] = [view.getUint8(0), view.getUint8(2)];
  const encodedBytes = view.getUint32(12, true);
  if (version < 1 || version > 2) throw new Error("they are not Blosc's format.");
  if (encodedBytes !== bytes.byteLength) {
    throw new Error(`they should be ${encodedBytes} bytes, and are ${bytes.byteLength}.`);
  }
  if (flags >> 5 === SNAPPY && !(flags & STORED)) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      "its blocks are compressed with snappy, which is not built in.",
    );
  }
  return { decodedBytes: view.getUint32(4, true) };
}

const HEADER = 16;
const STORED = 2;
const SNAPPY = 2;

/** C-Blosc 1.21: packages/wasm/src/blosc.c. */
interface LibBlosc extends WasmExports {
  bound(inputLength: number): number;
  compress(
    input: number,
    inputLength: number,
    output: number,
    outputLength: number,
    compressor: number,
    level: number,
    shuffle: number,
    typesize: number,
  ): number;
  decompress(input: number, inputLength: number, output: number, outputLength: number): number;
}

const libblosc = new EmbeddedWasm<LibBlosc>(WASM);

function convert(
  lib: LibBlosc,
  bytes: Uint8Array,
  capacity: number,
  allocate: (byteLength: number) => Uint8Array,
  work: (input: number, output: number) => number,
): Uint8Array {
  const input = wasmAllocate(lib, bytes.byteLength);
  const output = wasmAllocate(lib, Math.max(capacity, 1));
  wasmBytes(lib, input, bytes.byteLength).set(bytes);
  const written = work(input, output);
  if (written < 0) throw new Error("they are damaged.");
  const result = allocate(written);
  result.set(wasmBytes(lib, output, written));
  lib.free(input);
  lib.free(output);
  return result;
}
