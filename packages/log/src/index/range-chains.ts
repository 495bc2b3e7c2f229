import { KeyDictionary, NONE } from "./key-dictionary.js";
import { grown, grownSize, RangeColumns } from "./range-columns.js";

/** The stamp of an event that has not happened. */
export const NEVER = -1;

/** The ranges of each key in a segment, in a chain, oldest first. Keys are numbers. */
export class RangeChains {
  readonly columns = new RangeColumns();
  #next = new Int32Array(16);
  #head = new Int32Array(0);
  #tail = new Int32Array(0);
  /** Stamps of deletions; empty until a key is deleted. */
  #deleted = new Float64Array(0);
  /** Stamps of the first and the last record. */
  firstStamp = Number.POSITIVE_INFINITY;
  lastStamp = NEVER;
  /** Whether a key was deleted in this segment. */
  hasDeletions = false;

  /** Adds the rows up to `end` to the chains. A row of length 0 deletes its key. */
  commit(end: number, groupEnd: number, stamp: number): void {
    const { columns } = this;
    this.#reserve(end);
    const { key: keys, length: lengths } = columns;
    for (let row = columns.count; row < end; row++) {
      const key = keys[row] as number;
      if (key >= this.#head.length) this.#reserveKeys(key + 1);
      const length = lengths[row] as number;
      if (length === 0) {
        this.#head[key] = this.#tail[key] = NONE;
        this.markDeleted(key, stamp);
        continue;
      }
      const tail = this.#tail[key] as number;
      if (tail === NONE) this.#head[key] = row;
      else this.#next[tail] = row;
      this.#next[row] = NONE;
      this.#tail[key] = row;
    }
    columns.count = end;
    columns.groupCount = groupEnd;
    this.firstStamp = Math.min(this.firstStamp, stamp);
    this.lastStamp = stamp;
  }

  /** Deletes what the key had before `stamp`; {@link commit} adds what follows. */
  markDeleted(key: number, stamp: number): void {
    if (key >= this.#head.length) this.#reserveKeys(key + 1);
    if (key >= this.#deleted.length) this.#reserveDeleted();
    this.#deleted[key] = stamp;
    this.hasDeletions = true;
  }

  /** In bytes. */
  get memory(): number {
    const { columns } = this;
    return (
      columns.memory + 4 * this.#next.length + 8 * this.#head.length + 8 * this.#deleted.length
    );
  }

  /** The highest key's number plus 1. */
  get keyEnd(): number {
    return this.#head.length;
  }

  /** Whether the segment has bytes or a deletion of the key. */
  has(key: number): boolean {
    return this.#head[key] !== NONE || this.deleted(key) !== NEVER;
  }

  deleted(key: number): number {
    return key < this.#deleted.length ? (this.#deleted[key] as number) : NEVER;
  }

  /** Stamp of the key's last bytes here, or {@link NEVER}. */
  last(key: number): number {
    const tail = key < this.#tail.length ? (this.#tail[key] as number) : NONE;
    return tail === NONE ? NEVER : this.columns.stampOf(tail);
  }

  /** The key's first row that is no older than `stamp`, or {@link NONE}. */
  firstSince(key: number, stamp: number): number {
    let row = key < this.#head.length ? (this.#head[key] as number) : NONE;
    while (row !== NONE && this.columns.stampOf(row) < stamp) row = this.#next[row] as number;
    return row;
  }

  /** The key's next row, or {@link NONE}. */
  next(row: number): number {
    return this.#next[row] as number;
  }

  #reserve(rows: number): void {
    if (rows > this.#next.length)
      this.#next = grown(this.#next, grownSize(this.#next.length, rows));
  }

  #reserveKeys(keys: number): void {
    const before = this.#head.length;
    const size = grownSize(Math.max(64, before), keys);
    this.#head = grown(this.#head, size).fill(NONE, before);
    this.#tail = grown(this.#tail, size).fill(NONE, before);
  }

  #reserveDeleted(): void {
    const before = this.#deleted.length;
    this.#deleted = grown(this.#deleted, this.#head.length).fill(NEVER, before);
  }
}

/** The index of a segment that is being written or was read through. It is in memory. */
export class GrowingIndex extends RangeChains {
  readonly keys = new KeyDictionary();
  /** The numbers in `keys` of the segment's own key numbers, if the segment was read. */
  readonly locals: number[] = [];

  override get memory(): number {
    return super.memory + this.keys.memory + 8 * this.locals.length;
  }

  /** The numbers of the keys that have ranges or deletions in the segment. */
  *numbers(): Generator<number, void, undefined> {
    for (let key = 0; key < this.keyEnd; key++) if (this.has(key)) yield key;
  }

  /** The key's number, or {@link NONE}. */
  find(text: string): number {
    const number = this.keys.find(text);
    return number !== NONE && number < this.keyEnd ? number : NONE;
  }
}
