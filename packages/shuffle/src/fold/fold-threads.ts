import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { checkIntegerOption, onAbort } from "@partd/core/author";
import { openPart, type Records, type RecordsPart } from "@partd/records";
import type { Run } from "../run/run.js";
import { errorOf, type ThreadFailure } from "../run/thread-failure.js";
import type { FoldBatch } from "./fold.js";
import type { FieldPlan } from "./fold-input.js";
import type { Keyed } from "./key-index.js";

/** What a thread is started with. */
export interface FoldJob extends FieldPlan {
  /** Of the aggregates, as in `MERGEABLE`. */
  readonly names: readonly string[];
  readonly parts: readonly RecordsPart[];
  /** Bytes that keys and states may take. */
  readonly mostBytes: number;
}

export type FoldMessage =
  | { readonly records: number; readonly bytes: number }
  | { readonly keyed: Keyed; readonly states: readonly unknown[] }
  | { readonly isFull: true }
  | ThreadFailure;

/** The keys of a part of the input with their states, which a thread has made. */
export class FoldedPart {
  readonly keyed: Keyed;
  /** Those of each aggregate. */
  readonly states: readonly unknown[];
  /** Set by who takes it: else the part is to be read again. */
  isTaken = false;

  constructor(keyed: Keyed, states: readonly unknown[]) {
    this.keyed = keyed;
    this.states = states;
  }
}

/** The parts of the input for each thread; `undefined` where one is to do all. */
export async function sharesOf<R>(
  run: Run,
  records: Records<R>,
  { missing }: FieldPlan,
  names: readonly string[] | undefined,
  asked: number | undefined,
): Promise<readonly (readonly RecordsPart[])[] | undefined> {
  if (asked !== undefined) checkIntegerOption("threads", asked, 1, 256);
  const byteLength = await records.byteLength();
  if (byteLength === undefined || !names || typeof missing === "function") return undefined;
  const usual =
    byteLength < SMALL
      ? 1
      : Math.min(MOST_THREADS, availableParallelism(), 1 + Math.floor(run.memory / MEMORY_EACH));
  const threads = asked ?? usual;
  const parts = threads > 1 ? await records.split(threads) : undefined;
  // The columns of a CSV are known once a batch came.
  if (!parts || parts.length < 2) return undefined;
  const shares: RecordsPart[][] = [];
  let before = 0;
  for (const part of parts) {
    const share = Math.min(threads - 1, Math.floor((before * threads) / byteLength));
    shares[share] ??= [];
    shares[share].push(part);
    before += part.end - part.start;
  }
  return shares.filter((share) => share !== undefined);
}

/** A thread takes 50 ms to start, and some 35 MB. */
const SMALL = 64 << 20;
const MEMORY_EACH = 128e6;
const MOST_THREADS = 4;

/**
 * The batches of the first share, which this thread reads, then what threads of their own have made of the
 * others. A share whose keys are too many for a thread, or for who takes them, is read here after all.
 */
export async function* foldByThreads<R>(
  run: Run,
  shares: readonly (readonly RecordsPart[])[],
  plan: Omit<FoldJob, "parts" | "mostBytes">,
  batchesOf: (records: Records<R>) => AsyncGenerator<FoldBatch>,
): AsyncGenerator<FoldBatch | FoldedPart> {
  const mostBytes = Math.floor((run.workspace.byteLength * THREADS_SHARE) / shares.length);
  const borrowed = mostBytes * (shares.length - 1);
  const [first, ...others] = shares;
  run.workspace.borrow(borrowed);
  const threads = others.map((parts) => new FoldThread(run, { ...plan, parts, mostBytes }));
  try {
    for (const part of first!) yield* batchesOf(openPart<R>(part));
    for (const [i, parts] of others.entries()) {
      const folded = await threads[i]!.folded;
      if (folded) yield folded;
      if (folded?.isTaken) continue;
      await threads[i]!.end();
      for (const part of parts) yield* batchesOf(openPart<R>(part));
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.end()));
    run.workspace.borrow(-borrowed);
  }
}

const THREADS_SHARE = 0.4;

class FoldThread {
  /** What it has made; `undefined` if the keys are too many. */
  readonly folded: Promise<FoldedPart | undefined>;
  readonly #worker: Worker;
  #forget = () => {};

  constructor({ progress, signal }: Run, job: FoldJob) {
    const worker = new Worker(new URL("./fold-worker.js", import.meta.url), { workerData: job });
    this.#worker = worker;
    this.folded = new Promise((resolve, reject) => {
      worker.on("message", (message: FoldMessage) => {
        if ("records" in message) progress.add(message.records, message.bytes);
        else if ("keyed" in message) resolve(new FoldedPart(message.keyed, message.states));
        else if ("isFull" in message) resolve(undefined);
        else reject(errorOf(message));
      });
      worker.on("error", reject);
      worker.on("exit", () => reject(new Error("a thread ended before its work")));
      if (signal) this.#forget = onAbort(signal, () => reject(signal.reason));
    });
    this.folded.catch(() => {}); // Whoever waits for it is told.
  }

  async end(): Promise<void> {
    this.#forget();
    await this.#worker.terminate();
  }
}
