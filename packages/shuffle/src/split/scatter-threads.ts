import { Worker } from "node:worker_threads";
import { onAbort } from "@partd/core/author";
import type { RecordsPart } from "@partd/records";
import type { Missing } from "../source/missing.js";
import { errorOf, type ThreadFailure } from "../threads/thread-failure.js";

/** What a thread is started with. */
export interface ScatterJob {
  readonly fields: readonly string[];
  readonly missing: Exclude<Missing, (record: Uint8Array) => void>;
  readonly paths: readonly string[];
  readonly parts: readonly RecordsPart[];
  /** Over shared memory, as `control`: see `Scatter`. */
  readonly positions: Float64Array;
  readonly control: Int32Array;
}

export type ScatterMessage =
  | { readonly records: number; readonly bytes: number }
  | { readonly done: true }
  | ThreadFailure;

/** Scatters parts by so many threads. Of a failure, all threads are ended before it is thrown. */
export async function scatterByThreads(
  job: ScatterJob,
  threads: number,
  signal: AbortSignal | undefined,
  onBatch: (records: number, bytes: number) => void,
): Promise<void> {
  signal?.throwIfAborted();
  const workers = Array.from({ length: threads }, () => {
    return new Worker(new URL("./scatter-worker.js", import.meta.url), { workerData: job });
  });
  let forget = () => {};
  try {
    const aborted = new Promise<never>((_, reject) => {
      if (signal) forget = onAbort(signal, () => reject(signal.reason));
    });
    aborted.catch(() => {});
    const all = Promise.all(workers.map((worker) => ended(worker, onBatch)));
    await Promise.race([all, aborted]);
  } finally {
    forget();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function ended(worker: Worker, onBatch: (records: number, bytes: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.on("message", (message: ScatterMessage) => {
      if ("done" in message) resolve();
      else if ("records" in message) onBatch(message.records, message.bytes);
      else reject(errorOf(message));
    });
    worker.on("error", reject);
    worker.on("exit", () => reject(new Error("a thread ended before its work")));
  });
}
