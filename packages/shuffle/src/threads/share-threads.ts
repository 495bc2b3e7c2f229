import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { checkIntegerOption, onAbort } from "@partd/core/author";
import type { Records, RecordsPart } from "@partd/records";
import type { RecordLimit } from "../run/record-limit.js";
import type { Run } from "../run/run.js";
import type { FieldWatch } from "../source/field-watch.js";
import type { Missing } from "../source/missing.js";
import { PartSequence } from "./part-sequence.js";
import { errorOf, type ThreadFailure } from "./thread-failure.js";
import { startThread } from "./thread-program.js";

/** The part of the input from which a thread makes its result. */
export interface Share {
  readonly parts: readonly RecordsPart[];
  /** The most bytes of the result. */
  readonly mostBytes: number;
  readonly limit: RecordLimit | undefined;
}

/** What a thread tells: its progress, then its result, that this is too large, or why it failed. */
export type ShareMessage<T> =
  | { readonly records: number; readonly bytes: number }
  | { readonly result: T; readonly reached: number }
  | { readonly isFull: true }
  | ThreadFailure;

/** What a thread has made of its share. */
export class ShareResult<T> {
  readonly value: T;
  /** Set by the receiver if it takes the value; otherwise the share is read again. */
  isTaken = false;

  constructor(value: T) {
    this.value = value;
  }
}

/** The input in shares, and the threads that read all of them but the first. */
interface Shares<T> {
  readonly shares: readonly (readonly RecordsPart[])[];
  readonly threads: readonly ShareThread<T>[];
}

/**
 * Divides the input among threads, which start meanwhile; `undefined` if one thread should do everything.
 *
 * @param watches for fields, which threads do not check: they read only if the first records have them.
 * @param program that of a thread, which gets a job and its {@link Share}.
 * @param aheadBytes how much more the first share has, because its thread need not start.
 */
export async function startShares<T>(
  run: Run,
  records: Records<unknown>,
  missing: Missing,
  watches: readonly (FieldWatch | undefined)[],
  asked: number | undefined,
  program: URL,
  aheadBytes = AHEAD_BYTES,
): Promise<Shares<T> | undefined> {
  if (asked !== undefined) checkIntegerOption("threads", asked, 1, 256);
  const byteLength = await records.byteLength();
  if (byteLength === undefined || typeof missing === "function") return undefined;
  const threads = threadsFor(run, byteLength, asked);
  const pieces = threads > 1 ? await records.split(SPLITS * threads, { guess: true }) : undefined;
  // The columns of a CSV are known after the first batch.
  if (!pieces || pieces.length < 2) return undefined;
  const shares = sharesOf(pieces, byteLength, threads, aheadBytes);
  const others = shares.slice(1).map(() => new ShareThread<T>(run, program));
  let isSettled = false;
  try {
    for (const watch of watches) {
      if (watch && !(await watch.isSettledBy(pieces[0]!, run.reading))) return undefined;
    }
    isSettled = true;
    return { shares, threads: others };
  } finally {
    if (!isSettled) await Promise.all(others.map((thread) => thread.end()));
  }
}

function sharesOf(
  pieces: readonly RecordsPart[],
  byteLength: number,
  threads: number,
  aheadBytes: number,
): readonly (readonly RecordsPart[])[] {
  const ahead = Math.min(aheadBytes, byteLength / 4);
  const others = (byteLength - ahead) / threads;
  const shares: RecordsPart[][] = [];
  let before = 0;
  for (const piece of pieces) {
    const middle = before + (piece.end - piece.start) / 2;
    const share = Math.max(0, Math.min(threads - 1, Math.floor((middle - ahead) / others)));
    shares[share] ??= [];
    addPiece(shares[share], piece);
    before += piece.end - piece.start;
  }
  return shares.filter((share) => share !== undefined);
}

/** Joins pieces of a file that follow each other to one part. */
function addPiece(share: RecordsPart[], piece: RecordsPart): void {
  const last = share.at(-1);
  if (last?.path === piece.path && last.end === piece.start) {
    share[share.length - 1] = { ...last, end: piece.end };
  } else share.push(piece);
}

/** Into how many pieces the input is cut for each thread: shares of different sizes are made of them. */
const SPLITS = 16;

/** Bytes that this thread reads while the others start: 48 ms at 1 GB/s. */
const AHEAD_BYTES = 48e6;

/** How many threads read this many bytes. */
export function threadsFor(run: Run, byteLength: number, asked: number | undefined): number {
  if (asked !== undefined) return checkIntegerOption("threads", asked, 1, 256);
  if (byteLength < SMALL) return 1;
  return Math.min(MOST_THREADS, availableParallelism(), 1 + Math.floor(run.memory / MEMORY_EACH));
}

/** Bytes of input for which one thread is enough: another takes 50 ms to start. */
const SMALL = 64 << 20;
/** Bytes of memory for each further thread, which takes some 35 MB itself. */
const MEMORY_EACH = 128e6;
const MOST_THREADS = 4;

/**
 * Yields the batches of the first share, which this thread reads, then the results of the other shares,
 * which threads read. A share whose result is too large for a thread, or for its receiver, is read here
 * instead.
 */
export async function* readByThreads<R, Batch, T>(
  run: Run,
  { shares, threads }: Shares<T>,
  job: object,
  batchesOf: (
    parts: Iterable<Records<R>>,
    isFirst: boolean,
  ) => AsyncGenerator<Batch | ShareResult<T>>,
): AsyncGenerator<Batch | ShareResult<T>> {
  const mostBytes = Math.floor((run.workspace.byteLength * THREADS_SHARE) / shares.length);
  const charged = mostBytes * (shares.length - 1);
  const [first, ...others] = shares;
  run.workspace.charge(charged);
  for (const [i, parts] of others.entries()) {
    threads[i]!.begin({ ...job, parts, mostBytes, limit: run.reading.limit });
  }
  const sequence = new PartSequence();
  try {
    yield* batchesOf(sequence.open(first!), true);
    for (const [i, parts] of others.entries()) {
      const isGuessedRight = sequence.startOf(parts[0]!) === parts[0]!.start;
      const made = isGuessedRight ? await threads[i]!.made : undefined;
      if (made) yield made.result;
      if (made?.result.isTaken) {
        sequence.reached = made.reached;
        continue;
      }
      await threads[i]!.end();
      yield* batchesOf(sequence.open(parts), false);
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.end()));
    run.workspace.uncharge(charged);
  }
}

/** The share of memory for the results of all threads. */
const THREADS_SHARE = 0.4;

/** A thread that works on a share. */
class ShareThread<T> {
  /** The thread's result; `undefined` if that is too large. */
  readonly made: Promise<{ result: ShareResult<T>; reached: number } | undefined>;
  readonly #worker: Worker;
  #forget = () => {};

  constructor({ progress, signal }: Run, program: URL) {
    const worker = startThread(program);
    this.#worker = worker;
    this.made = new Promise((resolve, reject) => {
      worker.on("message", (message: ShareMessage<T>) => {
        if ("records" in message) progress.add(message.records, message.bytes);
        else if ("result" in message) {
          resolve({ result: new ShareResult(message.result), reached: message.reached });
        } else if ("isFull" in message) resolve(undefined);
        else reject(errorOf(message));
      });
      worker.on("error", reject);
      worker.on("exit", () => reject(new Error("a thread ended before its work")));
      if (signal) this.#forget = onAbort(signal, () => reject(signal.reason));
    });
    this.made.catch(() => {}); // The receiver gets the error when it awaits this.
  }

  begin(job: Share): void {
    this.#worker.postMessage(job);
  }

  async end(): Promise<void> {
    this.#forget();
    await this.#worker.terminate();
  }
}
