import { readSync, type Stats } from "node:fs";
import { allocateBytes, type GetOptions, Pace } from "@partd/core/author";
import { Flight, runNow, type Steps } from "./disk.js";
import { readAll } from "./file-steps.js";
import { ioError } from "./io-error.js";
import { isOutOfFiles, type OpenFile, withRoom } from "./open-files.js";
import type { Parts } from "./parts.js";
import type { Tenure } from "./tenure.js";

/** Reads values, to be called while the lock is held and no batch is under way. */
export class Reader {
  readonly #parts: Parts;
  /** What a file of unknown length is read into: one call instead of two, if it fits. */
  readonly #scratch = new Uint8Array(SCRATCH);
  #scratchInUse = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async get(
    keys: readonly string[],
    tenure: Tenure,
    { signal }: GetOptions,
  ): Promise<Uint8Array[]> {
    const { files } = this.#parts;
    const values = new Array<Uint8Array>(keys.length);
    const pace = new Pace();
    const flight = new Flight(Math.min(WIDTH, files.atOnce));
    const checkOn = () => {
      signal?.throwIfAborted();
      tenure.verifyNow();
    };
    try {
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i] as string;
        const read = this.#readHere(key) ?? this.#read(key);
        if (read instanceof Promise) {
          flight.add(
            read.then((value) => {
              values[i] = value;
            }),
          );
          await flight.room();
          checkOn();
        } else values[i] = read;
        if (pace.due) {
          await pace.rest();
          checkOn();
        }
      }
      await flight.landed();
      tenure.verify();
    } finally {
      await flight.settled();
    }
    return values;
  }

  /** Opens the file and fixes how much of it is read; what is appended later is another's. */
  async stream(
    key: string,
    tenure: Tenure,
    { signal }: GetOptions,
  ): Promise<AsyncIterable<Uint8Array>> {
    const { disk, layout } = this.#parts;
    const opened = await withRoom(this.#parts, "read", key, () => layout.open(key));
    if (!opened) return nothing();
    try {
      const { size } = (await disk.run(statOf(opened.fd))) as Stats;
      tenure.verify();
      return this.#pieces(key, opened.fd, size, signal);
    } catch (error) {
      await disk.run(close(opened.fd));
      throw ioError("read", layout.directory, error, key);
    }
  }

  /**
   * Most reads, in the fewest steps: a short value, at once, of a file that is open or in its usual
   * place. Reading thousands of keys takes two thirds of the time that `#read` takes.
   */
  #readHere(key: string): Uint8Array | undefined {
    const { disk, files, layout } = this.#parts;
    if (this.#scratchInUse || !disk.takesHere(SCRATCH)) return undefined;
    const start = performance.now();
    let file = files.at(key);
    if (!file) {
      const fd = layout.openHere(key);
      if (fd < 0) return undefined;
      file = files.adopt(key, fd);
    } else if (file.length > SCRATCH) return undefined;
    else file.users++;
    try {
      const length = readSync(file.fd, this.#scratch, 0, SCRATCH, 0);
      if (length === SCRATCH) return undefined;
      file.length = length;
      return this.#scratch.slice(0, length);
    } catch {
      return undefined; // Whatever it is: the long way explains it.
    } finally {
      runNow(files.release(file));
      disk.took(performance.now() - start);
    }
  }

  #read(key: string): Uint8Array | Promise<Uint8Array> {
    const { disk, layout } = this.#parts;
    const steps = () => this.#value(key);
    const explain = (error: unknown) => {
      if (isOutOfFiles(error)) return withRoom(this.#parts, "read", key, steps);
      throw ioError("read", layout.directory, error, key);
    };
    try {
      const value = disk.run(steps());
      return value instanceof Promise ? value.catch(explain) : value;
    } catch (error) {
      return explain(error);
    }
  }

  *#value(key: string): Steps<Uint8Array> {
    const { files } = this.#parts;
    const file = yield* files.take(key);
    if (!file) return new Uint8Array(0);
    try {
      if (file.length < 0) {
        const short = yield* this.#shortValue(file);
        if (short) return short;
        file.length = ((yield ["fstat", file.fd]) as Stats).size;
      }
      const bytes = allocateBytes(file.length);
      const count = yield* readAll(file.fd, bytes, 0);
      return count === bytes.byteLength ? bytes : bytes.slice(0, count);
    } finally {
      yield* files.release(file);
    }
  }

  /** The value, if it is shorter than the scratch buffer and that is free. */
  *#shortValue(file: OpenFile): Steps<Uint8Array | undefined> {
    if (this.#scratchInUse) return undefined;
    this.#scratchInUse = true;
    try {
      const length = (yield ["read", file.fd, this.#scratch, 0, SCRATCH, 0]) as number;
      if (length === SCRATCH) return undefined;
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
    const { disk, layout } = this.#parts;
    const piece = (position: number) =>
      disk.run(readPiece(fd, position, Math.min(PIECE, length - position)));
    let ahead: Uint8Array | Promise<Uint8Array> | undefined;
    try {
      for (let position = 0; position < length; ) {
        signal?.throwIfAborted();
        const bytes = await (ahead ?? piece(position));
        ahead = undefined;
        if (bytes.byteLength === 0) return; // Cut by someone who does not take the lock.
        position += bytes.byteLength;
        if (position < length) {
          ahead = piece(position);
          if (ahead instanceof Promise) ahead.catch(() => {}); // Told when its turn comes.
        }
        yield bytes;
      }
    } catch (error) {
      throw error === signal?.reason && signal?.aborted
        ? error
        : ioError("read", layout.directory, error, key);
    } finally {
      // The descriptor must not be another file's while the thread pool reads from it.
      await Promise.allSettled([ahead]);
      await disk.run(close(fd));
    }
  }
}

function* readPiece(fd: number, position: number, length: number): Steps<Uint8Array> {
  const bytes = new Uint8Array(length);
  const count = yield* readAll(fd, bytes, position);
  return count === length ? bytes : bytes.slice(0, count);
}

function* statOf(fd: number): Steps<Stats> {
  return (yield ["fstat", fd]) as Stats;
}

function* close(fd: number): Steps<void> {
  yield ["close", fd];
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

const SCRATCH = 32_768;
/** Length of a stream's pieces, in bytes. */
const PIECE = 2 ** 19;
/** Reads in the thread pool under way at once. */
const WIDTH = 32;
