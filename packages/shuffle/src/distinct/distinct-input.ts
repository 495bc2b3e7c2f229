import type { Records } from "@partd/records";
import type { Reading } from "../run/record-limit.js";
import type { Run } from "../run/run.js";
import type { GroupKeyer } from "../source/group-keyer.js";
import { type Input, isRecords, type Source } from "../source/input.js";
import type { KeyedBatch } from "../source/keyed-batch.js";
import { withShortKeys } from "../source/short-keys.js";
import { readByThreads, type Share, ShareResult, startShares } from "../threads/share-threads.js";
import { threadProgram } from "../threads/thread-program.js";
import { type KeyFields, unseenRecords } from "./unseen-records.js";

/** The start data of a thread that looks for first records. */
export interface DistinctJob extends Share, KeyFields {}

/** Yields the records of a source in batches, and leaves out some of those whose key has come before. */
export async function* keyedBatches<R>(
  run: Run,
  reading: Reading,
  source: Source<R>,
  input: Input<R>,
  keyer: GroupKeyer<R>,
  threads: number | undefined,
): AsyncGenerator<KeyedBatch> {
  const { fields, missing, watch } = keyer;
  if (!fields || !isRecords(source)) {
    yield* readAll(run, input, reading);
    return;
  }
  const keys = { fields, missing };
  const mostBytes = run.workspace.byteLength * UNSEEN_SHARE;
  const read = async function* (sources: Iterable<Records<R>>) {
    const found = unseenRecords(sources, keys, mostBytes, reading, (scan, consumed) => {
      watch?.scanned(scan, source);
      run.progress.read(scan, consumed);
    });
    for await (const { batch } of found) yield withShortKeys(batch);
  };
  const program = threadProgram(() => new URL("./distinct-worker.js", import.meta.url), threads);
  // This thread needs no head start: it also hands on what it finds.
  const shares =
    program &&
    (await startShares<readonly KeyedBatch[]>(
      run,
      source,
      keyer.missing,
      [keyer.watch],
      threads,
      program,
      0,
    ));
  run.workspace.charge(mostBytes);
  try {
    if (!shares) {
      yield* read([source]);
      keyer.end();
      return;
    }
    const byThreads = readByThreads<R, KeyedBatch, readonly KeyedBatch[]>(run, shares, keys, read);
    for await (const found of byThreads) {
      if (found instanceof ShareResult) {
        found.isTaken = true;
        yield* found.value.map(withShortKeys);
      } else yield found;
    }
  } finally {
    run.workspace.uncharge(mostBytes);
  }
}

/** The share of memory for the scanner's table of keys; the index of all keys comes on top. */
const UNSEEN_SHARE = 0.1;

/** Yields all records of a source in batches. */
export async function* readAll(
  run: Run,
  input: Input<unknown>,
  reading: Reading,
): AsyncGenerator<KeyedBatch> {
  for await (const batch of input.batches(reading)) {
    run.progress.read(batch, input.consumed);
    yield withShortKeys(batch);
  }
}
