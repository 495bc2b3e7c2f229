import { WaitQueue } from "./wait-queue.js";

/** Runs at most so many pieces of work at once, and the others in the order in which they came. */
export class Semaphore {
  #free: number;
  readonly #waiting = new WaitQueue();

  /** @param most how many may run at once. */
  constructor(most: number) {
    this.#free = most;
  }

  /** Runs `work` at once if it may, before this returns. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await this.#waiting.wait();
    try {
      return await work();
    } finally {
      const next = this.#waiting.take();
      if (next) next.resolve();
      else this.#free++;
    }
  }
}
