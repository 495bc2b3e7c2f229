import { PartdError } from "@partd/core";
import { ItemIterator, onAbort } from "@partd/core/author";

/**
 * The result of a run. It can be iterated once and starts on first use. Leaving a `for await` ends the
 * run, as do `close()` and `await using`: who reads it meanwhile gets `ERR_PARTD_CLOSED`, never a part for the whole.
 */
export class Output<T> implements AsyncIterable<T>, AsyncDisposable {
  readonly #start: Start<readonly T[]>;
  readonly #given: AbortSignal | undefined;
  /** Aborted with the signal that was given, by `close()`, and where a reader leaves in mid-wait. */
  readonly #ending = new AbortController();
  #running: AsyncGenerator<unknown> | undefined;

  /** @param start begins the run; its items come in arrays, since a promise for each would cost more than most items. */
  constructor(start: Start<readonly T[]>, signal: AbortSignal | undefined) {
    this.#start = start;
    this.#given = signal;
  }

  /** Ends the run. */
  protected get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** @throws `ERR_PARTD_CLOSED` when it is asked for a second time. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    return new ItemIterator(this.#begin(), { check: () => this.signal.throwIfAborted() });
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

  #begin(): AsyncIterableIterator<readonly T[], undefined> {
    return this.begin(this.#start);
  }

  /** Begins the one run that there is. Once the signal is aborted, no more comes of it, whatever it has in memory. */
  protected begin<P>(start: Start<P>): AsyncIterableIterator<P, undefined> {
    if (this.#running) {
      throw new PartdError(
        "ERR_PARTD_CLOSED",
        "This result was read already, or closed: it can be read once. Call the function again for another run, or keep what toArray() gives.",
      );
    }
    const running = this.#linked(start);
    this.#running = running;
    return new OutputIterator(running, this.#ending);
  }

  async *#linked<P>(start: Start<P>): AsyncGenerator<P> {
    const given = this.#given;
    checkSignal(given);
    given?.throwIfAborted();
    const forget = given && onAbort(given, () => this.#ending.abort(given.reason));
    try {
      yield* start(this.signal);
    } finally {
      forget?.();
    }
  }

  /** Ends the run, and removes what it has spilled. */
  async close(): Promise<void> {
    this.#running ??= nothing();
    this.#ending.abort(closedEarly());
    await this.#running.return(undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined || typeof signal?.throwIfAborted === "function") return;
  throw new PartdError("ERR_PARTD_VALUE", `signal must be an AbortSignal, not ${String(signal)}.`);
}

/** Begins a run, which ends early when the signal is aborted. */
export type Start<P> = (signal: AbortSignal) => AsyncGenerator<P>;

async function* nothing(): AsyncGenerator<never> {}

function closedEarly(): PartdError {
  return new PartdError(
    "ERR_PARTD_CLOSED",
    "This result was closed before it had been read to its end.",
  );
}

/** What the reader of a run holds. The end of a run that was ended early is an error for it. */
class OutputIterator<P> implements AsyncIterableIterator<P, undefined> {
  readonly #pieces: AsyncGenerator<P>;
  readonly #ending: AbortController;
  #waiting = 0;
  #isOver = false;

  constructor(pieces: AsyncGenerator<P>, ending: AbortController) {
    this.#pieces = pieces;
    this.#ending = ending;
  }

  async next(): Promise<IteratorResult<P, undefined>> {
    if (this.#isOver) return OVER;
    const { signal } = this.#ending;
    this.#waiting++;
    try {
      if (!signal.aborted) {
        const { value, done } = await this.#pieces.next();
        if (!signal.aborted) {
          if (!done) return { value, done: false };
          this.#isOver = true;
          return OVER;
        }
      }
      await this.#pieces.return(undefined);
      throw signal.reason;
    } catch (error) {
      this.#isOver = true;
      // What fails while a run is being ended fails for that.
      signal.throwIfAborted();
      throw error;
    } finally {
      this.#waiting--;
    }
  }

  /** A reader that leaves while a piece is being made does not wait for the piece. */
  async return(): Promise<IteratorResult<P, undefined>> {
    this.#isOver = true;
    if (this.#waiting > 0) this.#ending.abort(closedEarly());
    await this.#pieces.return(undefined);
    return OVER;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

const OVER = { value: undefined, done: true } as const;
