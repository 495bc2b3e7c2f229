import { isPartdError } from "@partd/core";
import { type AppendOptions, type Batch, onAbort, Pace } from "@partd/core/author";
import type { Lease } from "@partd/disk";
import type { DataSet } from "./data-set.js";
import { Aborted, GroupCommit } from "./group-commit.js";

/**
 * A store's appends, in order of arrival. Appends that arrive while another is written, or while
 * the store waits for the lock, are written together: one journal note serves them all, and the
 * values of a key become one write.
 */
export class AppendQueue {
  readonly #set: DataSet;
  /** A set, because any of them may be aborted at any time. */
  #waiting = new Set<Pending>();
  #running = false;
  /** Ends the wait for the lock when all appends have been aborted. */
  #wait = new AbortController();
  readonly #pace = new Pace();

  constructor(set: DataSet) {
    this.#set = set;
  }

  append(batch: Batch, options: AppendOptions): Promise<void> {
    const pending = new Pending(batch, options.signal, this.#set);
    this.#waiting.add(pending);
    pending.whileWaiting(() => this.#leave(pending));
    if (!this.#running) {
      this.#running = true;
      this.#run();
    }
    return pending.promise;
  }

  async #run(): Promise<void> {
    const { lock, turns } = this.#set;
    // Appends of this turn are written together. `queueMicrotask` would take 0.2 µs more.
    await undefined;
    for (let first = next(this.#waiting); first; first = next(this.#waiting)) {
      if (this.#pace.due) await this.#pace.rest();
      try {
        const since = Math.max(first.since, this.#idleSince);
        // Take the lock for each group, because it is given to others now and then.
        const wait = { signal: this.#wait.signal, since };
        const lease = lock.enter("exclusive") ?? (await lock.take("exclusive", wait));
        try {
          if (!turns.enter("exclusive")) await turns.wait("exclusive");
          try {
            await this.#writeGroup(this.#takeGroup(lease), lease);
          } finally {
            turns.leave();
          }
        } finally {
          lock.leave(lease);
        }
        this.#idleSince = performance.now();
      } catch (error) {
        // The lock could not be had: no waiting append has begun.
        if (error !== ALL_GIVEN_UP) this.#reject(error);
      }
      if (this.#wait.signal.aborted) this.#wait = new AbortController();
    }
    this.#running = false;
  }

  /** When the lock was last held: no wait for it counts from before then. */
  #idleSince = 0;

  async #writeGroup(group: readonly Pending[], lease: Lease): Promise<void> {
    if (group.length === 0) return;
    try {
      await new GroupCommit(this.#set, group, lease, this.#pace).write();
    } catch (error) {
      if (error instanceof Aborted) {
        // One append was aborted. The group is undone, and the others are tried again.
        const others = group.filter((pending) => !pending.rejectIfAborted());
        for (const pending of others) pending.whileWaiting(() => this.#leave(pending));
        this.#waiting = new Set([...others, ...this.#waiting]);
      } else if (group.length > 1 && !lease.lost && !this.#set.journal.active) {
        // One append alone may be the cause.
        for (const pending of group) await this.#writeGroup([pending], lease);
      } else {
        for (const pending of group) pending.reject(error);
      }
      return;
    }
    for (const pending of group) pending.resolve();
  }

  /** The waiting appends, up to the limit of a group. */
  #takeGroup(lease: Lease): Pending[] {
    const group: Pending[] = [];
    let byteLength = 0;
    let keys = 0;
    for (const pending of this.#waiting) {
      if (byteLength >= GROUP_BYTES || keys >= GROUP_KEYS) break;
      this.#waiting.delete(pending);
      pending.begin();
      if (pending.rejectIfAborted()) continue;
      // The append was made in a lease that was lost since, on which it may have relied.
      if (pending.lease?.lost && pending.lease !== lease) {
        try {
          pending.lease.verify();
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

  /**
   * Rejects the waiting appends. A timeout rejects only those that have waited for the whole time.
   */
  #reject(error: unknown): void {
    const overdue = performance.now() - this.#set.lock.timeoutMs;
    const isTimeout = isPartdError(error, "ERR_PARTD_LOCK");
    for (const pending of this.#waiting) {
      if (isTimeout && pending.since > overdue) break; // The others came later.
      this.#waiting.delete(pending);
      pending.begin();
      pending.reject(error);
    }
  }

  #leave(pending: Pending): void {
    this.#waiting.delete(pending);
    if (this.#waiting.size === 0) this.#wait.abort(ALL_GIVEN_UP);
  }
}

/** A waiting append. */
class Pending {
  readonly batch: Batch;
  readonly signal: AbortSignal | undefined;
  /** The lease that was held when it was appended. */
  readonly lease: Lease | undefined;
  readonly since = performance.now();
  readonly promise: Promise<void>;
  readonly #set: DataSet;
  #resolve!: () => void;
  #reject!: (reason: unknown) => void;
  #stopListening: (() => void) | undefined;

  constructor(batch: Batch, signal: AbortSignal | undefined, set: DataSet) {
    this.batch = batch;
    this.signal = signal;
    this.lease = set.lock.current;
    this.#set = set;
    set.begin();
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  resolve(): void {
    this.#set.end();
    this.#resolve();
  }

  reject(reason: unknown): void {
    this.#set.end();
    this.#reject(reason);
  }

  /** Rejects on abort, until {@link begin}. */
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

function next(waiting: ReadonlySet<Pending>): Pending | undefined {
  return waiting.values().next().value;
}

const ALL_GIVEN_UP = new Error("All appends have been given up.");
/** The most bytes and keys of a group, unless a single append is larger. */
const GROUP_BYTES = 32 * 2 ** 20;
const GROUP_KEYS = 100_000;
