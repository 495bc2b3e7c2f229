import type { OperationOptions } from "../store/store.js";
import { WaitQueue } from "./wait-queue.js";

/**
 * Runs any number of shared operations at once, or one exclusive operation alone, in the order in
 * which they asked. A waiting exclusive operation holds back the shared ones behind it, so none
 * starves. It works within one process only.
 */
export class Gate {
  /** Shared operations under way, or -1 while an exclusive one is. */
  #running = 0;
  readonly #waiting = new WaitQueue<Mode>();

  async shared<T>(operation: () => Promise<T>, options?: OperationOptions): Promise<T> {
    if (this.#running >= 0 && this.#waiting.size === 0) this.#running++;
    else await this.#wait("shared", options?.signal);
    try {
      options?.signal?.throwIfAborted(); // The signal may have aborted between admission and this line.
      return await operation();
    } finally {
      this.#running--;
      this.#admit();
    }
  }

  async exclusive<T>(operation: () => Promise<T>, options?: OperationOptions): Promise<T> {
    if (this.#running === 0 && this.#waiting.size === 0) this.#running = -1;
    else await this.#wait("exclusive", options?.signal);
    try {
      options?.signal?.throwIfAborted(); // The signal may have aborted between admission and this line.
      return await operation();
    } finally {
      this.#running = 0;
      this.#admit();
    }
  }

  /**
   * Waits for admission. If the signal aborts first, this rejects and admits whoever only this waiter
   * held back.
   */
  #wait(mode: Mode, signal: AbortSignal | undefined): Promise<void> {
    return this.#waiting.wait(mode, signal, () => this.#admit());
  }

  #admit(): void {
    for (let mode = this.#waiting.first; mode; mode = this.#waiting.first) {
      if (mode === "exclusive" ? this.#running !== 0 : this.#running < 0) return;
      this.#running = mode === "exclusive" ? -1 : this.#running + 1;
      this.#waiting.take()?.resolve();
    }
  }
}

type Mode = "shared" | "exclusive";
