import { allocateEncoded, checkDecodedSize, concatBytes, Pace } from "@partd/core/author";
import { Gzip, Zlib } from "fflate";
import type { Format } from "./format.js";
import { GzipStream, ZlibStream } from "./inflate-stream.js";

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
