import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Task, Totals } from "./worker.js";

export interface PoolOptions {
  readonly workers: number;
  /** How many of them to kill, at random moments of their tasks. */
  readonly kills: number;
  readonly signal: AbortSignal;
}

/** Processes that do tasks, and may die while they do. */
export class Pool {
  /** How many were killed. */
  killed = 0;
  readonly #where: string;
  readonly #options: PoolOptions;
  readonly #workers = new Set<ChildProcess>();
  #lastTaskMs = 500;

  /** @param where the store of the workers. */
  constructor(where: string, options: PoolOptions) {
    this.#where = where;
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#killAll());
  }

  /** Does all tasks, several at a time, in any order. */
  async run(tasks: readonly Task[]): Promise<Totals[]> {
    const waiting = [...tasks];
    const results: Totals[] = [];
    const work = async () => {
      let worker: ChildProcess | undefined;
      for (let task = waiting.shift(); task; ) {
        this.#options.signal.throwIfAborted();
        worker ??= this.#start();
        const result = await this.#do(task, worker);
        if (worker.killed) worker = undefined;
        if (result === undefined) continue; // The same task once more, in a new process.
        results.push(result);
        task = waiting.shift();
      }
    };
    try {
      await Promise.all(Array.from({ length: this.#options.workers }, work));
      return results;
    } finally {
      this.#killAll(); // What they had to say is in the store.
    }
  }

  #start(): ChildProcess {
    const worker = fork(PROGRAM, [this.#where]);
    this.#workers.add(worker);
    worker.once("exit", () => this.#workers.delete(worker));
    return worker;
  }

  /** Nothing if the worker was killed before it was done. @throws if it failed, as it would again. */
  async #do(task: Task, worker: ChildProcess): Promise<Totals | undefined> {
    const done = new AbortController();
    const { signal } = done;
    const begun = performance.now();
    const kill = setTimeout(() => {
      if (this.killed < this.#options.kills && worker.kill("SIGKILL")) this.killed++;
    }, Math.random() * this.#lastTaskMs);
    try {
      worker.send(task);
      return await Promise.race([
        once(worker, "message", { signal }).then(([totals]) => {
          this.#lastTaskMs = performance.now() - begun;
          return totals as Totals;
        }),
        once(worker, "exit", { signal }).then(([code]) => {
          if (code !== null) throw new Error(`A worker ended with ${code}.`);
          return undefined;
        }),
      ]);
    } finally {
      clearTimeout(kill);
      done.abort();
    }
  }

  #killAll(): void {
    for (const worker of this.#workers) worker.kill("SIGKILL");
  }
}

const PROGRAM = fileURLToPath(new URL("worker.js", import.meta.url));
