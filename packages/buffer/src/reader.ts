import {
  decodeKey,
  type EntriesOptions,
  encodeKey,
  type Key,
  type OperationOptions,
  type Store,
} from "@partd/core";
import {
  concatBytes,
  type GetOptions,
  type LowerStore,
  memoryFor,
  Pace,
  sizesOf,
  unlessAborted,
} from "@partd/core/author";
import type { Blocks, Loan } from "@partd/core/memory";
import type { Changes } from "./changes.js";
import type { Flights } from "./flights.js";
import type { Spiller } from "./spiller.js";

/**
 * Reads and lists: the slow store has the beginning of each value, and memory the end.
 */
export class Reader {
  readonly #blocks: Blocks;
  readonly #slow: Store;
  readonly #spiller: Spiller;
  readonly #flights: Flights;
  readonly #changes: Changes;
  readonly #pace: Pace;

  /** @param pace the pace of all the buffer's work. */
  constructor(blocks: Blocks, slow: Store, spiller: Spiller, changes: Changes, pace: Pace) {
    this.#blocks = blocks;
    this.#slow = slow;
    this.#spiller = spiller;
    this.#flights = spiller.flights;
    this.#changes = changes;
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
      const answer = await this.#flights.target.get(
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
      const below = this.#flights.target.stream(decodeKey(key), options)[Symbol.asyncIterator]();
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
      const below = await sizesOf(this.#flights.target, keys.map(decodeKey), options);
      return held.map((bytes, i) => bytes + (below[i] as number));
    };
    return this.#read(keys, work, options);
  }

  async keys(options: OperationOptions): Promise<AsyncIterable<string>> {
    await this.#changes.settled(options.signal);
    // A value that is spilled before it is yielded here is found below; one spilled later is skipped
    // there.
    const held = new Set<string>();
    for (const key of this.#blocks.keys()) {
      held.add(key);
      if (this.#pace.due) await this.#pace.rest();
    }
    const below = this.#flights.target.keys(options)[Symbol.asyncIterator]();
    return allKeys(held, await unlessAborted(below.next(), options.signal), below);
  }

  /**
   * Yields every key below with its value. Memory has to be spilled first. Later appends are spilled
   * meanwhile, in parts: a value whose part below may end within an append is read again.
   */
  entries(options: EntriesOptions): AsyncIterable<readonly [string, Uint8Array]> {
    // The target of this moment: during the listing another call may take the slow store's lock.
    return this.#entriesOf(this.#flights.target, options);
  }

  async *#entriesOf(
    below: LowerStore,
    options: EntriesOptions,
  ): AsyncGenerator<readonly [string, Uint8Array], void, undefined> {
    const splits = this.#flights.beginListing();
    let last: string | undefined;
    let isSplit = false;
    try {
      for await (const [key, value] of below.entries(options)) {
        const text = encodeKey(key);
        if (text !== last) {
          last = text;
          isSplit = splits.has(text);
          if (isSplit) yield* this.#wholeEntry(below, text, options);
        }
        if (!isSplit) yield [text, value];
      }
    } finally {
      this.#flights.endListing(splits);
    }
  }

  async *#wholeEntry(
    below: LowerStore,
    key: string,
    { signal, longest = Number.POSITIVE_INFINITY }: EntriesOptions,
  ): AsyncGenerator<readonly [string, Uint8Array], void, undefined> {
    const pieces = await this.#wholeStream(below, key, signal);
    const held: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of pieces) {
      held.push(piece);
      bytes += piece.byteLength;
      if (bytes <= longest) continue;
      for (const one of held.splice(0)) yield [key, one];
    }
    if (held.length > 0) yield [key, concatBytes(held)];
  }

  /**
   * Streams a whole value. A listing blocks neither removals nor the slow store's lock. During a
   * removal memory and the slow store disagree, so the value is looked up again after one.
   *
   * @param below the store that is listed: the slow store, or what its `withLock` passed.
   */
  async #wholeStream(
    below: LowerStore,
    key: string,
    signal: AbortSignal | undefined,
  ): Promise<AsyncIterable<Uint8Array>> {
    const isOther = () => this.#flights.target !== below;
    for (const pace = new Pace(); ; await pace.rest()) {
      signal?.throwIfAborted();
      // The lock of this listing has been released: the locked store's error says so.
      if (isOther() && below !== this.#slow) return below.stream(decodeKey(key), { signal });
      if (isOther() || this.#changes.isUnderWay) continue;
      const before = this.#changes.begun;
      const pieces = await this.stream(key, { signal });
      if (this.#changes.begun === before && !isOther()) return pieces;
      for await (const _ of pieces) break; // Releases what it holds of both stores.
    }
  }

  async #read<T>(
    keys: readonly string[],
    work: () => Promise<T>,
    options: OperationOptions & { readonly waits?: boolean },
  ): Promise<T> {
    if (!this.#changes.isSettled) await this.#changes.settled(options.signal);
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

/**
 * Yields the keys in memory, then those that only the slow store has.
 *
 * @param first the first result of `below`.
 */
async function* allKeys(
  held: ReadonlySet<string>,
  first: IteratorResult<Key>,
  below: AsyncIterator<Key>,
): AsyncGenerator<string, void, undefined> {
  const pace = new Pace();
  let step = first;
  try {
    for (const key of held) {
      yield key;
      if (pace.due) await pace.rest();
    }
    for (; !step.done; step = await below.next()) {
      const key = encodeKey(step.value);
      if (!held.has(key)) yield key;
      if (pace.due) await pace.rest();
    }
  } finally {
    if (!step.done) await below.return?.();
  }
}
