import { decodeKey, type OperationOptions, type Store } from "@partd/core";
import { changedMeanwhile, onAbort, type Pace, sizesOf, unlessAborted } from "@partd/core/author";
import type { Blocks } from "@partd/core/memory";
import type { Spiller } from "./spiller.js";

/**
 * Changes keys in memory and below, and runs what is under the slow store's lock. Meanwhile the buffer
 * spills nothing by itself. If the caller gives up, the work still goes on to its end, and later work
 * waits for it, so that no change is left half made.
 *
 * The slow store has the beginning of each value and memory the end, so a removal that fails half-way
 * must not leave an end alone: each key stays whole or is gone.
 */
export class Changes {
  readonly #blocks: Blocks;
  readonly #spiller: Spiller;
  readonly #pace: Pace;
  /** Work whose caller has given up. Never rejects. */
  #abandoned: Promise<void> | undefined;
  /** What has to be done first, because a change failed. */
  #mending: Mending | undefined;
  #begun = 0;
  #underWay = 0;

  /** @param pace the pace of all the buffer's work. */
  constructor(blocks: Blocks, spiller: Spiller, pace: Pace) {
    this.#blocks = blocks;
    this.#spiller = spiller;
    this.#pace = pace;
  }

  /** How many changes have begun. */
  get begun(): number {
    return this.#begun;
  }

  /** Whether a change is under way. */
  get isUnderWay(): boolean {
    return this.#underWay > 0;
  }

  /** Whether no abandoned work is under way, and no failed change waits to be mended. */
  get isSettled(): boolean {
    return this.#abandoned === undefined && this.#mending === undefined;
  }

  /** Resolves when {@link isSettled}. @throws the error that prevents mending a failed change. */
  async settled(signal?: AbortSignal): Promise<void> {
    while (!this.isSettled) {
      await unlessAborted(this.#abandoned ?? (this.#mending as Mending).again(), signal);
    }
  }

  /**
   * Removes keys from the slow store, then from memory.
   *
   * @param split the keys whose values lie in both stores. Default: they are looked up.
   */
  remove(
    keys: readonly string[],
    { signal }: OperationOptions,
    split?: readonly string[],
  ): Promise<void> {
    return this.#change(signal, async () => {
      const inBoth = split ?? (await this.#below(keys.filter((key) => this.#isHeld(key))));
      try {
        await this.#spiller.flights.target.delete(keys.map(decodeKey));
      } catch (error) {
        if (inBoth.length > 0) await this.#mend(() => this.#removeEnds(inBoth));
        throw error;
      }
      await this.#forget(keys);
    });
  }

  /** Removes all keys. */
  removeAll({ signal }: OperationOptions): Promise<void> {
    return this.#change(signal, async () => {
      const { flights } = this.#spiller;
      // Looking up each key would take long. If some are gone below, those only in memory are removed,
      // too.
      const count = this.#blocks.size > 0 ? await flights.target.count() : 0;
      try {
        await flights.target.drop();
      } catch (error) {
        await this.#mend(async () => {
          if (this.#blocks.size === 0 || (await flights.target.count()) === count) return;
          await this.#removeEnds(this.#blocks.keys());
        });
        throw error;
      }
      await this.#forget(this.#blocks.keys());
      this.#spiller.forgetUncertainty();
    });
  }

  /** Sets a value through the slow store's own `iset`, behind what memory has of the key. */
  replace(key: string, value: Uint8Array, { signal }: OperationOptions): Promise<void> {
    const { length: byteLength } = value;
    return this.#change(signal, async () => {
      await this.#spiller.bringDown(key);
      if (value.length !== byteLength) throw changedMeanwhile(key);
      await this.#spiller.flights.target.iset(decodeKey(key), value, { replace: true });
    });
  }

  /** Runs `critical` under the lock of `slow`; meanwhile, all spills go through the locked store. */
  withLock<T>(slow: Store, critical: () => Promise<T>, options: OperationOptions): Promise<T> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      let hasEntered = false;
      const section = this.#run(signal, () =>
        slow.withLock(async (held) => {
          signal?.throwIfAborted();
          hasEntered = true;
          this.#spiller.flights.goTo(held);
          const leave = async () => {
            await this.#abandoned;
            await this.#spiller.landed();
            this.#spiller.flights.goTo(slow);
          };
          let result: T;
          try {
            result = await critical();
          } catch (error) {
            const left = leave();
            if (this.#abandoned || signal?.aborted) {
              // The caller has given up. The lock is kept until the section's operations are done.
              this.#abandon(section);
              reject(error);
            }
            await left;
            throw error;
          }
          await leave();
          return result;
        }, options),
      );
      section.then(resolve, reject);
      if (!signal) return;
      const forget = onAbort(signal, () => {
        if (!hasEntered) reject(signal.reason);
      });
      section.then(forget, forget);
    });
  }

  /** Runs `change`, which changes keys in memory and below. */
  async #change(signal: AbortSignal | undefined, change: () => Promise<void>): Promise<void> {
    const work = this.#run(signal, async () => {
      this.#begun++;
      this.#underWay++;
      try {
        await change();
      } finally {
        this.#underWay--;
      }
    });
    let hasEnded = false;
    const end = () => {
      hasEnded = true;
    };
    work.then(end, end);
    try {
      await unlessAborted(work, signal);
    } catch (error) {
      if (!hasEnded) this.#abandon(work);
      throw error;
    }
  }

  async #run<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    await this.settled(signal);
    return this.#spiller.whileQuiet(signal, work);
  }

  #abandon(work: Promise<unknown>): void {
    const end = () => {
      if (this.#abandoned === ended) this.#abandoned = undefined;
    };
    const ended = work.then(end, end);
    this.#abandoned = ended;
  }

  /**
   * Makes memory agree with the slow store after a change that failed half-way. If that fails too, the
   * next operation tries again before anything else is done. Never rejects.
   */
  async #mend(work: () => Promise<void>): Promise<void> {
    const mending = new Mending(work);
    try {
      await mending.again();
    } catch {
      this.#mending = mending;
      void this.#spiller.whileQuiet(undefined, () => mending.done);
      void mending.done.then(() => {
        this.#mending = undefined;
      });
    }
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

/** Work that is retried until it succeeds. One caller retries at a time, on behalf of all. */
class Mending {
  readonly done: Promise<void>;
  readonly #work: () => Promise<void>;
  #attempt: Promise<void> | undefined;
  #resolve!: () => void;

  constructor(work: () => Promise<void>) {
    this.#work = work;
    this.done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  again(): Promise<void> {
    this.#attempt ??= this.#try();
    return this.#attempt;
  }

  async #try(): Promise<void> {
    try {
      await this.#work();
      this.#resolve();
    } finally {
      this.#attempt = undefined;
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
