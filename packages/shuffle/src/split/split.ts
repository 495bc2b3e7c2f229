import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { mkdir, open, rm, rmdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { encodeKey, PartdError } from "@partd/core";
import { checkIntegerOption, checkOptionNames, type OptionNames, Pace } from "@partd/core/author";
import { type GroupByOptions, groupBy } from "../group/group-by.js";
import { type Partitioner, partitionFinder } from "../partition/partitioner.js";
import { type ShuffleOptions, shuffle } from "../partition/shuffle.js";
import { ProgressReport } from "../run/progress.js";
import { limitOf } from "../run/record-limit.js";
import { memoryFor, RUN_OPTIONS, type RunOptions } from "../run/run.js";
import { type By, fieldsOf, type KeyOf } from "../source/by.js";
import { GroupKeyer } from "../source/group-keyer.js";
import { isRecords, type Source } from "../source/input.js";
import type { MissingOption } from "../source/missing.js";
import { diskError } from "../spill/disk-error.js";
import { threadProgram } from "../threads/thread-program.js";
import { PartTurns } from "./part-turns.js";
import { PART_BYTES, Scatter } from "./scatter.js";
import { ScatterThreads, scatterProgram } from "./scatter-threads.js";

export interface SplitOptions<R, B extends By<R>> extends RunOptions, MissingOption {
  /** The key of a record: a field's name, several names, or a function. */
  readonly by: B;
  /** The folder for the files; created if missing. */
  readonly into: string;
  /**
   * The end of each file's name, which changes nothing in the file. Default: that of the source's format,
   * `".csv"` or `".ndjson"`.
   */
  readonly extension?: string | undefined;
  /**
   * Names the file of a key, within the folder and without `extension`. Default: the key as text, with
   * `%XX` for characters that a file name cannot have; `2024%2CJFK` for a key of two fields.
   */
  readonly name?: ((key: KeyOf<R, B>) => string) | undefined;
  /** Writes this many files by hash, named by number, instead of one for each key. */
  readonly partitions?: number | undefined;
  /**
   * With `partitions`, over files and by a field: how many threads read and write. Default: the number
   * of processors, at most 8; one for less than 64 MiB.
   */
  readonly threads?: number | undefined;
  /** With `partitions`: see `shuffle`. */
  readonly partitioner?: Partitioner<KeyOf<R, B>> | undefined;
}

const OPTIONS: OptionNames<SplitOptions<unknown, By<unknown>>> = {
  by: true,
  missing: true,
  into: true,
  extension: true,
  name: true,
  partitions: true,
  threads: true,
  partitioner: true,
  ...RUN_OPTIONS,
};

/** What was written. */
export interface SplitResult {
  /** How many files. */
  readonly files: number;
  /** Their bytes together. */
  readonly bytes: number;
}

/**
 * Writes the records of each key to a file of their own, in the order of the source and never parsed.
 * One file is open at a time, however many there are. If the call fails, the files that it has made are
 * removed.
 *
 * ```ts
 * await split(events, { by: "user", into: "users" }); // users/ann.ndjson, users/bob.ndjson …
 * ```
 *
 * @throws `ERR_PARTD_IO` if a file exists already, or cannot be written; `ERR_PARTD_VALUE` for an
 *   `extension` of packed files or tables.
 */
export async function split<R, const B extends By<R>>(
  source: Source<R>,
  options: SplitOptions<R, B>,
): Promise<SplitResult> {
  checkOptionNames("split", options, OPTIONS);
  const { into, extension: ending } = options;
  if (typeof into !== "string" || into === "") {
    throw new PartdError(
      "ERR_PARTD_VALUE",
      `into must be the path of a folder for the files, as in split(events, { by: "user", into: "users" }), not ${into === "" ? '""' : String(into)}.`,
    );
  }
  const format = isRecords(source) ? source.format : undefined;
  const extension = ending ?? `.${format?.name ?? "ndjson"}`;
  checkExtension(extension, format?.name ?? "ndjson");
  // The header is known once the source is being read.
  const files = new SplitFiles(into, extension, () => format?.header);
  try {
    if (!(await scatterToFiles(source, options, files))) await writeParts(source, options, files);
  } catch (error) {
    await files.remove();
    throw error;
  }
  return { files: files.count, bytes: files.bytes };
}

/**
 * The fast way for records of a reader by the hash of fields, into as many files as may be open at a
 * time.
 *
 * @returns whether this was such a case.
 */
async function scatterToFiles<R, B extends By<R>>(
  source: Source<R>,
  options: SplitOptions<R, B>,
  files: SplitFiles,
): Promise<boolean> {
  const { partitions, partitioner = "hash", by, signal } = options;
  const fields = fieldsOf(by);
  if (!isRecords(source) || !fields || partitions === undefined || partitioner !== "hash") {
    return false;
  }
  if (!(partitions <= MOST_OPEN_FILES)) return false;
  const { missing, watch } = new GroupKeyer(by, options);
  const { count } = partitionFinder("hash", partitions);
  const limit = limitOf("split", memoryFor(options));
  const byteLength = await source.byteLength();
  const progress = new ProgressReport(options.onProgress, byteLength, () => 0);
  const program = threadProgram(scatterProgram, options.threads);
  const others = program ? scatterThreads(options.threads, byteLength) - 1 : 0;
  const threads =
    program && others > 0
      ? new ScatterThreads(program, others, (records, bytes) => progress.add(records, bytes))
      : undefined;
  try {
    const parts =
      threads && (await source.split(Math.ceil(byteLength! / PART_BYTES), { guess: true }));
    const opened = await files.makeAll(count);
    const positions = new Float64Array(new SharedArrayBuffer(8 * count));
    const scatter = new Scatter(fields, missing, opened, positions, limit);
    try {
      const { header } = source.format;
      // The header of a CSV that nobody has read yet is unknown.
      const isHeaderKnown = header !== undefined || source.format.name !== "csv";
      const isApart = parts && typeof missing === "string" && isHeaderKnown;
      if (
        isApart &&
        (!watch || !parts[0] || (await watch.isSettledBy(parts[0], { signal, limit })))
      ) {
        scatter.begin(header);
        const job = {
          fields,
          missing,
          files: opened,
          parts,
          positions,
          turns: PartTurns.state(),
          limit,
        };
        await threads.scatter(scatter, job, signal);
      } else {
        await threads?.end();
        await scatter.all(source, signal, (scan, bytes) => {
          watch?.scanned(scan, source);
          progress.add(scan.count, bytes);
        });
        watch?.end();
      }
    } catch (cause) {
      progress.end();
      throw diskError("write to", files.folder, cause);
    }
    files.bytes = positions.reduce((sum, length) => sum + length, 0);
  } finally {
    // No thread may write any longer: another file could get the same number.
    await threads?.end();
    files.close();
  }
  progress.done();
  return true;
}

/** Writes the partitions, or the groups, one file after the other. */
async function writeParts<R, B extends By<R>>(
  source: Source<R>,
  { into, extension, name, partitions, partitioner, threads, ...options }: SplitOptions<R, B>,
  files: SplitFiles,
): Promise<void> {
  if (partitions !== undefined || partitioner !== undefined) {
    const shuffling = { ...options, partitions, partitioner } as ShuffleOptions<R, B>;
    for await (const partition of shuffle(source, shuffling)) {
      await files.write(String(partition.index), partition.bytes());
    }
    return;
  }
  const names = new FileNames(name as (key: unknown) => string);
  for await (const group of groupBy(source, options as GroupByOptions<R, B>)) {
    await files.write(names.of(group.key), group.bytes());
  }
}

/** Below the 1,024 that many systems allow a process by default. */
const MOST_OPEN_FILES = 512;

/** A thread takes 50 ms to start, which does not pay for little input. */
function scatterThreads(asked: number | undefined, byteLength: number | undefined): number {
  if (byteLength === undefined) return 1;
  if (asked !== undefined) return checkIntegerOption("threads", asked, 1, 256);
  return byteLength < 64 << 20 ? 1 : Math.min(8, availableParallelism());
}

class SplitFiles {
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
      throw diskError("write", path, cause);
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
        throw diskError("make", path, cause);
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
class FileNames {
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

function checkExtension(extension: string, format: string): void {
  if (!OTHER_FILES.test(extension)) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `extension ${extension} would not be true: the files are ${format}, and are not packed. Pack or convert them afterwards.`,
  );
}

/** The ends of names of packed files and of tables, which `split` does not write. */
const OTHER_FILES = /\.(?:gz|gzip|zstd?|bz2|xz|lzma|lz4|br|zip|7z|parquet|arrows?|feather)$/i;

/** File systems have 255 bytes for a name; the extension needs some. */
const LONGEST_NAME = 200;

function isInside(name: string): boolean {
  if (typeof name !== "string" || name === "" || name.includes("\0")) return false;
  const parts = name.split(/[/\\]/);
  return !/^([/\\]|[A-Za-z]:)/.test(name) && parts.every((part) => part !== ".." && part !== "");
}
