/**
 * The unit of memory and of spilling: a fixed number of bytes, seen as bytes and as words. Words
 * have the machine's own byte order, since no block outlives the process.
 */
export class Block {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;

  constructor(byteLength: number) {
    // Not cleared: clearing 256 KiB costs as much as filling them. The reader stops at the end mark.
    this.bytes = new Uint8Array(Buffer.allocUnsafeSlow(byteLength).buffer);
    this.words = new Uint32Array(this.bytes.buffer);
  }
}

/**
 * A frame is one record with its key, at a multiple of 8 bytes:
 *
 * | words | holds |
 * |---|---|
 * | 0 | length of the record in bytes, or {@link END_OF_BLOCK} |
 * | 1 | length of the key in bytes |
 * | 2, 3 | a number of 64 bits by which frames are compared first: the key's hash, or a sort key's first bytes |
 * | 4 … | the key, then the record |
 *
 * The four words lie in one block. Key and record go on at the start of the next block, and of as many
 * as it takes: a frame may be longer than memory.
 */
export const HEADER_WORDS = 4;
export const HEADER_BYTES = HEADER_WORDS * 4;

/** In place of a record's length: nothing more in this block. */
export const END_OF_BLOCK = 0xffff_ffff;

/** Bytes that a frame takes, at the very most. */
export function frameCost(keyLength: number, recordLength: number): number {
  return HEADER_BYTES + keyLength + recordLength + 8;
}

/** The next multiple of 8, also where bit operations would overflow. */
export function align(offset: number): number {
  return Math.ceil(offset / 8) * 8;
}
