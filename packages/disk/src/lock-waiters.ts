import { PartdError } from "@partd/core";
import { onAbort } from "@partd/core/author";
import { type LockFolder, leftBehind, WAITS, WANTS } from "./lock-folder.js";
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
 * to others: `waits` for a shared lock, `wants` for an exclusive one. Waiters take turns: each goes
 * behind those whose marks it saw before it made its own. Whoever comes later sees that one, so no
 * two wait for each other, and no clock is asked.
 */
export class LockWaiters {
  /** The token of this store's mark, another one for each wait. */
  token = uniqueToken();
  /** Tokens of the waiters ahead of this one. Before its first mark, all others are. */
  #ahead: ReadonlySet<string> | undefined;
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

  /** Whether the waiter of that token has its turn before us. */
  isAhead(token: string): boolean {
    return this.#ahead?.has(token) ?? true;
  }

  /** Goes ahead of the other waiters, which do not take a free lock. */
  overtake(): void {
    this.#ahead = new Set();
  }

  /**
   * Shows others that we wait; repeated as a sign of life.
   *
   * @param others tokens of the other waiters, as of a look before.
   */
  mark(exclusive: boolean, others: readonly string[]): void {
    this.#ahead ??= new Set(others);
    const mark = (exclusive ? WANTS : WAITS) + this.token;
    if (mark === this.#mark && performance.now() - this.#markedAt < this.#staleMs / 4) return;
    const before = this.#mark;
    try {
      this.#folder.create(mark);
      this.#markedAt = performance.now();
      this.#mark = mark;
      if (before !== undefined && before !== mark) this.#remove(before);
    } catch {
      // The next attempt makes it.
    }
  }

  /** Shows others that we no longer wait. */
  unmark(): void {
    this.#ahead = undefined;
    if (this.#mark === undefined) return;
    this.#remove(this.#mark);
    this.#mark = undefined;
    this.token = uniqueToken();
  }

  #remove(mark: string): void {
    try {
      this.#folder.remove(mark);
    } catch {
      // Other processes ignore it once it is stale.
      leftBehind.add(this.token);
    }
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
