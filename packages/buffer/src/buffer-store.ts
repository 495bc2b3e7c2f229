import {
  type Dict,
  type EntriesOptions,
  isPartdError,
  type OperationOptions,
  PartdError,
  type Store,
} from "@partd/core";
import {
  type AppendOptions,
  BaseStore,
  type Batch,
  checkIntact,
  type GetOptions,
  type LowerStore,
  type OptionNames,
  Pace,
  takeOptions,
  unlessAborted,
} from "@partd/core/author";
import type { Blocks } from "@partd/core/memory";
import { Changes } from "./changes.js";
import { limitsFor } from "./limits.js";
import { Reader } from "./reader.js";
import { Spiller } from "./spiller.js";
import { type BufferListeners, type BufferStats, SpillStats } from "./stats.js";

export interface BufferOptions extends BufferListeners {
  /**
   * Bytes of memory that the buffer may take, bookkeeping included: 1 to 2^53 - 1, rounded down.
   * Default: a quarter of what the process may use, which is the machine's memory or the limit of its
   * container.
   */
  readonly availableMemory?: number | undefined;
  /** How many batches are written to the slow store at once, from 1 to 1,024. Default 2. */
  readonly concurrency?: number | undefined;
}

const OPTIONS: OptionNames<BufferOptions> = {
  availableMemory: true,
  concurrency: true,
  onSpill: "function",
  onSpillError: "function",
  onWait: "function",
};

/**
 * Gathers appends in memory. As memory fills, it writes the largest values to a slower store, in the
 * background and in large batches. An append waits only if memory would exceed `availableMemory`.
 *
 * Both stores belong to the buffer: use them only through it. It closes them.
 *
 * @example new BufferStore(new Dict(), new FileStore("shuffle"), { availableMemory: 2e9 })
 */
export class BufferStore extends BaseStore {
  readonly #fast: Dict;
  readonly #slow: Store;
  readonly #blocks: Blocks;
  readonly #spiller: Spiller;
  readonly #reader: Reader;
  readonly #changes: Changes;
  readonly #stats: SpillStats;
  readonly #pace = new Pace();
  readonly #availableMemory: number;
  /** Key-writes since the clock was last read. */
  #writes = 0;

  /**
   * @param fast a `Dict`, or a store that extends it, for this buffer alone. It need not be empty.
   * @param slow any store of bytes. A compressor around it gets each value in a few large pieces, which
   *   compress well.
   * @throws `ERR_PARTD_VALUE` for a store or an option that cannot be used; the message names it.
   */
  constructor(fast: Dict, slow: Store, options: BufferOptions = {}) {
    super();
    const { batchBytes } = (slow ?? {}) as LowerStore;
    const taken = takeOptions("new BufferStore", options, OPTIONS, new.target !== BufferStore);
    const limits = limitsFor(taken.availableMemory, taken.concurrency, batchBytes);
    this.#stats = new SpillStats(taken);
    this.#blocks = takeBlocks(fast, slow);
    this.#fast = fast;
    this.#slow = slow;
    this.#spiller = new Spiller(this.#blocks, slow, limits, this.#stats);
    this.#changes = new Changes(this.#blocks, this.#spiller, this.#pace);
    this.#reader = new Reader(this.#blocks, slow, this.#spiller, this.#changes, this.#pace);
    this.#availableMemory = limits.availableMemory;
  }

  /** What the buffer holds now, and what it has done so far. */
  stats(): BufferStats {
    return {
      availableMemory: this.#availableMemory,
      memoryHeld: this.#blocks.footprint,
      bytesHeld: this.#blocks.byteLength,
      keysHeld: this.#blocks.size,
      ...this.#stats.counts,
      spillsInFlight: this.#spiller.flights.size,
      bytesInFlight: this.#spiller.flights.byteLength,
      waiting: this.#spiller.waiting,
    };
  }

  /**
   * Writes everything to the slow store, then closes both stores, also if they were never used. If the
   * slow store fails, the error says how much was not written, and both stores stay open: call `close`
   * again.
   */
  override async close(): Promise<void> {
    try {
      await super.close();
      // A store that was never opened has not been flushed.
      if (this.#blocks.size > 0) await this.#spill();
    } catch (error) {
      throw this.#blocks.size > 0 ? this.#notWritten(error) : error;
    }
    await this.#slow.close();
    await this.#fast.close();
    this.#blocks.clear();
  }

  protected async _append(batch: Batch, options: AppendOptions): Promise<void> {
    if (!this.#changes.isSettled) {
      await this.#changes.settled(options.signal);
      checkIntact(batch);
    }
    await this.#spiller.append(batch, options);
    this.#writes += batch.keys.length;
    if (this.#writes < 64) return;
    this.#writes = 0;
    // A caller that awaits every append never yields, which would starve the spiller.
    if (this.#pace.elapsed > (this.#spiller.flights.size > 0 ? 1 : 5)) await this.#pace.rest();
  }

  protected _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    return this.#reader.get(keys, options);
  }

  protected override _stream(key: string, options: GetOptions): Promise<AsyncIterable<Uint8Array>> {
    return this.#reader.stream(key, options);
  }

  protected override _sizes(keys: readonly string[], options: OperationOptions): Promise<number[]> {
    return this.#reader.sizes(keys, options);
  }

  protected _keys(options: OperationOptions): Promise<AsyncIterable<string>> {
    return this.#reader.keys(options);
  }

  /** First moves memory to the slow store, which knows the order to read everything in. */
  protected override async _entries(
    options: EntriesOptions,
  ): Promise<AsyncIterable<readonly [string, Uint8Array]>> {
    await this.#spill(options.signal);
    return this.#reader.entries(options);
  }

  protected _delete(keys: readonly string[], options: OperationOptions): Promise<void> {
    return this.#changes.remove(keys, options);
  }

  protected override async _pop(
    keys: readonly string[],
    options: GetOptions,
  ): Promise<Uint8Array[]> {
    const values = await this._get(keys, options);
    const isSplit = (key: string, i: number) => {
      const held = this.#blocks.get(key);
      const whole = values[i] as Uint8Array;
      return held !== undefined && this.#blocks.length(held) < whole.byteLength;
    };
    await this._whileRemoving(keys, () =>
      this.#changes.remove(keys, options, keys.filter(isSplit)),
    );
    return values;
  }

  /**
   * Sets through the slow store's own `iset`, which may be one step. A new value in memory could be
   * lost with the process after the old one was removed, and the values of several processes would be
   * appended to one another.
   */
  protected override async _set(
    key: string,
    value: Uint8Array,
    { signal }: AppendOptions,
  ): Promise<void> {
    // A slow store with a codec would keep a frame for an empty value.
    if (value.length === 0) return this._delete([key], { signal });
    await this.#changes.replace(key, value, { signal });
  }

  protected override async _flush(options: OperationOptions): Promise<void> {
    await this.#spill(options.signal);
    await unlessAborted(this.#spiller.flights.target.flush(options), options.signal);
    this.#stats.flushed();
  }

  protected override _drop(options: OperationOptions): Promise<void> {
    return this.#changes.removeAll(options);
  }

  /** Runs `critical` under the slow store's lock. Meanwhile spills go to the locked store. */
  protected override _exclusive<T>(
    critical: () => Promise<T>,
    options: OperationOptions,
  ): Promise<T> {
    return this.#changes.withLock(this.#slow, critical, options);
  }

  #notWritten(cause: unknown): PartdError {
    const { byteLength, size } = this.#blocks;
    const { code, key, path, address } = (isPartdError(cause) ? cause : {}) as Partial<PartdError>;
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new PartdError(
      code ?? "ERR_PARTD_IO",
      `The buffer is not closed: ${reason} In memory alone, and not written, are ${counted(byteLength, "byte")} of ${counted(size, "key")}; put right what failed and call close() again, or they are lost.`,
      { key, path, address, cause },
    );
  }

  /** Writes everything that is in memory now. */
  async #spill(signal?: AbortSignal): Promise<void> {
    await this.#changes.settled(signal);
    await this.#spiller.flush(signal);
  }
}

/**
 * Takes the memory of `fast` for a new buffer.
 *
 * @throws `ERR_PARTD_VALUE` if these two stores cannot make a buffer.
 */
function takeBlocks(fast: Dict, slow: Store): Blocks {
  // Not `instanceof`: the Dict may be of another copy of @partd/core.
  const blocks = (fast as Partial<Dict> | null | undefined)?.blocks;
  if (typeof blocks?.hold !== "function") {
    throw refusal(
      `fast must be a Dict, not ${nameOf(fast)}; put codecs and compressors around the slow store or around the buffer.`,
    );
  }
  if (!isStore(slow)) throw refusal(`slow must be a store of bytes, not ${nameOf(slow)}.`);
  if ((slow as LowerStore).holdsValues) {
    throw refusal(
      `slow must be a store of bytes, and ${nameOf(slow)} is a store of values; put it around the buffer.`,
    );
  }
  if (slow === fast) throw refusal("fast and slow must be two stores, not the same.");
  if (takenBlocks.has(blocks)) {
    throw refusal("fast belongs to another BufferStore already; give each a new Dict.");
  }
  takenBlocks.add(blocks);
  return blocks;
}

/** Two buffers over the same memory would both spill and cut the same values. */
const takenBlocks = new WeakSet<Blocks>();

function isStore(value: Store | null | undefined): boolean {
  const methods = [value?.append, value?.get, value?.withLock];
  return methods.every((method) => typeof method === "function");
}

function nameOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  return value.constructor?.name || "an object";
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function refusal(reason: string): PartdError {
  return new PartdError("ERR_PARTD_VALUE", `A BufferStore cannot be made: ${reason}`);
}
