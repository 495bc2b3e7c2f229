import { grown, grownSize, RangeColumns } from "./range-columns.js";

/** The stamp of what did not happen. */
export const NEVER = -1;

/**
 * The index of a segment that is being written or was read through: each key's ranges in a chain,
 * oldest first. Keys are numbers that the store gives out.
 */
export class GrowingIndex {
  readonly columns = new RangeColumns();
  #next = new Int32Array(64);
  #head = new Int32Array(0);
  #tail = new Int32Array(0);
  #ranges = new Uint32Array(0);
  #bytes = new Float64Array(0);
  #deleted = new Float64Array(0);
  /** Stamps of the first and last record. */
  firstStamp = Number.POSITIVE_INFINITY;
  lastStamp = NEVER;
  /** Whether a key was deleted in this segment. */
  hasDeletions = false;

  /** Takes the rows up to `end` into the chains. A row without length deletes its key. */
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
        this.#ranges[key] = this.#bytes[key] = 0;
        this.#deleted[key] = stamp;
        this.hasDeletions = true;
        continue;
      }
      const tail = this.#tail[key] as number;
      if (tail === NONE) this.#head[key] = row;
      else this.#next[tail] = row;
      this.#next[row] = NONE;
      this.#tail[key] = row;
      (this.#bytes[key] as number) += length;
      (this.#ranges[key] as number)++;
    }
    columns.count = end;
    columns.groupCount = groupEnd;
    this.firstStamp = Math.min(this.firstStamp, stamp);
    this.lastStamp = stamp;
  }

  /** The number behind the highest key. */
  get keyEnd(): number {
    return this.#head.length;
  }

  *keys(): Generator<number, void, undefined> {
    for (let key = 0; key < this.#head.length; key++) {
      if (this.#head[key] !== NONE || this.#deleted[key] !== NEVER) yield key;
    }
  }

  deleted(key: number): number {
    return key < this.#deleted.length ? (this.#deleted[key] as number) : NEVER;
  }

  /** Stamp of the key's last bytes here, or {@link NEVER}. */
  last(key: number): number {
    const tail = key < this.#tail.length ? (this.#tail[key] as number) : NONE;
    return tail === NONE ? NEVER : this.columns.stampOf(tail);
  }

  ranges(key: number): number {
    return key < this.#ranges.length ? (this.#ranges[key] as number) : 0;
  }

  bytes(key: number): number {
    return key < this.#bytes.length ? (this.#bytes[key] as number) : 0;
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
    this.#ranges = grown(this.#ranges, size);
    this.#bytes = grown(this.#bytes, size);
    this.#deleted = grown(this.#deleted, size).fill(NEVER, before);
  }
}

/** No row. */
export const NONE = -1;
