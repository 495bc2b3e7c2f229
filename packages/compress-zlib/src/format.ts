/** What surrounds the DEFLATE data: a header before it and a checksum behind it. */
export type Format = "zlib" | "gzip";

/**
 * The DEFLATE data (RFC 1951) of a zlib stream, and the Adler-32 behind it.
 *
 * @throws Error if the header is of another format, or there is no room for a checksum.
 * @see RFC 1950, section 2.2. The window is up to 32 KiB; dictionaries are not supported.
 */
export function zlibBody(bytes: Uint8Array): { body: Uint8Array; checksum: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.byteLength - 4;
  if (end <= 2) throw new Error("they are cut short.");
  const header = view.getUint16(0);
  const deflate = (header & 0x0f00) === 0x0800 && header >> 12 <= 7;
  if (!deflate || header % 31 !== 0 || header & 0x20) throw new Error("they have no zlib header.");
  return { body: bytes.subarray(2, end), checksum: view.getUint32(end) };
}

/** Whether all bytes are zero. `gunzip` and Python accept those after a gzip stream: tapes are padded. */
export function isPadding(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
