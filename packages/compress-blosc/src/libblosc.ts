import { EmbeddedWasm, WASM, type WasmExports, wasmAllocate, wasmBytes } from "./blosc-wasm.js";

/** By Blosc's own numbers. */
export interface BloscSettings {
  readonly compressor: number;
  readonly level: number;
  readonly shuffle: number;
  readonly typesize: number;
}

/** The most that one call takes. */
export const MAX_BYTES = 2 ** 31 - 1 - 16;

export function compress(bytes: Uint8Array, settings: BloscSettings): Promise<Uint8Array> {
  return libblosc.use((lib) =>
    convert(lib, bytes, lib.bound(bytes.byteLength) >>> 0, (input, output, capacity) =>
      lib.compress(
        input,
        bytes.byteLength,
        output,
        capacity,
        settings.compressor,
        settings.level,
        settings.shuffle,
        settings.typesize,
      ),
    ),
  );
}

/** @param decodedBytes what the header says */
export function decompress(bytes: Uint8Array, decodedBytes: number): Promise<Uint8Array> {
  return libblosc.use((lib) =>
    convert(lib, bytes, decodedBytes, (input, output, capacity) => {
      const written = lib.decompress(input, bytes.byteLength, output, capacity);
      return written === decodedBytes ? written : -1;
    }),
  );
}

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
  work: (input: number, output: number, capacity: number) => number,
): Uint8Array {
  const input = wasmAllocate(lib, bytes.byteLength);
  const output = wasmAllocate(lib, Math.max(capacity, 1));
  wasmBytes(lib, input, bytes.byteLength).set(bytes);
  const written = work(input, output, capacity);
  if (written < 0) throw new Error("they are damaged.");
  const result = wasmBytes(lib, output, written).slice();
  lib.free(input);
  lib.free(output);
  return result;
}
