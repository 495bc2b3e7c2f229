import type { Worker } from "node:worker_threads";
import { onAbort } from "@partd/core/author";
import type { RecordsPart } from "@partd/records";
import type { RecordLimit } from "../run/record-limit.js";
import type { Missing } from "../source/missing.js";
import { errorOf, type ThreadFailure } from "../threads/thread-failure.js";
import { startThread } from "../threads/thread-program.js";
import { PartTurns } from "./part-turns.js";
import type { Scatter } from "./scatter.js";

/** What a thread gets. */
export interface ScatterJob {
  readonly fields: readonly string[];
  readonly missing: Exclude<Missing, (record: Uint8Array) => void>;
  /** Descriptors, which all threads of a process share. */
  readonly files: readonly number[];
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

/** Threads that scatter parts together with this one. They begin to start at once, and need an `end`. */
export class ScatterThreads {
  readonly #workers: readonly Worker[];
  readonly #done: readonly Promise<void>[];
  readonly #onBatch: (records: number, bytes: number) => void;
  #wake = () => {};

  constructor(program: URL, count: number, onBatch: (records: number, bytes: number) => void) {
    this.#onBatch = onBatch;
    this.#workers = Array.from({ length: count }, () => startThread(program));
    this.#done = this.#workers.map((worker) => this.#doneBy(worker));
    // The caller of `scatter` gets the error.
    for (const done of this.#done) done.catch(() => {});
  }

  /** Scatters parts in this thread, too. After a failure none of the threads writes any longer. */
  async scatter(own: Scatter, job: ScatterJob, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const turns = new PartTurns(job.turns, () => new Promise((resolve) => (this.#wake = resolve)));
    for (const worker of this.#workers) worker.postMessage(job);
    let forget = () => {};
    const aborted = new Promise<never>((_, reject) => {
      if (signal) forget = onAbort(signal, () => reject(signal.reason));
    });
    aborted.catch(() => {});
    const mine = own.parts(job.parts, turns, this.#onBatch);
    try {
      await Promise.race([Promise.all([mine, ...this.#done]), aborted]);
    } finally {
      forget();
      turns.stop();
      this.#wake();
      await Promise.allSettled([mine, this.end()]);
    }
  }

  async end(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #doneBy(worker: Worker): Promise<void> {
    return new Promise((resolve, reject) => {
      worker.on("message", (message: ScatterMessage) => {
        this.#wake();
        if ("done" in message) resolve();
        else if ("records" in message) this.#onBatch(message.records, message.bytes);
        else reject(errorOf(message));
      });
      worker.on("error", reject);
      worker.on("exit", () => reject(new Error("a thread ended before its work")));
    });
  }
}
