import { decodeKey, type OperationOptions } from "@partd/core";
import { type GetOptions, memoryFor, type Pace, sizesOf } from "@partd/core/author";
import type { Blocks, Loan } from "@partd/core/memory";
import type { ExclusiveWork } from "./exclusive-work.js";
import type { Spiller } from "./spiller.js";

/** Reads values: the slow store has the beginning of each, and memory the end. */
export class Reader {
  readonly #blocks: Blocks;
  readonly #spiller: Spiller;
  readonly #exclusive: ExclusiveWork;
  readonly #pace: Pace;

  /** @param pace the pace of all the buffer's work. */
  constructor(blocks: Blocks, spiller: Spiller, exclusive: ExclusiveWork, pace: Pace) {
    this.#blocks = blocks;
    this.#spiller = spiller;
    this.#exclusive = exclusive;
    this.#pace = pace;
  }

  get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    const { signal, allocate } = options;
    const work = async () => {
      // Fix the lengths first: what is appended while the slow store reads belongs to a later answer.
      const values = this.#blocks.size === 0 ? [] : keys.map((key) => this.#blocks.get(key));
      const lengths = values.map((value) => (value === undefined ? 0 : this.#blocks.length(value)));
      const isBelow = values.every((value) => value === undefined);
      if (this.#pace.isOver) await this.#pace.rest();
      const answer = await this.#spiller.flights.target.get(
        keys.map(decodeKey),
        isBelow ? options : { signal },
      );
      signal?.throwIfAborted(); // After an abort, what was in memory may be gone.
      for (const [i, value] of (isBelow ? [] : values).entries()) {
        if (value !== undefined) {
          const below = answer[i] as Uint8Array;
          const bytes = memoryFor(below.byteLength + (lengths[i] as number), options);
          bytes.set(below);
          this.#blocks.copyTo(value, bytes, below.byteLength, lengths[i]);
          answer[i] = bytes;
        }
        if (!this.#pace.isOver) continue;
        await this.#pace.rest();
        signal?.throwIfAborted();
      }
      if (this.#pace.isOver) await this.#pace.rest();
      return answer;
    };
    // A read into the caller's memory is awaited even if it is given up.
    return this.#read(keys, work, { signal, waits: allocate !== undefined });
  }

  async stream(key: string, options: GetOptions): Promise<AsyncIterable<Uint8Array>> {
    const work = async () => {
      const value = this.#blocks.get(key);
      const loan = value === undefined ? undefined : this.#blocks.lend(value);
      const below = this.#spiller.flights.target
        .stream(decodeKey(key), options)
        [Symbol.asyncIterator]();
      try {
        const first = await below.next(); // Now the slow store has fixed its part.
        if (options.signal?.aborted) await below.return?.();
        options.signal?.throwIfAborted();
        return pieces(first, below, loan);
      } catch (error) {
        loan?.end();
        throw error;
      }
    };
    return this.#read([key], work, options);
  }

  async sizes(keys: readonly string[], options: OperationOptions): Promise<number[]> {
    const work = async () => {
      const held = keys.map((key) => {
        const value = this.#blocks.get(key);
        return value === undefined ? 0 : this.#blocks.length(value);
      });
      const below = await sizesOf(this.#spiller.flights.target, keys.map(decodeKey), options);
      return held.map((bytes, i) => bytes + (below[i] as number));
    };
    return this.#read(keys, work, options);
  }

  async #read<T>(
    keys: readonly string[],
    work: () => Promise<T>,
    options: OperationOptions & { readonly waits?: boolean },
  ): Promise<T> {
    if (!this.#exclusive.isSettled) await this.#exclusive.settled(options.signal);
    return this.#spiller.read(keys, work, options);
  }
}

/** Yields a key's pieces: those below, of which `first` is the first, then those of memory. */
async function* pieces(
  first: IteratorResult<Uint8Array>,
  below: AsyncIterator<Uint8Array>,
  loan: Loan | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  let step = first;
  try {
    for (; !step.done; step = await below.next()) yield step.value;
    if (loan) yield* loan;
  } finally {
    loan?.end();
    if (!step.done) await below.return?.();
  }
}
