import { crc32 } from "@partd/disk";

/**
 * Writes a split block Bloom filter, as in Parquet, of the hashes of an index's keys. It recognises 99
 * of 100 absent keys, for 10 bits a key. `docs/log-format.md` has its layout.
 */
export function writeFilter(hashes: Uint32Array): {
  readonly bytes: Buffer;
  readonly blocks: number;
} {
  const blocks = Math.min(MOST_BLOCKS, Math.ceil((hashes.length * BITS_A_KEY) / (8 * BLOCK_BYTES)));
  const bytes = Buffer.alloc(filterBytes(blocks));
  for (let i = 0; i < hashes.length; i++) {
    const hash = hashes[i] as number;
    const { page, offset } = filterPlace(hash, blocks);
    const at = page * FILTER_PAGE_BYTES + offset;
    for (let word = 0; word < SALTS.length; word++) {
      const bit = Math.imul(hash, SALTS[word] as number) >>> 27;
      bytes[at + 4 * word + (bit >> 3)]! |= 1 << (bit & 7);
    }
  }
  for (let page = 0; page * BLOCKS_A_PAGE < blocks; page++) {
    const start = page * FILTER_PAGE_BYTES;
    const length = filterPageBytes(page, blocks) - 4;
    bytes.writeUInt32LE(crc32(bytes.subarray(start, start + length)), start + length);
  }
  return { bytes, blocks };
}

/**
 * Whether a key of this hash may be present. @param offset where the hash's block begins on the page.
 */
export function mayHold(page: Uint8Array, offset: number, hash: number): boolean {
  for (let word = 0; word < SALTS.length; word++) {
    const bit = Math.imul(hash, SALTS[word] as number) >>> 27;
    const byte = page[offset + 4 * word + (bit >> 3)] as number;
    if ((byte & (1 << (bit & 7))) === 0) return false;
  }
  return true;
}

/** The page that has the block of a hash, and the block's offset on it. */
export function filterPlace(hash: number, blocks: number): { page: number; offset: number } {
  const block = Math.floor((hash * blocks) / 2 ** 32);
  const page = Math.floor(block / BLOCKS_A_PAGE);
  return { page, offset: BLOCK_BYTES * (block % BLOCKS_A_PAGE) };
}

/** Bytes of a page and its checksum. */
export function filterPageBytes(page: number, blocks: number): number {
  return BLOCK_BYTES * Math.min(BLOCKS_A_PAGE, blocks - page * BLOCKS_A_PAGE) + 4;
}

/** Bytes of all pages. */
export function filterBytes(blocks: number): number {
  return BLOCK_BYTES * blocks + 4 * Math.ceil(blocks / BLOCKS_A_PAGE);
}

const BITS_A_KEY = 10;
const BLOCK_BYTES = 32;
const BLOCKS_A_PAGE = 127;
export const FILTER_PAGE_BYTES = BLOCK_BYTES * BLOCKS_A_PAGE + 4;
/** With more blocks, the product with a hash would not be exact. */
export const MOST_BLOCKS = 2 ** 21;
/** Each salt sets one bit in one word of a block. */
const SALTS = [
  0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
];
