import { checkDecodedSize, concatBytes, needWebAssembly, Pace } from "@partd/core/author";
import { EmbeddedWasm, WASM, type WasmExports, wasmAllocate, wasmBytes } from "./bz2-wasm.js";

/** Compresses in steps. Takes 8 MiB at level 9, whatever the size of the input. */
export function compress(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  needWebAssembly();
  return libbz2.use(async (lib) => {
    const pieces: Uint8Array[] = [];
    await run(lib, lib.begin_compress(level), bytes, new Pace(), (piece) => pieces.push(piece));
    return concatBytes(pieces);
  });
}

/**
 * Decompresses in steps. Takes 4 MiB beside the output. The input may be several streams in a row,
 * as programs write that compress in parallel.
 */
export function decompress(bytes: Uint8Array, maxDecodedBytes: number): Promise<Uint8Array> {
  needWebAssembly();
  return libbz2.use(async (lib) => {
    const pieces: Uint8Array[] = [];
    let decoded = 0;
    let rest = bytes;
    const pace = new Pace(); // One pace for all streams: each may have few bytes.
    do {
      const used = await run(lib, lib.begin_decompress(), rest, pace, (piece) => {
        decoded += piece.byteLength;
        checkDecodedSize(decoded, maxDecodedBytes);
        pieces.push(piece);
      });
      rest = rest.subarray(used);
    } while (rest.byteLength > 0);
    return concatBytes(pieces);
  });
}

/** libbzip2 1.0.8 as a stream: packages/wasm/src/bz2.c. */
interface LibBZ2 extends WasmExports {
  /** Returns a state, or 0 if memory is short. */
  begin_compress(level: number): number;
  begin_decompress(): number;
  /** Returns 0 if there is more to do, 1 at the end of a stream, and less than 0 for damage. */
  step(
    state: number,
    input: number,
    inputLength: number,
    output: number,
    outputLength: number,
    finish: number,
  ): number;
  /** Bytes that the last step read and wrote. */
  consumed(): number;
  produced(): number;
  end(state: number): void;
}

const libbz2 = new EmbeddedWasm<LibBZ2>(WASM);

/** Bytes of input and of output in one step. */
const STEP = 128 * 1024;

/** Runs `state` to the end of its stream, and returns the number of bytes that it read. */
async function run(
  lib: LibBZ2,
  state: number,
  bytes: Uint8Array,
  pace: Pace,
  onPiece: (piece: Uint8Array) => void,
): Promise<number> {
  if (state === 0) throw new Error("there is no memory for it.");
  const input = wasmAllocate(lib, STEP);
  const output = wasmAllocate(lib, STEP);
  let read = 0;
  for (;;) {
    if (pace.isOver) await pace.rest();
    const length = Math.min(STEP, bytes.byteLength - read);
    const finish = read + length === bytes.byteLength;
    wasmBytes(lib, input, length).set(bytes.subarray(read, read + length));
    const status = lib.step(state, input, length, output, STEP, finish ? 1 : 0);
    if (status < 0) throw new Error("they are not bzip2's format, or are damaged.");
    const consumed = lib.consumed();
    const produced = lib.produced();
    if (produced > 0) onPiece(wasmBytes(lib, output, produced).slice());
    read += consumed;
    if (status === 1) break;
    if (consumed === 0 && produced === 0) throw new Error("they are cut short.");
  }
  lib.end(state);
  lib.free(input);
  lib.free(output);
  return read;
}
