import { WaitQueue } from "./wait-queue.js";

/** Limits how many asynchronous calls run at once. The others wait, first in, first out. */
export class Semaphore {
  #free: number;
  readonly #waiting = new WaitQueue();

  /** @param most how many may run at once. */
  constructor(most: number) {
    this.#free = most;
  }

  /** Runs `work`, within this call if the limit allows it. */
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
