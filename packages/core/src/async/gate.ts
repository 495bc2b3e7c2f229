import type { OperationOptions } from "../store/store.js";
import { onAbort } from "./abort.js";

/**
 * Lets any number of shared operations run at once, or one exclusive operation alone, in the order
 * in which they asked. An exclusive one that waits holds back the shared ones behind it, so that
 * none waits for ever. Within one process only.
 */
export class Gate {
  /** Shared operations under way, or -1 while an exclusive one is. */
  #running = 0;
  readonly #waiting = new WaitingLine();

  async shared<T>(operation: () => Promise<T>, options?: OperationOptions): Promise<T> {
    if (this.#running >= 0 && this.#waiting.first === undefined) this.#running++;
    else await this.#wait(false, options?.signal);
    try {
      options?.signal?.throwIfAborted(); // It may be, since we were let in.
      return await operation();
    } finally {
      this.#running--;
      this.#admit();
    }
  }

  async exclusive<T>(operation: () => Promise<T>, options?: OperationOptions): Promise<T> {
    if (this.#running === 0 && this.#waiting.first === undefined) this.#running = -1;
    else await this.#wait(true, options?.signal);
    try {
      options?.signal?.throwIfAborted(); // It may be, since we were let in.
      return await operation();
    } finally {
      this.#running = 0;
      this.#admit();
    }
  }

  #wait(exclusive: boolean, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { exclusive, gone: false, admit: resolve };
      this.#waiting.push(waiter);
      if (!signal) return;
      const forget = onAbort(signal, () => {
        waiter.gone = true;
        reject(signal.reason);
        this.#admit(); // The one behind may have waited only for this one.
      });
      waiter.admit = () => {
        forget();
        resolve();
      };
    });
  }

  #admit(): void {
    for (let next = this.#waiting.first; next; next = this.#waiting.first) {
      if (next.exclusive ? this.#running !== 0 : this.#running < 0) return;
      this.#waiting.shift();
      this.#running = next.exclusive ? -1 : this.#running + 1;
      next.admit();
    }
  }
}

interface Waiter {
  readonly exclusive: boolean;
  /** Gave up: it keeps its place in the line until that comes to the front. */
  gone: boolean;
  admit: () => void;
}

/**
 * First in, first out. `shift()` of a long array moves all that is left, and 100,000 calls may
 * wait for one lock.
 */
class WaitingLine {
  #waiters: Waiter[] = [];
  #next = 0;

  /** The first who has not given up. */
  get first(): Waiter | undefined {
    while (this.#waiters[this.#next]?.gone) this.shift();
    return this.#waiters[this.#next];
  }

  push(waiter: Waiter): void {
    this.#waiters.push(waiter);
  }

  shift(): void {
    this.#next++;
    if (this.#next * 2 < this.#waiters.length) return;
    this.#waiters = this.#waiters.slice(this.#next);
    this.#next = 0;
  }
}
