import { isPartdError, PartdError, type PartdErrorCode } from "@partd/core";
import { allocateBytes } from "@partd/core/author";
import { compress, decompress } from "./libbz2.js";

/** A job for a worker. */
export interface Job {
  readonly work: "compress" | "decompress";
  readonly bytes: Uint8Array;
  /** The level, or the limit of decoded bytes. */
  readonly setting: number;
}

/** A worker's answer: bytes, or the parts of its error. */
export type Answer =
  | { readonly bytes: Uint8Array }
  | { readonly message: string; readonly code: PartdErrorCode | undefined };

/** A worker's first message, once it is loaded. */
export const READY = "ready";

/** A worker of any platform. */
export interface WorkerPort {
  post(job: Job, transfer: ArrayBuffer[]): void;
  /** Called with each answer. */
  onAnswer: (answer: Answer) => void;
  /**
   * Called once when the worker ends: with the error that ended it, or without one if it never
   * loaded.
   */
  onEnd: (error?: PartdError) => void;
  /** Ends an idle worker, and frees its memory. */
  end(): void;
  /** While busy, a worker keeps the process from ending. */
  setBusy(busy: boolean): void;
}

/**
 * Runs jobs on up to four workers, started as needed. A worker that is idle for `idleMs` is ended,
 * because it may hold 25 MiB.
 */
export class WorkerPool {
  readonly #start: () => WorkerPort | undefined;
  readonly #idleMs: number;
  /** Idle workers, and the timers that end them. */
  readonly #idle = new Map<WorkerPort, Timer>();
  readonly #waiting: (() => void)[] = [];
  /** Workers that ended during a job. */
  readonly #ended = new WeakSet<WorkerPort>();
  #workers = 0;

  /** @param start returns undefined if the platform has no workers. */
  constructor(start: () => WorkerPort | undefined, idleMs = 10_000) {
    this.#start = start;
    this.#idleMs = idleMs;
  }

  /**
   * Runs a job on a worker, or in this thread, in steps, if there is no worker. Rejects as `libbz2`
   * does, and with `ERR_PARTD_IO` if the worker dies; another then takes its place.
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

  /** Takes the worker that was used last, so that the others can be ended. */
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

  /** Resolves without an answer if the worker could not be loaded. */
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

  /** Makes the worker idle again, or counts it out if it ended. */
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

  /** Takes the worker off the idle ones. */
  #leave(worker: WorkerPort): void {
    clearTimeout(this.#idle.get(worker));
    this.#idle.delete(worker);
  }
}

/** A timer of Node or of a browser. */
type Timer = ReturnType<typeof setTimeout> & { unref?: () => void };

/** Does a job in the calling thread. */
export function runJob({ work, bytes, setting }: Job): Promise<Uint8Array> {
  return work === "compress" ? compress(bytes, setting) : decompress(bytes, setting);
}

/** The error of a job whose worker died. */
export function workerDied(cause: unknown): PartdError {
  return new PartdError("ERR_PARTD_IO", "the worker that had it came to its end; try again.", {
    cause,
  });
}

const MAX_WORKERS = 4;

function post(worker: WorkerPort, job: Job): void {
  try {
    // Post a copy: posting transfers the memory, and a view's memory holds other bytes as well.
    const bytes = allocateBytes(job.bytes.byteLength);
    bytes.set(job.bytes);
    worker.post({ ...job, bytes }, [bytes.buffer as ArrayBuffer]);
  } catch (cause) {
    if (isPartdError(cause)) throw cause;
    const { message } = cause as Error;
    throw new PartdError("ERR_PARTD_IO", `it cannot be passed to a worker: ${message}`, { cause });
  }
}
