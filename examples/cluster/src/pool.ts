import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Message, Task } from "./worker.js";

export interface PoolOptions {
  /** How many processes work at once. */
  readonly workers: number;
  /** The command line of each. */
  readonly args: readonly string[];
  readonly signal: AbortSignal;
}

/** Processes that do tasks. The first that has written a part is killed, and its task done again. */
export class Pool {
  /** How many tasks were begun, and how many workers killed. */
  attempts = 0;
  killed = 0;
  readonly #options: PoolOptions;
  readonly #workers = new Set<ChildProcess>();

  constructor(options: PoolOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", () => this.#killAll());
  }

  /** Does all tasks, several at a time, in any order. */
  async run(tasks: readonly Task[]): Promise<Groups> {
    const waiting = [...tasks];
    const groups: Groups[number][] = [];
    const work = async () => {
      let worker: ChildProcess | undefined;
      for (let task = waiting.shift(); task; task = waiting.shift()) {
        for (let attempt = 1; ; attempt++) {
          this.#options.signal.throwIfAborted();
          worker ??= this.#start();
          const found = await this.#do(task, attempt, worker);
          if (found) {
            groups.push(...found);
            break;
          }
          worker = undefined; // The same task once more, in a new process.
        }
      }
    };
    try {
      await Promise.all(Array.from({ length: this.#options.workers }, work));
      return groups;
    } finally {
      this.#killAll(); // What they had to say is in the store.
    }
  }

  #start(): ChildProcess {
    const worker = fork(PROGRAM, this.#options.args);
    this.#workers.add(worker);
    worker.once("exit", () => this.#workers.delete(worker));
    return worker;
  }

  /** Nothing if the worker was killed before it was done. @throws if it failed, as it would again. */
  #do(task: Task, attempt: number, worker: ChildProcess): Promise<Groups | undefined> {
    this.attempts++;
    return new Promise<Groups | undefined>((resolve, reject) => {
      const onMessage = (message: Message) => {
        if (worker.killed) return;
        if (message.kind === "written") {
          if (this.killed === 0 && worker.kill("SIGKILL")) this.killed++;
          return;
        }
        worker.off("message", onMessage).off("exit", onExit);
        resolve(message.groups);
      };
      const onExit = (code: number | null) => {
        if (code === null) resolve(undefined);
        else reject(new Error(`A worker ended with ${code}.`));
      };
      worker.on("message", onMessage).on("exit", onExit);
      worker.send([task, attempt]);
    });
  }

  #killAll(): void {
    for (const worker of this.#workers) worker.kill("SIGKILL");
  }
}

type Groups = (Message & { kind: "done" })["groups"];

const PROGRAM = fileURLToPath(new URL("worker.js", import.meta.url));
