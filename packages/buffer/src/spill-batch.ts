import type { Batch } from "@partd/core/author";
import type { Blocks, Value } from "@partd/core/memory";

/**
 * Values, or the first parts of long ones, that go to the slow store as one append. Long pieces of
 * memory are passed without a copy. Short ones of a value are concatenated, since each piece costs the
 * slow store more than copying a few kilobytes: an index entry, a frame, a system call.
 */
export class SpillBatch {
  readonly values: Value[] = [];
  /** How many bytes of each value. */
  readonly lengths: number[] = [];
  byteLength = 0;
  /** The key of which only a part of the value is here. The part may end within an append. */
  splitKey: string | undefined;
  readonly #keys: string[] = [];
  readonly #pieces: Uint8Array[] = [];
  readonly #blocks: Blocks;
  readonly #capacity: number;
  #space: Uint8Array | undefined;
  #used = 0;
  #full = false;
  #addedKeys = 0;
  /** The batch that was added, if it is all. */
  #added: Batch | undefined;

  /** @param space memory of `capacity` bytes from an earlier batch that has arrived. */
  constructor(blocks: Blocks, capacity: number, space?: Uint8Array) {
    this.#blocks = blocks;
    this.#capacity = capacity;
    this.#space = space;
  }

  get isFull(): boolean {
    return this.#full || this.byteLength >= this.#capacity || this.values.length >= MOST_KEYS;
  }

  /** The memory that short pieces were copied into, if there were any. */
  get space(): Uint8Array | undefined {
    return this.#space;
  }

  /** How many keys it holds bytes of. */
  get keyCount(): number {
    return Math.max(this.values.length, this.#addedKeys);
  }

  get batch(): Batch {
    return this.#added ?? { keys: this.#keys, values: this.#pieces, byteLength: this.byteLength };
  }

  /**
   * Takes as much of the value as there is room for, and holds it. A short value is taken whole or not
   * at all.
   */
  add(value: Value): void {
    const whole = this.#blocks.length(value);
    const length = Math.min(whole, this.#capacity - this.byteLength);
    if (length < whole && 4 * whole < this.#capacity) {
      this.#full = true;
      return;
    }
    this.#blocks.hold(value);
    this.values.push(value);
    this.lengths.push(length);
    this.byteLength += length;
    const key = this.#blocks.key(value);
    if (length < whole) this.splitKey = key;
    if (length < LONG_PIECE) {
      this.#blocks.copyTo(value, this.#room(), this.#used, length);
      this.#used += length;
      this.#addSpace(key, this.#used - length);
      return;
    }
    let start = this.#used;
    for (const view of this.#blocks.views(value, length)) {
      if (view.byteLength >= LONG_PIECE) {
        this.#addSpace(key, start);
        this.#addPiece(key, view);
        start = this.#used;
      } else {
        this.#room().set(view, this.#used);
        this.#used += view.byteLength;
      }
    }
    this.#addSpace(key, start);
  }

  /** Takes all of a value, without copying. */
  addWhole(value: Value, isHeld: boolean): void {
    const length = this.#blocks.length(value);
    const key = this.#blocks.key(value);
    if (!isHeld) this.#blocks.hold(value);
    this.values.push(value);
    this.lengths.push(length);
    this.byteLength += length;
    for (const view of this.#blocks.views(value)) this.#addPiece(key, view);
  }

  /** Adds bytes that are not in memory, of `keyCount` keys, which include those of all values here. */
  addBatch(batch: Batch, keyCount: number): void {
    const { keys, values, byteLength } = batch;
    this.#addedKeys = keyCount;
    this.byteLength += byteLength;
    if (this.#keys.length === 0) this.#added = batch;
    else
      for (let i = 0; i < keys.length; i++)
        this.#addPiece(keys[i] as string, values[i] as Uint8Array);
  }

  /** The slow store has the batch: cuts what was sent off the values. */
  arrive(): void {
    for (const [i, value] of this.values.entries()) {
      this.#blocks.cut(value, this.lengths[i] as number);
    }
  }

  /** The slow store has refused the batch: lets go of the values, which are unchanged. */
  turnBack(): void {
    for (const value of this.values) this.#blocks.letGo(value);
  }

  #room(): Uint8Array {
    this.#space ??= new Uint8Array(this.#capacity);
    return this.#space;
  }

  #addSpace(key: string, start: number): void {
    if (start < this.#used) {
      this.#addPiece(key, this.#room().subarray(start, this.#used));
    }
  }

  #addPiece(key: string, piece: Uint8Array): void {
    this.#keys.push(key);
    this.#pieces.push(piece);
  }
}

/** Reusable memory for short pieces, from batches that have landed. */
export class Spaces {
  readonly #spaces: Uint8Array[] = [];
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  take(): Uint8Array | undefined {
    return this.#spaces.pop();
  }

  keep(space: Uint8Array | undefined): void {
    if (space && this.#spaces.length < this.#most) this.#spaces.push(space);
  }

  clear(): void {
    this.#spaces.length = 0;
  }
}

/** A piece of this many bytes or more is worth an entry of its own. */
const LONG_PIECE = 1 << 16;
/** So that gathering a batch of tiny values blocks the thread for milliseconds only. */
const MOST_KEYS = 1 << 12;

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
