/** What happens between two items. */
export interface BetweenItems<T> {
  /** Called before each item is given; if it throws, the iteration ends with that. */
  readonly check?: (() => void) | undefined;
  /** Called with an item when the next one is asked for, or when the iteration is left. */
  readonly leave?: ((item: T) => void) | undefined;
}

/**
 * Yields the items of batches one by one, like an `async function*` with a loop but in a third of
 * the time: an item at hand costs one promise. This was most of the time of listing small values.
 * Overlapping calls get their items in order.
 */
export class ItemIterator<T> implements AsyncIterableIterator<T, void, undefined> {
  readonly #batches: AsyncIterator<readonly T[], unknown, undefined>;
  readonly #check: (() => void) | undefined;
  readonly #leave: ((item: T) => void) | undefined;
  #batch: readonly T[] = [];
  #at = 0;
  /** Calls that wait for a batch, and the last of them. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    batches: AsyncIterator<readonly T[], unknown, undefined>,
    { check, leave }: BetweenItems<T> = {},
  ) {
    this.#batches = batches;
    this.#check = check;
    this.#leave = leave;
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#waiting > 0 || this.#at === this.#batch.length)
      return this.#inTurn(() => this.#load());
    try {
      return Promise.resolve(this.#take());
    } catch (error) {
      return this.throw(error);
    }
  }

  return(): Promise<IteratorResult<T, void>> {
    // If a batch is being awaited, end its source now: some can stop in mid-wait.
    if (this.#waiting > 0) Promise.resolve(this.#batches.return?.()).catch(() => {});
    return this.#inTurn(() => this.#end());
  }

  throw(error: unknown): Promise<IteratorResult<T, void>> {
    return this.#inTurn(async () => {
      await this.#end();
      throw error;
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): IteratorResult<T, void> {
    this.#check?.();
    if (this.#leave && this.#at > 0) this.#leave(this.#batch[this.#at - 1] as T);
    return { value: this.#batch[this.#at++] as T, done: false };
  }

  async #load(): Promise<IteratorResult<T, void>> {
    while (this.#at === this.#batch.length) {
      this.#forget();
      const { done, value } = await this.#batches.next();
      if (done) return { value: undefined, done };
      this.#batch = value;
    }
    try {
      return this.#take();
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  async #end(): Promise<IteratorResult<T, void>> {
    this.#forget();
    await this.#batches.return?.();
    return { value: undefined, done: true };
  }

  /** Drops the rest of the current batch. */
  #forget(): void {
    const given = this.#at;
    const batch = this.#batch;
    this.#batch = [];
    this.#at = 0;
    if (given > 0) this.#leave?.(batch[given - 1] as T);
  }

  /** Runs `step` when the steps of earlier calls are done. */
  async #inTurn<R>(step: () => Promise<R>): Promise<R> {
    this.#waiting++;
    const before = this.#last;
    const done = before.then(step, step).finally(() => this.#waiting--);
    this.#last = done.catch(() => {});
    return done;
  }
}
