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
    options?.signal?.throwIfAborted();
    if (!this.enter("shared")) await this.wait("shared", options);
    try {
      return await operation();
    } finally {
      this.leave();
    }
  }

  async exclusive<T>(operation: () => Promise<T>, options?: OperationOptions): Promise<T> {
    options?.signal?.throwIfAborted();
    if (!this.enter("exclusive")) await this.wait("exclusive", options);
    try {
      return await operation();
    } finally {
      this.leave();
    }
  }

  /**
   * Admits the caller if nothing excludes it: {@link leave} must follow. Otherwise call {@link wait}.
   */
  enter(mode: Mode): boolean {
    if (this.#waiting.size > 0 || !this.#admits(mode)) return false;
    this.#running = mode === "exclusive" ? -1 : this.#running + 1;
    return true;
  }

  /**
   * Waits for admission; {@link leave} must follow. If the signal aborts first, this rejects and admits
   * the operations that only this waiter held back.
   */
  async wait(mode: Mode, { signal }: OperationOptions = {}): Promise<void> {
    await this.#waiting.wait(mode, signal, () => this.#admit());
    if (!signal?.aborted) return;
    this.leave(); // It was admitted in the same turn, before the signal aborted.
    throw signal.reason;
  }

  leave(): void {
    this.#running = Math.max(0, this.#running - 1);
    this.#admit();
  }

  #admit(): void {
    for (let mode = this.#waiting.first; mode; mode = this.#waiting.first) {
      if (!this.#admits(mode)) return;
      this.#running = mode === "exclusive" ? -1 : this.#running + 1;
      this.#waiting.take()?.resolve();
    }
  }

  #admits(mode: Mode): boolean {
    return mode === "exclusive" ? this.#running === 0 : this.#running >= 0;
  }
}

type Mode = "shared" | "exclusive";
