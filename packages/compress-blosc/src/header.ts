import { PartdError } from "@partd/core";

/**
 * What the 16 bytes before a Blosc frame say
 * (https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst).
 *
 * @throws where they cannot be, or name a compressor that is not built in.
 */
export function readHeader(bytes: Uint8Array): { decodedBytes: number } {
  if (bytes.byteLength < HEADER) throw new Error("they are cut short.");
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER);
  const [version, flags] = [view.getUint8(0), view.getUint8(2)];
  const encodedBytes = view.getUint32(12, true);
  if (version < 1 || version > 2) throw new Error("they are not Blosc's format.");
  if (encodedBytes !== bytes.byteLength) {
    throw new Error(`they should be ${encodedBytes} bytes, and are ${bytes.byteLength}.`);
  }
  if (flags >> 5 === SNAPPY && !(flags & STORED)) {
    throw new PartdError(
      "ERR_PARTD_CODEC",
      "its blocks are compressed with snappy, which is not built in.",
    );
  }
  return { decodedBytes: view.getUint32(4, true) };
}

const HEADER = 16;
const STORED = 2;
const SNAPPY = 2;
