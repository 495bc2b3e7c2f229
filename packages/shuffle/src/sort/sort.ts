import type { OptionNames } from "@partd/core/author";
import { RecordOutput } from "../run/record-output.js";
import { memoryFor, RUN_OPTIONS, Run, type RunOptions, spillOf } from "../run/run.js";
import type { Visit } from "../run/walk.js";
import { byteLengthOf, inputOf, type Source } from "../source/input.js";
import type { Checkpoint } from "./checkpoint.js";
import type { SortedRecord } from "./gathered-records.js";
import { batchesToSort } from "./sort-input.js";
import { checkSortOptions, type SortKey, SortKeyer } from "./sort-key.js";
import { Sorter } from "./sorter.js";

export interface SortOptions<R> extends RunOptions {
  /** What to sort by; of several keys, each decides where those before it are equal. */
  readonly by: SortKey<R> | readonly SortKey<R>[];
  /**
   * A directory for the sorted runs, instead of `dir` and `store`, so that a killed sort can be
   * continued: the same call over the same source skips the records whose runs are complete. It is
   * created when the first run is spilled, serves one sort at a time, and is yours to remove once the
   * result is safe. Runs of an earlier boot, of another machine or of another `memory` are sorted
   * again.
   *
   * `ERR_PARTD_LOCK`: another process sorts with it. `ERR_PARTD_CORRUPT`: the source has fewer records
   * than its runs.
   */
  readonly checkpoint?: string | undefined;
  /**
   * From 2 on, a thread of its own reads the records and makes their keys, if `by` is fields of plain files. Default:
   * 2 from 64 MiB of input and 128 MB of `memory` on, if there are two processors; else 1.
   */
  readonly threads?: number | undefined;
}

const OPTIONS: OptionNames<SortOptions<unknown>> = {
  by: true,
  checkpoint: true,
  threads: true,
  ...RUN_OPTIONS,
};

/**
 * Sorts records. The sort is stable: equal records keep the order of the source. Text is in the order
 * of its code points. Values of different types are sorted by type: booleans, numbers and bigints,
 * dates, text, bytes, lists, `null`, missing.
 *
 * ```ts
 * for await (const event of sort(events, { by: ["user", { by: "ms", order: "desc" }] })) { … }
 * ```
 *
 * @throws what {@link RunOptions} lists.
 */
export function sort<R>(source: Source<R>, options: SortOptions<R>): RecordOutput<R> {
  checkSortOptions("sort", options, OPTIONS);
  const keyer = new SortKeyer<R>("sort", options.by);
  return new RecordOutput(
    (visit, signal) => sorted(source, keyer, { ...options, signal }, visit),
    inputOf(source, keyer),
    options.signal,
  );
}

async function* sorted<R>(
  source: Source<R>,
  keyer: SortKeyer<R>,
  options: SortOptions<R>,
  visit: Visit,
): AsyncGenerator<void> {
  const byteLength = await byteLengthOf(source);
  const { checkpoint: directory } = options;
  const checkpoint =
    directory === undefined
      ? undefined
      : await openCheckpoint(directory, spillOf(byteLength, memoryFor(options)));
  const run = new Run("sort", options, byteLength, undefined, checkpoint?.space);
  try {
    const sorter = new Sorter(run.workspace, checkpoint);
    const reading = { ...run.reading, makeRoom: (bytes: number) => sorter.makeRoom(bytes) };
    for await (const batch of batchesToSort(run, reading, source, keyer, options.threads)) {
      run.signal?.throwIfAborted();
      await sorter.add(batch);
    }
    run.progress.write();
    const each = ({ bytes, start, end, isOwn }: SortedRecord) => visit(bytes, start, end, isOwn);
    yield* sorter.walk(each, visit.joined);
    run.progress.done();
  } finally {
    await run.close();
  }
}

async function openCheckpoint(directory: string, expected: number): Promise<Checkpoint> {
  const { Checkpoint } = await import("./checkpoint.js");
  return new Checkpoint(directory, expected);
}
