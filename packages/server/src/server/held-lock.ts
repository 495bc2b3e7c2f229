import type { Store } from "@partd/core";

/** The store's lock, held for a connection. */
export class HeldLock {
  /** Of the LOCK request that asked for it. */
  readonly number: number;
  readonly store: Store;
  readonly since = performance.now();
  readonly #release: () => Promise<void>;
  #running = 0;
  #whenIdle: (() => void) | undefined;

  constructor(number: number, store: Store, release: () => Promise<void>) {
    this.number = number;
    this.store = store;
    this.#release = release;
  }

  /** An operation inside of the lock begins. */
  enter(): void {
    this.#running++;
  }

  /** It has ended. */
  leave(): void {
    this.#running--;
    if (this.#running === 0) this.#whenIdle?.();
  }

  /** Lets the lock go as soon as what runs inside has ended. */
  async release(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await this.#release();
  }
}
