import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { checkIntegerOption, onAbort } from "@partd/core/author";
import { openPart, type Records, type RecordsPart } from "@partd/records";
import type { Run } from "../run/run.js";
import type { Missing } from "../source/missing.js";
import { errorOf, type ThreadFailure } from "./thread-failure.js";

/** The part of the input that a thread makes its result of. */
export interface Share {
  readonly parts: readonly RecordsPart[];
  /** Bytes that the result may take. */
  readonly mostBytes: number;
}

export type ShareMessage<T> =
  | { readonly records: number; readonly bytes: number }
  | { readonly result: T }
  | { readonly isFull: true }
  | ThreadFailure;

/** What a thread has made of its share. */
export class ShareResult<T> {
  readonly value: T;
  /** Set by who takes it: else the share is to be read again. */
  isTaken = false;

  constructor(value: T) {
    this.value = value;
  }
}

/** The parts of the input for each thread; `undefined` where one is to do all. */
export async function sharesOf<R>(
  run: Run,
  records: Records<R>,
  missing: Missing,
  asked: number | undefined,
): Promise<readonly (readonly RecordsPart[])[] | undefined> {
  if (asked !== undefined) checkIntegerOption("threads", asked, 1, 256);
  const byteLength = await records.byteLength();
  if (byteLength === undefined || typeof missing === "function") return undefined;
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
 * others. A share whose result is too large for a thread, or for who takes it, is read here after all.
 *
 * @param entry the program of a thread, which `job` and its {@link Share} are given to.
 */
export async function* readByThreads<R, Batch, T>(
  run: Run,
  shares: readonly (readonly RecordsPart[])[],
  { entry, job }: { readonly entry: URL; readonly job: object },
  batchesOf: (
    parts: Iterable<Records<R>>,
    isFirst: boolean,
  ) => AsyncGenerator<Batch | ShareResult<T>>,
): AsyncGenerator<Batch | ShareResult<T>> {
  const mostBytes = Math.floor((run.workspace.byteLength * THREADS_SHARE) / shares.length);
  const borrowed = mostBytes * (shares.length - 1);
  const [first, ...others] = shares;
  run.workspace.borrow(borrowed);
  const threads = others.map(
    (parts) => new ShareThread<T>(run, entry, { ...job, parts, mostBytes }),
  );
  try {
    yield* batchesOf(opened(first!), true);
    for (const [i, parts] of others.entries()) {
      const result = await threads[i]!.result;
      if (result) yield result;
      if (result?.isTaken) continue;
      await threads[i]!.end();
      yield* batchesOf(opened(parts), false);
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.end()));
    run.workspace.borrow(-borrowed);
  }
}

const THREADS_SHARE = 0.4;

function* opened<R>(parts: readonly RecordsPart[]): Generator<Records<R>> {
  for (const part of parts) yield openPart<R>(part);
}

class ShareThread<T> {
  /** What it has made; `undefined` if that is too large. */
  readonly result: Promise<ShareResult<T> | undefined>;
  readonly #worker: Worker;
  #forget = () => {};

  constructor({ progress, signal }: Run, entry: URL, job: Share) {
    const worker = new Worker(entry, { workerData: job });
    this.#worker = worker;
    this.result = new Promise((resolve, reject) => {
      worker.on("message", (message: ShareMessage<T>) => {
        if ("records" in message) progress.add(message.records, message.bytes);
        else if ("result" in message) resolve(new ShareResult(message.result));
        else if ("isFull" in message) resolve(undefined);
        else reject(errorOf(message));
      });
      worker.on("error", reject);
      worker.on("exit", () => reject(new Error("a thread ended before its work")));
      if (signal) this.#forget = onAbort(signal, () => reject(signal.reason));
    });
    this.result.catch(() => {}); // Whoever waits for it is told.
  }

  async end(): Promise<void> {
    this.#forget();
    await this.#worker.terminate();
  }
}
