// The entry of a thread that finds the first records of keys in a share of the input: see `distinct-input.ts`.
import { KeyIndex } from "../fold/key-index.js";
import { BatchWriter, type KeyedBatch } from "../source/keyed-batch.js";
import { workOnShare } from "../threads/share-work.js";
import { jobOfThread } from "../threads/thread-job.js";
import type { DistinctJob } from "./distinct-input.js";
import { unseenRecords } from "./unseen-records.js";

const job = await jobOfThread<DistinctJob>();
await workOnShare<readonly KeyedBatch[]>(job, async (sources, reading, onRead) => {
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
  const mostUnseen = job.mostBytes / 4;
  const batches = unseenRecords(sources, job, mostUnseen, reading, onRead);
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
      return undefined;
    }
  }
  found.push(copyOf(writer));
  return found;
});

/** Copies a batch to arrays of exact length: a view would be sent with its whole buffer. */
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
