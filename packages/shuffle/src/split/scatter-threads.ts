import { Worker } from "node:worker_threads";
import { onAbort } from "@partd/core/author";
import type { RecordsPart } from "@partd/records";
import type { RecordLimit } from "../run/record-limit.js";
import type { Missing } from "../source/missing.js";
import { errorOf, type ThreadFailure } from "../threads/thread-failure.js";
import { PartTurns } from "./part-turns.js";
import type { Scatter } from "./scatter.js";

/** The start data of a thread. */
export interface ScatterJob {
  readonly fields: readonly string[];
  readonly missing: Exclude<Missing, (record: Uint8Array) => void>;
  readonly paths: readonly string[];
  readonly parts: readonly RecordsPart[];
  /** In shared memory: see `Scatter`. */
  readonly positions: Float64Array;
  readonly limit: RecordLimit;
  /** The state of `PartTurns`. */
  readonly turns: Int32Array;
}

export type ScatterMessage =
  | { readonly records: number; readonly bytes: number }
  | { readonly done: true }
  | ThreadFailure;

export const scatterProgram = (): URL => new URL("./scatter-worker.js", import.meta.url);

/**
 * Scatters parts in this thread and `others` more, which take 100 ms to start. After a failure none of
 * them writes any longer.
 */
export async function scatterByThreads(
  own: Scatter,
  job: ScatterJob,
  others: number,
  signal: AbortSignal | undefined,
  onBatch: (records: number, bytes: number) => void,
): Promise<void> {
  signal?.throwIfAborted();
  let wake = () => {};
  const turns = new PartTurns(job.turns, () => new Promise((resolve) => (wake = resolve)));
  const workers = Array.from({ length: others }, () => {
    return new Worker(scatterProgram(), { workerData: job });
  });
  let forget = () => {};
  const aborted = new Promise<never>((_, reject) => {
    if (signal) forget = onAbort(signal, () => reject(signal.reason));
  });
  aborted.catch(() => {});
  const theirs = workers.map((worker) => ended(worker, onBatch, () => wake()));
  const mine = own.parts(job.parts, turns, onBatch);
  try {
    await Promise.race([Promise.all([mine, ...theirs]), aborted]);
  } finally {
    forget();
    turns.stop();
    wake();
    await Promise.allSettled([mine, ...workers.map((worker) => worker.terminate())]);
  }
}

function ended(
  worker: Worker,
  onBatch: (records: number, bytes: number) => void,
  onMessage: () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.on("message", (message: ScatterMessage) => {
      onMessage();
      if ("done" in message) resolve();
      else if ("records" in message) onBatch(message.records, message.bytes);
      else reject(errorOf(message));
    });
    worker.on("error", reject);
    worker.on("exit", () => reject(new Error("a thread ended before its work")));
  });
}
