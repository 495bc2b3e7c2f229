// The entry of a thread that aggregates parts of the input: see `fold-threads.ts`.
import { parentPort, workerData } from "node:worker_threads";
import { decodeGroupKey, openPart } from "@partd/records";
import type { ShareMessage } from "../threads/share-threads.js";
import { failureOf } from "../threads/thread-failure.js";
import { MERGEABLE } from "./aggregates.js";
import type { FoldedShare } from "./fold.js";
import { type FoldJob, fieldBatches } from "./fold-input.js";
import { KeyIndex } from "./key-index.js";

const job = workerData as FoldJob;
const tell = (message: ShareMessage<FoldedShare>) => parentPort?.postMessage(message);
try {
  tell(await fold());
} catch (error) {
  tell(failureOf(error));
}

async function fold(): Promise<ShareMessage<FoldedShare>> {
  const index = new KeyIndex();
  const columns = job.names.map((name) => MERGEABLE[name]!("").column());
  const bytesPerKey = columns.reduce((sum, column) => sum + column.bytesPerKey, 0);
  let numbers = new Uint32Array(0);
  for (const part of job.parts) {
    let consumed = 0;
    const batches = fieldBatches(openPart(part), job, undefined, (scan, now) => {
      tell({ records: scan.count, bytes: now - consumed });
      consumed = now;
    });
    for await (const { keyed, values } of batches) {
      if (numbers.length < keyed.count) numbers = new Uint32Array(2 * keyed.count);
      index.number(keyed, numbers, false);
      const key = (number: number) => index.at(number, decodeGroupKey);
      const numbered = { count: keyed.count, numbers, keys: index.count, key };
      for (const [i, column] of columns.entries()) column.add(numbered, values[i] ?? []);
      const bytes = index.byteLength + index.count * bytesPerKey;
      if (bytes > job.mostBytes || index.isFull) return { isFull: true };
    }
  }
  const { keyed } = index;
  // A view would be copied with all memory behind it.
  const own = { ...keyed, keys: keyed.keys.slice(), keyEnds: keyed.keyEnds.slice() };
  const states = columns.map((column) => column.states!(index.count));
  return { result: { keyed: own, states } };
}
