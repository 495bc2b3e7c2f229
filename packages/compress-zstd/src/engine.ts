import { PartdError } from "@partd/core";
import { checkDecodedSize } from "@partd/core/author";
import Zstd from "numcodecs/zstd";
import { decodedBound } from "./frame-bound.js";

/** Compresses with the wasm build of libzstd in `numcodecs`, which runs on any platform. */
export async function compress(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  if (bytes.byteLength > MAX_BYTES) {
    throw new PartdError("ERR_PARTD_VALUE", `zstd takes at most ${MAX_BYTES} bytes at once here.`);
  }
  return new Zstd(level).encode(bytes);
}

/** Decompresses frames whose headers keep within the limit; libzstd itself takes no limit. */
export async function decompress(bytes: Uint8Array, maxDecodedBytes: number): Promise<Uint8Array> {
  const { bound } = decodedBound(bytes);
  checkDecodedSize(bound, Math.min(maxDecodedBytes, MAX_BYTES));
  return new Zstd().decode(bytes);
}

/** The module has 2 GiB for a value, its copy and the result. */
const MAX_BYTES = 2 ** 29;
