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
export const HEADER_BYTES = 16;

/** Stands in place of a record's length: the rest of this block is unused. */
export const END_OF_BLOCK = 0xffff_ffff;

/** The most bytes that a frame takes. */
export function frameCost(keyLength: number, recordLength: number): number {
  return HEADER_BYTES + keyLength + recordLength + 8;
}

/**
 * A record or frame of this many bytes or more is long: it is charged, it is lent but never given away,
 * and its memory is freed at once. The garbage collector would let such arrays pile up: five records of
 * 60 MB.
 */
export const LONG_BYTES = 1 << 20;

/**
 * An array for a long frame: a view of one above 32 MiB, because glibc's malloc keeps the memory of shorter
 * ones when they are freed. Pages that are never written take no memory.
 */
export function longArray(byteLength: number): Uint8Array<ArrayBuffer> {
  if (byteLength < LONG_BYTES) return new Uint8Array(byteLength);
  return new Uint8Array(new ArrayBuffer(Math.max(byteLength, MAPPED_BYTES)), 0, byteLength);
}

/** More than what glibc's malloc ever keeps, see `M_MMAP_THRESHOLD` of mallopt(3). */
export const MAPPED_BYTES = (32 << 20) + (256 << 10);

/** The next multiple of 8. Bit operations might overflow. */
export function align(offset: number): number {
  return Math.ceil(offset / 8) * 8;
}
