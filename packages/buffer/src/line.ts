import { type Batch, onAbort } from "@partd/core";

/** Appends that wait for room, in the order in which they came. */
export class Line {
  readonly #waiting: Waiting[] = [];

  /** What the first in line needs, in bytes of memory; nothing if no one waits. */
  get need(): number | undefined {
    return this.#waiting[0]?.need;
  }

  /** Resolves when the batch has been appended. */
  wait(batch: Batch, need: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const forget =
        signal &&
        onAbort(signal, () => {
          this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
          reject(signal.reason);
        });
      const waiter = { batch, need, resolve, reject, done: () => forget?.() };
      this.#waiting.push(waiter);
    });
  }

  /** Appends the first in line. */
  admit(append: (batch: Batch) => void): void {
    const first = this.#waiting.shift();
    if (!first) return;
    first.done();
    try {
      append(first.batch);
      first.resolve();
    } catch (error) {
      first.reject(error);
    }
  }

  /** Sends all away. */
  reject(error: unknown): void {
    for (const { done, reject } of this.#waiting.splice(0)) {
      done();
      reject(error);
    }
  }
}

interface Waiting {
  readonly batch: Batch;
  readonly need: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly done: () => void;
}
