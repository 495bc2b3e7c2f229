import { isPartdError, PartdError } from "@partd/core";
import { BatchEntries, type LowerStore } from "@partd/core/author";
import { Spaces, type SpillBatch } from "./spill-batch.js";
import type { SpillStats } from "./stats.js";

/** Batches on their way to the slow store, and the keys whose values there end in mid-append. */
export class Flights {
  /** Memory of batches that have landed, for later ones. */
  readonly spaces: Spaces;
  readonly #stats: SpillStats;
  #target: LowerStore;
  /** The batches in flight, each with the time when it was sent. */
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

  /** Bytes of the batches in flight. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Sends a batch. Never rejects. Call {@link land} directly after it resolves. */
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

  /** Ends a flight: the slow store has taken the batch or refused it. */
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
      // Not after a failure: the slow store may still be reading the bytes.
      this.spaces.keep(batch.space);
      this.#stats.spilled({ keys: batch.keyCount, bytes: batch.byteLength, milliseconds });
    }
    this.#byteLength -= batch.byteLength;
    this.#inFlight.delete(batch);
  }

  /**
   * Returns the keys whose values in the slow store may end within an append; the set is kept up to
   * date until {@link endListing}. A batch may carry only the first part of a long value.
   */
  beginListing(): ReadonlySet<string> {
    const splits = new Set(this.#splitKeys);
    this.#splitsSeen.add(splits);
    return splits;
  }

  endListing(splits: ReadonlySet<string>): void {
    this.#splitsSeen.delete(splits as Set<string>);
  }

  /** Notes that the key has been removed from memory and below. */
  forgetSplit(key: string): void {
    this.#splitKeys.delete(key);
  }
}

/** A boxed error, because a store may throw anything, also `undefined`. */
export interface Failure {
  readonly error: unknown;
}

/** Failures of the slow store that have not been retried, or not been reported to a caller. */
export class SpillFailures {
  #last: Failure | undefined;
  /** A failure that leaves it unknown whether the slow store has the bytes. */
  #uncertain: unknown;

  /** Why the last batch failed. Until `retry`, nothing is spilled unless a caller asks. */
  get last(): Failure | undefined {
    return this.#last;
  }

  /** Notes that a batch has arrived or failed. @param isReported whether a caller gets the error. */
  landed(failure: Failure | undefined, isReported: boolean): void {
    this.#last = failure;
    if (failure && !isReported) this.unreported(failure);
  }

  /** Notes that no caller gets the error. */
  unreported({ error }: Failure): void {
    if (isPartdError(error, "ERR_PARTD_CONNECTION")) this.#uncertain = error;
  }

  /** Notes that waiting callers get the last failure's error. */
  reported(): void {
    if (this.#last?.error === this.#uncertain) this.#uncertain = undefined;
  }

  /** Notes that what failed is tried again. */
  retry(): void {
    this.#last = undefined;
  }

  /** Notes that all data was removed, including any duplicates. */
  clear(): void {
    this.#uncertain = undefined;
  }

  /** @throws `ERR_PARTD_CONNECTION`, once, if bytes may be in the slow store twice. */
  checkCertain(): void {
    const cause = this.#uncertain;
    if (cause === undefined) return;
    this.#uncertain = undefined;
    throw new PartdError(
      "ERR_PARTD_CONNECTION",
      "Everything has reached the slow store, but an earlier attempt failed without telling whether its bytes had arrived: some may be there twice.",
      { cause },
    );
  }
}
