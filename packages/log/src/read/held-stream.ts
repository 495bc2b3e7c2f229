import { PartdError } from "@partd/core";
import { ifSystemError } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";

/** A read of segments, which it holds until its end. */
export class HeldStream<T> implements AsyncIterable<T> {
  readonly #path: string;
  readonly #segments: readonly Segment[];
  readonly #items: AsyncGenerator<T, void, undefined>;
  readonly #done: () => void;
  readonly #closing = new AbortController();
  #step: Promise<IteratorResult<T, void>> | undefined;
  #over = false;

  constructor(
    segments: readonly Segment[],
    options: {
      /** The data set, for messages. */
      readonly path: string;
      /** Gets a signal that is aborted at the end, or with `signal`. */
      readonly read: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>;
      readonly signal: AbortSignal | undefined;
      /** Called when reading has ended. */
      readonly done: () => void;
    },
  ) {
    const { path, read, signal, done } = options;
    this.#path = path;
    this.#segments = segments;
    this.#done = done;
    for (const segment of segments) segment.hold();
    const closing = this.#closing.signal;
    this.#items = read(signal ? AbortSignal.any([signal, closing]) : closing);
  }

  /** Reads the first item, which opens the files: they may soon be removed. */
  async begin(): Promise<this> {
    this.#step = this.#items.next();
    try {
      await this.#step;
    } catch (error) {
      await this.end();
      throw error;
    }
    return this;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (let step = this.#step; ; step = undefined) {
        if (this.#over) throw closed();
        step ??= this.#items.next();
        this.#step = step;
        const { done, value } = await step.catch((error: unknown) => {
          throw ifSystemError({ action: "read", path: this.#path }, error);
        });
        if (done) return;
        yield value;
      }
    } finally {
      await this.end();
    }
  }

  /** Ends reading. Afterwards the segments may be closed. */
  async end(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#closing.abort(closed());
    await this.#step?.catch(() => {}); // The caller of `next` gets it.
    await this.#items.return();
    for (const segment of this.#segments) segment.unhold();
    this.#done();
  }
}

function closed(): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", "The store was closed while it was listed.");
}
