import { PartdError } from "@partd/core";
import { releaseBytes } from "@partd/core/author";
import { decodeGroupKey, type GroupKey } from "../key/group-key.js";
import { hashKey, partitionOf } from "../key/hash.js";
import type { ByteBatch, OnReject, Scan, Scanner, Scattered } from "../records.js";
import { type RecordMatcher, RecordReader, type ScanPlan } from "./record-matcher.js";

/**
 * A scanner in plain JavaScript, for runtimes without WebAssembly and for batches too large for it.
 */
export class PlainScanner implements Scanner {
  readonly #table: ScanTable;
  readonly #reader: RecordReader;
  readonly #onReject: OnReject | undefined;

  constructor(matcher: RecordMatcher, { keys, values, onReject }: ScanPlan) {
    this.#table = new ScanTable(keys, values);
    this.#reader = new RecordReader(matcher, keys, values);
    this.#onReject = onReject;
  }

  scan(batch: ByteBatch): Scan {
    const { bytes } = batch;
    const table = this.#table;
    const reader = this.#reader;
    table.clear(bytes);
    let kept = 0;
    for (let start = 0; start < bytes.length; ) {
      const end = reader.read(batch, start);
      const { error } = reader;
      if (error) {
        if (!this.#onReject) throw error;
        this.#onReject({ bytes: new Uint8Array(bytes.subarray(start, end)), error });
      }
      if (reader.isBlank || error) {
        // Records have no gaps: move those behind a gap, in a copy.
        if (table.bytes === bytes) table.bytes = new Uint8Array(bytes);
      } else {
        if (table.bytes !== bytes) table.bytes.set(bytes.subarray(start, end), kept);
        kept += end - start;
        table.add(kept, reader);
      }
      start = end;
    }
    table.bytes = table.bytes.subarray(0, kept);
    return table;
  }
}

/** The results of a scan, in reused arrays. */
class ScanTable implements Scan {
  count = 0;
  bytes: Uint8Array = new Uint8Array(0);
  ends = new Uint32Array(1024);
  keys: Uint8Array = NO_KEYS;
  keyStarts = new Uint32Array(1024);
  keyEnds = new Uint32Array(1024);
  hashLow = new Uint32Array(1024);
  hashHigh = new Uint32Array(1024);
  #keysLength = 0;
  /** The batch, while all keys lie in it and are not copied: one may be as long as its record. */
  #batch: Uint8Array | undefined;
  /** The memory of keys that are copied. */
  #copied: Uint8Array<ArrayBuffer> = new Uint8Array(1 << 14);
  #isMissing = new Uint8Array(1024);
  readonly #hasKey: boolean;
  readonly #numbers: Float64Array[];
  readonly #kinds: Uint8Array[];

  constructor(keys: number, values: number) {
    this.#hasKey = keys > 0;
    this.#numbers = Array.from({ length: values }, () => new Float64Array(1024));
    this.#kinds = Array.from({ length: values }, () => new Uint8Array(1024));
  }

  clear(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.count = 0;
    this.#keysLength = 0;
    this.#batch = bytes;
    this.keys = bytes;
    this.free();
  }

  /** Does not keep the memory of one huge key. */
  free(): void {
    if (this.#copied.length <= LARGE) return;
    releaseBytes(this.#copied);
    this.#copied = new Uint8Array(1 << 14);
  }

  /** Adds a record that ends at `end`. */
  add(end: number, { key, isMissing, kinds, numbers }: RecordReader): void {
    const index = this.count++;
    if (index === this.ends.length) this.#grow();
    this.ends[index] = end;
    for (let value = 0; value < kinds.length; value++) {
      this.#kinds[value]![index] = kinds[value]!;
      this.#numbers[value]![index] = numbers[value]!;
    }
    if (!this.#hasKey) return;
    const start = this.#place(key, index);
    const keyEnd = start + key.length;
    const { low, high } = hashKey(this.keys, start, keyEnd);
    this.keyStarts[index] = start;
    this.keyEnds[index] = keyEnd;
    this.hashLow[index] = low;
    this.hashHigh[index] = high;
    this.#isMissing[index] = isMissing ? 1 : 0;
  }

  /** Where the key of a record lies in `keys`. */
  #place(key: Uint8Array, index: number): number {
    if (this.#batch) {
      const start = key.byteOffset - this.#batch.byteOffset;
      const isInside = start >= 0 && start + key.length <= this.#batch.length;
      if (key.buffer === this.#batch.buffer && isInside) return start;
      this.#copyKeys(index);
    }
    return this.#copy(key);
  }

  /** Copies the keys of the first records, and from now on all. */
  #copyKeys(count: number): void {
    const batch = this.#batch!;
    this.#batch = undefined;
    this.keys = this.#copied;
    for (let i = 0; i < count; i++) {
      const length = this.keyEnds[i]! - this.keyStarts[i]!;
      const start = this.#copy(batch.subarray(this.keyStarts[i], this.keyEnds[i]));
      this.keyStarts[i] = start;
      this.keyEnds[i] = start + length;
    }
  }

  #copy(key: Uint8Array): number {
    const start = this.#keysLength;
    const end = start + key.length;
    if (end > this.#copied.length) {
      const outgrown = this.#copied;
      this.#copied = grown(outgrown, 2 * end);
      if (outgrown.length > LARGE) releaseBytes(outgrown);
    }
    this.keys = this.#copied;
    this.keys.set(key, start);
    this.#keysLength = end;
    return start;
  }

  key(i: number): GroupKey {
    return decodeGroupKey(this.keys, this.keyStarts[i], this.keyEnds[i]);
  }

  missing(i: number): boolean {
    return this.#isMissing[i] === 1;
  }

  numbers(value: number): Float64Array {
    return this.#numbers[value]!;
  }

  kinds(value: number): Uint8Array {
    return this.#kinds[value]!;
  }

  partition(partitions: number): Scattered {
    return partition(this, partitions);
  }

  scatter(assignment: ArrayLike<number>, partitions: number): Scattered {
    return scatter(this, assignment, partitions);
  }

  #grow(): void {
    const length = 2 * this.ends.length;
    this.ends = grown(this.ends, length);
    this.keyStarts = grown(this.keyStarts, length);
    this.keyEnds = grown(this.keyEnds, length);
    this.hashLow = grown(this.hashLow, length);
    this.hashHigh = grown(this.hashHigh, length);
    this.#isMissing = grown(this.#isMissing, length);
    for (let value = 0; value < this.#kinds.length; value++) {
      this.#kinds[value] = grown(this.#kinds[value]!, length);
      this.#numbers[value] = grown(this.#numbers[value]!, length);
    }
  }
}

const NO_KEYS = new Uint8Array(0);
/** Copies of keys are freed at once if they take more bytes. */
const LARGE = 8 << 20;

function grown<A extends Uint8Array | Uint32Array | Float64Array>(array: A, length: number): A {
  const larger = new (array.constructor as new (length: number) => A)(length);
  larger.set(array);
  return larger;
}

/** Orders records by partition: a counting sort in plain JavaScript. */
export function scatter(
  { bytes, ends, count }: Scan,
  assignment: ArrayLike<number>,
  partitions: number,
): Scattered {
  checkPartitions(partitions);
  const offsets = new Uint32Array(partitions + 1);
  const counts = new Uint32Array(partitions);
  for (let i = 0, start = 0; i < count; i++) {
    const end = ends[i]!;
    const to = assignment[i]!;
    if (!(to >= 0 && to < partitions)) throw outOfRange(to, partitions);
    offsets[to + 1]! += end - start;
    counts[to]!++;
    start = end;
  }
  for (let p = 0; p < partitions; p++) offsets[p + 1]! += offsets[p]!;
  const scattered = new Uint8Array(offsets[partitions]!);
  const next = offsets.slice();
  for (let i = 0, start = 0; i < count; i++) {
    const end = ends[i]!;
    const to = assignment[i]!;
    scattered.set(bytes.subarray(start, end), next[to]!);
    next[to]! += end - start;
    start = end;
  }
  return { bytes: scattered, offsets, counts };
}

/** Orders records by the partitions of their keys' hashes. */
export function partition(scan: Scan, partitions: number): Scattered {
  const { count, hashLow, hashHigh } = scan;
  const assignment = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    assignment[i] = partitionOf(hashLow[i]!, hashHigh[i]!, partitions);
  }
  return scatter(scan, assignment, partitions);
}

/** @throws `ERR_PARTD_VALUE` unless `partitionOf` is exact for this number. */
export function checkPartitions(partitions: number): void {
  if (Number.isInteger(partitions) && partitions >= 1 && partitions <= 2 ** 21) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `The number of partitions is a whole number from 1 to 2^21, not ${partitions}.`,
  );
}

export function outOfRange(partition: number, partitions: number): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    `A record was assigned to partition ${partition}, but there are those from 0 to ${partitions - 1}.`,
  );
}
