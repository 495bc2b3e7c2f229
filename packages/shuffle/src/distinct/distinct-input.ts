import type { Run } from "../run/run.js";
import type { GroupKeyer } from "../source/group-keyer.js";
import { type Input, inputOf, type Source } from "../source/input.js";
import type { KeyedBatch } from "../source/keyed-batch.js";
import type { Missing } from "../source/missing.js";
import { isRecords } from "../source/records-input.js";
import { readByThreads, type Share, ShareResult, sharesOf } from "../threads/share-threads.js";

/** What a thread that looks for first records is started with. */
export interface DistinctJob extends Share {
  readonly fields: readonly string[];
  readonly missing: Missing;
}

/** A source in batches; of the shares that threads read, only the first record of each key in the share. */
export async function* keyedBatches<R>(
  run: Run,
  source: Source<R>,
  input: Input<R>,
  keyer: GroupKeyer<R>,
  threads: number | undefined,
): AsyncGenerator<KeyedBatch> {
  const { fields, missing } = keyer;
  const shares =
    fields && isRecords(source) ? await sharesOf(run, source, missing, threads) : undefined;
  if (!shares) {
    yield* readAll(run, input);
    return;
  }
  const program = {
    entry: new URL("./distinct-worker.js", import.meta.url),
    job: { fields, missing },
  };
  const reading = readByThreads<R, KeyedBatch, readonly KeyedBatch[]>(
    run,
    shares,
    program,
    async function* (parts) {
      for (const records of parts) yield* readAll(run, inputOf(records, keyer));
    },
  );
  for await (const read of reading) {
    if (read instanceof ShareResult) {
      read.isTaken = true;
      yield* read.value;
    } else yield read;
  }
}

export async function* readAll(run: Run, input: Input<unknown>): AsyncGenerator<KeyedBatch> {
  for await (const batch of input.batches(run.signal)) {
    run.progress.read(batch, input.consumed);
    yield batch;
  }
}
