/** Adler-32 (RFC 1950) of `bytes`, continuing that of the bytes before. */
export function adler32(bytes: Uint8Array, before = 1): number {
  let a = before & 0xffff;
  let b = before >>> 16;
  // Up to 3,800 bytes the sums stay below 2^31, so that the remainder is taken once for all of
  // them.
  for (let start = 0; start < bytes.byteLength; start += 3800) {
    const end = Math.min(start + 3800, bytes.byteLength);
    for (let i = start; i < end; i++) {
      a += bytes[i] as number;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}

/** CRC-32 (RFC 1952) of `bytes`, continuing that of the bytes before. */
export function crc32(bytes: Uint8Array, before = 0): number {
  crcTable ??= makeCrcTable();
  let crc = ~before;
  for (let i = 0; i < bytes.byteLength; i++) {
    crc = (crcTable[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

let crcTable: Int32Array | undefined;

function makeCrcTable(): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc;
  });
}
