import { checkDecodedSize, concatBytes, Pace } from "@partd/core";
import { Gzip, Inflate, Zlib } from "fflate";
import { type Format, openEnvelope } from "./format.js";

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
  return concatBytes(pieces);
}

/** Decompresses with fflate, in steps, and compares the checksum, which fflate leaves out. */
export async function inflate(
  bytes: Uint8Array,
  format: Format,
  maxDecodedBytes: number,
): Promise<Uint8Array> {
  const { body, update, checksum } = openEnvelope(bytes, format);
  const pieces: Uint8Array[] = [];
  let decoded = 0;
  let found = format === "zlib" ? 1 : 0;
  const stream = new Inflate((piece) => {
    if (piece.byteLength === 0) return;
    decoded += piece.byteLength;
    checkDecodedSize(decoded, maxDecodedBytes);
    found = update(piece, found);
    pieces.push(piece);
  });
  const pace = new Pace();
  let idle = 0;
  for (let done = 0; done < body.byteLength; done += INFLATE_STEP) {
    if (pace.isOver) await pace.rest();
    const before = decoded;
    stream.push(body.subarray(done, done + INFLATE_STEP), done + INFLATE_STEP >= body.byteLength);
    // fflate collects what follows the end of the data, in time that grows with its square.
    idle = decoded === before ? idle + 1 : 0;
    if (idle > MAX_IDLE_STEPS) throw new Error("more bytes follow its end.");
  }
  // What it has collected; of the data's own last byte it keeps bits that were not needed.
  const rest = stream["p"] as Uint8Array | undefined;
  if (rest !== undefined && rest.byteLength > 1) throw new Error("more bytes follow its end.");
  if (found !== checksum) throw new Error("its checksum is not that of the bytes.");
  return concatBytes(pieces);
}

type Level = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

/** Bytes compressed in about a millisecond. */
const DEFLATE_STEP = 64 * 1024;

/** Small, because each byte can decode to a thousand. */
const INFLATE_STEP = 4096;

/** A stored block, of up to 64 KiB, is given out when it is there as a whole. */
const MAX_IDLE_STEPS = 32;
