/**
 * Reads the number of decoded bytes, four little-endian bytes before the block.
 *
 * @throws Error if so few bytes cannot decode to so many.
 */
export function readDecodedSize(bytes: Uint8Array): number {
  if (bytes.byteLength <= HEADER) throw malformed();
  const size = new DataView(bytes.buffer, bytes.byteOffset, HEADER).getUint32(0, true);
  if (size > (bytes.byteLength - HEADER) * MAX_RATIO) throw malformed();
  return size;
}

/**
 * Walks through a block's lengths and distances without decoding it
 * (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
 *
 * @throws Error unless it decodes to `size` bytes.
 */
export function checkBlock(bytes: Uint8Array, size: number): void {
  const end = bytes.byteLength;
  let at = HEADER;
  let decoded = 0;
  for (;;) {
    if (at >= end) throw malformed();
    const token = bytes[at++] as number;
    let literals = token >> 4;
    if (literals === LONG) {
      let more: number;
      do {
        if (at >= end) throw malformed();
        more = bytes[at++] as number;
        literals += more;
      } while (more === 255);
    }
    at += literals;
    decoded += literals;
    if (at === end) break; // The last sequence is literals alone.
    if (at + 2 + 1 + LAST_LITERALS > end || decoded + LAST_MATCH > size) throw malformed();
    const distance = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    at += 2;
    if (distance === 0 || distance > decoded) throw malformed();
    let length = (token & 15) + 4;
    if (length === LONG + 4) {
      let more: number;
      do {
        if (at >= end) throw malformed();
        more = bytes[at++] as number;
        length += more;
      } while (more === 255);
    }
    decoded += length;
    if (decoded > size - LAST_LITERALS) throw malformed();
  }
  if (decoded !== size) throw malformed();
}

const HEADER = 4;
/** A byte of a long length adds at most 255. */
const MAX_RATIO = 255;
/** A block ends with at least this many literal bytes. */
const LAST_LITERALS = 5;
/** The last match begins at least this many bytes before the end. */
const LAST_MATCH = 12;
/** The value of a 4-bit length that continues in further bytes. */
const LONG = 15;

function malformed(): Error {
  return new Error("they are not an LZ4 block behind its size, are damaged or cut short.");
}
