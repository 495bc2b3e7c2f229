import { BatchEntries, type LowerStore } from "@partd/core/author";
import type { Failure } from "./failures.js";
import { Spaces, type SpillBatch } from "./spill-batch.js";
import type { SpillStats } from "./stats.js";

/** Batches on their way to the slow store, and the keys that they leave there in parts. */
export class Flights {
  /** Memory of batches that have landed, for those to come. */
  readonly spaces: Spaces;
  readonly #stats: SpillStats;
  #target: LowerStore;
  /** Since when each batch is on its way. */
  readonly #inFlight = new Map<SpillBatch, number>();
  #byteLength = 0;
  /** Keys whose value in the slow store may end within an append. */
  readonly #splitKeys = new Set<string>();
  /** For each listing under way: the keys that were split when it began or have been since. */
  readonly #splitsSeen = new Set<Set<string>>();

  /** @param most batches in flight at once. */
  constructor(slow: LowerStore, most: number, stats: SpillStats) {
    this.#target = slow;
    this.spaces = new Spaces(most);
    this.#stats = stats;
  }

  /** The slow store, or what its `withLock` passed. */
  get target(): LowerStore {
    return this.#target;
  }

  goTo(target: LowerStore): void {
    this.#target = target;
  }

  /** How many batches are in flight. */
  get size(): number {
    return this.#inFlight.size;
  }

  /** Their bytes. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Never rejects. {@link land} has to follow at once. */
  async write(batch: SpillBatch, signal?: AbortSignal): Promise<Failure | undefined> {
    const { splitKey } = batch;
    if (splitKey !== undefined) {
      for (const keys of [this.#splitKeys, ...this.#splitsSeen]) keys.add(splitKey);
    }
    this.#inFlight.set(batch, performance.now());
    this.#byteLength += batch.byteLength;
    try {
      await this.#target.append(new BatchEntries(batch.batch), { signal });
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  /** The slow store has taken the batch or refused it. */
  land(batch: SpillBatch, failure: Failure | undefined): void {
    const milliseconds = performance.now() - (this.#inFlight.get(batch) as number);
    if (failure) {
      batch.turnBack();
    } else {
      batch.arrive();
      if (this.#splitKeys.size > 0) {
        for (const key of batch.batch.keys) {
          if (key !== batch.splitKey) this.#splitKeys.delete(key);
        }
      }
      this.spaces.keep(batch.space); // But not after a failure: the bytes may be on their way still.
      this.#stats.spilled({ keys: batch.keyCount, bytes: batch.byteLength, milliseconds });
    }
    this.#byteLength -= batch.byteLength;
    this.#inFlight.delete(batch);
  }

  /**
   * The keys whose values below may end within an append, now and until {@link endListing}: a batch may
   * carry only the first part of a long value.
   */
  beginListing(): ReadonlySet<string> {
    const splits = new Set(this.#splitKeys);
    this.#splitsSeen.add(splits);
    return splits;
  }

  endListing(splits: ReadonlySet<string>): void {
    this.#splitsSeen.delete(splits as Set<string>);
  }

  /** The key has been removed from memory and below. */
  forgetSplit(key: string): void {
    this.#splitKeys.delete(key);
  }
}
