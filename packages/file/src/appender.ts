import { type AppendOptions, type Batch, onAbort, Pace } from "@partd/core/author";
import type { HeldUp } from "./directory-lock.js";
import { GivenUp, Group } from "./group.js";
import type { Parts } from "./parts.js";
import type { Tenure } from "./tenure.js";

/**
 * Writes batches. Those that come while one is written, or while the lock is waited for, are then
 * written together: one note in the journal serves them all, and values of one key are one write.
 */
export class Appender {
  readonly #parts: Parts;
  /** In the order in which they came. A set, since any number of them may be given up at once. */
  #waiting = new Set<Pending>();
  #running = false;
  /** The wait for the lock, which ends when all who wait for it are gone. */
  #wait = new AbortController();
  /** When it was begun. */
  #waitingSince = 0;
  readonly #pace = new Pace();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  append(batch: Batch, options: AppendOptions): Promise<void> {
    const pending = new Pending(batch, options.signal, this.#parts.lock.tenure);
    this.#waiting.add(pending);
    pending.whileWaiting(() => this.#leave(pending));
    if (!this.#running) {
      this.#running = true;
      // One turn later, so that what is appended in this one goes along.
      queueMicrotask(() => this.#run());
    }
    return pending.promise;
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      if (this.#pace.due) await this.#pace.rest();
      try {
        this.#waitingSince = performance.now();
        // Anew for each group, for the lock is given to others from time to time.
        await this.#parts.lock.hold(this.#wait, this.#writeNext, this.#heldUp);
      } catch (error) {
        // The lock could not be had: no one who waits has begun.
        if (error !== NO_ONE_WAITS) for (const pending of this.#takeAll()) pending.reject(error);
      }
      if (this.#wait.signal.aborted) this.#wait = new AbortController();
    }
    this.#running = false;
  }

  #writeNext = (tenure: Tenure): Promise<void> =>
    this.#parts.turns.exclusive(() => this.#writeGroup(this.#takeGroup(tenure), tenure));

  /** Each has its own time to wait: since it was appended, or since the lock was asked for. */
  #heldUp: HeldUp = (explain) => {
    const patience = performance.now() - this.#parts.lock.timeoutMs;
    if (this.#waitingSince > patience) return;
    for (const pending of this.#waiting) {
      if (pending.since > patience) return; // Those behind it came later.
      pending.begin();
      pending.reject(explain());
      this.#leave(pending);
    }
  };

  #leave(pending: Pending): void {
    this.#waiting.delete(pending);
    if (this.#waiting.size === 0) this.#wait.abort(NO_ONE_WAITS);
  }

  async #writeGroup(group: Pending[], tenure: Tenure): Promise<void> {
    if (group.length === 0) return;
    try {
      await new Group(this.#parts, group, tenure, this.#pace).write();
    } catch (error) {
      if (error instanceof GivenUp) {
        // One was aborted; it is all undone, and the others have another try.
        const others = group.filter((pending) => !pending.rejectIfAborted());
        for (const pending of others) pending.whileWaiting(() => this.#leave(pending));
        this.#waiting = new Set([...others, ...this.#waiting]);
      } else if (group.length > 1 && !tenure.lost && !this.#parts.journal.active) {
        // It may be the fault of one alone.
        for (const pending of group) await this.#writeGroup([pending], tenure);
      } else {
        for (const pending of group) pending.reject(error);
      }
      return;
    }
    for (const pending of group) pending.resolve();
  }

  /** Those who wait, as far as they are not too much at once. */
  #takeGroup(tenure: Tenure): Pending[] {
    const group: Pending[] = [];
    let byteLength = 0;
    let keys = 0;
    for (const pending of this.#waiting) {
      if (byteLength >= GROUP_BYTES || keys >= GROUP_KEYS) break;
      this.#waiting.delete(pending);
      pending.begin();
      if (pending.rejectIfAborted()) continue;
      // It was appended in a tenure that was lost meanwhile, and may have relied on it.
      if (pending.tenure?.lost && pending.tenure !== tenure) {
        try {
          pending.tenure.verify();
        } catch (error) {
          pending.reject(error);
        }
        continue;
      }
      group.push(pending);
      byteLength += pending.batch.byteLength;
      keys += pending.batch.keys.length;
    }
    return group;
  }

  #takeAll(): Iterable<Pending> {
    const all = this.#waiting;
    this.#waiting = new Set();
    for (const pending of all) pending.begin();
    return all;
  }
}

/** One append that waits to be written. */
class Pending {
  readonly batch: Batch;
  readonly signal: AbortSignal | undefined;
  /** What held when it was appended. */
  readonly tenure: Tenure | undefined;
  readonly since = performance.now();
  readonly promise: Promise<void>;
  resolve!: () => void;
  reject!: (reason: unknown) => void;
  #stopListening: (() => void) | undefined;

  constructor(batch: Batch, signal: AbortSignal | undefined, tenure: Tenure | undefined) {
    this.batch = batch;
    this.signal = signal;
    this.tenure = tenure;
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }

  /** Rejects as soon as it is aborted, for as long as nothing was begun. */
  whileWaiting(leave: () => void): void {
    const signal = this.signal;
    if (!signal || this.#stopListening) return;
    this.#stopListening = onAbort(signal, () => {
      leave();
      this.reject(signal.reason);
    });
  }

  begin(): void {
    this.#stopListening?.();
    this.#stopListening = undefined;
  }

  rejectIfAborted(): boolean {
    if (!this.signal?.aborted) return false;
    this.reject(this.signal.reason);
    return true;
  }
}

const NO_ONE_WAITS = new Error("No one waits any more.");
/** What is written as one, in bytes and keys, unless a single append is larger. */
const GROUP_BYTES = 32 * 2 ** 20;
const GROUP_KEYS = 100_000;
