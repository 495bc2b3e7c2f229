import type { OperationOptions, Store } from "@partd/core";
import { onAbort, unlessAborted } from "@partd/core/author";
import type { Spiller } from "./spiller.js";

/**
 * Runs work during which the buffer spills nothing by itself: changes of keys in memory and below, and
 * what runs under the slow store's lock. If the caller gives up, the work still goes on to its end, and
 * later work waits for it, so that no change is left half made.
 */
export class ExclusiveWork {
  readonly #spiller: Spiller;
  /** Work whose caller has given up. Never rejects. */
  #abandoned: Promise<void> | undefined;
  /** What has to be done first, because a change failed. */
  #mending: Mending | undefined;
  #changes = 0;
  #changesUnderWay = 0;

  constructor(spiller: Spiller) {
    this.#spiller = spiller;
  }

  /** How many changes have begun. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether a change is under way. */
  get isChanging(): boolean {
    return this.#changesUnderWay > 0;
  }

  /** Whether no abandoned work is under way, and no failed change waits to be mended. */
  get isSettled(): boolean {
    return this.#abandoned === undefined && this.#mending === undefined;
  }

  /** Resolves when {@link isSettled}. @throws the error that prevents mending a failed change. */
  async settled(signal?: AbortSignal): Promise<void> {
    while (!this.isSettled) {
      await unlessAborted(this.#abandoned ?? (this.#mending as Mending).again(), signal);
    }
  }

  /**
   * Makes memory agree with the slow store after a change that failed half-way. If that fails too, the
   * next operation tries again before anything else is done. Never rejects.
   */
  async mend(work: () => Promise<void>): Promise<void> {
    const mending = new Mending(work);
    try {
      await mending.again();
    } catch {
      this.#mending = mending;
      void this.#spiller.whileQuiet(undefined, () => mending.done);
      void mending.done.then(() => {
        this.#mending = undefined;
      });
    }
  }

  /** Runs `change`, which changes keys in memory and below. */
  async change(signal: AbortSignal | undefined, change: () => Promise<void>): Promise<void> {
    const work = this.#run(signal, async () => {
      this.#changes++;
      this.#changesUnderWay++;
      try {
        await change();
      } finally {
        this.#changesUnderWay--;
      }
    });
    let hasEnded = false;
    const end = () => {
      hasEnded = true;
    };
    work.then(end, end);
    try {
      await unlessAborted(work, signal);
    } catch (error) {
      if (!hasEnded) this.#abandon(work);
      throw error;
    }
  }

  /** Runs `critical` under the lock of `slow`; meanwhile, all spills go through the locked store. */
  withLock<T>(slow: Store, critical: () => Promise<T>, options: OperationOptions): Promise<T> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      let hasEntered = false;
      const section = this.#run(signal, () =>
        slow.withLock(async (held) => {
          signal?.throwIfAborted();
          hasEntered = true;
          this.#spiller.flights.goTo(held);
          const leave = async () => {
            await this.#abandoned;
            await this.#spiller.landed();
            this.#spiller.flights.goTo(slow);
          };
          let result: T;
          try {
            result = await critical();
          } catch (error) {
            const left = leave();
            if (this.#abandoned || signal?.aborted) {
              // The caller has given up. The lock is kept until the section's operations are done.
              this.#abandon(section);
              reject(error);
            }
            await left;
            throw error;
          }
          await leave();
          return result;
        }, options),
      );
      section.then(resolve, reject);
      if (!signal) return;
      const forget = onAbort(signal, () => {
        if (!hasEntered) reject(signal.reason);
      });
      section.then(forget, forget);
    });
  }

  async #run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.settled(signal);
    return this.#spiller.whileQuiet(signal, work);
  }

  #abandon(work: Promise<unknown>): void {
    const end = () => {
      if (this.#abandoned === ended) this.#abandoned = undefined;
    };
    const ended = work.then(end, end);
    this.#abandoned = ended;
  }
}

/** Work that is retried until it succeeds. One caller retries at a time, on behalf of all. */
class Mending {
  readonly done: Promise<void>;
  readonly #work: () => Promise<void>;
  #attempt: Promise<void> | undefined;
  #resolve!: () => void;

  constructor(work: () => Promise<void>) {
    this.#work = work;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  again(): Promise<void> {
    this.#attempt ??= this.#try();
    return this.#attempt;
  }

  async #try(): Promise<void> {
    try {
      await this.#work();
      this.#resolve();
    } finally {
      this.#attempt = undefined;
    }
  }
}
