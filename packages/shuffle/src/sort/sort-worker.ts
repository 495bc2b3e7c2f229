// The entry of a thread that reads records and makes the keys that they are sorted by: see `sort-input.ts`.
import { parentPort } from "node:worker_threads";
import { openPart } from "@partd/records";
import { inputOf } from "../source/input.js";
import { LongRecord, leaveLong } from "../threads/share-work.js";
import { failureOf } from "../threads/thread-failure.js";
import { jobOfThread } from "../threads/thread-job.js";
import { packBatch } from "./packed-batch.js";
import type { KeyingJob, KeyingMessage } from "./sort-input.js";
import { SortKeyer } from "./sort-key.js";

const { parts, rules, limit } = await jobOfThread<KeyingJob>();
const tell = (message: KeyingMessage, transfer: ArrayBuffer[] = []) => {
  parentPort?.postMessage(message, transfer);
};

/** The most bytes of batches that are on their way, unless a batch is longer. */
const MOST_AHEAD = 6 << 20;
/** The longest memory that is kept for further batches. */
const MOST_KEPT = 2 << 20;
let ahead = 0;
const spares: ArrayBuffer[] = [];
let wake = () => {};
parentPort?.on("message", (memory: ArrayBuffer) => {
  ahead -= memory.byteLength;
  if (memory.byteLength <= MOST_KEPT) spares.push(memory);
  wake();
});

const keyer = new SortKeyer("sort", rules);
/** What follows has not been sent. */
let place = { part: 0, start: parts[0]!.start };
try {
  for (const [part, { start }] of parts.entries()) {
    const records = openPart(parts[part]!);
    const input = inputOf(records, keyer);
    let consumed = 0;
    place = { part, start };
    for await (const batch of input.batches({ limit, makeRoom: leaveLong })) {
      while (ahead > MOST_AHEAD) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const packed = packBatch(batch, spares.pop());
      ahead += packed.memory.byteLength;
      tell({ batch: packed, bytes: input.consumed! - consumed }, [packed.memory]);
      consumed = input.consumed!;
      place = { part, start: records.reached };
    }
  }
  tell({ rest: undefined });
} catch (error) {
  tell(error instanceof LongRecord ? { rest: place } : failureOf(error));
}
parentPort?.removeAllListeners("message");
