import type { Worker } from "node:worker_threads";
import { checkIntegerOption, onAbort } from "@partd/core/author";
import { openPart, type RecordsPart } from "@partd/records";
import type { Reading, RecordLimit } from "../run/record-limit.js";
import type { Run } from "../run/run.js";
import { inputOf, isRecords, type Source } from "../source/input.js";
import type { KeyedBatch } from "../source/keyed-batch.js";
import { threadsFor } from "../threads/share-threads.js";
import { errorOf, type ThreadFailure } from "../threads/thread-failure.js";
import { startThread, threadProgram } from "../threads/thread-program.js";
import { openBatch, type PackedBatch } from "./packed-batch.js";
import type { SortKeyer, SortRule } from "./sort-key.js";

/** The start data of a thread that reads and keys records. */
export interface KeyingJob {
  readonly parts: readonly RecordsPart[];
  readonly rules: readonly SortRule<unknown>[];
  readonly limit: RecordLimit | undefined;
}

/** What the thread tells. It gets the memory of each batch back, and waits for that if too much is on its way. */
export type KeyingMessage =
  | { readonly batch: PackedBatch; readonly bytes: number }
  /** All is read, or what follows this place has to be read here. */
  | { readonly rest: { readonly part: number; readonly start: number } | undefined }
  | ThreadFailure;

/**
 * Yields the records of a source in batches with their keys. A thread reads and keys them if that is worth it, while
 * this one gathers them.
 */
export async function* batchesToSort<R>(
  run: Run,
  reading: Reading,
  source: Source<R>,
  keyer: SortKeyer<R>,
  threads: number | undefined,
): AsyncGenerator<KeyedBatch> {
  const thread = await startKeying(run, source, keyer, threads);
  if (!thread) {
    yield* readHere(run, reading, source, keyer);
    return;
  }
  try {
    const rest = yield* thread.batches();
    // The long record that is next needs its memory.
    await thread.end();
    for (const part of rest) yield* readHere(run, reading, openPart<R>(part), keyer);
  } finally {
    await thread.end();
  }
}

async function* readHere<R>(
  run: Run,
  reading: Reading,
  source: Source<R>,
  keyer: SortKeyer<R>,
): AsyncGenerator<KeyedBatch> {
  const input = inputOf(source, keyer);
  for await (const batch of input.batches(reading)) {
    run.progress.read(batch, input.consumed);
    yield batch;
  }
}

/** `undefined` if this thread should do everything. */
async function startKeying<R>(
  run: Run,
  source: Source<R>,
  keyer: SortKeyer<R>,
  threads: number | undefined,
): Promise<KeyingThread | undefined> {
  if (threads !== undefined) checkIntegerOption("threads", threads, 1, 256);
  const program = threadProgram(() => new URL("./sort-worker.js", import.meta.url), threads);
  const { rules } = keyer;
  if (!program || !rules || !isRecords(source)) return undefined;
  const byteLength = await source.byteLength();
  if (byteLength === undefined || threadsFor(run, byteLength, threads) === 1) return undefined;
  const parts = await source.split(1);
  if (!parts || parts.length === 0) return undefined;
  const thread = new KeyingThread(run, program, parts);
  let isSettled = false;
  try {
    // The thread would report a field that no record of a part has.
    isSettled = await keyer.watch.isSettledBy(parts[0]!, run.reading);
  } finally {
    if (!isSettled) await thread.end();
  }
  if (!isSettled) return undefined;
  thread.begin({ parts, rules, limit: run.reading.limit });
  return thread;
}

class KeyingThread {
  readonly #run: Run;
  readonly #parts: readonly RecordsPart[];
  readonly #worker: Worker;
  readonly #messages: KeyingMessage[] = [];
  #failure: { readonly reason: unknown } | undefined;
  #wake = () => {};
  readonly #forget: () => void;

  constructor(run: Run, program: URL, parts: readonly RecordsPart[]) {
    this.#run = run;
    this.#parts = parts;
    this.#worker = startThread(program);
    this.#worker.on("message", (message: KeyingMessage) => {
      this.#messages.push(message);
      this.#wake();
    });
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", () => this.#fail(new Error("a thread ended before its work")));
    const { signal } = run;
    this.#forget = signal ? onAbort(signal, () => this.#fail(signal.reason)) : () => {};
  }

  begin(job: KeyingJob): void {
    this.#worker.postMessage(job);
  }

  /** @returns the parts that have to be read here. */
  async *batches(): AsyncGenerator<KeyedBatch, readonly RecordsPart[]> {
    for (;;) {
      const message = await this.#next();
      if ("batch" in message) {
        const { batch, bytes } = message;
        this.#run.progress.add(batch.count, bytes);
        yield openBatch(batch);
        this.#worker.postMessage(batch.memory, [batch.memory]);
      } else if ("rest" in message) {
        const { rest } = message;
        if (!rest) return [];
        const part = { ...this.#parts[rest.part]!, start: rest.start };
        return [part, ...this.#parts.slice(rest.part + 1)];
      } else throw errorOf(message);
    }
  }

  async #next(): Promise<KeyingMessage> {
    while (!this.#failure && this.#messages.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#run.signal?.throwIfAborted();
    const message = this.#messages.shift();
    if (!message) throw this.#failure!.reason;
    return message;
  }

  #fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#wake();
  }

  async end(): Promise<void> {
    this.#forget();
    await this.#worker.terminate();
  }
}
