import zlib from "node:zlib";
import { lz4Block } from "./lz4.js";

/** Decompresses all of an array at once. */
type Decompress = (bytes: Uint8Array) => Uint8Array;

/** Node's own zstd where it has one. */
export async function zstdDecompressor(): Promise<Decompress> {
  const { zstdDecompressSync } = zlib as unknown as { zstdDecompressSync?: Decompress };
  if (zstdDecompressSync) return zstdDecompressSync;
  const { decompress } = await import("fzstd");
  return (bytes) => decompress(bytes);
}

/** The codecs of pages of Parquet, but for Snappy, which `hyparquet` has, and LZO. */
export async function pageDecompressors(): Promise<{
  readonly [codec: string]: (bytes: Uint8Array, length: number) => Uint8Array;
}> {
  return {
    GZIP: (bytes) => zlib.gunzipSync(bytes),
    BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
    ZSTD: await zstdDecompressor(),
    LZ4_RAW(bytes, length) {
      const page = new Uint8Array(length);
      return page.subarray(0, lz4Block(bytes, page));
    },
  };
}
