import zlib from "node:zlib";
import { checkDecodedSize, concatBytes, copyEncoded, ownBytes } from "@partd/core/author";
import * as everywhere from "./engine.js";
import { fitWindows, framesOf } from "./frame-bound.js";

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

/** Decompresses frame by frame: Node stops at the end of the first one, and ignores what follows. */
export async function decompress(bytes: Uint8Array, maxDecodedBytes: number): Promise<Uint8Array> {
  const { zstdDecompress, constants } = zlib as unknown as ZlibWithZstd;
  if (!zstdDecompress) return everywhere.decompress(bytes, maxDecodedBytes);
  // The largest limit that Node accepts.
  const most = Math.min(maxDecodedBytes, 2 ** 32);
  const fitted = fitWindows(bytes, most);
  const decoded: Uint8Array[] = [];
  let decodedBytes = 0;
  for (const { start, end, bound, exact } of framesOf(fitted)) {
    const maxOutputLength = Math.max(most - decodedBytes, 1);
    const options = {
      params: { [constants.ZSTD_d_windowLogMax]: LARGEST_WINDOW },
      maxOutputLength,
      chunkSize: chunkSize(exact ? bound : (end - start) * 4),
    };
    try {
      const one = await call(zstdDecompress, fitted.subarray(start, end), options);
      // Node accepts a truncated frame as one that ends there.
      if (exact ? one.byteLength !== bound : one.byteLength > bound) {
        throw new Error("they decode to another size than they state.");
      }
      decoded.push(ownBytes(one));
      decodedBytes += one.byteLength;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
        checkDecodedSize(most + 1, most);
      }
      throw error;
    }
    checkDecodedSize(decodedBytes, most);
  }
  return decoded.length === 1 ? (decoded[0] as Uint8Array) : concatBytes(decoded);
}

/** A power of two, the highest that the format has room for in 32 bits. */
const LARGEST_WINDOW = 31;

/** Node's API, which is newer than the declarations of the oldest supported Node. */
interface ZlibWithZstd {
  readonly zstdCompress?: Method;
  readonly zstdDecompress?: Method;
  readonly constants: {
    readonly ZSTD_c_compressionLevel: number;
    readonly ZSTD_d_windowLogMax: number;
  };
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
