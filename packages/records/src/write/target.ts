import { createWriteStream } from "node:fs";
import { Readable, type Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import zlib from "node:zlib";
import { PartdError } from "@partd/core";

/**
 * Where records are written: a path, compressed if it ends in `.gz` or `.zst`, or a Node or web
 * stream. A stream is ended, except those of the process.
 */
export type Target = string | URL | NodeJS.WritableStream | WritableStream<Uint8Array>;

/**
 * Writes all chunks. A file is created anew, and after a failure holds what was written so far.
 *
 * @throws `ERR_PARTD_IO` if the target cannot be written; `ERR_PARTD_VALUE` for `.zst` if this Node
 *   has no zstd; errors of the source are thrown unchanged.
 */
export async function writeChunks(
  chunks: AsyncIterable<Uint8Array>,
  target: Target,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  let sourceError: { error: unknown } | undefined;
  const guarded = async function* () {
    try {
      yield* chunks;
    } catch (error) {
      sourceError = { error };
      throw error;
    }
  };
  const path =
    typeof target === "string" ? target : target instanceof URL ? fileURLToPath(target) : undefined;
  const compressor = path === undefined ? undefined : compressorOf(path);
  const source = Readable.from(guarded(), { objectMode: false });
  const sink =
    path === undefined ? writable(target as NodeJS.WritableStream) : createWriteStream(path);
  const end = sink !== process.stdout && sink !== process.stderr;
  const options = signal ? { signal, end } : { end };
  try {
    if (compressor) await pipeline(source, compressor, sink, options);
    else await pipeline(source, sink, options);
  } catch (cause) {
    if (sourceError) throw sourceError.error;
    if (signal?.aborted) throw signal.reason;
    const where = path ?? "The stream";
    const reason = (cause as Error).message;
    throw new PartdError("ERR_PARTD_IO", `${where} cannot be written: ${reason}.`, { path, cause });
  }
}

function writable(
  target: NodeJS.WritableStream | WritableStream<Uint8Array>,
): NodeJS.WritableStream {
  return "getWriter" in target ? Writable.fromWeb(target as never) : target;
}

function compressorOf(path: string): Transform | undefined {
  if (path.endsWith(".gz")) return zlib.createGzip();
  if (!path.endsWith(".zst")) return undefined;
  const { createZstdCompress } = zlib as unknown as { createZstdCompress?: () => Transform };
  if (createZstdCompress) return createZstdCompress();
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${path}: this Node compresses no zstd. Take Node 22.15 or later, or write .gz.`,
    { path },
  );
}
