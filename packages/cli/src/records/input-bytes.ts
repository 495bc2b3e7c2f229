import { createReadStream } from "node:fs";
import { Transform, type TransformCallback } from "node:stream";
import * as zlib from "node:zlib";
import { Failure } from "../command/failure.js";

/** Counts what is read, as it lies on the disk. */
export interface ReadCount {
  bytes: number;
}

/** The bytes of a file, or of standard input for `-`, unpacked if they are gzip or zstd. */
export async function* bytesOf(
  path: string,
  count: ReadCount,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const stream = path === "-" ? process.stdin : createReadStream(path, { highWaterMark: PIECE });
  const raw = counted(stream, count, signal);
  const head = await headOf(raw);
  const whole = behind(head.bytes, head.done ? undefined : raw);
  const unpack = await unpackerFor(head.bytes);
  if (unpack === undefined) {
    yield* whole;
    return;
  }
  const { Readable } = await import("node:stream");
  try {
    yield* Readable.from(whole, { objectMode: true }).compose(unpack) as AsyncIterable<Buffer>;
  } catch (error) {
    signal.throwIfAborted();
    throw new Failure(`${nameOf(path)} cannot be unpacked: ${(error as Error).message}`);
  }
}

/** What an input is called in messages. */
export function nameOf(path: string): string {
  return path === "-" ? "standard input" : path;
}

async function* counted(
  stream: AsyncIterable<Buffer>,
  count: ReadCount,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for await (const piece of stream) {
    signal.throwIfAborted();
    count.bytes += piece.length;
    yield piece;
  }
}

/** The first four bytes or more, or all there are. */
async function headOf(pieces: AsyncGenerator<Buffer>): Promise<{ bytes: Buffer; done: boolean }> {
  let bytes: Buffer = Buffer.alloc(0);
  while (bytes.length < 4) {
    const { value, done } = await pieces.next();
    if (done) return { bytes, done };
    bytes = bytes.length === 0 ? value : Buffer.concat([bytes, value]);
  }
  return { bytes, done: false };
}

async function* behind(
  head: Buffer,
  rest: AsyncGenerator<Buffer> | undefined,
): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  if (rest) yield* rest;
}

async function unpackerFor(head: Buffer): Promise<Transform | undefined> {
  if (head[0] === 0x1f && head[1] === 0x8b) return zlib.createGunzip();
  if (head.length < 4 || head.readUInt32LE(0) !== ZSTD_MAGIC) return undefined;
  const { createZstdDecompress } = zlib as { createZstdDecompress?: () => Transform };
  return createZstdDecompress?.() ?? zstdByScript();
}

/** Zstandard where Node has none: before 22.15. */
async function zstdByScript(): Promise<Transform> {
  const { Decompress } = await import("fzstd");
  const engine = new Decompress();
  return new Transform({
    transform(piece: Buffer, _encoding, done: TransformCallback) {
      engine.ondata = (bytes) => void this.push(Buffer.from(bytes));
      attempt(() => engine.push(piece), done);
    },
    flush(done: TransformCallback) {
      engine.ondata = (bytes) => void (bytes.length > 0 && this.push(Buffer.from(bytes)));
      attempt(() => engine.push(new Uint8Array(), true), done);
    },
  });
}

function attempt(work: () => void, done: TransformCallback): void {
  try {
    work();
    done();
  } catch (error) {
    done(error as Error);
  }
}

const ZSTD_MAGIC = 0xfd2fb528;

const PIECE = 1 << 18;
