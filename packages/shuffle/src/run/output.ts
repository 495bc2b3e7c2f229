import { PartdError } from "@partd/core";
import { ItemIterator, onAbort, Pace } from "@partd/core/author";

/**
 * The result of a run. It can be iterated once, and starts at first use. Leaving a `for await` ends the
 * run, as do `close()` and `await using`: a consumer that is reading then gets `ERR_PARTD_CLOSED`,
 * never a part that looks whole.
 */
export class Output<T> implements AsyncIterable<T>, AsyncDisposable {
  readonly #start: Start<readonly T[]>;
  readonly #given: AbortSignal | undefined;
  /** Aborted with the caller's signal, by `close()`, and when a consumer leaves in mid-wait. */
  readonly #ending = new AbortController();
  #running: AsyncGenerator<unknown> | undefined;

  /**
   * @param start begins the run. Its items come in arrays, since a promise for each would cost more
   *   than most items.
   */
  constructor(start: Start<readonly T[]>, signal: AbortSignal | undefined) {
    this.#start = start;
    this.#given = signal;
  }

  /** Ends the run when it is aborted. */
  protected get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** @throws `ERR_PARTD_CLOSED` at the second call. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    return new ItemIterator(this.begin(this.#start), { check: () => this.signal.throwIfAborted() });
  }

  /** The same items in arrays as they come, which is faster for small items. */
  batches(): AsyncIterable<readonly T[]> {
    return { [Symbol.asyncIterator]: () => this.begin(this.#start) };
  }

  /** Collects all items, which have to fit in memory. */
  async toArray(): Promise<T[]> {
    const items: T[] = [];
    for await (const batch of this.batches()) for (const item of batch) items.push(item);
    return items;
  }

  /** Begins the only run. After an abort it yields nothing more, whatever it has in memory. */
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

/** The iterator of a run. If the run was ended early, its end is an error. */
class OutputIterator<P> implements AsyncIterableIterator<P, undefined> {
  readonly #pieces: AsyncGenerator<P>;
  readonly #ending: AbortController;
  #isOver = false;
  /** What comes from memory awaits nothing else: a join of many pairs could not be interrupted. */
  readonly #pace = new Pace();

  constructor(pieces: AsyncGenerator<P>, ending: AbortController) {
    this.#pieces = pieces;
    this.#ending = ending;
  }

  async next(): Promise<IteratorResult<P, undefined>> {
    if (this.#isOver) return OVER;
    const { signal } = this.#ending;
    try {
      if (this.#pace.isOver) await this.#pace.rest();
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
      // While a run is being ended, any failure is reported as that.
      signal.throwIfAborted();
      throw error;
    }
  }

  /** A consumer that leaves while a piece is being made, be it ahead of time, does not wait for it. */
  async return(): Promise<IteratorResult<P, undefined>> {
    if (!this.#isOver) this.#ending.abort(closedEarly());
    this.#isOver = true;
    await this.#pieces.return(undefined);
    return OVER;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

const OVER = { value: undefined, done: true } as const;
