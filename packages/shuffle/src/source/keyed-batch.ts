import { KeyColumns } from "./key-columns.js";

/**
 * Some records with their keys, as bytes. Record `i` ends at `ends[i]` and begins where the one before
 * ends, the first at 0; its encoded key lies in `keys` from `keyStarts[i]` to `keyEnds[i]`. All of it
 * is valid until the next batch is asked for. A scan of `@partd/records` is such a batch.
 */
export interface KeyedBatch {
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly ends: Uint32Array;
  readonly keys: Uint8Array;
  readonly keyStarts: Uint32Array;
  readonly keyEnds: Uint32Array;
  /** The two halves of each key's hash. */
  readonly hashLow: Uint32Array;
  readonly hashHigh: Uint32Array;
  /** Frees the memory of long keys. Call this when the batch is no longer needed. */
  free?(): void;
}

/** A key followed by its record, in bytes that may hold others. */
export interface KeyedRecord {
  readonly bytes: Uint8Array;
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly end: number;
}

/** One record as a batch, without a copy. */
export function batchOfOne(
  { bytes, keyStart, keyEnd, end }: KeyedRecord,
  hashLow: number,
  hashHigh: number,
): KeyedBatch {
  return {
    count: 1,
    bytes: bytes.subarray(keyEnd, end),
    ends: Uint32Array.of(end - keyEnd),
    keys: bytes,
    keyStarts: Uint32Array.of(keyStart),
    keyEnds: Uint32Array.of(keyEnd),
    hashLow: Uint32Array.of(hashLow),
    hashHigh: Uint32Array.of(hashHigh),
  };
}

/** Neighbouring records of a batch, without a copy. */
export function slice(batch: KeyedBatch, from: number, to: number): KeyedBatch {
  if (from === 0 && to === batch.count) return batch;
  const start = from === 0 ? 0 : batch.ends[from - 1]!;
  const end = batch.ends[to - 1] ?? start;
  return {
    count: to - from,
    bytes: batch.bytes.subarray(start, end),
    ends: batch.ends.subarray(from, to).map((recordEnd) => recordEnd - start),
    keys: batch.keys,
    keyStarts: batch.keyStarts.subarray(from, to),
    keyEnds: batch.keyEnds.subarray(from, to),
    hashLow: batch.hashLow.subarray(from, to),
    hashHigh: batch.hashHigh.subarray(from, to),
  };
}

type Indices = readonly number[] | Uint32Array;

/** Some records of a batch, by index. */
export function selected(batch: KeyedBatch, indices: Indices): KeyedBatch {
  if (indices.length === batch.count) return batch;
  const pick = (from: Uint32Array) => {
    const picked = new Uint32Array(indices.length);
    for (let n = 0; n < indices.length; n++) picked[n] = from[indices[n]!]!;
    return picked;
  };
  return {
    count: indices.length,
    ...selectedRecords(batch, indices),
    keys: batch.keys,
    keyStarts: pick(batch.keyStarts),
    keyEnds: pick(batch.keyEnds),
    hashLow: pick(batch.hashLow),
    hashHigh: pick(batch.hashHigh),
  };
}

/** A copy of some records, end to end. */
export function selectedRecords(
  { bytes, ends }: Pick<KeyedBatch, "bytes" | "ends">,
  indices: Indices,
): Pick<KeyedBatch, "bytes" | "ends"> {
  const startOf = (i: number) => (i === 0 ? 0 : ends[i - 1]!);
  const selectedEnds = new Uint32Array(indices.length);
  let byteLength = 0;
  for (let n = 0; n < indices.length; n++) {
    byteLength += ends[indices[n]!]! - startOf(indices[n]!);
    selectedEnds[n] = byteLength;
  }
  const selectedBytes = new Uint8Array(byteLength);
  for (let n = 0; n < indices.length; n++) {
    const record = bytes.subarray(startOf(indices[n]!), ends[indices[n]!]!);
    selectedBytes.set(record, selectedEnds[n]! - record.length);
  }
  return { bytes: selectedBytes, ends: selectedEnds };
}

/** Gathers a batch record by record: each record, then its key. */
export class BatchWriter extends KeyColumns implements KeyedBatch {
  readonly ends = new Uint32Array(FULL_COUNT);
  bytes: Uint8Array = new Uint8Array(0);
  /** The memory of `bytes`. */
  #buffer = Buffer.alloc(0);
  #byteLength = 0;

  constructor() {
    super();
    this.#setMemory(Buffer.allocUnsafeSlow(2 * FULL_BYTES));
  }

  get isFull(): boolean {
    return this.count >= FULL_COUNT || this.#byteLength >= FULL_BYTES;
  }

  addRecord(record: string | Uint8Array): void {
    const start = this.#byteLength;
    if (typeof record === "string") {
      const most = 3 * record.length;
      this.#makeSpace(most < FULL_BYTES ? most : Buffer.byteLength(record));
      this.#byteLength += this.#buffer.write(record, start);
    } else {
      this.#makeSpace(record.length);
      this.bytes.set(record, start);
      this.#byteLength += record.length;
    }
    this.ends[this.count] = this.#byteLength;
  }

  /** Adds a record of so many bytes, and returns their place: its caller fills it before the batch is used. */
  addSpace(byteLength: number): Uint8Array {
    const start = this.#byteLength;
    this.#makeSpace(byteLength);
    this.#byteLength += byteLength;
    this.ends[this.count] = this.#byteLength;
    return this.bytes.subarray(start, this.#byteLength);
  }

  /** Removes the last record, which has no key yet. */
  dropRecord(): void {
    this.#byteLength = this.count === 0 ? 0 : this.ends[this.count - 1]!;
  }

  #makeSpace(byteLength: number): void {
    const needed = this.#byteLength + byteLength;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * FULL_BYTES));
    grown.set(this.bytes.subarray(0, this.#byteLength));
    this.#setMemory(grown);
  }

  #setMemory(buffer: Buffer<ArrayBuffer>): void {
    this.#buffer = buffer;
    this.bytes = new Uint8Array(buffer.buffer);
  }

  override clear(): void {
    super.clear();
    this.#byteLength = 0;
    // Do not keep the memory of one huge record.
    if (this.bytes.length > 8 * FULL_BYTES) this.#setMemory(Buffer.allocUnsafeSlow(2 * FULL_BYTES));
  }
}

const FULL_COUNT = 4096;
const FULL_BYTES = 256 << 10;
