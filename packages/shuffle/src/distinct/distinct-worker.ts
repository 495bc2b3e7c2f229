// The entry of a thread that finds the first records of keys in a share of the input: see `distinct-input.ts`.
import { parentPort, workerData } from "node:worker_threads";
import { KeyIndex } from "../fold/key-index.js";
import { BatchWriter, type KeyedBatch } from "../source/keyed-batch.js";
import {
  isFullBy,
  PartSequence,
  readingOfThread,
  type ShareMessage,
} from "../threads/share-threads.js";
import { failureOf } from "../threads/thread-failure.js";
import type { DistinctJob } from "./distinct-input.js";
import { unseenRecords } from "./unseen-records.js";

const job = workerData as DistinctJob;
const tell = (message: ShareMessage<readonly KeyedBatch[]>) => parentPort?.postMessage(message);
try {
  tell(await firsts());
} catch (error) {
  tell(isFullBy(error) ? { isFull: true } : failureOf(error));
}

async function firsts(): Promise<ShareMessage<readonly KeyedBatch[]>> {
  /** The keys found so far, once the scanner no longer tells which ones are new. */
  let index: KeyIndex | undefined;
  const found: KeyedBatch[] = [];
  const writer = new BatchWriter();
  let numbers = new Uint32Array(0);
  const number = (by: KeyIndex, batch: KeyedBatch) => {
    if (numbers.length < batch.count) numbers = new Uint32Array(2 * batch.count);
    by.number(batch, numbers, false);
  };
  let foundBytes = 0;
  let consumed = 0;
  const sequence = new PartSequence();
  const mostUnseen = job.mostBytes / 4;
  const batches = unseenRecords(
    sequence.open(job.parts),
    job,
    mostUnseen,
    readingOfThread(job),
    (scan, now) => {
      // Each part counts from 0.
      tell({ records: scan.count, bytes: now < consumed ? now : now - consumed });
      consumed = now;
    },
  );
  for await (const { batch, areNew } of batches) {
    const { count, bytes, ends, keys, keyStarts, keyEnds, hashLow, hashHigh } = batch;
    if (!areNew && !index) {
      index = new KeyIndex();
      for (const before of [...found, writer]) number(index, before);
    }
    let next = index?.count ?? 0;
    if (index) number(index, batch);
    for (let i = 0; i < count && (!index || next < index.count); i++) {
      if (index) {
        if (numbers[i] !== next) continue;
        next++;
      }
      const start = i === 0 ? 0 : ends[i - 1]!;
      writer.addRecord(bytes.subarray(start, ends[i]!));
      writer.add(keys, keyStarts[i]!, keyEnds[i]!, hashLow[i]!, hashHigh[i]!);
      foundBytes += ends[i]! - start + keyEnds[i]! - keyStarts[i]! + 20;
      if (!writer.isFull) continue;
      found.push(copyOf(writer));
      writer.clear();
    }
    const indexBytes = index?.byteLength ?? 0;
    if (indexBytes + foundBytes > job.mostBytes - mostUnseen || index?.isFull) {
      return { isFull: true };
    }
  }
  found.push(copyOf(writer));
  return { result: found, reached: sequence.reached! };
}

/** A copy that is as long as its content: a view would be sent with the whole memory behind it. */
function copyOf(batch: KeyedBatch): KeyedBatch {
  const { count } = batch;
  return {
    count,
    bytes: batch.bytes.slice(0, batch.ends[count - 1] ?? 0),
    ends: batch.ends.slice(0, count),
    keys: batch.keys.slice(0, batch.keyEnds[count - 1] ?? 0),
    keyStarts: batch.keyStarts.slice(0, count),
    keyEnds: batch.keyEnds.slice(0, count),
    hashLow: batch.hashLow.slice(0, count),
    hashHigh: batch.hashHigh.slice(0, count),
  };
}
