import type { OperationOptions, Store } from "@partd/core";
import { onAbort, unlessAborted } from "@partd/core/author";
import type { Spiller } from "./spiller.js";

/**
 * Work during which nothing is spilled on the buffer's own account: what changes keys in memory and
 * below, and what runs under the slow store's lock. If its caller gives it up it goes on, so that no
 * change is left half made, and what comes next waits for it.
 */
export class ExclusiveWork {
  readonly #spiller: Spiller;
  /** Never rejects. */
  #abandoned: Promise<void> | undefined;
  #changes = 0;
  #changesUnderWay = 0;

  constructor(spiller: Spiller) {
    this.#spiller = spiller;
  }

  /** How many changes have begun. */
  get changes(): number {
    return this.#changes;
  }

  /** Whether a change that has begun has not ended. */
  get isChanging(): boolean {
    return this.#changesUnderWay > 0;
  }

  /** Whether work goes on that its caller has given up. */
  get isAbandoned(): boolean {
    return this.#abandoned !== undefined;
  }

  /** Resolves when no work goes on that its caller has given up. */
  async settled(signal?: AbortSignal): Promise<void> {
    while (this.#abandoned) await unlessAborted(this.#abandoned, signal);
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

  /** Runs `critical` under the lock of `slow`, through which all that is spilled goes meanwhile. */
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
              // The caller has given up. The lock is kept until what was begun in it is done.
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
