import {
  deflateSync,
  deflate as deflateZlib,
  gunzip,
  gunzipSync,
  gzip,
  gzipSync,
  type InputType,
  inflateSync,
  inflate as inflateZlib,
  type ZlibOptions,
} from "node:zlib";
import { checkDecodedSize, copyEncoded, ownBytes } from "@partd/core/author";
import { type Format, isPadding } from "./format.js";

/** Compresses with Node's zlib, in the thread pool from {@link THREAD_BYTES} on. */
export function deflate(
  bytes: Uint8Array,
  format: Format,
  level: number,
): Uint8Array | Promise<Uint8Array> {
  const options = { level, chunkSize: chunkSize(bytes.byteLength) };
  const [onThread, inPlace] = format === "zlib" ? [deflateZlib, deflateSync] : [gzip, gzipSync];
  return bytes.byteLength < THREAD_BYTES
    ? copyEncoded(inPlace(bytes, options))
    : call(onThread, bytes, options).then(({ buffer }) => copyEncoded(buffer));
}

/** Decompresses with Node's zlib, which compares the checksum. */
export async function inflate(
  bytes: Uint8Array,
  format: Format,
  maxDecodedBytes: number,
): Promise<Uint8Array> {
  const maxOutputLength = Math.min(maxDecodedBytes, MAX_OUTPUT);
  const options = { chunkSize: chunkSize(bytes.byteLength * 4), maxOutputLength, info: true };
  const [onThread, inPlace] = format === "zlib" ? [inflateZlib, inflateSync] : [gunzip, gunzipSync];
  try {
    const { buffer, engine } =
      bytes.byteLength < THREAD_BYTES
        ? (inPlace(bytes, options) as unknown as Inflated)
        : await call(onThread, bytes, options);
    // zlib stops at the end of the data and ignores what follows.
    const rest = bytes.subarray(engine.bytesWritten);
    if (rest.byteLength > 0 && !(format === "gzip" && isPadding(rest))) {
      throw new Error("more bytes follow its end.");
    }
    return ownBytes(buffer);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") {
      checkDecodedSize(maxOutputLength + 1, maxOutputLength);
    }
    throw error;
  }
}

/** Below this a round trip to the thread pool costs more than the work. */
const THREAD_BYTES = 4096;

/** The largest limit that Node accepts. */
const MAX_OUTPUT = 2 ** 32;

/** Node makes a trip to the thread pool for each chunk, of 16 KiB by default. */
function chunkSize(expected: number): number {
  return Math.min(Math.max(expected + (expected >> 8) + 64, 1024), 1 << 20);
}

/** What Node gives with `{ info: true }`. */
interface Inflated {
  readonly buffer: Uint8Array;
  readonly engine: { readonly bytesWritten: number };
}

type OnThread = (
  bytes: InputType,
  options: ZlibOptions,
  callback: (error: Error | null, result: Buffer) => void,
) => void;

function call(method: OnThread, bytes: Uint8Array, options: ZlibOptions): Promise<Inflated> {
  return new Promise((resolve, reject) => {
    method(bytes, { ...options, info: true }, (error, result) => {
      if (error) reject(error);
      else resolve(result as unknown as Inflated);
    });
  });
}
