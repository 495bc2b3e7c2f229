import { type Codec, Encode, PartdError, type Store } from "@partd/core";
import {
  COMPRESSOR_OPTIONS,
  type CompressorOptions,
  checkDecodedSize,
  checkIntegerOption,
  compressLater,
  compressorCodec,
  takeOptions,
} from "@partd/core/author";
import NumcodecsLZ4 from "numcodecs/lz4";
import { checkBlock, readDecodedSize } from "./block.js";

export interface LZ4Options extends CompressorOptions {
  /** From 1 (smallest) to 65537 (fastest). Default 1. */
  readonly acceleration?: number | undefined;
}

/**
 * A store of bytes over another, compressed with LZ4: cheap both ways without a native module. Each
 * frame is its decoded size and one LZ4 block, as Python's `lz4.block` and `numcodecs` write it.
 *
 * @example new LZ4(new FileStore("data"))
 */
export class LZ4 extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: LZ4Options = {}) {
    const taken = takeOptions(
      "new LZ4",
      options,
      { ...COMPRESSOR_OPTIONS, acceleration: true },
      new.target !== LZ4,
    );
    super(store, lz4Codec(taken), taken);
  }
}

/** The codec of {@link LZ4}. */
export function lz4Codec(options: LZ4Options = {}): Codec<Uint8Array> {
  const acceleration = checkIntegerOption("acceleration", options.acceleration ?? 1, 1, 65537);
  return compressorCodec(
    {
      name: "lz4",
      compress(bytes) {
        if (bytes.byteLength > MAX_BYTES) {
          throw new PartdError("ERR_PARTD_VALUE", `LZ4 takes at most ${MAX_BYTES} bytes at once.`);
        }
        return compressLater(bytes, (bytes) => new NumcodecsLZ4(acceleration).encode(bytes));
      },
      decompress(bytes, maxDecodedBytes) {
        const size = readDecodedSize(bytes);
        checkDecodedSize(size, Math.min(maxDecodedBytes, MAX_BYTES));
        if (size > 0) return decode(bytes, size);
        checkBlock(bytes, size); // The engine accepts anything as an empty result.
        return new Uint8Array();
      },
    },
    options,
  );
}

/**
 * Decodes a block. Each block that fails permanently costs the engine the memory of its result and 48
 * bytes of a stack of 64 KiB, of which `compress` needs 17 KiB: without those it would write wrong
 * bytes. So once failures have cost that much, blocks are checked first; always checking would take
 * half as long again.
 */
async function decode(bytes: Uint8Array, size: number): Promise<Uint8Array> {
  if (failures >= MOST_FAILURES || lostBytes + size > MAX_LOST_BYTES) checkBlock(bytes, size);
  let decoded: Uint8Array;
  try {
    decoded = await new NumcodecsLZ4().decode(bytes);
  } catch (cause) {
    failures++;
    lostBytes += size;
    throw new Error("they are not an LZ4 block, are damaged or cut short.", { cause });
  }
  if (decoded.byteLength !== size) throw new Error("they decode to another size than they state.");
  return decoded;
}

let failures = 0;
const MOST_FAILURES = 256;
let lostBytes = 0;
const MAX_LOST_BYTES = 2 ** 29;

/** The module has 2 GiB for a value, a copy of it and the result. */
const MAX_BYTES = 2 ** 29;
