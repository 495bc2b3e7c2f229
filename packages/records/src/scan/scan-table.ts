import { decodeGroupKey, type GroupKey } from "../key/group-key.js";
import { hashKey, partitionOf } from "../key/hash.js";
import type { Scan, Scattered } from "../records.js";

/** What a scan found, in arrays that are used again. */
export class ScanTable implements Scan {
  count = 0;
  bytes: Uint8Array = new Uint8Array(0);
  ends = new Uint32Array(1024);
  keys: Uint8Array = new Uint8Array(1 << 14);
  keyStarts = new Uint32Array(1024);
  keyEnds = new Uint32Array(1024);
  hashLow = new Uint32Array(1024);
  hashHigh = new Uint32Array(1024);
  #keysLength = 0;
  #isMissing = new Uint8Array(1024);
  #scattered = new Uint8Array(0);

  clear(): void {
    this.count = 0;
    this.#keysLength = 0;
  }

  /** Adds a record that ends at `end` of the batch. */
  add(end: number, key: Uint8Array, isMissing: boolean): void {
    const index = this.count++;
    if (index === this.ends.length) this.#grow();
    const start = this.#keysLength;
    const keyEnd = start + key.length;
    if (keyEnd > this.keys.length) this.keys = grown(this.keys, 2 * keyEnd);
    if (key.length <= 16) for (let i = 0; i < key.length; i++) this.keys[start + i] = key[i]!;
    else this.keys.set(key, start);
    this.#keysLength = keyEnd;
    const { low, high } = hashKey(this.keys, start, keyEnd);
    this.ends[index] = end;
    this.keyStarts[index] = start;
    this.keyEnds[index] = keyEnd;
    this.hashLow[index] = low;
    this.hashHigh[index] = high;
    this.#isMissing[index] = isMissing ? 1 : 0;
  }

  /** Adds a record to a scan for no fields. */
  addEnd(end: number): void {
    if (this.count === this.ends.length) this.#grow();
    this.ends[this.count++] = end;
  }

  key(i: number): GroupKey {
    return decodeGroupKey(this.keys, this.keyStarts[i], this.keyEnds[i]);
  }

  missing(i: number): boolean {
    return this.#isMissing[i] === 1;
  }

  partition(partitions: number): Scattered {
    const assignment = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i++) {
      assignment[i] = partitionOf(this.hashLow[i]!, this.hashHigh[i]!, partitions);
    }
    return this.scatter(assignment, partitions);
  }

  scatter(assignment: ArrayLike<number>, partitions: number): Scattered {
    const { bytes, ends, count } = this;
    const offsets = new Uint32Array(partitions + 1);
    const counts = new Uint32Array(partitions);
    for (let i = 0, start = 0; i < count; i++) {
      const end = ends[i]!;
      const to = assignment[i]!;
      offsets[to + 1]! += end - start;
      counts[to]!++;
      start = end;
    }
    for (let p = 0; p < partitions; p++) offsets[p + 1]! += offsets[p]!;
    const length = offsets[partitions]!;
    if (this.#scattered.length < length) this.#scattered = new Uint8Array(bytes.length);
    const next = offsets.slice();
    for (let i = 0, start = 0; i < count; i++) {
      const end = ends[i]!;
      const to = assignment[i]!;
      this.#scattered.set(bytes.subarray(start, end), next[to]!);
      next[to]! += end - start;
      start = end;
    }
    return { bytes: this.#scattered.subarray(0, length), offsets, counts };
  }

  #grow(): void {
    const length = 2 * this.ends.length;
    this.ends = grown(this.ends, length);
    this.keyStarts = grown(this.keyStarts, length);
    this.keyEnds = grown(this.keyEnds, length);
    this.hashLow = grown(this.hashLow, length);
    this.hashHigh = grown(this.hashHigh, length);
    this.#isMissing = grown(this.#isMissing, length);
  }
}

function grown<A extends Uint8Array | Uint32Array>(array: A, length: number): A {
  const larger = new (array.constructor as new (length: number) => A)(length);
  larger.set(array);
  return larger;
}
