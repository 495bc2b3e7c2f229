import type { Transform } from "node:stream";
import zlib from "node:zlib";
import { PartdError } from "@partd/core";
import { RunningHash } from "../key/hash.js";
import { lz4Block } from "./lz4.js";

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
      yield* createZstdDecompress ? frameByFrame(chunks, createZstdDecompress) : unzstd(chunks);
    }
  } catch (cause) {
    if (!(cause instanceof DecompressError)) throw cause;
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      cause instanceof WideWindow
        ? `${source} ${cause.message}`
        : `${source} is damaged or cut short: it cannot be decompressed as ${compression} (${cause.message}).`,
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

/** A frame that needs more memory than zstd itself takes without --long. */
class WideWindow extends DecompressError {
  constructor(bytes: number) {
    const log = Math.ceil(Math.log2(bytes));
    super(
      `was compressed with a window of ${Math.ceil(bytes / 2 ** 20)} MiB, and up to 128 are read: unpack it first, as zstd -d --long=${Math.min(31, log)} FILE does.`,
    );
  }
}

/**
 * Decompresses each zstd frame with a decoder of its own: Node's stops after the first frame without an
 * error, and that of Node 22 accepts a frame that is cut short.
 */
async function* frameByFrame(
  chunks: AsyncIterable<Uint8Array>,
  begin: () => Transform,
): AsyncGenerator<Uint8Array> {
  const frames = new ZstdFrames();
  const parts = openEnded(frames.partsOf(chunks));
  try {
    for (let part = await parts.next(); !part.done; part = await parts.next()) {
      const frame = async function* () {
        for (; !part.done; part = await parts.next()) {
          yield part.value.bytes;
          if (part.value.isLast) return;
        }
      };
      yield* through(frame(), begin());
    }
  } finally {
    await parts.end();
  }
  checkWhole(frames);
}

/**
 * Decompresses all members of gzip. Node stops at the first zero behind a member, as if only padding
 * followed; anything but zeros there is an error, because it may be another member.
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
  const source = openEnded(watched);
  try {
    yield* through(source, gunzip);
    for (let chunk = await source.next(); !chunk.done; chunk = await source.next()) {
      // Read on: only the end of the source tells whether anything but zeros follows.
    }
    if (lastNotZero <= gunzip.bytesWritten) return;
    throw new DecompressError("data follows the zeros behind its end");
  } finally {
    await source.end();
  }
}

/** An iterator that stays open when its reader ends, so that another one can read the rest. */
function openEnded<T>(items: AsyncGenerator<T>) {
  let isWaiting = false;
  const next = async () => {
    isWaiting = true;
    try {
      return await items.next();
    } finally {
      isWaiting = false;
    }
  };
  return {
    next,
    /** Closes it, without waiting for an item that may never come. */
    async end(): Promise<void> {
      const closed = items.return(undefined);
      if (isWaiting) closed.catch(() => {});
      else await closed;
    },
  };
}

/**
 * Sends chunks through a transform, and leaves their iterator open. Neither `pipeline` nor `Readable.from`
 * would do: since Node 22, when their reader leaves, they wait for a source that stands still.
 */
async function* through(
  chunks: AsyncIterator<Uint8Array>,
  transform: Transform,
): AsyncGenerator<Uint8Array> {
  let sourceError: unknown;
  const feed = async () => {
    for (let chunk = await chunks.next(); !chunk.done; chunk = await chunks.next()) {
      if (transform.destroyed) return;
      if (!transform.write(chunk.value)) await drained(transform);
    }
    transform.end();
  };
  const feeding = feed().catch((error: unknown) => {
    sourceError = error;
    transform.destroy(error as Error);
  });
  transform.on("error", () => {}); // The loop below meets the same error, unless its reader has left.
  try {
    yield* transform as AsyncIterable<Uint8Array>;
    await feeding;
  } catch (cause) {
    throw sourceError ?? new DecompressError((cause as Error).message, { cause });
  } finally {
    transform.destroy();
  }
}

/** Waits until a transform takes more, or is destroyed. */
function drained(transform: Transform): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      transform.off("drain", done);
      transform.off("close", done);
      resolve();
    };
    transform.on("drain", done);
    transform.on("close", done);
  });
}

/**
 * Decompresses zstd in plain JavaScript, for a Node without its own. The decoder does not look at
 * checksums, so each frame has one of its own, and its checksum is compared here.
 */
export async function* unzstd(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import("fzstd");
  const frames = new ZstdFrames(BLOCKS);
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
      // Little is decompressed at once: a step has few blocks, and a block has at most 128 KiB.
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
/** Blocks of a step. Without a limit, a step of 64 KiB could become 780 MB, since a block of zeros has 11 bytes. */
const BLOCKS = 8;

/** Bytes of one frame. */
interface FramePart {
  readonly bytes: Uint8Array;
  /** Whether the frame ends with them. */
  readonly isLast: boolean;
  /** With the last part: the lower half of the content's XXH64, if the frame has it. */
  readonly checksum?: number | undefined;
}

/**
 * Parses zstd frames as their bytes pass (RFC 8878, section 3.1), to know where they end, and
 * whether the last is whole. Frames that hold no data are left out.
 */
class ZstdFrames {
  readonly #mostBlocks: number;
  #state: "magic" | "skippable" | "descriptor" | "window" | "size" | "block" | "checksum" = "magic";
  /** Bytes to skip before the next field. */
  #skip = 0;
  /** The current field, little-endian, and how many of its bytes have come. */
  #field = 0;
  #length = 0;
  #isInFrame = false;
  #hasChecksum = false;
  #isInLastBlock = false;
  /** Bytes of the field that tells the content's size. */
  #sizeBytes = 0;
  /** Bytes of the header behind the window's size. */
  #afterWindow = 0;
  /** Blocks since the last part. */
  #blocks = 0;

  /** @param mostBlocks of a part. */
  constructor(mostBlocks = Number.POSITIVE_INFINITY) {
    this.#mostBlocks = mostBlocks;
  }

  /**
   * Whether the last frame has ended. Trailing bytes that begin no frame count as a truncated one.
   */
  get areWhole(): boolean {
    return this.#state === "magic" && this.#length === 0 && this.#skip === 0;
  }

  async *partsOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<FramePart> {
    for await (const chunk of chunks) yield* this.parts(chunk);
  }

  *parts(bytes: Uint8Array): Generator<FramePart> {
    let from = 0;
    for (let at = 0; at < bytes.length; ) {
      let checksum: number | undefined;
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, bytes.length - at);
        this.#skip -= passed;
        at += passed;
        if (this.#skip > 0) continue;
        if (!this.#isInLastBlock || this.#hasChecksum) {
          if (!this.#isInFrame || ++this.#blocks < this.#mostBlocks) continue;
          this.#blocks = 0;
          yield { bytes: bytes.subarray(from, at), isLast: false };
          from = at;
          continue;
        }
      } else {
        this.#field += bytes[at++]! * 2 ** (8 * this.#length++);
        if (this.#length < this.#fieldBytes) continue;
        const field = this.#field;
        this.#field = 0;
        this.#length = 0;
        if (this.#state === "checksum") checksum = field;
        else this.#take(field);
        if (this.#state === "descriptor") {
          // Its first bytes may have been in the chunk before.
          yield { bytes: MAGIC, isLast: false };
          from = at;
        }
        // An empty last block ends the frame at once.
        const isEnd = this.#isInLastBlock && this.#skip === 0 && !this.#hasChecksum;
        if (checksum === undefined && !isEnd) continue;
      }
      this.#isInLastBlock = false;
      this.#isInFrame = false;
      this.#state = "magic";
      yield { bytes: bytes.subarray(from, at), isLast: true, checksum };
    }
    if (this.#isInFrame && from < bytes.length)
      yield { bytes: bytes.subarray(from), isLast: false };
  }

  get #fieldBytes(): number {
    return this.#state === "size" ? this.#sizeBytes : FIELD_BYTES[this.#state];
  }

  #take(field: number): void {
    switch (this.#state) {
      case "magic":
        this.#isInFrame = field === FRAME;
        if (this.#isInFrame) this.#state = "descriptor";
        else if (Math.floor(field / 16) === SKIPPABLE) this.#state = "skippable";
        else throw new DecompressError("what follows its last frame is no zstd");
        return;
      case "skippable":
        this.#skip = field;
        this.#state = "magic";
        return;
      case "descriptor": {
        const isSingle = (field & 0x20) !== 0;
        const sizeFlag = field >> 6;
        const dictionaryBytes = [0, 1, 2, 4][field & 3]!;
        this.#sizeBytes = sizeFlag === 0 ? (isSingle ? 1 : 0) : 1 << sizeFlag;
        this.#hasChecksum = (field & 4) !== 0;
        // A single segment has no window but its content.
        this.#state = isSingle ? "size" : "window";
        this.#skip = isSingle ? dictionaryBytes : 0;
        this.#afterWindow = dictionaryBytes + this.#sizeBytes;
        return;
      }
      case "window":
        refuseWide(2 ** (10 + (field >> 3)) * (1 + (field & 7) / 8));
        this.#skip = this.#afterWindow;
        this.#state = "block";
        return;
      case "size":
        refuseWide(field);
        this.#state = "block";
        return;
      case "block": {
        const isLast = (field & 1) !== 0;
        const isRepeated = ((field >> 1) & 3) === 1;
        this.#skip = isRepeated ? 1 : field >> 3;
        if (!isLast) return;
        this.#isInLastBlock = true;
        if (this.#hasChecksum) this.#state = "checksum";
      }
    }
  }
}

function refuseWide(window: number): void {
  if (window > WIDEST_WINDOW) throw new WideWindow(window);
}

const FIELD_BYTES = {
  magic: 4,
  skippable: 4,
  descriptor: 1,
  window: 1,
  block: 3,
  checksum: 4,
} as const;
/** The limit of zstd without --long, and of Node's own. */
const WIDEST_WINDOW = 2 ** 27;
const FRAME = 0xfd2fb528;
const MAGIC = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd);
const SKIPPABLE = 0x184d2a5;

/** Decompresses all of an array at once. */
type Decompress = (bytes: Uint8Array) => Uint8Array;

/** Node's own zstd where it has one. */
export async function zstdDecompressor(): Promise<Decompress> {
  const { zstdDecompressSync } = zlib as unknown as { zstdDecompressSync?: Decompress };
  if (zstdDecompressSync) return zstdDecompressSync;
  const { decompress } = await import("fzstd");
  return (bytes) => decompress(bytes);
}

/** The codecs of pages of Parquet, but for Snappy, which `hyparquet` has, and LZO. */
export async function pageDecompressors(): Promise<{
  readonly [codec: string]: (bytes: Uint8Array, length: number) => Uint8Array;
}> {
  return {
    GZIP: (bytes) => zlib.gunzipSync(bytes),
    BROTLI: (bytes) => zlib.brotliDecompressSync(bytes),
    ZSTD: await zstdDecompressor(),
    LZ4_RAW(bytes, length) {
      const page = new Uint8Array(length);
      return page.subarray(0, lz4Block(bytes, page));
    },
  };
}
