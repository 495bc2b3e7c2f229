import { onAbort } from "./abort.js";

/**
 * A first-in, first-out queue of waits. A wait whose signal is aborted leaves from where it stands.
 */
export class WaitQueue<T = void> {
  #waits: Wait<T>[] = [];
  /** Index of the first wait: `shift()` would move the rest of a long array. */
  #start = 0;
  /** Aborted waits behind `#start`. */
  #aborted = 0;

  /** How many wait. */
  get size(): number {
    return this.#waits.length - this.#start - this.#aborted;
  }

  /** The item of the first wait; `undefined` if the queue is empty. */
  get first(): T | undefined {
    return this.#front()?.item;
  }

  /**
   * Resolves or rejects when the caller of `take` does that to the returned wait.
   *
   * @param left called if the signal is aborted first, before the promise rejects.
   */
  wait(item: T, signal?: AbortSignal, left?: () => void): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      if (!signal) {
        this.#waits.push({ item, resolve, reject, isAborted: false });
        return;
      }
      const wait: Wait<T> = {
        item,
        resolve: () => {
          forget();
          resolve();
        },
        reject: (reason) => {
          forget();
          reject(reason);
        },
        isAborted: false,
      };
      const forget = onAbort(signal, () => {
        wait.isAborted = true;
        this.#aborted++;
        this.#compact();
        reject(signal.reason);
        left?.();
      });
      this.#waits.push(wait);
    });
  }

  /** Takes the first wait out of the queue, for the caller to resolve or reject. */
  take(): Taken<T> | undefined {
    const wait = this.#front();
    if (wait) this.#advance();
    return wait;
  }

  /** Resolves all present waits. */
  resolveAll(): void {
    for (let wait = this.take(); wait; wait = this.take()) wait.resolve();
  }

  rejectAll(reason: unknown): void {
    for (let wait = this.take(); wait; wait = this.take()) wait.reject(reason);
  }

  #front(): Wait<T> | undefined {
    for (let wait = this.#waits[this.#start]; wait; wait = this.#waits[this.#start]) {
      if (!wait.isAborted) return wait;
      this.#aborted--;
      this.#advance();
    }
    return undefined;
  }

  #advance(): void {
    this.#start++;
    if (2 * this.#start < this.#waits.length) return;
    this.#waits = this.#waits.slice(this.#start);
    this.#start = 0;
  }

  /**
   * Drops aborted waits once they are half of the array: behind one long wait, many may come and
   * give up.
   */
  #compact(): void {
    if (2 * this.#aborted < this.#waits.length) return;
    this.#waits = this.#waits.slice(this.#start).filter((wait) => !wait.isAborted);
    this.#start = 0;
    this.#aborted = 0;
  }
}

/** A wait that has left the queue. */
export interface Taken<T> {
  readonly item: T;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

interface Wait<T> extends Taken<T> {
  isAborted: boolean;
}
