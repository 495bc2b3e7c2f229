import { dirname } from "node:path";
import { Readable, type Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import zlib from "node:zlib";
import { PartdError } from "@partd/core";

/**
 * Where records are written: a path, compressed if it ends in `.gz` or `.zst` (`.bz2` or `.parquet`, say,
 * are refused), or a Node or web stream. A stream is ended, except those of the process.
 *
 * A file appears, or replaces the one that is there, when all has been written: after a failure or an
 * abort the path is as it was, and the records may come from the very file.
 */
export type Target = string | URL | NodeJS.WritableStream | WritableStream<Uint8Array>;

/**
 * Writes all chunks.
 *
 * @param compressorFor what a path demands by its end; it refuses paths for other content.
 * @throws `ERR_PARTD_IO` if the target cannot be written; `ERR_PARTD_VALUE` for `.zst` if this Node
 *   has no zstd, and for the end of another compression or of a table; errors of the source are thrown unchanged.
 */
export async function writeChunks(
  chunks: AsyncIterable<Uint8Array>,
  target: Target,
  signal: AbortSignal | undefined,
  compressorFor: (path: string) => Transform | undefined = compressorOf,
): Promise<void> {
  signal?.throwIfAborted();
  let sourceError: { error: unknown } | undefined;
  const guarded = async function* () {
    const iterator = chunks[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await iterator.next().catch((error: unknown) => {
          sourceError = { error };
          throw error;
        });
        if (next.done) return;
        yield next.value; // After a failure of the target, this throws an error that is not the source's.
      }
    } finally {
      await iterator.return?.();
    }
  };
  const path = pathOf(target);
  const compressor = path === undefined ? undefined : compressorFor(path);
  const source = Readable.from(guarded(), { objectMode: false });
  try {
    if (path === undefined) await toStream(source, target as NodeJS.WritableStream, signal);
    else await toFile(source, compressor, path, signal);
  } catch (cause) {
    if (signal?.aborted) throw signal.reason; // Because of it, the source throws, too.
    if (sourceError) throw sourceError.error;
    const where = path ?? "The stream";
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason =
      path !== undefined && code === "ENOENT" ? `there is no directory ${dirname(path)}` : message;
    throw new PartdError("ERR_PARTD_IO", `${where} cannot be written: ${reason}.`, { path, cause });
  }
}

/** The path of a target; `undefined` for a stream. */
export function pathOf(target: Target): string | undefined {
  if (target instanceof URL) return fileURLToPath(target);
  return typeof target === "string" ? target : undefined;
}

async function toFile(
  source: Readable,
  compressor: Transform | undefined,
  path: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  // Readers need no @partd/disk: without it, importing this package takes 11 ms less, in each thread.
  const { OutputFile } = await import("@partd/disk");
  await using file = await OutputFile.create(path);
  const fill = async (pieces: AsyncIterable<Uint8Array>) => {
    for await (const piece of pieces) await file.write(piece);
  };
  const options = signal ? { signal } : {};
  if (compressor) await pipeline(source, compressor, fill, options);
  else await pipeline(source, fill, options);
  signal?.throwIfAborted();
  await file.complete();
}

async function toStream(
  source: Readable,
  target: NodeJS.WritableStream | WritableStream<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const sink = "getWriter" in target ? Writable.fromWeb(target as never) : target;
  const end = sink !== process.stdout && sink !== process.stderr;
  await pipeline(source, sink, signal ? { signal, end } : { end });
}

function compressorOf(path: string): Transform | undefined {
  if (/\.gz(?:ip)?$/i.test(path)) return zlib.createGzip();
  const [, other] = NOT_WRITTEN.exec(path) ?? [];
  if (other) {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `${path}: ${other} is not written here, and text under such a name would be taken for damaged. Take a name that ends in .gz or .zst, or in the format of the text; writeParquet and writeArrow write tables.`,
      { path },
    );
  }
  if (!/\.zstd?$/i.test(path)) return undefined;
  const { createZstdCompress } = zlib as unknown as { createZstdCompress?: () => Transform };
  if (createZstdCompress) return createZstdCompress();
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${path}: this Node compresses no zstd. Take Node 22.15 or later, or write .gz.`,
    { path },
  );
}

/** The ends of names of other compressions, archives and tables. */
const NOT_WRITTEN = /(\.(?:bz2|xz|lzma|lz4|br|zip|7z|parquet|arrows?|feather))$/i;
