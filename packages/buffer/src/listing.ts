import {
  decodeKey,
  type EntriesOptions,
  encodeKey,
  type Key,
  type OperationOptions,
  type Store,
} from "@partd/core";
import { concatBytes, type LowerStore, Pace, unlessAborted } from "@partd/core/author";
import type { Blocks } from "@partd/core/memory";
import type { ExclusiveWork } from "./exclusive-work.js";
import type { Flights } from "./flights.js";
import type { Reader } from "./reader.js";

/** Lists the keys of memory and of the slow store, or all values below. */
export class Listing {
  readonly #blocks: Blocks;
  readonly #slow: Store;
  readonly #flights: Flights;
  readonly #exclusive: ExclusiveWork;
  readonly #reader: Reader;
  readonly #pace: Pace;

  /** @param pace the pace of all the buffer's work. */
  constructor(
    blocks: Blocks,
    slow: Store,
    flights: Flights,
    exclusive: ExclusiveWork,
    reader: Reader,
    pace: Pace,
  ) {
    this.#blocks = blocks;
    this.#slow = slow;
    this.#flights = flights;
    this.#exclusive = exclusive;
    this.#reader = reader;
    this.#pace = pace;
  }

  async keys(options: OperationOptions): Promise<AsyncIterable<string>> {
    await this.#exclusive.settled(options.signal);
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
      if (isOther() || this.#exclusive.isChanging) continue;
      const before = this.#exclusive.changes;
      const pieces = await this.#reader.stream(key, { signal });
      if (this.#exclusive.changes === before && !isOther()) return pieces;
      for await (const _ of pieces) break; // Releases what it holds of both stores.
    }
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
