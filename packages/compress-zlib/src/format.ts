import { adler32, crc32 } from "./checksum.js";

/** What stands around the DEFLATE data: a header, and a checksum behind it. */
export type Format = "zlib" | "gzip";

/** The parts of a frame, and how to compare its checksum. */
export interface Envelope {
  /** The DEFLATE data (RFC 1951). */
  readonly body: Uint8Array;
  /** The checksum of more bytes, going on from that of those before. */
  readonly update: (bytes: Uint8Array, before?: number) => number;
  /** What it must come to. */
  readonly checksum: number;
}

/** @throws where the header is of another format, or there is no room for a checksum. */
export function openEnvelope(bytes: Uint8Array, format: Format): Envelope {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const trailer = format === "zlib" ? 4 : 8;
  const start = format === "zlib" ? zlibHeader(view) : gzipHeader(view);
  const end = bytes.byteLength - trailer;
  if (start >= end) throw new Error("they are cut short.");
  return {
    body: bytes.subarray(start, end),
    update: format === "zlib" ? adler32 : crc32,
    // zlib's is big-endian, gzip's is not; a length follows there.
    checksum: view.getUint32(end, format === "gzip"),
  };
}

/** RFC 1950, section 2.2: DEFLATE in a window of up to 32 KiB, and no dictionary. */
function zlibHeader(view: DataView): number {
  if (view.byteLength < 2) throw new Error("they are cut short.");
  const header = view.getUint16(0);
  const deflate = (header & 0x0f00) === 0x0800 && header >> 12 <= 7;
  if (!deflate || header % 31 !== 0 || header & 0x20) throw new Error("they have no zlib header.");
  return 2;
}

/** RFC 1952, section 2.3: fixed fields, and optional ones by flags. */
function gzipHeader(view: DataView): number {
  if (view.byteLength < 10) throw new Error("they are cut short.");
  if (view.getUint32(0) >>> 8 !== 0x1f8b08) throw new Error("they have no gzip header.");
  const flags = view.getUint8(3);
  let at = 10;
  if (flags & EXTRA) at += 2 + (at + 2 <= view.byteLength ? view.getUint16(at, true) : 0);
  for (const text of [NAME, COMMENT]) {
    if (!(flags & text)) continue;
    while (at < view.byteLength && view.getUint8(at) !== 0) at++;
    at++;
  }
  return flags & HEADER_CRC ? at + 2 : at;
}

const HEADER_CRC = 2;
const EXTRA = 4;
const NAME = 8;
const COMMENT = 16;
