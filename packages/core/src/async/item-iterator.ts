/**
 * The items of batches one by one. As an `async function*` with a loop gives them, but for a third of
 * its time an item, which is most of the time of listing small values: one that is at hand costs a promise.
 */
export class ItemIterator<T> implements AsyncIterableIterator<T, void, undefined> {
  readonly #batches: AsyncGenerator<readonly T[], void, undefined>;
  readonly #check: () => void;
  #batch: readonly T[] = [];
  #at = 0;
  /** Calls that wait for a batch, and the last of them. */
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** @param check is called before each item; if it throws, the iteration ends with that. */
  constructor(batches: AsyncGenerator<readonly T[], void, undefined>, check: () => void) {
    this.#batches = batches;
    this.#check = check;
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
    this.#check();
    return { value: this.#batch[this.#at++] as T, done: false };
  }

  async #load(): Promise<IteratorResult<T, void>> {
    while (this.#at === this.#batch.length) {
      const { done, value } = await this.#batches.next();
      if (done) return { value: undefined, done };
      this.#batch = value;
      this.#at = 0;
    }
    try {
      return this.#take();
    } catch (error) {
      await this.#end();
      throw error;
    }
  }

  async #end(): Promise<IteratorResult<T, void>> {
    this.#batch = [];
    this.#at = 0;
    await this.#batches.return();
    return { value: undefined, done: true };
  }

  /** Runs a step when those of earlier calls are done. */
  async #inTurn<R>(step: () => Promise<R>): Promise<R> {
    this.#waiting++;
    const before = this.#last;
    const done = before.then(step, step).finally(() => this.#waiting--);
    this.#last = done.catch(() => {});
    return done;
  }
}
