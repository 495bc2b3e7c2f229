import zlib from "node:zlib";
import { checkDecodedSize, copyEncoded, ownBytes } from "@partd/core/author";
import * as everywhere from "./engine.js";
import { decodedBound } from "./frame-bound.js";

/** Uses Node's own zstd if it has one (22.15, 23.8 and later), in the thread pool. */
export function compress(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  const { zstdCompress, constants } = zlib as unknown as ZlibWithZstd;
  if (!zstdCompress) return everywhere.compress(bytes, level);
  return call(zstdCompress, bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: level },
    pledgedSrcSize: bytes.byteLength,
    chunkSize: chunkSize(bytes.byteLength),
  }).then(copyEncoded);
}

export async function decompress(bytes: Uint8Array, maxDecodedBytes: number): Promise<Uint8Array> {
  const { zstdDecompress } = zlib as unknown as ZlibWithZstd;
  if (!zstdDecompress) return everywhere.decompress(bytes, maxDecodedBytes);
  const { bound, exact } = decodedBound(bytes);
  // The largest limit that Node accepts.
  const maxOutputLength = Math.min(maxDecodedBytes, 2 ** 32);
  try {
    const decoded = ownBytes(
      await call(zstdDecompress, bytes, {
        maxOutputLength,
        chunkSize: chunkSize(exact ? bound : bytes.byteLength * 4),
      }),
    );
    // Node accepts a truncated frame as one that ends there.
    if (exact ? decoded.byteLength !== bound : decoded.byteLength > bound) {
      throw new Error("they decode to another size than they state.");
    }
    return decoded;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      checkDecodedSize(maxOutputLength + 1, maxOutputLength);
    }
    throw error;
  }
}

/** Node's API, which is newer than the declarations of the oldest supported Node. */
interface ZlibWithZstd {
  readonly zstdCompress?: Method;
  readonly zstdDecompress?: Method;
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
}

type Method = (
  bytes: Uint8Array,
  options: object,
  callback: (error: Error | null, result: Buffer) => void,
) => void;

function call(method: Method, bytes: Uint8Array, options: object): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    method(bytes, options, (error, result) => {
      if (error) reject(error);
      else resolve(result);
    });
  });
}

/** Node makes a trip to the thread pool for each chunk. */
function chunkSize(expected: number): number {
  return Math.min(Math.max(expected + (expected >> 8) + 64, 1024), 1 << 20);
}
