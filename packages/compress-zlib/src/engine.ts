import { allocateEncoded, checkDecodedSize, concatBytes, Pace } from "@partd/core/author";
import { Gunzip, Gzip, Zlib } from "fflate";
import { type Format, zlibBody } from "./format.js";

/** Compresses with fflate, in steps between which other work can run. */
export async function deflate(
  bytes: Uint8Array,
  format: Format,
  level: number,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const options = { level: level as Level, mtime: 0 };
  const stream = format === "zlib" ? new Zlib(options) : new Gzip(options);
  stream.ondata = (piece) => pieces.push(piece);
  const pace = new Pace();
  let done = 0;
  do {
    if (pace.isOver) await pace.rest();
    const step = bytes.subarray(done, done + DEFLATE_STEP);
    done += DEFLATE_STEP;
    stream.push(step, done >= bytes.byteLength);
  } while (done < bytes.byteLength);
  return concatBytes(pieces, allocateEncoded);
}

/** Decompresses with fflate, in steps. */
export async function inflate(
  bytes: Uint8Array,
  format: Format,
  maxDecodedBytes: number,
): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let decoded = 0;
  const stream = new (format === "zlib" ? ZlibStream : GzipStream)(bytes, (piece) => {
    decoded += piece.byteLength;
    checkDecodedSize(decoded, maxDecodedBytes);
    pieces.push(piece);
  });
  const { input } = stream;
  const pace = new Pace();
  let idle = 0;
  for (let done = 0; done < input.byteLength; done += INFLATE_STEP) {
    if (pace.isOver) await pace.rest();
    const before = stream.progress;
    stream.push(input.subarray(done, done + INFLATE_STEP));
    // Stop early: fflate collects input that it cannot use, in time that grows with the square of
    // its size.
    idle = stream.progress === before ? idle + 1 : 0;
    if (idle > MAX_IDLE_STEPS) throw new Error("more bytes follow its end.");
  }
  stream.end();
  return concatBytes(pieces);
}

type Level = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

/** Bytes that are compressed in about a millisecond. */
const DEFLATE_STEP = 64 * 1024;

/** Small, because each byte can decode to a thousand. */
const INFLATE_STEP = 4096;

/**
 * fflate waits for a whole stored block, of up to 64 KiB, or a whole header before it gives output.
 */
const MAX_IDLE_STEPS = 32;

/** Decompresses a frame with fflate and compares its checksum, which fflate does not. */
export interface InflateStream {
  /** The bytes to push, in steps. */
  readonly input: Uint8Array;
  push(step: Uint8Array): void;
  /** Grows with each step that produced something. */
  readonly progress: number;
  /** @throws Error unless the input was whole, and nothing followed it. */
  end(): void;
}

/**
 * RFC 1950: one stream and an Adler-32. fflate tells where the DEFLATE data ended only between the
 * members of a gzip stream, so it gets the data as such a member.
 */
export class ZlibStream implements InflateStream {
  readonly input: Uint8Array;
  readonly #gunzip: Gunzip;
  readonly #checksum: number;
  #found = 1;
  /**
   * Where the DEFLATE data ended, counting the gzip header and trailer added here; -1 before that.
   */
  #end = -1;
  progress = 0;

  constructor(bytes: Uint8Array, onPiece: (piece: Uint8Array) => void) {
    const { body, checksum } = zlibBody(bytes);
    this.input = body;
    this.#checksum = checksum;
    this.#gunzip = new Gunzip((piece) => {
      if (piece.byteLength === 0) return;
      this.progress++;
      onPiece(piece);
      this.#found = adler32(piece, this.#found);
    });
    this.#gunzip.onmember = (start) => {
      this.#end = start;
      this.progress++;
    };
    this.#gunzip.push(MEMBER_HEADER);
  }

  push(step: Uint8Array): void {
    this.#gunzip.push(step);
  }

  end(): void {
    this.#gunzip.push(MEMBER_TRAILER);
    this.#gunzip.push(EMPTY_MEMBER);
    const whole = MEMBER_HEADER.byteLength + this.input.byteLength + MEMBER_TRAILER.byteLength;
    if (this.#end > whole || this.#end < 0) throw cutShort();
    if (this.#end < whole) throw new Error("more bytes follow its end.");
    if (this.#found !== this.#checksum) throw wrongChecksum();
  }
}

/**
 * RFC 1952: one or more members, each a header, DEFLATE data, a CRC-32 and a length. Zeros may follow, as
 * on tapes.
 */
export class GzipStream implements InflateStream {
  readonly input: Uint8Array;
  readonly #byteLength: number;
  readonly #view: DataView;
  readonly #gunzip: Gunzip;
  /** Where the last whole member ended. */
  #end = -1;
  /** The CRC-32 of the member under way. */
  #found = 0;
  #length = 0;
  progress = 0;

  constructor(bytes: Uint8Array, onPiece: (piece: Uint8Array) => void) {
    this.input = withoutZeros(bytes);
    this.#byteLength = bytes.byteLength;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#gunzip = new Gunzip((piece) => {
      if (piece.byteLength === 0) return;
      this.progress++;
      onPiece(piece);
      this.#found = crc32(piece, this.#found);
      this.#length += piece.byteLength;
    });
    this.#gunzip.onmember = (start) => this.#endMember(start);
  }

  push(step: Uint8Array): void {
    this.#gunzip.push(step);
  }

  /**
   * Pushes the last zeros and another member, byte by byte: fflate reports where that begins, or throws
   * on the fourth byte behind the last member, if these begin none.
   */
  end(): void {
    const zeros = Math.min(this.#byteLength - this.input.byteLength, LONGEST_END);
    let at = this.input.byteLength;
    for (const byte of [...new Uint8Array(zeros), ...EMPTY_MEMBER]) {
      try {
        this.#gunzip.push(Uint8Array.of(byte));
      } catch (error) {
        const end = at + 1 - MAGIC_BYTES;
        if (end < Math.max(this.input.byteLength, EMPTY_MEMBER.byteLength)) throw error;
        this.#endMember(end);
        return;
      }
      at++;
    }
    if (this.#end !== this.#byteLength) throw cutShort();
  }

  #endMember(next: number): void {
    if (next > this.#byteLength) throw cutShort();
    if (this.#view.getUint32(next - 8, true) !== this.#found) throw wrongChecksum();
    if (this.#view.getUint32(next - 4, true) !== this.#length % 2 ** 32) {
      throw new Error("its length is not that of the bytes.");
    }
    this.#end = next;
    this.#found = 0;
    this.#length = 0;
    this.progress++;
  }
}

const MEMBER_HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3);
const MEMBER_TRAILER = new Uint8Array(8);
const EMPTY_MEMBER = Uint8Array.of(...MEMBER_HEADER, 3, 0, ...MEMBER_TRAILER);

/** fflate looks at this many bytes for another member. */
const MAGIC_BYTES = 4;
/** How many zeros a member of nothing may end with, and those that fflate looks at. */
const LONGEST_END = 9 + MAGIC_BYTES;

function withoutZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.byteLength;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.subarray(0, end);
}

function cutShort(): Error {
  return new Error("they are cut short.");
}

function wrongChecksum(): Error {
  return new Error("its checksum is not that of the bytes.");
}

/** Adler-32 (RFC 1950) of `bytes`, continuing that of the bytes before. */
function adler32(bytes: Uint8Array, before = 1): number {
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
function crc32(bytes: Uint8Array, before = 0): number {
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
