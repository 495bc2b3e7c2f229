import { closeSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readAll, systemError, uniqueToken, writePieces } from "@partd/disk";
import { openOrMakeRoom } from "../open-files.js";

/** Chunks, in a file without a name, or in memory if there is no directory for it. */
export class SpillFile {
  readonly #directory: string | undefined;
  readonly #chunks: Buffer[] = [];
  #fd: number | undefined;
  #end = 0;
  readonly #writing = new Set<Promise<void>>();
  readonly #free: Buffer[] = [];

  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  chunk(length: number): Buffer {
    const free = this.#free.pop();
    return free && free.length >= length ? free : Buffer.allocUnsafeSlow(length);
  }

  /** Writes while the caller goes on; the buffer is not to be used any more. */
  async write(buffer: Buffer, length: number): Promise<number> {
    const directory = this.#directory;
    if (directory === undefined) return this.#chunks.push(buffer.subarray(0, length)) - 1;
    const position = this.#end;
    this.#end += length;
    this.#fd ??= openUnnamed(directory);
    const work: Promise<void> = writePieces(this.#fd, [buffer.subarray(0, length)], position).then(
      () => {
        this.#writing.delete(work);
        if (this.#free.length < MOST_WRITING) this.#free.push(buffer);
      },
    );
    work.catch(() => {}); // `settle` and the next ones tell.
    this.#writing.add(work);
    if (this.#writing.size >= MOST_WRITING) await this.#settled(Promise.race(this.#writing));
    return position;
  }

  async settle(): Promise<void> {
    await this.#settled(Promise.all(this.#writing));
    this.#free.length = 0;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const chunk = this.#chunks[position];
    if (chunk) return chunk;
    const bytes = Buffer.allocUnsafeSlow(length);
    await this.readInto(position, bytes);
    return bytes;
  }

  async readInto(position: number, target: Buffer): Promise<void> {
    const chunk = this.#chunks[position];
    if (chunk) {
      chunk.copy(target);
      return;
    }
    const count = await readAll(this.#fd as number, target, position);
    if (count < target.length) {
      throw new Error(`The spilled bytes in ${this.#directory} were cut short.`);
    }
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#writing);
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  async #settled(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      throw systemError({ action: "spill to", path: this.#directory ?? "memory" }, error);
    }
  }
}

function openUnnamed(directory: string): number {
  const path = join(directory, `spill-${uniqueToken()}`);
  try {
    const fd = openOrMakeRoom(path, "wx+");
    rmSync(path);
    return fd;
  } catch (error) {
    throw systemError({ action: "make", path: path }, error);
  }
}

/** Chunks that are being written at a time. */
const MOST_WRITING = 4;
