import { onAbort } from "@partd/core/author";

/** Wakes those who wait for something to change. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  /** Resolves with the next `announce`, or rejects with the signal's reason. */
  next(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      if (!signal) {
        this.#waiting.add(resolve);
        return;
      }
      const forget = onAbort(signal, () => {
        this.#waiting.delete(wake);
        reject(signal.reason);
      });
      const wake = () => {
        forget();
        resolve();
      };
      this.#waiting.add(wake);
    });
  }

  announce(): void {
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
