import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { mkdir, open, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { encodeKey, PartdError } from "@partd/core";
import { Pace } from "@partd/core/author";
import { outputError } from "../spill/disk-error.js";

/** The files that `split` writes into a folder, and how to remove them again. */
export class SplitFiles {
  bytes = 0;
  readonly folder: string;
  readonly #extension: string;
  readonly #header: () => Uint8Array | undefined;
  readonly #paths: string[] = [];
  /** Descriptors of those that {@link makeAll} has made. */
  readonly #open: number[] = [];
  /** Folders that were created, outer ones first. */
  readonly #made: string[] = [];
  readonly #folders = new Set<string>();
  readonly #pace = new Pace();

  /** @param header what each file begins with. */
  constructor(folder: string, extension: string, header: () => Uint8Array | undefined) {
    this.folder = resolve(folder);
    this.#extension = extension;
    this.#header = header;
  }

  get count(): number {
    return this.#paths.length;
  }

  async write(name: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const path = join(this.folder, name + this.#extension);
    const iterator = behind(this.#header, pieces);
    try {
      await this.#makeFolder(dirname(path));
      const begin: Uint8Array[] = [];
      let length = 0;
      let next = await iterator.next();
      for (; !next.done && length < WHOLE_BYTES; next = await iterator.next()) {
        begin.push(next.value);
        length += next.value.length;
      }
      if (next.done) this.#writeWhole(path, begin);
      else await this.#writePieces(path, [...begin, next.value], iterator);
    } catch (cause) {
      throw outputError("write", path, cause);
    } finally {
      await iterator.return(undefined);
    }
    if (this.#pace.isOver) await this.#pace.rest();
  }

  /** At once in this thread: 30 µs for a small file; the thread pool takes 150. */
  #writeWhole(path: string, pieces: readonly Uint8Array[]): void {
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    const file = openSync(path, "wx");
    this.#paths.push(path);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    } finally {
      closeSync(file);
    }
    this.bytes += bytes.length;
  }

  async #writePieces(
    path: string,
    begin: readonly Uint8Array[],
    rest: AsyncIterator<Uint8Array>,
  ): Promise<void> {
    const file = await open(path, "wx");
    this.#paths.push(path);
    try {
      for (const piece of begin) await this.#writePiece(file, piece);
      for (let next = await rest.next(); !next.done; next = await rest.next()) {
        await this.#writePiece(file, next.value);
      }
    } finally {
      await file.close();
    }
  }

  async #writePiece(file: Awaited<ReturnType<typeof open>>, piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; ) at += (await file.write(piece, at)).bytesWritten;
    this.bytes += piece.length;
  }

  /**
   * Creates this many empty files, named by number.
   *
   * @returns their descriptors, for all threads; {@link close} ends them.
   */
  async makeAll(count: number): Promise<readonly number[]> {
    await this.#makeFolder(this.folder);
    for (let index = 0; index < count; index++) {
      const path = join(this.folder, `${index}${this.#extension}`);
      try {
        this.#open.push(openSync(path, "wx"));
      } catch (cause) {
        throw outputError("make", path, cause);
      }
      this.#paths.push(path);
    }
    return [...this.#open];
  }

  close(): void {
    for (const file of this.#open.splice(0)) closeSync(file);
  }

  async #makeFolder(folder: string): Promise<void> {
    if (this.#folders.has(folder)) return;
    const outermost = await mkdir(folder, { recursive: true }).catch((cause) => {
      if (cause.code !== "EEXIST" && cause.code !== "ENOTDIR") throw cause;
      throw new PartdError(
        "ERR_PARTD_IO",
        `Cannot make the folder ${folder}: a file is where it or a folder above it should be; choose another folder, or move the file away.`,
        { path: folder, cause },
      );
    });
    this.#folders.add(folder);
    if (outermost !== undefined) this.#made.push(outermost, folder);
  }

  async remove(): Promise<void> {
    for (const path of this.#paths) await rm(path, { force: true });
    for (const folder of this.#made.reverse()) {
      await rmdir(folder).catch(() => {}); // Another program has put files there.
    }
  }
}

/** Bytes of a file that are gathered to be written at once. */
const WHOLE_BYTES = 256 << 10;

async function* behind(
  header: () => Uint8Array | undefined,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const first = header();
  if (first) yield first;
  yield* pieces;
}

/** File names for keys, different for each key. */
export class FileNames {
  readonly #nameOf: ((key: unknown) => string) | undefined;
  readonly #taken = new Set<string>();

  constructor(nameOf: ((key: unknown) => string) | undefined) {
    this.#nameOf = nameOf;
  }

  of(key: unknown): string {
    let name = this.#nameOf?.(key) ?? defaultName(key);
    if (this.#nameOf && !isInside(name)) {
      throw new PartdError(
        "ERR_PARTD_KEY",
        `The name ${JSON.stringify(name)} for a key leads out of the folder: let name give a path within it.`,
      );
    }
    // 1 and "1" are two keys. No encoded key ends in "%" and a letter that is not a hexadecimal digit.
    if (!this.#nameOf) while (this.#taken.has(name)) name += `%${typeof key}`;
    this.#taken.add(name);
    return name;
  }
}

function defaultName(key: unknown): string {
  if (key === undefined) return "%missing";
  const text = typeof key === "string" ? key : key instanceof Date ? isoDate(key) : plain(key);
  const name = encodeKey(text.toWellFormed());
  if (name.length <= LONGEST_NAME) return name;
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 32);
  return `${name.slice(0, LONGEST_NAME - 40).replace(/%.?$/, "")}%long-${digest}`;
}

function isoDate(date: Date): string {
  return Number.isNaN(date.getTime()) ? "Invalid Date" : date.toISOString();
}

function plain(key: unknown): string {
  if (key instanceof Uint8Array) return Buffer.from(key).toString("hex");
  return Array.isArray(key) ? key.map(plain).join(",") : String(key);
}

/** File systems have 255 bytes for a name; the extension needs some. */
const LONGEST_NAME = 200;

function isInside(name: string): boolean {
  if (typeof name !== "string" || name === "" || name.includes("\0")) return false;
  const parts = name.split(/[/\\]/);
  return !/^([/\\]|[A-Za-z]:)/.test(name) && parts.every((part) => part !== ".." && part !== "");
}
