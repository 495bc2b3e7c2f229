import { decodeKey, type OperationOptions } from "@partd/core";
import { type Pace, sizesOf } from "@partd/core/author";
import type { Blocks } from "@partd/core/memory";
import type { ExclusiveWork } from "./exclusive-work.js";
import type { Spiller } from "./spiller.js";

/**
 * Removes keys from the slow store, then from memory. The slow store has the beginning of each value
 * and memory the end, so a removal that fails half-way must not leave an end alone: each key stays
 * whole or is gone.
 */
export class Removals {
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

  /** @param split the keys whose values lie in both stores. Default: they are looked up. */
  remove(
    keys: readonly string[],
    { signal }: OperationOptions,
    split?: readonly string[],
  ): Promise<void> {
    return this.#exclusive.change(signal, async () => {
      const inBoth = split ?? (await this.#below(keys.filter((key) => this.#isHeld(key))));
      try {
        await this.#spiller.flights.target.delete(keys.map(decodeKey));
      } catch (error) {
        if (inBoth.length > 0) await this.#exclusive.mend(() => this.#removeEnds(inBoth));
        throw error;
      }
      await this.#forget(keys);
    });
  }

  removeAll({ signal }: OperationOptions): Promise<void> {
    return this.#exclusive.change(signal, async () => {
      const { flights } = this.#spiller;
      // Looking up each key would take long. If some are gone below, those only in memory are removed,
      // too.
      const count = this.#blocks.size > 0 ? await flights.target.count() : 0;
      try {
        await flights.target.drop();
      } catch (error) {
        await this.#exclusive.mend(async () => {
          if (this.#blocks.size === 0 || (await flights.target.count()) === count) return;
          await this.#removeEnds(this.#blocks.keys());
        });
        throw error;
      }
      await this.#forget(this.#blocks.keys());
      this.#spiller.forgetUncertainty();
    });
  }

  #isHeld(key: string): boolean {
    return this.#blocks.get(key) !== undefined;
  }

  /** Removes those keys from memory that have no beginning below. */
  async #removeEnds(keys: Iterable<string>): Promise<void> {
    for (const some of chunks(keys)) {
      const below = new Set(await this.#below(some));
      await this.#forget(some.filter((key) => !below.has(key)));
    }
  }

  /** The keys that hold something in the slow store. */
  async #below(keys: Iterable<string>): Promise<string[]> {
    const { target } = this.#spiller.flights;
    const found: string[] = [];
    for (const some of chunks(keys)) {
      const sizes = await sizesOf(target, some.map(decodeKey));
      found.push(...some.filter((_, i) => (sizes[i] as number) > 0));
      if (this.#pace.due) await this.#pace.rest();
    }
    return found;
  }

  /** Removes keys from memory, while nothing else is under way. */
  async #forget(keys: Iterable<string>): Promise<void> {
    for (const key of keys) {
      this.#blocks.remove(key);
      this.#spiller.flights.forgetSplit(key);
      if (this.#pace.due) await this.#pace.rest();
    }
  }
}

function* chunks(keys: Iterable<string>): Generator<string[], void, undefined> {
  let chunk: string[] = [];
  for (const key of keys) {
    chunk.push(key);
    if (chunk.length < AT_ONCE) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/** How many keys are looked up at once. */
const AT_ONCE = 1_024;
