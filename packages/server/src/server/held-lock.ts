import type { Store } from "@partd/core";

/** The store's lock, held on behalf of a connection. */
export class HeldLock {
  /** The number of the LOCK request. */
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

  /** An operation under the lock begins. */
  enter(): void {
    this.#running++;
  }

  /** An operation under the lock has ended. */
  leave(): void {
    this.#running--;
    if (this.#running === 0) this.#whenIdle?.();
  }

  /** Releases the lock as soon as the operations under it have ended. */
  async release(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await this.#release();
  }
}
