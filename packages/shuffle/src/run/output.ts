import { PartdError } from "@partd/core";

/**
 * The result of a run. It can be iterated once and starts on first use. Leaving a `for await` ends the
 * run, as do `close()` and `await using`.
 */
export class Output<T> implements AsyncIterable<T>, AsyncDisposable {
  protected readonly signal: AbortSignal | undefined;
  readonly #start: () => AsyncGenerator<readonly T[]>;
  #running: AsyncGenerator<unknown> | undefined;

  /** @param start begins the run; its items come in arrays, since a promise for each would cost more than most items. */
  constructor(start: () => AsyncGenerator<readonly T[]>, signal: AbortSignal | undefined) {
    this.#start = start;
    this.signal = signal;
  }

  /** @throws `ERR_PARTD_CLOSED` when it is asked for a second time. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    return new ItemIterator(this.#begin(), { signal: this.signal });
  }

  /** The same items in arrays as they come, which is faster for small ones. */
  batches(): AsyncIterable<readonly T[]> {
    return { [Symbol.asyncIterator]: () => this.#begin() };
  }

  async toArray(): Promise<T[]> {
    const items: T[] = [];
    for await (const batch of this.batches()) for (const item of batch) items.push(item);
    return items;
  }

  #begin(): AsyncGenerator<readonly T[]> {
    return this.begin(this.#start);
  }

  /** Begins the one run that there is. Once the signal is aborted, no more comes of it, whatever it has in memory. */
  protected begin<P>(start: () => AsyncGenerator<P>): AsyncGenerator<P> {
    if (this.#running) {
      throw new PartdError(
        "ERR_PARTD_CLOSED",
        "This result was read already, or closed: it can be read once. Call the function again for another run, or keep what toArray() gives.",
      );
    }
    const running = this.signal ? unlessAborted(start(), this.signal) : start();
    this.#running = running;
    return running;
  }

  /** Ends the run, and removes what it has spilled. */
  async close(): Promise<void> {
    this.#running ??= nothing();
    await this.#running.return(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function* nothing(): AsyncGenerator<never> {}

async function* unlessAborted<P>(
  pieces: AsyncGenerator<P>,
  signal: AbortSignal,
): AsyncGenerator<P> {
  for await (const piece of pieces) {
    yield piece;
    signal.throwIfAborted();
  }
}

/** Items one by one. An async generator would take three turns of the microtask queue for each. */
export class ItemIterator<T> implements AsyncIterator<T> {
  readonly #batches: AsyncIterator<readonly T[], unknown>;
  readonly #leave: ((item: T) => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  #batch: readonly T[] = [];
  #index = 0;
  #fetching: Promise<unknown> | undefined;

  /**
   * @param leave called with each item when the next one is asked for.
   * @param signal once it is aborted, the rest of a batch is left out: the next one rejects.
   */
  constructor(
    batches: AsyncIterator<readonly T[], unknown>,
    { leave, signal }: { leave?: (item: T) => void; signal?: AbortSignal | undefined } = {},
  ) {
    this.#batches = batches;
    this.#leave = leave;
    this.#signal = signal;
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#leave && this.#index > 0) this.#leave(this.#batch[this.#index - 1]!);
    if (this.#signal?.aborted) {
      this.#batch = [];
      this.#index = 0;
    }
    if (this.#index < this.#batch.length && !this.#fetching) {
      return Promise.resolve({ value: this.#batch[this.#index++]!, done: false });
    }
    // Calls that overlap take their items in order.
    const fetched = this.#fetching ? this.#fetching.then(() => this.#fetch()) : this.#fetch();
    this.#fetching = fetched;
    const clear = () => {
      if (this.#fetching === fetched) this.#fetching = undefined;
    };
    fetched.then(clear, clear);
    return fetched;
  }

  async #fetch(): Promise<IteratorResult<T>> {
    while (this.#index >= this.#batch.length) {
      const { value, done } = await this.#batches.next();
      if (done) return { value: undefined, done: true };
      this.#batch = value;
      this.#index = 0;
    }
    return { value: this.#batch[this.#index++]!, done: false };
  }

  async return(): Promise<IteratorResult<T>> {
    this.#batch = [];
    this.#index = 0;
    await this.#batches.return?.(undefined);
    return { value: undefined, done: true };
  }
}
