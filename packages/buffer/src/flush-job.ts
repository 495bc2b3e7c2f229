import type { Blocks, Value } from "@partd/core/memory";
import type { SpillBatch } from "./spill-batch.js";

/** One call of `flush`: the values of that moment, and how far each has to be written. */
export class FlushJob {
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly #blocks: Blocks;
  readonly #values: Value[] = [];
  /** The value's `cutCount` when its part of the job is done. */
  readonly #targets: number[] = [];
  #next = 0;
  /** How many of the values before `#next` are not done; they stand at the front. */
  #kept = 0;
  /** Targets of claimed values, by key, so that `fill` does not try them again and again. */
  readonly #claimed = new Map<string, number>();

  constructor(blocks: Blocks) {
    this.#blocks = blocks;
    for (const value of blocks.values()) {
      this.#values.push(value);
      this.#targets.push(blocks.cutCount(value) + blocks.length(value));
    }
    let settle: [() => void, (error: unknown) => void] | undefined;
    this.done = new Promise((resolve, reject) => {
      settle = [resolve, reject];
    });
    [this.resolve, this.reject] = settle as [() => void, (error: unknown) => void];
  }

  get isDone(): boolean {
    return this.#values.length === 0 && this.#claimed.size === 0;
  }

  /** Adds unclaimed values to the batch, from where the last call stopped, at most once round. */
  fill(batch: SpillBatch, isClaimed: (key: string) => boolean): void {
    const values = this.#values;
    const targets = this.#targets;
    for (let visits = values.length; visits > 0 && values.length > 0 && !batch.isFull; visits--) {
      const value = values[this.#next] as Value;
      const target = targets[this.#next++] as number;
      if (this.#blocks.cutCount(value) < target) {
        const key = this.#blocks.key(value);
        if (isClaimed(key)) {
          this.#claimed.set(key, target);
        } else {
          values[this.#kept] = value;
          targets[this.#kept++] = target;
          if (!this.#blocks.isHeld(value)) batch.add(value);
        }
      }
      if (this.#next === values.length) this.#startOver();
    }
  }

  /** Notes that a key is no longer claimed. */
  unclaim(key: string): void {
    const target = this.#claimed.get(key);
    if (target === undefined) return;
    this.#claimed.delete(key);
    const value = this.#blocks.get(key);
    if (value === undefined) return;
    this.#values.push(value);
    this.#targets.push(target);
  }

  #startOver(): void {
    this.#values.length = this.#kept;
    this.#targets.length = this.#kept;
    this.#next = 0;
    this.#kept = 0;
  }
}
