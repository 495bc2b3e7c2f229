import type { Key } from "@partd/core";
import { PartdError } from "@partd/core";
import { BatchWriter, type KeyedBatch } from "../source/keyed-batch.js";

/**
 * What a writer appends to a partition at a time. All numbers are 32-bit little-endian: the chunk's
 * number, from 0; the length of what follows; then for each record the lengths of key and record, the
 * key, and the record. The number reveals a chunk that a store has written twice.
 */
export class ChunkWriter {
  records = 0;
  /** Bytes of all chunks that were taken. */
  bytes = 0;
  #number = 0;
  /** Empty until there is a record: a writer may have 65,536 partitions. */
  #chunk = NOTHING;
  #used = CHUNK_HEADER;

  /** Bytes that have not been taken. */
  get waiting(): number {
    return this.#used - CHUNK_HEADER;
  }

  add(
    keys: Uint8Array,
    keyStart: number,
    keyEnd: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const keyLength = keyEnd - keyStart;
    const needed = this.#used + RECORD_HEADER + keyLength + end - start;
    if (needed > this.#chunk.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#chunk.length, FIRST_BYTES));
      grown.set(this.#chunk.subarray(0, this.#used));
      this.#chunk = grown;
    }
    let at = this.#chunk.writeUInt32LE(keyLength, this.#used);
    at = this.#chunk.writeUInt32LE(end - start, at);
    this.#chunk.set(keys.subarray(keyStart, keyEnd), at);
    this.#chunk.set(bytes.subarray(start, end), at + keyLength);
    this.#used = needed;
    this.records++;
  }

  /** Returns the chunk of all records since the last one. */
  take(): Uint8Array {
    const chunk = this.#chunk.subarray(0, this.#used);
    chunk.writeUInt32LE(this.#number++, 0);
    chunk.writeUInt32LE(this.waiting, 4);
    this.bytes += chunk.length;
    this.#chunk = NOTHING;
    this.#used = CHUNK_HEADER;
    return chunk;
  }
}

const NOTHING = Buffer.alloc(0);
const CHUNK_HEADER = 8;
const RECORD_HEADER = 8;
const FIRST_BYTES = 4096;

/** Yields the records of one writer in a partition; the store yields them in pieces of any length. */
export async function* readChunks(
  pieces: AsyncIterable<Uint8Array>,
  key: Key,
  expected: Written,
): AsyncGenerator<KeyedBatch> {
  const input = new PieceReader(pieces, key);
  try {
    yield* readRecords(input, key, expected);
  } finally {
    // Nobody has asked for the stream's end, and until it ends it may keep a file open.
    await input.close();
  }
}

/** How many records, and bytes of chunks, a writer has written to a partition. */
export type Written = readonly [records: number, bytes: number];

async function* readRecords(
  input: PieceReader,
  key: Key,
  expected: Written,
): AsyncGenerator<KeyedBatch> {
  const batch = new BatchWriter();
  let next = 0;
  let records = 0;
  let bytes = 0;
  while (bytes < expected[1]) {
    const header = await input.take(CHUNK_HEADER);
    const number = header.readUInt32LE(0);
    let left = header.readUInt32LE(4);
    if (number > next) throw damaged(key);
    const isNew = number === next;
    if (isNew) {
      next++;
      bytes += CHUNK_HEADER + left;
    }
    while (left > 0) {
      const lengths = await input.take(RECORD_HEADER);
      const keyLength = lengths.readUInt32LE(0);
      const recordLength = lengths.readUInt32LE(4);
      left -= RECORD_HEADER + keyLength + recordLength;
      if (left < 0) throw damaged(key);
      if (!isNew) {
        await input.skip(keyLength + recordLength);
        continue;
      }
      records++;
      if (recordLength < LONG_RECORD) {
        const frame = await input.take(keyLength + recordLength);
        batch.addRecord(frame.subarray(keyLength));
        batch.addKey(frame.subarray(0, keyLength));
      } else {
        const recordKey = await input.take(keyLength);
        const record = batch.addSpace(recordLength);
        batch.addKey(recordKey);
        await input.fill(record);
      }
      if (!batch.isFull) continue;
      yield batch;
      batch.clear();
    }
  }
  if (records !== expected[0] || bytes !== expected[1]) throw damaged(key);
  if (batch.count > 0) yield batch;
}

/** From this many bytes on a record is read into its batch, and so is in memory once. */
const LONG_RECORD = 1 << 20;

/** Takes a number of bytes at a time from pieces of any length. */
class PieceReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #key: Key;
  #piece: Buffer = NOTHING;

  constructor(pieces: AsyncIterable<Uint8Array>, key: Key) {
    this.#pieces = pieces[Symbol.asyncIterator]();
    this.#key = key;
  }

  /** Returns the next bytes, which are valid until the next call. */
  take(length: number): Buffer | Promise<Buffer> {
    if (length > this.#piece.length) return this.#readAcrossPieces(length);
    const taken = this.#piece.subarray(0, length);
    this.#piece = this.#piece.subarray(length);
    return taken;
  }

  /** Ends the stream, also in the middle. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  /** Passes over the next bytes. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) {
      if (this.#piece.length === 0) await this.#readPiece();
      const skipped = Math.min(left, this.#piece.length);
      this.#piece = this.#piece.subarray(skipped);
      left -= skipped;
    }
  }

  /** Copies the next bytes into all of `target`, each piece as it comes. */
  async fill(target: Uint8Array): Promise<void> {
    for (let filled = 0; filled < target.length; ) {
      if (this.#piece.length === 0) await this.#readPiece();
      const copied = this.#piece.copy(target, filled);
      this.#piece = this.#piece.subarray(copied);
      filled += copied;
    }
  }

  async #readAcrossPieces(length: number): Promise<Buffer> {
    const taken = Buffer.allocUnsafeSlow(length);
    await this.fill(taken);
    return taken;
  }

  async #readPiece(): Promise<void> {
    const { value, done } = await this.#pieces.next();
    if (done) throw damaged(this.#key);
    this.#piece = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
}

function damaged(key: Key): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    "The store does not hold what was committed: it was changed by others, or lost appends that it had acknowledged. Remove this task's part and run the task again in a new shuffle.",
    { key },
  );
}
