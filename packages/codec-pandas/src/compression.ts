import { bloscCodec } from "@partd/compress-blosc";
import { snappyCodec } from "@partd/compress-snappy";

export interface CompressionOptions {
  /**
   * Compress numbers with Blosc: set this if the Python that reads has `blosc` installed, because
   * its partd then reads nothing else. Reading accepts both. Default false.
   */
  readonly blosc?: boolean | undefined;
  /**
   * Compress objects with Snappy: set this if the Python that reads has `python-snappy` installed.
   * Without it, `blosc` applies to objects as well. Reading accepts all. Default false.
   */
  readonly snappy?: boolean | undefined;
}

/** The compression of blocks in Python's partd, which depends on the packages installed there. */
export class Compression {
  readonly #options: CompressionOptions;

  constructor(options: CompressionOptions) {
    this.#options = options;
  }

  async numbers(bytes: Uint8Array, itemSize: number): Promise<Uint8Array> {
    return this.#options.blosc ? bloscCodec({ typesize: itemSize }).encode(bytes) : bytes;
  }

  async objects(bytes: Uint8Array): Promise<Uint8Array> {
    if (this.#options.snappy) return snappyCodec().encode(bytes);
    return this.#options.blosc ? bloscCodec({ typesize: 1 }).encode(bytes) : bytes;
  }

  /** @param length bytes of the numbers, if known. */
  async readNumbers(bytes: Uint8Array, length: number | undefined): Promise<Uint8Array> {
    if (bytes.byteLength === length && !isBlosc(bytes)) return bytes;
    return isBlosc(bytes) ? bloscCodec().decode(bytes) : bytes;
  }

  async readObjects(bytes: Uint8Array): Promise<Uint8Array> {
    if (isFrames(bytes)) return bytes;
    return isBlosc(bytes) ? bloscCodec().decode(bytes) : snappyCodec().decode(bytes);
  }
}

/** Whether the bytes are one Blosc buffer: version 2, and their length in bytes 12 to 15. */
function isBlosc(bytes: Uint8Array): boolean {
  if (bytes.byteLength < 16 || bytes[0] !== 2) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(12, true) === bytes.byteLength;
}

/** Whether the bytes are uncompressed frames, end to end. */
function isFrames(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + 8 <= bytes.byteLength) at += 8 + Number(view.getBigUint64(at, true));
  return at === bytes.byteLength;
}
