import { bloscCodec } from "@partd/compress-blosc";
import { snappyCodec } from "@partd/compress-snappy";

export interface CompressionOptions {
  /**
   * Whether the Python that reads has `blosc` installed: Python's partd then compresses numbers with
   * it, and reads nothing else. Default false. What is read may be of either kind.
   */
  readonly blosc?: boolean | undefined;
  /** The same of `python-snappy`, for objects; without it, `blosc` is used for them. Default false. */
  readonly snappy?: boolean | undefined;
}

/** What Python's partd does to the bytes of blocks, which depends on what is installed there. */
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

  /** @param length of the numbers, where it is known. */
  async readNumbers(bytes: Uint8Array, length: number | undefined): Promise<Uint8Array> {
    if (bytes.byteLength === length && !isBlosc(bytes)) return bytes;
    return isBlosc(bytes) ? bloscCodec().decode(bytes) : bytes;
  }

  async readObjects(bytes: Uint8Array): Promise<Uint8Array> {
    if (isFrames(bytes)) return bytes;
    return isBlosc(bytes) ? bloscCodec().decode(bytes) : snappyCodec().decode(bytes);
  }
}

/** Version 2, and the length of all of it in bytes 12 to 15. */
function isBlosc(bytes: Uint8Array): boolean {
  if (bytes.byteLength < 16 || bytes[0] !== 2) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(12, true) === bytes.byteLength;
}

/** Whether the bytes are frames end to end, uncompressed. */
function isFrames(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + 8 <= bytes.byteLength) at += 8 + Number(view.getBigUint64(at, true));
  return at === bytes.byteLength;
}
