import { type Batch, onAbort } from "@partd/core/author";

/** Appends that wait for room, in the order in which they came. */
export class Line {
  #waiting: Waiting[] = [];
  /** Where the first is: `shift()` of a long array moves all that is left. */
  #next = 0;
  #size = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** What the first in line needs, in bytes of memory; nothing if no one waits. */
  get need(): number | undefined {
    return this.#first()?.append.need;
  }

  /** Resolves when the batch has been appended. */
  wait(append: Append, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = { append, resolve, reject, gone: false, forget: () => {} };
      if (signal) {
        waiting.forget = onAbort(signal, () => {
          waiting.gone = true;
          this.#size--;
          reject(signal.reason);
        });
      }
      this.#waiting.push(waiting);
      this.#size++;
    });
  }

  /** Appends the first in line. */
  admit(append: (append: Append) => void): void {
    const first = this.#shift();
    if (!first) return;
    try {
      append(first.append);
      first.resolve();
    } catch (error) {
      first.reject(error);
    }
  }

  /** Sends all away. */
  reject(error: unknown): void {
    for (let first = this.#shift(); first; first = this.#shift()) first.reject(error);
  }

  #first(): Waiting | undefined {
    while (this.#waiting[this.#next]?.gone) this.#next++;
    const first = this.#waiting[this.#next];
    if (first === undefined && this.#next > 0) {
      this.#waiting = [];
      this.#next = 0;
    }
    return first;
  }

  #shift(): Waiting | undefined {
    const first = this.#first();
    if (!first) return undefined;
    first.forget();
    this.#size--;
    this.#next++;
    if (this.#next > 1000 && 2 * this.#next > this.#waiting.length) {
      this.#waiting.splice(0, this.#next);
      this.#next = 0;
    }
    return first;
  }
}

export interface Append {
  readonly batch: Batch;
  /** Bytes of memory. */
  readonly need: number;
  /** Whether its arrays are given away. */
  readonly owned: boolean | undefined;
}

interface Waiting {
  readonly append: Append;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Given up. */
  gone: boolean;
  /** Listens to its signal no longer. */
  forget: () => void;
}
