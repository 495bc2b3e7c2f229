import { PartdError } from "@partd/core";
import { ItemIterator } from "@partd/core/author";

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
    return new ItemIterator(this.#begin(), { check: () => this.signal?.throwIfAborted() });
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
    const running = this.signal ? untilAborted(start(), this.signal) : start();
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

/** Pieces, and none once the signal is aborted. */
export async function* untilAborted<P>(
  pieces: AsyncGenerator<P>,
  signal: AbortSignal,
): AsyncGenerator<P> {
  for await (const piece of pieces) {
    yield piece;
    signal.throwIfAborted();
  }
}
