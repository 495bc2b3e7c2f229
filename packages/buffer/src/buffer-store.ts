import {
  type Dict,
  decodeKey,
  type EntriesOptions,
  encodeKey,
  type Key,
  type OperationOptions,
  PartdError,
  type Store,
} from "@partd/core";
import {
  type AppendOptions,
  BaseStore,
  type Batch,
  concatBytes,
  type GetOptions,
  type LowerStore,
  memoryFor,
  Pace,
  unlessAborted,
} from "@partd/core/author";
import type { Blocks, Loan } from "@partd/core/memory";
import { ExclusiveWork } from "./exclusive-work.js";
import { limitsFor } from "./limits.js";
import { Spiller } from "./spiller.js";
import { type BufferListeners, type BufferStats, SpillStats } from "./stats.js";

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

/**
 * Gathers appends in memory and writes the largest values to a slower store, in the background and
 * in large batches, as memory fills. An append waits only where the bound would be broken.
 *
 * Both stores belong to the buffer: use them through it alone, and it closes them.
 *
 * @example new BufferStore(new Dict(), new FileStore("shuffle"), { availableMemory: 2e9 })
 */
export class BufferStore extends BaseStore {
  readonly #fast: Dict;
  readonly #slow: Store;
  readonly #blocks: Blocks;
  readonly #spiller: Spiller;
  readonly #exclusive: ExclusiveWork;
  /** Removals and sets that have begun, and those of them that have not ended. */
  #changes = 0;
  #changesUnderWay = 0;
  readonly #stats: SpillStats;
  readonly #pace = new Pace();
  readonly #availableMemory: number;
  /** Key-writes since the clock was last read. */
  #writes = 0;

  /**
   * @param fast a `Dict`, or a store that extends it. It may hold something already. Each buffer
   *   takes one of its own.
   * @param slow any store of bytes. One with a compressor around it gets each value in few large
   *   pieces, which is what compresses well.
   * @throws `ERR_PARTD_VALUE`, naming it, for a store or an option that will not do.
   */
  constructor(fast: Dict, slow: Store, options: BufferOptions = {}) {
    super();
    const { batchBytes } = (slow ?? {}) as LowerStore;
    const limits = limitsFor(options.availableMemory, options.concurrency, batchBytes);
    this.#stats = new SpillStats(options);
    this.#blocks = takeBlocks(fast, slow);
    this.#fast = fast;
    this.#slow = slow;
    this.#spiller = new Spiller(this.#blocks, slow, limits, this.#stats);
    this.#exclusive = new ExclusiveWork(this.#spiller);
    this.#availableMemory = limits.availableMemory;
  }

  stats(): BufferStats {
    return {
      availableMemory: this.#availableMemory,
      memoryHeld: this.#blocks.footprint,
      bytesHeld: this.#blocks.byteLength,
      keysHeld: this.#blocks.size,
      ...this.#stats.counts,
      spillsInFlight: this.#spiller.batchesInFlight,
      bytesInFlight: this.#spiller.bytesInFlight,
      waiting: this.#spiller.waiting,
    };
  }

  /** Brings everything to the slow store, then closes both stores, also if they were never used. */
  override async close(): Promise<void> {
    await super.close();
    // One that was never used has not been opened, and so not flushed.
    if (this.#blocks.size > 0) await this.#spill();
    await this.#slow.close();
    await this.#fast.close();
    this.#blocks.clear();
  }

  protected async _append(batch: Batch, options: AppendOptions): Promise<void> {
    if (this.#exclusive.isAbandoned) await this.#exclusive.settled(options.signal);
    await this.#spiller.append(batch, options);
    this.#writes += batch.keys.length;
    if (this.#writes < 64) return;
    this.#writes = 0;
    // A caller that awaits every append never yields, which would starve the spiller.
    if (this.#pace.elapsed > (this.#spiller.batchesInFlight > 0 ? 1 : 5)) await this.#pace.rest();
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
    return this.#read(keys, work, { signal, waits: allocate !== undefined });
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
    return this.#read([key], work, options);
  }

  protected async _delete(keys: readonly string[], { signal }: OperationOptions): Promise<void> {
    await this.#change(signal, async () => {
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
    await this.#change(signal, async () => {
      await this.#spiller.bringDown(key);
      await this.#spiller.target.iset(decodeKey(key), value, { replace: true });
    });
  }

  protected async _keys(options: OperationOptions): Promise<AsyncIterable<string>> {
    await this.#exclusive.settled(options.signal);
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
    await this.#spill(options.signal);
    // Now, for while it is listed another may work under the slow store's lock.
    return this.#entriesBelow(this.#spiller.target, options);
  }

  /** What others append meanwhile is spilled in parts: a value of which that is so is read anew. */
  async *#entriesBelow(
    below: LowerStore,
    options: EntriesOptions,
  ): AsyncGenerator<readonly [string, Uint8Array], void, undefined> {
    const splits = this.#spiller.beginListing();
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
      this.#spiller.endListing(splits);
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
   * A listing keeps no one from removing keys, nor from working under the slow store's lock. A removal
   * leaves memory and the slow store unlike for a while, so that the value is looked up again if
   * there was one meanwhile.
   *
   * @param below what is listed: the slow store, or what its `withLock` passed.
   */
  async #wholeStream(
    below: LowerStore,
    key: string,
    signal: AbortSignal | undefined,
  ): Promise<AsyncIterable<Uint8Array>> {
    const isOther = () => this.#spiller.target !== below;
    for (const pace = new Pace(); ; await pace.rest()) {
      signal?.throwIfAborted();
      // The lock under which it was begun has been given up: this says so.
      if (isOther() && below !== this.#slow) return below.stream(decodeKey(key), { signal });
      if (isOther() || this.#changesUnderWay > 0) continue;
      const before = this.#changes;
      const pieces = await this._stream(key, { signal });
      if (this.#changes === before && !isOther()) return pieces;
      for await (const _ of pieces) break; // Gives back what it has of both.
    }
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
    return this.#read(keys, work, options);
  }

  protected override async _flush(options: OperationOptions): Promise<void> {
    await this.#spill(options.signal);
    await unlessAborted(this.#spiller.target.flush(options), options.signal);
    this.#stats.flushed();
  }

  protected override async _drop({ signal }: OperationOptions): Promise<void> {
    await this.#change(signal, async () => {
      await this.#spiller.target.drop();
      await this.#remove(this.#blocks.keys());
      this.#spiller.forgetUncertainty();
    });
  }

  /** Within the slow store's own lock, through which whatever moves there has to go meanwhile. */
  protected override _exclusive<T>(
    critical: () => Promise<T>,
    options: OperationOptions,
  ): Promise<T> {
    return this.#exclusive.withLock(this.#slow, critical, options);
  }

  async #read<T>(
    keys: readonly string[],
    work: () => Promise<T>,
    options: OperationOptions & { readonly waits?: boolean },
  ): Promise<T> {
    if (this.#exclusive.isAbandoned) await this.#exclusive.settled(options.signal);
    return this.#spiller.read(keys, work, options);
  }

  async #change(signal: AbortSignal | undefined, change: () => Promise<void>): Promise<void> {
    await this.#exclusive.change(signal, async () => {
      this.#changes++;
      this.#changesUnderWay++;
      try {
        await change();
      } finally {
        this.#changesUnderWay--;
      }
    });
  }

  /** Writes all that is in memory now. */
  async #spill(signal?: AbortSignal): Promise<void> {
    await this.#exclusive.settled(signal);
    await this.#spiller.flush(signal);
  }

  /** Removes keys from memory, where nothing else is under way. */
  async #remove(keys: Iterable<string>): Promise<void> {
    for (const key of keys) {
      this.#blocks.remove(key);
      this.#spiller.forgetSplit(key);
      if (this.#pace.due) await this.#pace.rest();
    }
  }
}

/**
 * The memory of `fast`, which belongs to the new buffer from now on.
 *
 * @throws `ERR_PARTD_VALUE` if no buffer can be made of the two stores.
 */
function takeBlocks(fast: Dict, slow: Store): Blocks {
  // By its form: the Dict of another copy of @partd/core will do as well.
  const blocks = (fast as Partial<Dict> | null | undefined)?.blocks;
  if (typeof blocks?.hold !== "function") {
    throw refusal(
      `fast must be a Dict, not ${nameOf(fast)}; put codecs and compressors around the slow store or around the buffer.`,
    );
  }
  if (!isStore(slow)) throw refusal(`slow must be a store of bytes, not ${nameOf(slow)}.`);
  if (slow === fast) throw refusal("fast and slow must be two stores, not the same.");
  if (takenBlocks.has(blocks)) {
    throw refusal("fast belongs to another BufferStore already; give each a new Dict.");
  }
  takenBlocks.add(blocks);
  return blocks;
}

/** Two buffers over the same memory would each cut off what the other has on its way. */
const takenBlocks = new WeakSet<Blocks>();

function isStore(value: Store | null | undefined): boolean {
  const methods = [value?.append, value?.get, value?.withLock];
  return methods.every((method) => typeof method === "function");
}

function nameOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return value.constructor?.name || "an object";
}

function refusal(reason: string): PartdError {
  return new PartdError("ERR_PARTD_VALUE", `A BufferStore cannot be made: ${reason}`);
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
