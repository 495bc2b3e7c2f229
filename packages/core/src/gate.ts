import type { OperationOptions } from "./store.js";

/**
 * Lets any number of shared operations run at once, or one exclusive operation alone, in the order
 * in which they asked. An exclusive one that waits holds back the shared ones behind it, so that
 * none waits for ever. Within one process only.
 */
export class Gate {
  /** Shared operations under way, or -1 while an exclusive one is. */
  #running = 0;
  readonly #waiting: Waiter[] = [];

  async shared<T>(operation: () => Promise<T>, options?: OperationOptions): Promise<T> {
    if (this.#running >= 0 && this.#waiting.length === 0) this.#running++;
    else await this.#wait(false, options?.signal);
    try {
      return await operation();
    } finally {
      this.#running--;
      this.#admit();
    }
  }

  async exclusive<T>(operation: () => Promise<T>, options?: OperationOptions): Promise<T> {
    if (this.#running === 0 && this.#waiting.length === 0) this.#running = -1;
    else await this.#wait(true, options?.signal);
    try {
      return await operation();
    } finally {
      this.#running = 0;
      this.#admit();
    }
  }

  #wait(exclusive: boolean, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        exclusive,
        admit: () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      const abort = () => {
        const place = this.#waiting.indexOf(waiter);
        if (place >= 0) this.#waiting.splice(place, 1);
        reject(signal?.reason);
        this.#admit(); // The one behind may have waited only for this one.
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.push(waiter);
    });
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (next.exclusive ? this.#running !== 0 : this.#running < 0) return;
      this.#waiting.shift();
      this.#running = next.exclusive ? -1 : this.#running + 1;
      next.admit();
    }
  }
}

interface Waiter {
  readonly exclusive: boolean;
  readonly admit: () => void;
}
