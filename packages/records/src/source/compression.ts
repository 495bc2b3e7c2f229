import { Readable, type Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import { PartdError } from "@partd/core";
import { RunningHash } from "../key/hash.js";
import { ZstdFrames } from "./zstd-frames.js";

export type Compression = "gzip" | "zstd";

/** The compression whose magic number the bytes begin with. */
export function compressionOf(bytes: Uint8Array): Compression | undefined {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return "gzip";
  const [a, b, c, d] = bytes;
  const isFrame = a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd;
  // pzstd begins with a frame that holds no data.
  const isSkippable = (a! & 0xf0) === 0x50 && b === 0x2a && c === 0x4d && d === 0x18;
  return isFrame || isSkippable ? "zstd" : undefined;
}

/** @throws `ERR_PARTD_CORRUPT` if the bytes do not decompress or are cut short. */
export async function* decompressed(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression,
  source: string,
): AsyncGenerator<Uint8Array> {
  const { createZstdDecompress } = zlib as unknown as ZlibWithZstd;
  try {
    if (compression === "gzip") {
      yield* wholeMembers(chunks, zlib.createGunzip({ chunkSize: 1 << 18 }));
    } else {
      yield* createZstdDecompress ? wholeFrames(chunks, createZstdDecompress()) : unzstd(chunks);
    }
  } catch (cause) {
    if (!(cause instanceof DecompressError)) throw cause;
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      `${source} is damaged or cut short: it cannot be decompressed as ${compression} (${cause.message}).`,
      { path: source.startsWith("<") ? undefined : source, cause: cause.cause },
    );
  }
}

/** Node's API, which is newer than the declarations of the oldest supported Node. */
interface ZlibWithZstd {
  /** In Node 22.15, 23.8 and later. */
  readonly createZstdDecompress?: () => Transform;
}

/** An error of the decompression itself, as opposed to one of the source. */
class DecompressError extends Error {}

/** Node 22 accepts a truncated frame as one that ends there. */
async function* wholeFrames(
  chunks: AsyncIterable<Uint8Array>,
  transform: Transform,
): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames();
  yield* through(frames.watch(chunks), transform);
  checkWhole(frames);
}

/**
 * Node ends at the first zero behind a member, and takes what follows for padding: only zeros are. What is there else
 * may be another member.
 */
async function* wholeMembers(
  chunks: AsyncIterable<Uint8Array>,
  gunzip: zlib.Gunzip,
): AsyncGenerator<Uint8Array> {
  let passed = 0;
  let lastNotZero = 0;
  const watched = (async function* () {
    for await (const chunk of chunks) {
      let end = chunk.length;
      while (end > 0 && chunk[end - 1] === 0) end--;
      if (end > 0) lastNotZero = passed + end;
      passed += chunk.length;
      yield chunk;
    }
  })();
  let isWaiting = false;
  const next = async () => {
    isWaiting = true;
    try {
      return await watched.next();
    } finally {
      isWaiting = false;
    }
  };
  try {
    // Without a `return`, so that what comes behind the end can be read.
    yield* through({ [Symbol.asyncIterator]: () => ({ next }) }, gunzip);
    for await (const _ of watched) {
      // To its end.
    }
    if (lastNotZero <= gunzip.bytesWritten) return;
    throw new DecompressError("data follows the zeros behind its end");
  } finally {
    const closed = watched.return(undefined);
    if (isWaiting) closed.catch(() => {});
    else await closed;
  }
}

async function* through(
  chunks: AsyncIterable<Uint8Array>,
  transform: Transform,
): AsyncGenerator<Uint8Array> {
  let sourceError: unknown;
  const guarded = async function* () {
    try {
      yield* chunks;
    } catch (error) {
      sourceError = error;
      throw error;
    }
  };
  const done = pipeline(Readable.from(guarded(), { objectMode: false }), transform);
  done.catch(() => {}); // The loop below meets the same error.
  try {
    yield* transform as AsyncIterable<Uint8Array>;
  } catch (cause) {
    throw sourceError ?? new DecompressError((cause as Error).message, { cause });
  } finally {
    transform.destroy();
    await done.catch(() => {});
  }
}

/**
 * Decompresses zstd in plain JavaScript, for a Node without its own. The decoder does not look at
 * checksums, so each frame has one of its own, and its checksum is compared here.
 */
export async function* unzstd(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import("fzstd");
  const frames = new ZstdFrames();
  let pieces: Uint8Array[] = [];
  let hash = new RunningHash();
  const begin = () => new Decompress((piece) => void pieces.push(piece));
  let decoder = begin();
  const push = (bytes: Uint8Array, isLast: boolean): Uint8Array[] => {
    pieces = [];
    try {
      decoder.push(bytes, isLast);
    } catch (cause) {
      throw new DecompressError((cause as Error).message, { cause });
    }
    for (const piece of pieces) hash.add(piece);
    return pieces;
  };
  for await (const chunk of chunks) {
    for (const { bytes, isLast, checksum } of frames.parts(chunk)) {
      // Push small steps, so that little is decompressed at once.
      for (let at = 0; at < bytes.length; at += STEP) {
        yield* push(bytes.slice(at, at + STEP), false);
      }
      if (!isLast) continue;
      yield* push(new Uint8Array(0), true);
      if (checksum !== undefined && hash.low !== checksum) {
        throw new DecompressError("a frame does not match its checksum");
      }
      decoder = begin();
      hash = new RunningHash();
    }
  }
  checkWhole(frames);
}

function checkWhole(frames: ZstdFrames): void {
  if (!frames.areWhole) throw new DecompressError("its last frame has no end");
}

const STEP = 1 << 16;
