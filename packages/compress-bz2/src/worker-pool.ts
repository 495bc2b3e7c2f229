import { PartdError, type PartdErrorCode } from "@partd/core";
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

/** A worker of any platform. */
export interface WorkerPort {
  post(job: Job, transfer: ArrayBuffer[]): void;
  /** Called with each answer. */
  onAnswer: (answer: Answer) => void;
  /** Called where the worker could not be loaded or has come to its end. */
  onEnd: () => void;
  /** While busy, a worker keeps the process from ending. */
  setBusy(busy: boolean): void;
}

/** Runs jobs on workers, of which there are as many as there is work for, up to four. */
export class WorkerPool {
  readonly #start: () => WorkerPort | undefined;
  readonly #idle: WorkerPort[] = [];
  readonly #waiting: (() => void)[] = [];
  #workers = 0;

  /** @param start gives no worker where the platform has none */
  constructor(start: () => WorkerPort | undefined) {
    this.#start = start;
  }

  /** Rejects like `libbz2` does. Where no worker can be had the work is done here, in steps. */
  async run(job: Job): Promise<Uint8Array> {
    while (this.#idle.length === 0 && this.#workers >= MAX_WORKERS) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const worker = this.#idle.pop() ?? this.#begin();
    const answer = worker && (await this.#ask(worker, job));
    if (!answer) return runJob(job);
    if ("bytes" in answer) return answer.bytes;
    throw answer.code ? new PartdError(answer.code, answer.message) : new Error(answer.message);
  }

  #begin(): WorkerPort | undefined {
    const worker = this.#start();
    if (worker) this.#workers++;
    return worker;
  }

  /** No answer if the worker comes to its end. */
  #ask(worker: WorkerPort, job: Job): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      worker.onAnswer = (answer) => {
        worker.onEnd = () => this.#forget(worker);
        worker.setBusy(false);
        this.#idle.push(worker);
        this.#waiting.shift()?.();
        resolve(answer);
      };
      worker.onEnd = () => {
        this.#forget(worker);
        resolve(undefined);
      };
      worker.setBusy(true);
      // A copy, because what is posted is taken away, and a view would take all around it along.
      // Not by `slice`, which of Node's Buffers gives a view.
      const bytes = new Uint8Array(job.bytes);
      worker.post({ ...job, bytes }, [bytes.buffer]);
    });
  }

  #forget(worker: WorkerPort): void {
    this.#workers--;
    const place = this.#idle.indexOf(worker);
    if (place >= 0) this.#idle.splice(place, 1);
    this.#waiting.shift()?.();
  }
}

/** The job, in the thread where it is called. */
export function runJob({ work, bytes, setting }: Job): Promise<Uint8Array> {
  return work === "compress" ? compress(bytes, setting) : decompress(bytes, setting);
}

const MAX_WORKERS = 4;
