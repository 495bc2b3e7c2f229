import { PartdError, type Store } from "@partd/core";

/** The lock of the served store, which a connection takes for its client. */
export class StoreLock {
  readonly #store: Store;
  readonly #gone: AbortSignal;
  #held: HeldLock | undefined;

  /** @param gone is aborted with the connection. */
  constructor(store: Store, gone: AbortSignal) {
    this.#store = store;
    this.#gone = gone;
  }

  /** When the connection got the lock, if it holds it. */
  get since(): number | undefined {
    return this.#held?.since;
  }

  /** @throws `ERR_PARTD_LOCK` if the connection does not hold it. */
  get held(): HeldLock {
    if (this.#held) return this.#held;
    throw new PartdError(
      "ERR_PARTD_LOCK",
      "The lock that this ran under was lost with the connection that held it; it was not carried out.",
    );
  }

  /** Whether the connection got it by the request of this number. */
  isOf(number: number): boolean {
    return this.#held?.number === number;
  }

  /**
   * Takes the lock. Resolves when it is released.
   *
   * @param number of the LOCK request.
   * @param granted called when the connection holds it.
   */
  async take(number: number, signal: AbortSignal, granted: () => void): Promise<void> {
    let isGranted = false;
    const ended = this.#store.withLock(
      (store) =>
        new Promise<void>((resolve, reject) => {
          const over = [this.#gone, signal].find(({ aborted }) => aborted);
          if (over) {
            reject(over.reason);
            return;
          }
          this.#held = new HeldLock(number, store, () => {
            resolve();
            return ended;
          });
          isGranted = true;
          granted();
        }),
      { signal },
    );
    await ended;
    if (!isGranted) throw new PartdError("ERR_PARTD_IO", "The served store has no lock to give.");
  }

  /** Releases the lock. @throws `ERR_PARTD_LOCK` if the connection does not hold it. */
  async release(): Promise<void> {
    const { held } = this;
    this.#held = undefined;
    await held.release();
  }

  /** The connection is lost: releases the lock if it holds it. */
  giveUp(): void {
    this.#held?.release().catch(() => {}); // If the store has failed, its next operation shows it.
    this.#held = undefined;
  }
}

/** The lock while it is held. */
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
