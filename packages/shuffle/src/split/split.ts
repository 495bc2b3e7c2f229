import { availableParallelism } from "node:os";
import { PartdError } from "@partd/core";
import { checkIntegerOption, checkOptionNames, type OptionNames } from "@partd/core/author";
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
import { outputError } from "../spill/disk-error.js";
import { threadProgram } from "../threads/thread-program.js";
import { PartTurns } from "./part-turns.js";
import { PART_BYTES, Scatter } from "./scatter.js";
import { ScatterThreads, scatterProgram } from "./scatter-threads.js";
import { FileNames, SplitFiles } from "./split-files.js";

export interface SplitOptions<R, B extends By<R>> extends RunOptions, MissingOption {
  /** The key of a record: a field's name, several names, or a function. */
  readonly by: B;
  /** The folder for the files; created if missing. */
  readonly into: string;
  /**
   * The end of each file's name. It does not change the format. Default: the ending of the source's
   * format, `".csv"` or `".ndjson"`.
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
      throw outputError("write to", files.folder, cause);
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

function checkExtension(extension: string, format: string): void {
  if (!OTHER_FILES.test(extension)) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `extension ${extension} does not fit: the files are ${format}, and are not compressed. Compress or convert them afterwards.`,
  );
}

/** The ends of names of packed files and of tables, which `split` does not write. */
const OTHER_FILES = /\.(?:gz|gzip|zstd?|bz2|xz|lzma|lz4|br|zip|7z|parquet|arrows?|feather)$/i;
