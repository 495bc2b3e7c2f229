import { Blosc, bloscCodec } from "@partd/compress-blosc";
import { BZ2, bz2Codec } from "@partd/compress-bz2";
import { LZ4, lz4Codec } from "@partd/compress-lz4";
import { Snappy, snappyCodec } from "@partd/compress-snappy";
import { Gzip, gzipCodec, ZLib, zlibCodec } from "@partd/compress-zlib";
import { Zstd, zstdCodec } from "@partd/compress-zstd";
import type { Codec, Encode, Store } from "@partd/core";
import type { CompressorOptions } from "@partd/core/author";

export interface Compression {
  readonly name: string;
  readonly codec: (options?: CompressorOptions) => Codec<Uint8Array>;
  readonly Decorator: new (store: Store, options?: CompressorOptions) => Encode<Uint8Array>;
  /** Whether the format notices any change of its content. */
  readonly checksum: boolean;
  /** The class of Python's partd that has the same frames. */
  readonly python?: string;
}

export const compressions: readonly Compression[] = [
  { name: "zlib", codec: zlibCodec, Decorator: ZLib, checksum: true, python: "ZLib" },
  { name: "gzip", codec: gzipCodec, Decorator: Gzip, checksum: true },
  { name: "bz2", codec: bz2Codec, Decorator: BZ2, checksum: true, python: "BZ2" },
  { name: "snappy", codec: snappyCodec, Decorator: Snappy, checksum: false, python: "Snappy" },
  { name: "blosc", codec: bloscCodec, Decorator: Blosc, checksum: false, python: "Blosc" },
  { name: "zstd", codec: zstdCodec, Decorator: Zstd, checksum: false },
  { name: "lz4", codec: lz4Codec, Decorator: LZ4, checksum: false },
];

export const inPython = compressions.filter(({ python }) => python !== undefined);
