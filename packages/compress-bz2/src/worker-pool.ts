import { isPartdError, PartdError, type PartdErrorCode } from "@partd/core";
import { allocateBytes } from "@partd/core/author";
import { compress, decompress } from "./libbz2.js";

/** What a worker is asked to do. */
export interface Job {
  readonly work: "compress" | "decompress";
  readonly bytes: Uint8Array;
  /** The level, or the limit of decoded bytes. */
  readonly setting: number;
}

/** What it answers: bytes, or what is needed to make its error anew. */
export type Answer =
  | { readonly bytes: Uint8Array }
  | { readonly message: string; readonly code: PartdErrorCode | undefined };

/** What it says once it has been loaded. */
export const READY = "ready";

/** A worker of any platform. */
export interface WorkerPort {
  post(job: Job, transfer: ArrayBuffer[]): void;
  /** Called with each answer. */
  onAnswer: (answer: Answer) => void;
  /** Called once, with what the worker came to its end of, or nothing where it was never loaded. */
  onEnd: (error?: PartdError) => void;
  /** Ends an idle worker, and frees its memory. */
  end(): void;
  /** While busy, a worker keeps the process from ending. */
  setBusy(busy: boolean): void;
}

/**
 * Runs jobs on workers, of which there are as many as there is work for, up to four. One that has
 * none for a while is ended, as it may hold 25 MiB.
 */
export class WorkerPool {
  readonly #start: () => WorkerPort | undefined;
  readonly #idleMs: number;
  /** And when each is to be ended. */
  readonly #idle = new Map<WorkerPort, Timer>();
  readonly #waiting: (() => void)[] = [];
  /** Workers that came to their end while they had a job. */
  readonly #ended = new WeakSet<WorkerPort>();
  #workers = 0;

  /** @param start gives no worker where the platform has none */
  constructor(start: () => WorkerPort | undefined, idleMs = 10_000) {
    this.#start = start;
    this.#idleMs = idleMs;
  }

  /**
   * Rejects like `libbz2` does, with `ERR_PARTD_IO` if the worker dies at it, and then another takes
   * its place. Where no worker can be had the work is done here, in steps.
   */
  async run(job: Job): Promise<Uint8Array> {
    while (this.#idle.size === 0 && this.#workers >= MAX_WORKERS) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const worker = this.#take() ?? this.#begin();
    if (worker === undefined) return runJob(job);
    let answer: Answer | undefined;
    try {
      answer = await this.#ask(worker, job);
    } finally {
      this.#release(worker);
    }
    if (!answer) return runJob(job);
    if ("bytes" in answer) return answer.bytes;
    throw answer.code ? new PartdError(answer.code, answer.message) : new Error(answer.message);
  }

  /** The one that was idle last, so that others may be ended. */
  #take(): WorkerPort | undefined {
    const worker = [...this.#idle.keys()].at(-1);
    if (worker) this.#leave(worker);
    return worker;
  }

  #begin(): WorkerPort | undefined {
    const worker = this.#start();
    if (worker) this.#workers++;
    return worker;
  }

  /** No answer where the worker could not be loaded. */
  #ask(worker: WorkerPort, job: Job): Promise<Answer | undefined> {
    return new Promise((resolve, reject) => {
      worker.onAnswer = resolve;
      worker.onEnd = (error) => {
        this.#ended.add(worker);
        if (error) reject(error);
        else resolve(undefined);
      };
      worker.setBusy(true);
      post(worker, job);
    });
  }

  /** Whatever came of its job. */
  #release(worker: WorkerPort): void {
    worker.setBusy(false);
    if (this.#ended.has(worker)) {
      this.#workers--;
    } else {
      worker.onEnd = () => {
        this.#leave(worker);
        this.#workers--;
        this.#waiting.shift()?.();
      };
      const timer: Timer = setTimeout(() => {
        worker.onEnd();
        worker.onEnd = () => {};
        worker.end();
      }, this.#idleMs);
      timer.unref?.(); // Under Node; a browser's page ends all the same.
      this.#idle.set(worker, timer);
    }
    this.#waiting.shift()?.();
  }

  /** It is no longer idle. */
  #leave(worker: WorkerPort): void {
    clearTimeout(this.#idle.get(worker));
    this.#idle.delete(worker);
  }
}

/** Of any platform. */
type Timer = ReturnType<typeof setTimeout> & { unref?: () => void };

/** The job, in the thread where it is called. */
export function runJob({ work, bytes, setting }: Job): Promise<Uint8Array> {
  return work === "compress" ? compress(bytes, setting) : decompress(bytes, setting);
}

/** What a worker has died of, as an error of its job. */
export function workerDied(cause: unknown): PartdError {
  return new PartdError("ERR_PARTD_IO", "the worker that had it came to its end; try again.", {
    cause,
  });
}

const MAX_WORKERS = 4;

function post(worker: WorkerPort, job: Job): void {
  try {
    // A copy, because what is posted is taken away, and a view would take all around it along.
    const bytes = allocateBytes(job.bytes.byteLength);
    bytes.set(job.bytes);
    worker.post({ ...job, bytes }, [bytes.buffer as ArrayBuffer]);
  } catch (cause) {
    if (isPartdError(cause)) throw cause;
    const { message } = cause as Error;
    throw new PartdError("ERR_PARTD_IO", `it cannot be passed to a worker: ${message}`, { cause });
  }
}
