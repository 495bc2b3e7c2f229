import type { KeyedBatch } from "../source/keyed-batch.js";

/**
 * A batch in one piece of memory, which can be given to another thread without a copy: its columns, then its bytes,
 * then its keys.
 */
export interface PackedBatch {
  readonly memory: ArrayBuffer;
  readonly count: number;
  readonly byteLength: number;
  readonly keyLength: number;
}

/**
 * Copies a batch, whose keys lie end to end.
 *
 * @param spare memory to be used if it is long enough.
 */
export function packBatch(batch: KeyedBatch, spare: ArrayBuffer | undefined): PackedBatch {
  const { count, bytes, ends, keys, keyStarts, keyEnds, hashLow, hashHigh } = batch;
  const byteLength = ends[count - 1]!;
  const firstKey = keyStarts[0]!;
  const keyLength = keyEnds[count - 1]! - firstKey;
  const needed = 4 * COLUMNS * count + byteLength + keyLength;
  const isEnough = spare !== undefined && spare.byteLength >= needed;
  const memory = isEnough ? spare : new ArrayBuffer(Math.ceil(1.125 * needed));
  const packed = { memory, count, byteLength, keyLength };
  const target = openBatch(packed);
  target.ends.set(ends.subarray(0, count));
  for (let i = 0; i < count; i++) {
    target.keyStarts[i] = keyStarts[i]! - firstKey;
    target.keyEnds[i] = keyEnds[i]! - firstKey;
  }
  target.hashLow.set(hashLow.subarray(0, count));
  target.hashHigh.set(hashHigh.subarray(0, count));
  target.bytes.set(bytes.subarray(0, byteLength));
  target.keys.set(keys.subarray(firstKey, firstKey + keyLength));
  return packed;
}

/** The batch, without a copy. */
export function openBatch({ memory, count, byteLength, keyLength }: PackedBatch): KeyedBatch {
  const column = (i: number) => new Uint32Array(memory, 4 * i * count, count);
  const start = 4 * COLUMNS * count;
  return {
    count,
    ends: column(0),
    keyStarts: column(1),
    keyEnds: column(2),
    hashLow: column(3),
    hashHigh: column(4),
    bytes: new Uint8Array(memory, start, byteLength),
    keys: new Uint8Array(memory, start + byteLength, keyLength),
  };
}

const COLUMNS = 5;
