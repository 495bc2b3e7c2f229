import { PartdError } from "@partd/core";
import { checkDecodedSize, compressLater } from "@partd/core/author";
import Zstd from "numcodecs/zstd";
import { decodedBound } from "./frame-bound.js";
import { decodeSparely } from "./spare-decoder.js";

/** Compresses with the wasm build of libzstd in `numcodecs`, which runs on any platform. */
export async function compress(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  if (bytes.byteLength > MAX_BYTES) {
    throw new PartdError("ERR_PARTD_VALUE", `zstd takes at most ${MAX_BYTES} bytes at once here.`);
  }
  return compressLater(bytes, (bytes) => new Zstd(level).encode(bytes));
}

/**
 * Decompresses frames whose headers stay within the limit; libzstd itself takes no limit.
 *
 * Each frame that fails permanently costs the engine some of a stack of 64 KiB. Without enough of it,
 * it would fail on good values, or write wrong bytes. So after many failures it only compresses.
 */
export async function decompress(bytes: Uint8Array, maxDecodedBytes: number): Promise<Uint8Array> {
  const { bound } = decodedBound(bytes);
  checkDecodedSize(bound, Math.min(maxDecodedBytes, MAX_BYTES));
  if (failures >= MOST_FAILURES) return decodeSparely(bytes);
  try {
    return await new Zstd().decode(bytes);
  } catch (error) {
    failures++;
    throw error;
  }
}

let failures = 0;
const MOST_FAILURES = 256;

/** The module has 2 GiB for a value, its copy and the result. */
const MAX_BYTES = 2 ** 29;
