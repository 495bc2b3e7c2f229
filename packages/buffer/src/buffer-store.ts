import {
  decodeKey,
  type EntriesOptions,
  encodeKey,
  type Key,
  type OperationOptions,
  type Store,
} from "@partd/core";
import {
  type AppendOptions,
  BaseStore,
  type Batch,
  type GetOptions,
  type LowerStore,
  memoryFor,
  onAbort,
  Pace,
  unlessAborted,
} from "@partd/core/author";
import type { Blocks, Loan, Spillable } from "@partd/core/memory";
import { limitsFor } from "./limits.js";
import { takeParts } from "./parts.js";
import { Spiller } from "./spiller.js";
import { type BufferListeners, Tally } from "./tally.js";

export interface BufferOptions extends BufferListeners {
  /**
   * Bytes of memory that the buffer may take, bookkeeping included, from 1 to 2^53 - 1; a fraction
   * is cut off. Default: a quarter of what the process may use, be it the machine's memory or the
   * limit of its container.
   */
  readonly availableMemory?: number | undefined;
  /** How many batches are written to the slow store at once, from 1 to 1,024. Default 2. */
  readonly concurrency?: number | undefined;
}

/** What a buffer holds now, and what it has done so far. */
export interface BufferStats {
  /** Bytes that the buffer may take. */
  readonly availableMemory: number;
  /** Bytes of memory in use for what is held: its bytes, room to grow and bookkeeping. */
  readonly memoryHeld: number;
  /** Bytes of values that have not reached the slow store. */
  readonly bytesHeld: number;
  /** Keys with bytes that have not reached the slow store. */
  readonly keysHeld: number;
  /** Bytes that reached the slow store. */
  readonly bytesSpilled: number;
  /** Batches that reached the slow store. */
  readonly spills: number;
  /** Batches that the slow store refused; each was or will be tried again. */
  readonly spillErrors: number;
  /** Batches on their way to the slow store. */
  readonly spillsInFlight: number;
  /** Bytes in them; what was held in memory counts as held until it has arrived. */
  readonly bytesInFlight: number;
  /** Completed calls of `flush`, that of `close` included. */
  readonly flushes: number;
  /** Appends that wait for room in memory now. */
  readonly waiting: number;
  /** Appends that had to wait for room in memory, those that were given up included. */
  readonly waits: number;
  /** How long they waited, all together. */
  readonly waitMilliseconds: number;
}

/**
 * Gathers appends in memory and writes the largest values to a slower store, in the background and
 * in large batches, as memory fills. An append waits only where the bound would be broken.
 *
 * Both stores belong to the buffer: use them through it alone, and it closes them.
 *
 * @example new BufferStore(new Dict(), new FileStore("shuffle"), { availableMemory: 2e9 })
 */
export class BufferStore extends BaseStore {
  readonly #fast: Store;
  readonly #slow: Store;
  readonly #blocks: Blocks;
  readonly #spiller: Spiller;
  readonly #tally: Tally;
  readonly #pace = new Pace();
  readonly #availableMemory: number;
  /** Key-writes since the clock was last read. */
  #writes = 0;

  /**
   * @param fast a `Dict`, which may hold something already, or a store that extends it. Any other
   *   has to be `Spillable`: its values are those of its `blocks`, which hold bytes as they are
   *   appended. So there can be no codec around it. Each buffer takes one of its own.
   * @param slow any store of bytes. One with a compressor around it gets each value in few large
   *   pieces, which is what compresses well.
   * @throws `ERR_PARTD_VALUE`, naming it, for a store or an option that will not do.
   */
  constructor(fast: Store & Spillable, slow: Store, options: BufferOptions = {}) {
    super();
    const { batchBytes } = (slow ?? {}) as LowerStore;
    const limits = limitsFor(options.availableMemory, options.concurrency, batchBytes);
    const tally = new Tally(options);
    takeParts(fast, slow);
    this.#fast = fast;
    this.#slow = slow;
    this.#blocks = fast.blocks;
    this.#tally = tally;
    this.#spiller = new Spiller(fast.blocks, slow, limits, tally);
    this.#availableMemory = limits.availableMemory;
  }

  stats(): BufferStats {
    const { bytesSpilled, spills, spillErrors, flushes, waits, waitMilliseconds } = this.#tally;
    const { batches, bytes, waiting } = this.#spiller.underway;
    return {
      availableMemory: this.#availableMemory,
      memoryHeld: this.#blocks.footprint,
      bytesHeld: this.#blocks.byteLength,
      keysHeld: this.#blocks.size,
      bytesSpilled,
      spills,
      spillErrors,
      spillsInFlight: batches,
      bytesInFlight: bytes,
      flushes,
      waiting,
      waits,
      waitMilliseconds,
    };
  }

  /** Brings everything to the slow store, then closes both stores, also if they were never used. */
  override async close(): Promise<void> {
    await super.close();
    // One that was never used has not been opened, and so not flushed.
    if (this.#blocks.size > 0) await this.#spiller.flush(undefined);
    await this.#slow.close();
    await this.#fast.close();
    this.#blocks.clear();
  }

  protected async _append(batch: Batch, options: AppendOptions): Promise<void> {
    await this.#spiller.append(batch, options);
    this.#writes += batch.keys.length;
    if (this.#writes < 64) return;
    this.#writes = 0;
    // Awaited appends that never have to wait would keep the slow store from getting on.
    if (this.#pace.elapsed > (this.#spiller.underway.batches > 0 ? 1 : 5)) await this.#pace.rest();
  }

  protected _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    const { signal, allocate } = options;
    const work = async () => {
      // The lengths first: what is appended while the slow store reads belongs to a later answer.
      const values = this.#blocks.size === 0 ? [] : keys.map((key) => this.#blocks.get(key));
      const lengths = values.map((value) => (value === undefined ? 0 : this.#blocks.length(value)));
      const isBelow = values.every((value) => value === undefined);
      if (this.#pace.isOver) await this.#pace.rest();
      const answer = await this.#spiller.target.get(
        keys.map(decodeKey),
        isBelow ? options : { signal },
      );
      signal?.throwIfAborted(); // Then what was in memory may have gone meanwhile.
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
    // What reads into the caller's memory is waited for, even if it is given up.
    return this.#spiller.read(keys, work, { signal, waits: allocate !== undefined });
  }

  protected override async _stream(
    key: string,
    options: GetOptions,
  ): Promise<AsyncIterable<Uint8Array>> {
    const work = async () => {
      const value = this.#blocks.get(key);
      const loan = value === undefined ? undefined : this.#blocks.lend(value);
      const below = this.#spiller.target.stream(decodeKey(key), options)[Symbol.asyncIterator]();
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
    return this.#spiller.read([key], work, options);
  }

  protected async _delete(keys: readonly string[], { signal }: OperationOptions): Promise<void> {
    await this.#spiller.change(signal, async () => {
      await this.#spiller.target.delete(keys.map(decodeKey));
      await this.#remove(keys);
    });
  }

  /**
   * By the slow store's own `iset`, which may do it in one step. A new value in memory would be
   * gone with the process, when the old one had been removed already; and those of several
   * processes would be put one behind the other.
   */
  protected override async _set(
    key: string,
    value: Uint8Array,
    { signal }: AppendOptions,
  ): Promise<void> {
    // A slow store with a codec around it would keep what stands for no bytes.
    if (value.byteLength === 0) return this._delete([key], { signal });
    await this.#spiller.change(signal, async () => {
      await this.#spiller.bringDown(key);
      await this.#spiller.target.iset(decodeKey(key), value, { replace: true });
    });
  }

  protected async _keys(options: OperationOptions): Promise<AsyncIterable<string>> {
    await this.#spiller.unfinished.over(options.signal);
    // What moves down before it is seen here is found below; what does so later is left out there.
    const held = new Set<string>();
    for (const key of this.#blocks.keys()) {
      held.add(key);
      if (this.#pace.due) await this.#pace.rest();
    }
    const below = this.#spiller.target.keys(options)[Symbol.asyncIterator]();
    return allKeys(held, await unlessAborted(below.next(), options.signal), below);
  }

  /** What memory holds is brought down first: the slow store knows the order to read it all in. */
  protected override async _entries(
    options: EntriesOptions,
  ): Promise<AsyncIterable<readonly [string, Uint8Array]>> {
    await this.#spiller.flush(options.signal);
    return encodedEntries(this.#spiller.target.entries(options));
  }

  protected override async _sizes(
    keys: readonly string[],
    options: OperationOptions,
  ): Promise<number[]> {
    const work = () =>
      Promise.all(
        keys.map(async (key) => {
          const value = this.#blocks.get(key);
          const held = value === undefined ? 0 : this.#blocks.length(value);
          return held + (await this.#spiller.target.size(decodeKey(key), options));
        }),
      );
    return this.#spiller.read(keys, work, options);
  }

  protected override async _flush(options: OperationOptions): Promise<void> {
    await this.#spiller.flush(options.signal);
    await unlessAborted(this.#spiller.target.flush(options), options.signal);
    this.#tally.flushes++;
  }

  protected override async _drop({ signal }: OperationOptions): Promise<void> {
    await this.#spiller.change(signal, async () => {
      await this.#spiller.target.drop();
      await this.#remove(this.#blocks.keys());
      this.#spiller.doubt.forget(); // With the rest, what may have been there twice has gone.
    });
  }

  /** Within the slow store's own lock, through which whatever moves there has to go meanwhile. */
  protected override _exclusive<T>(
    critical: () => Promise<T>,
    options: OperationOptions,
  ): Promise<T> {
    const spiller = this.#spiller;
    const { unfinished } = spiller;
    const { signal } = options;
    return new Promise((resolve, reject) => {
      let entered = false;
      const section = spiller.still(signal, () =>
        this.#slow.withLock(async (held) => {
          signal?.throwIfAborted();
          entered = true;
          spiller.target = held;
          const leave = async () => {
            await unfinished.work;
            await spiller.landed();
            spiller.target = this.#slow;
          };
          let result: T;
          try {
            result = await critical();
          } catch (error) {
            const left = leave();
            if (unfinished.work || signal?.aborted) {
              // It was given up. The lock is kept until what it has begun is done.
              unfinished.leave(section);
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
        if (!entered) reject(signal.reason);
      });
      section.then(forget, forget);
    });
  }

  /** Removes keys from memory, where nothing else is under way. */
  async #remove(keys: Iterable<string>): Promise<void> {
    for (const key of keys) {
      this.#blocks.remove(key);
      if (this.#pace.due) await this.#pace.rest();
    }
  }
}

async function* encodedEntries(
  entries: AsyncIterable<readonly [Key, Uint8Array]>,
): AsyncGenerator<readonly [string, Uint8Array], void, undefined> {
  for await (const [key, value] of entries) yield [encodeKey(key), value];
}

/** A key's pieces below, of which the first has been read, then those that memory had. */
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

/** The keys in memory, then those below, of which the first has been read, that are not among them. */
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
