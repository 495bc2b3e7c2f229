import type { Transform } from "node:stream";
import zlib from "node:zlib";
import type { OutputFile } from "@partd/disk";
import { UsageError } from "../command/failure.js";

/** A file that is compressed as its extension demands. */
export class CompressedFile implements AsyncDisposable {
  readonly #file: OutputFile;
  readonly #stream: Transform;
  readonly #pumping: Promise<void>;
  /** Rejects the pending write: a destroyed stream calls no callback. */
  #reject: (error: unknown) => void = () => undefined;

  constructor(file: OutputFile, stream: Transform) {
    this.#file = file;
    this.#stream = stream;
    this.#pumping = this.#pump();
    this.#pumping.catch((error: unknown) => this.#reject(error));
  }

  /** Resolves when the array may be changed again. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#stream.destroyed) return this.#pumping;
    await new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      this.#stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async complete(): Promise<void> {
    this.#stream.end();
    await this.#pumping;
    await this.#file.complete();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.destroy();
    await this.#pumping.catch(() => undefined); // The writer has received the error.
    await this.#file[Symbol.asyncDispose]();
  }

  async #pump(): Promise<void> {
    for await (const piece of this.#stream) await this.#file.write(piece as Uint8Array);
  }
}

/**
 * The compressor for the extension of a file name; `undefined` if it has none.
 *
 * @throws `UsageError` for zstd if this Node has none.
 */
export function compressorFor(name: string): Transform | undefined {
  if (/\.(?:gz|gzip)$/i.test(name)) return zlib.createGzip();
  if (!/\.(?:zst|zstd)$/i.test(name)) return undefined;
  const { createZstdCompress } = zlib as unknown as { createZstdCompress?: () => Transform };
  if (createZstdCompress) return createZstdCompress();
  throw new UsageError(`${name}: this Node writes no zstd, as 22.15 and later do; take .gz`);
}
