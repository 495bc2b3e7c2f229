import { type FileHandle, open as openHandle } from "node:fs/promises";
import { setImmediate as immediate } from "node:timers/promises";
import { isPartdError, PartdError } from "@partd/core";
import { unlessAborted } from "@partd/core/author";
import { type Compression, compressionOf, decompressed } from "./compression.js";
import type { ByteRange, Input } from "./inputs.js";
import { type Content, refuseOtherContent } from "./other-content.js";

/** Reads the bytes of one input, decompressed. */
export interface ByteReader {
  /** The path, or `<stream>`. */
  readonly source: string;
  /** Whether offsets in these bytes are offsets in the file `source`. */
  readonly isPlainFile: boolean;
  /** Bytes of the input read so far, as stored. */
  readonly consumed: number;
  /** Fills the front of `into`. Returns the number of bytes; 0 only at the end. */
  read(into: Uint8Array): Promise<number>;
  /** For a range of a file: extends it by this many bytes. */
  extend?(byteLength: number): void;
  close(): Promise<void>;
}

/** Opens an input to be read as `content`. An abort ends the wait for the first bytes of a stream. */
export async function openReader(
  input: Input,
  content: Content,
  signal: AbortSignal | undefined,
): Promise<ByteReader> {
  const opening = open(input, content);
  try {
    return await unlessAborted(opening, signal);
  } catch (error) {
    // The input may open after an abort. If opening failed, that error is the one thrown below.
    opening.then((reader) => reader.close()).catch(() => {});
    throw error;
  }
}

/** Closes a reader. After an abort it does not wait for an idle input. */
export async function closeReader(
  reader: ByteReader,
  signal: AbortSignal | undefined,
): Promise<void> {
  const closed = reader.close();
  await (signal?.aborted ? Promise.race([closed, immediate()]) : closed);
}

async function open(input: Input, content: Content): Promise<ByteReader> {
  if (input.path === undefined) return StreamReader.open("<stream>", content, input.chunks);
  const file = await openFile(input.path);
  // Only a plain file is cut into ranges.
  if (input.range) return new FileReader(input.path, content, file, input.range);
  let size: number;
  try {
    const magic = new Uint8Array(4);
    // An input without positions (a FIFO, /dev/stdin) is read as a stream.
    const found = await file.stat();
    if (!found.isFile()) {
      return await StreamReader.open(input.path, content, fileChunks(input.path, file), file);
    }
    size = found.size;
    await file.read(magic, 0, 4, 0);
    const compression = compressionOf(magic);
    if (compression) {
      return new StreamReader(input.path, content, fileChunks(input.path, file), compression, file);
    }
  } catch (cause) {
    await file.close();
    throw isPartdError(cause) ? cause : ioError(input.path, cause);
  }
  return new FileReader(input.path, content, file, { start: 0, end: Infinity }, size);
}

class FileReader implements ByteReader {
  readonly isPlainFile = true;
  readonly source: string;
  readonly #content: Content;
  readonly #file: FileHandle;
  #end: number;
  #at: number;
  readonly #start: number;
  /** Where the file ended when it was opened or cut into ranges, or a place before that. */
  readonly #reaches: number;

  constructor(
    path: string,
    content: Content,
    file: FileHandle,
    range: ByteRange,
    reaches = range.end,
  ) {
    this.#reaches = reaches;
    this.source = path;
    this.#content = content;
    this.#file = file;
    this.#start = range.start;
    this.#at = range.start;
    this.#end = range.end;
  }

  get consumed(): number {
    return this.#at - this.#start;
  }

  async read(into: Uint8Array): Promise<number> {
    const isFirst = this.#at === 0;
    let filled = 0;
    while (filled < into.length) {
      const length = Math.min(into.length - filled, this.#end - this.#at);
      if (length <= 0) break;
      const { bytesRead } = await this.#file
        .read(into, filled, length, this.#at)
        .catch((cause: unknown) => {
          throw ioError(this.source, cause);
        });
      if (bytesRead === 0) {
        await this.#refuseCut();
        break;
      }
      filled += bytesRead;
      this.#at += bytesRead;
    }
    if (isFirst) refuseOtherContent(into.subarray(0, filled), this.source, this.#content);
    return filled;
  }

  extend(byteLength: number): void {
    this.#end += byteLength;
  }

  /** @throws `ERR_PARTD_IO` if the file has become shorter. Some of /sys are shorter than their size from the start. */
  async #refuseCut(): Promise<void> {
    if (this.#at >= this.#reaches || (await this.#file.stat()).size >= this.#reaches) return;
    throw new PartdError(
      "ERR_PARTD_IO",
      `${this.source} was cut short while it was read: run this again when nothing writes it.`,
      { path: this.source },
    );
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

class StreamReader implements ByteReader {
  readonly isPlainFile = false;
  consumed = 0;
  readonly source: string;
  readonly #content: Content;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #file: FileHandle | undefined;
  #rest: Uint8Array = new Uint8Array(0);
  #isFirst = true;

  constructor(
    source: string,
    content: Content,
    chunks: AsyncIterable<Uint8Array>,
    compression?: Compression,
    file?: FileHandle,
  ) {
    this.source = source;
    this.#content = content;
    this.#file = file;
    const counted = this.#count(chunks);
    const plain = compression ? decompressed(counted, compression, source) : counted;
    this.#chunks = plain[Symbol.asyncIterator]();
  }

  /** Recognises a compression by the first bytes. */
  static async open(
    source: string,
    content: Content,
    chunks: AsyncIterable<Uint8Array>,
    file?: FileHandle,
  ): Promise<StreamReader> {
    const iterator = chunks[Symbol.asyncIterator]();
    const first: Uint8Array[] = [];
    let length = 0;
    while (length < 4) {
      const { done, value } = await iterator.next();
      if (done) break;
      first.push(value);
      length += value.length;
    }
    const compression = compressionOf(Buffer.concat(first));
    const all = (async function* () {
      try {
        yield* first;
        for (let c = await iterator.next(); !c.done; c = await iterator.next()) yield c.value;
      } finally {
        await iterator.return?.();
      }
    })();
    return new StreamReader(source, content, all, compression, file);
  }

  async *#count(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.consumed += chunk.length;
      yield chunk;
    }
  }

  async read(into: Uint8Array): Promise<number> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done) return 0;
      this.#rest = value;
      if (this.#isFirst) refuseOtherContent(value, this.source, this.#content);
      this.#isFirst = false;
    }
    const length = Math.min(into.length, this.#rest.length);
    into.set(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return length;
  }

  async close(): Promise<void> {
    try {
      await this.#chunks.return?.();
    } finally {
      await this.#file?.close();
    }
  }
}

export async function openFile(path: string): Promise<FileHandle> {
  try {
    return await openHandle(path, "r");
  } catch (cause) {
    throw ioError(path, cause);
  }
}

async function* fileChunks(path: string, file: FileHandle): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { bytesRead, buffer } = await file
      .read(new Uint8Array(CHUNK), 0, CHUNK, null)
      .catch((cause: unknown) => {
        throw ioError(path, cause);
      });
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

const CHUNK = 1 << 18;

export function ioError(path: string, cause: unknown): PartdError {
  const reason = (cause as Error).message;
  return new PartdError("ERR_PARTD_IO", `${path} cannot be read: ${reason}.`, { path, cause });
}
