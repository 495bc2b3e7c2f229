import { type Codec, Encode, PartdError, type Store } from "@partd/core";
import {
  COMPRESSOR_OPTIONS,
  type CompressorOptions,
  checkIntegerOption,
  compressorCodec,
  takeOptions,
} from "@partd/core/author";
import { deflate, inflate } from "#engine";
import type { Format } from "./format.js";

export interface ZLibOptions extends CompressorOptions {
  /** From 0 (stored) over 1 (fast) to 9 (smallest). Default 6. */
  readonly level?: number | undefined;
}

/**
 * A store of bytes over another, compressed with DEFLATE in the zlib format (RFC 1950), which
 * carries an Adler-32 checksum. The frames are those of Python's `partd.ZLib`.
 *
 * @example new ZLib(new FileStore("data"), { level: 1 })
 */
export class ZLib extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: ZLibOptions = {}) {
    const taken = takeOptions(
      "new ZLib",
      options,
      { ...COMPRESSOR_OPTIONS, level: true },
      new.target !== ZLib,
    );
    super(store, zlibCodec(taken), taken);
  }
}

/**
 * A store of bytes over another, compressed with DEFLATE in the gzip format (RFC 1952), which
 * carries a CRC-32: `gunzip` reads the frames.
 */
export class Gzip extends Encode<Uint8Array> {
  /** @throws `ERR_PARTD_VALUE` for an option out of range. */
  constructor(store: Store, options: ZLibOptions = {}) {
    const taken = takeOptions(
      "new Gzip",
      options,
      { ...COMPRESSOR_OPTIONS, level: true },
      new.target !== Gzip,
    );
    super(store, gzipCodec(taken), taken);
  }
}

/** The codec of {@link ZLib}. */
export function zlibCodec(options: ZLibOptions = {}): Codec<Uint8Array> {
  return deflateCodec("zlib", options);
}

/** The codec of {@link Gzip}. */
export function gzipCodec(options: ZLibOptions = {}): Codec<Uint8Array> {
  return deflateCodec("gzip", options);
}

function deflateCodec(format: Format, options: ZLibOptions): Codec<Uint8Array> {
  const level = checkIntegerOption("level", options.level ?? 6, 0, 9);
  return compressorCodec(
    {
      name: format,
      compress: (bytes) => deflate(bytes, format, level),
      decompress(bytes, maxDecodedBytes) {
        if (format === "zlib") checkDictionary(bytes);
        return inflate(bytes, format, maxDecodedBytes);
      },
    },
    options,
  );
}

/** Refuses valid bytes that need a dictionary, which is not in them (FDICT, RFC 1950, section 2.2). */
function checkDictionary([method = 0, flags = 0]: Uint8Array): void {
  const isHeader = (method & 15) === 8 && (method * 256 + flags) % 31 === 0;
  if (!isHeader || (flags & 0x20) === 0) return;
  throw new PartdError(
    "ERR_PARTD_CODEC",
    "they were compressed with a preset dictionary, which is not known here; compress them without one.",
  );
}
