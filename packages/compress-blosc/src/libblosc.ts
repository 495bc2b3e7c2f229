import { PartdError } from "@partd/core";
import { allocateBytes, allocateEncoded } from "@partd/core/author";
import { EmbeddedWasm, WASM, type WasmExports, wasmAllocate, wasmBytes } from "./blosc-wasm.js";

/** Settings in Blosc's own numbers. */
export interface BloscSettings {
  readonly compressor: number;
  readonly level: number;
  readonly shuffle: number;
  readonly typesize: number;
}

/** The largest input of one call, in bytes. */
export const MAX_BYTES = 2 ** 31 - 1 - 16;

export function compress(bytes: Uint8Array, settings: BloscSettings): Promise<Uint8Array> {
  const { compressor, level, shuffle, typesize } = settings;
  return libblosc.use((lib) => {
    const capacity = lib.bound(bytes.byteLength) >>> 0;
    return convert(lib, bytes, capacity, allocateEncoded, (...at) =>
      lib.compress(at[0], bytes.byteLength, at[1], capacity, compressor, level, shuffle, typesize),
    );
  });
}

/** @param decodedBytes from {@link readHeader} */
export function decompress(bytes: Uint8Array, decodedBytes: number): Promise<Uint8Array> {
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
export function readHeader(bytes: Uint8Array): { decodedBytes: number } {
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
