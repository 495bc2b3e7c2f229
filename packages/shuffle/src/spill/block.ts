/**
 * The unit of memory and of spilling: a fixed number of bytes, viewed as bytes and as words. Words have
 * the machine's own byte order, because blocks are never read on another machine.
 */
export class Block {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly words: Uint32Array<ArrayBuffer>;

  constructor(byteLength: number) {
    // Not cleared: clearing 256 KiB costs as much as filling them, and readers stop at the end mark.
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

/** Stands in place of a record's length: the rest of this block is unused. */
export const END_OF_BLOCK = 0xffff_ffff;

/** The most bytes that a frame takes. */
export function frameCost(keyLength: number, recordLength: number): number {
  return HEADER_BYTES + keyLength + recordLength + 8;
}

/** The next multiple of 8. Bit operations might overflow. */
export function align(offset: number): number {
  return Math.ceil(offset / 8) * 8;
}
