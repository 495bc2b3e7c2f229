import { PartdError } from "@partd/core";
import { onAbort } from "@partd/core/author";
import { type LockFolder, WAITS, WANTS } from "./lock-folder.js";
import { uniqueToken } from "./token.js";

export type LockMode = "shared" | "exclusive";

export interface LockWaitersOptions {
  /** The locked data set, for messages. */
  readonly directory: string;
  readonly staleMs: number;
  readonly timeoutMs: number;
}

/**
 * The calls of one store that wait for its lock, and the mark in the lock's folder that shows them
 * to the holder: `waits` for a shared lock, `wants` for an exclusive one.
 */
export class LockWaiters {
  /** The token of this store's marks. */
  readonly token = uniqueToken();
  readonly #folder: LockFolder;
  readonly #directory: string;
  readonly #staleMs: number;
  readonly #timeoutMs: number;
  readonly #waiting = new Set<Waiter>();
  #mark: string | undefined;
  #markedAt = 0;

  constructor(folder: LockFolder, { directory, staleMs, timeoutMs }: LockWaitersOptions) {
    this.#folder = folder;
    this.#directory = directory;
    this.#staleMs = staleMs;
    this.#timeoutMs = timeoutMs;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Whether any call waits for an exclusive lock. */
  get wantExclusive(): boolean {
    for (const { mode } of this.#waiting) if (mode === "exclusive") return true;
    return false;
  }

  /**
   * Waits until one of the methods below resolves or rejects it, or `signal` aborts it.
   *
   * @param since when the wait began that `timeoutMs` limits, by `performance.now()`.
   */
  wait(mode: LockMode, since: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { mode, since, resolve, reject };
      if (signal) {
        const forget = onAbort(signal, () => {
          this.#waiting.delete(waiter);
          reject(signal.reason);
        });
        waiter.resolve = () => {
          forget();
          resolve();
        };
        waiter.reject = (reason) => {
          forget();
          reject(reason);
        };
      }
      this.#waiting.add(waiter);
    });
  }

  resolveAll(): void {
    this.#settleAll((waiter) => waiter.resolve());
  }

  rejectAll(error: unknown): void {
    this.#settleAll((waiter) => waiter.reject(error));
  }

  /** Rejects calls that have waited for `timeoutMs`, with `ERR_PARTD_LOCK`. */
  rejectOverdue(holder: string): void {
    const overdue = performance.now() - this.#timeoutMs;
    for (const waiter of [...this.#waiting]) {
      if (waiter.since > overdue) continue;
      this.#waiting.delete(waiter);
      waiter.reject(
        new PartdError(
          "ERR_PARTD_LOCK",
          `The lock of ${this.#directory} is held by ${holder} and could not be had within ${this.#timeoutMs} ms; wait for it to end, or raise lockTimeoutMs.`,
          { path: this.#directory },
        ),
      );
    }
  }

  /** Shows others that we wait; repeated as a sign of life. */
  mark(exclusive: boolean): void {
    const mark = (exclusive ? WANTS : WAITS) + this.token;
    if (mark === this.#mark && performance.now() - this.#markedAt < this.#staleMs / 4) return;
    if (mark !== this.#mark) this.unmark();
    this.#mark = undefined;
    try {
      this.#folder.create(mark);
      this.#markedAt = performance.now();
      this.#mark = mark;
    } catch {
      // The mark only shortens the wait.
    }
  }

  /** Shows others that we no longer wait. */
  unmark(): void {
    if (this.#mark === undefined) return;
    try {
      this.#folder.remove(this.#mark);
    } catch {
      // Others ignore it once it is stale.
    }
    this.#mark = undefined;
  }

  #settleAll(settle: (waiter: Waiter) => void): void {
    const all = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of all) settle(waiter);
  }
}

interface Waiter {
  readonly mode: LockMode;
  readonly since: number;
  resolve: () => void;
  reject: (reason: unknown) => void;
}
