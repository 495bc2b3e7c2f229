import { readSync } from "node:fs";
import { allocateBytes, type GetOptions, Pace } from "@partd/core/author";
import { isOutOfFiles, type Lease } from "@partd/disk";
import type { DataSet } from "./data-set.js";
import { PoolQueue } from "./disk.js";
import { type OpenFile, sizeOf } from "./open-files.js";

/** Reads values. Use it while holding the lock, with no batch under way. */
export class Reader {
  readonly #set: DataSet;
  /** Buffer for a file of unknown length: one call instead of two if the value fits. */
  readonly #scratch = new Uint8Array(SCRATCH);
  #scratchInUse = false;

  constructor(set: DataSet) {
    this.#set = set;
  }

  async get(keys: readonly string[], lease: Lease, options: GetOptions): Promise<Uint8Array[]> {
    const values = new Array<Uint8Array>(keys.length);
    const pace = new Pace();
    const pool = new PoolQueue(Math.min(WIDTH, this.#set.files.atOnce));
    const checkOn = () => {
      options.signal?.throwIfAborted();
      lease.verifyNow();
    };
    try {
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i] as string;
        const here = this.#readHere(key);
        if (here) values[i] = here;
        else {
          pool.add(
            this.#read(key).then((value) => {
              values[i] = value;
            }),
          );
          await pool.room();
          checkOn();
        }
        if (pace.due) {
          await pace.rest();
          checkOn();
        }
      }
      await pool.done();
      lease.verify();
    } finally {
      await pool.settled();
    }
    return values;
  }

  /** Opens the file and fixes the length to read: later appends are not part of the stream. */
  async stream(key: string, lease: Lease, options: GetOptions): Promise<AsyncIterable<Uint8Array>> {
    const { disk, files, layout } = this.#set;
    const open = () => files.withRoom(() => layout.open(key));
    const opened = await this.#set.io("read", open, { key });
    if (!opened) return nothing();
    try {
      const size = sizeOf(await disk.fstat(opened.fd), layout.path(key, opened.aside));
      lease.verify();
      return this.#pieces(key, opened.fd, size, options.signal);
    } catch (error) {
      await disk.close(opened.fd);
      throw this.#set.error("read", error, key);
    }
  }

  /**
   * The short path of most reads: a short value of a file that is open or in its usual place, in
   * this thread. Reading thousands of keys takes two thirds of the time of `#read`.
   */
  #readHere(key: string): Uint8Array | undefined {
    const { disk, files, layout } = this.#set;
    if (this.#scratchInUse || !disk.takesHere(SCRATCH)) return undefined;
    const start = performance.now();
    let file: OpenFile | undefined;
    try {
      file = files.takeHere(key);
      if (!file) {
        const fd = layout.openHere(key);
        if (fd < 0) return undefined;
        file = files.adopt(key, fd);
      } else if (file.length > SCRATCH) return undefined;
      const length = readSync(file.fd, this.#scratch, 0, SCRATCH, 0);
      if (length === 0 || length === SCRATCH) return undefined;
      file.length = length;
      return this.#scratch.slice(0, length);
    } catch {
      return undefined; // `#read` meets the same failure and reports it.
    } finally {
      if (file) void files.release(file);
      disk.took(performance.now() - start);
    }
  }

  async #read(key: string): Promise<Uint8Array> {
    const { files } = this.#set;
    try {
      return await this.#value(key);
    } catch (error) {
      if (!isOutOfFiles(error)) throw this.#set.error("read", error, key);
      const again = () => files.withRoom(() => this.#value(key));
      return this.#set.io("read", again, { key });
    }
  }

  async #value(key: string): Promise<Uint8Array> {
    const { disk, files, layout } = this.#set;
    const file = await files.take(key);
    if (!file) return new Uint8Array(0);
    try {
      if (file.length < 0) {
        const short = await this.#shortValue(file);
        if (short) return short;
        file.length = sizeOf(await disk.fstat(file.fd), layout.path(key, file.aside));
      }
      const bytes = allocateBytes(file.length);
      const count = await disk.readAll(file.fd, bytes, 0);
      return count === bytes.byteLength ? bytes : bytes.slice(0, count);
    } finally {
      await files.release(file);
    }
  }

  /** The value if it fits into the scratch buffer, is not empty, and the buffer is free. */
  async #shortValue(file: OpenFile): Promise<Uint8Array | undefined> {
    if (this.#scratchInUse) return undefined;
    this.#scratchInUse = true;
    try {
      const length = await this.#set.disk.readAll(file.fd, this.#scratch, 0);
      if (length === 0 || length === SCRATCH) return undefined;
      file.length = length;
      return this.#scratch.slice(0, length);
    } finally {
      this.#scratchInUse = false;
    }
  }

  async *#pieces(
    key: string,
    fd: number,
    length: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { disk } = this.#set;
    let ahead: Promise<Uint8Array> | undefined;
    try {
      for (let position = 0; position < length; ) {
        signal?.throwIfAborted();
        const bytes = await (ahead ?? this.#piece(fd, position, length));
        ahead = undefined;
        if (bytes.byteLength === 0) return; // A program that ignores the lock has truncated it.
        position += bytes.byteLength;
        if (position < length) {
          ahead = this.#piece(fd, position, length);
          ahead.catch(() => {}); // It is thrown when its turn comes.
        }
        yield bytes;
      }
    } catch (error) {
      throw error === signal?.reason && signal?.aborted
        ? error
        : this.#set.error("read", error, key);
    } finally {
      // Do not let another file get the descriptor while the thread pool reads from it.
      await Promise.allSettled([ahead]);
      await disk.close(fd);
    }
  }

  async #piece(fd: number, position: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.min(PIECE, end - position));
    const count = await this.#set.disk.readAll(fd, bytes, position);
    return count === bytes.byteLength ? bytes : bytes.slice(0, count);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

const SCRATCH = 32_768;
/** Length of a stream's pieces, in bytes. */
const PIECE = 2 ** 19;
/** The most reads in the thread pool at once. */
const WIDTH = 32;
