/**
 * Some records with their keys, as bytes: record `i` ends at `ends[i]` and begins where the one
 * before ends, the first at 0; its encoded key lies in `keys` from `keyStarts[i]` to `keyEnds[i]`.
 * All of it holds until the next batch is asked for.
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
}

/** Gathers a batch record by record. */
export class BatchWriter implements KeyedBatch {
  count = 0;
  /** The same memory twice: a Buffer writes text, but its `slice` makes no copy. */
  #buffer = Buffer.allocUnsafeSlow(2 * FULL_BYTES);
  bytes: Uint8Array = asBytes(this.#buffer);
  #byteLength = 0;
  keys: Uint8Array = new Uint8Array(1 << 16);
  #keysLength = 0;
  readonly ends = new Uint32Array(FULL_COUNT);
  readonly keyStarts = new Uint32Array(FULL_COUNT);
  readonly keyEnds = new Uint32Array(FULL_COUNT);
  readonly hashLow = new Uint32Array(FULL_COUNT);
  readonly hashHigh = new Uint32Array(FULL_COUNT);

  get isFull(): boolean {
    return this.count === FULL_COUNT || this.#byteLength >= FULL_BYTES;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  add(record: string | Uint8Array, key: HashedKey): void {
    const index = this.count++;
    this.#addRecord(record);
    this.ends[index] = this.#byteLength;
    this.keyStarts[index] = this.#keysLength;
    this.#addKey(key.bytes);
    this.keyEnds[index] = this.#keysLength;
    this.hashLow[index] = key.low;
    this.hashHigh[index] = key.high;
  }

  #addRecord(record: string | Uint8Array): void {
    const start = this.#byteLength;
    if (typeof record === "string") {
      this.#makeRoom(record.length * 3 < 1 << 20 ? record.length * 3 : Buffer.byteLength(record));
      this.#byteLength += this.#buffer.write(record, start);
    } else {
      this.#makeRoom(record.length);
      this.bytes.set(record, start);
      this.#byteLength += record.length;
    }
  }

  #makeRoom(byteLength: number): void {
    const needed = this.#byteLength + byteLength;
    if (needed <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * FULL_BYTES));
    grown.set(this.bytes.subarray(0, this.#byteLength));
    this.#use(grown);
  }

  #use(buffer: Buffer<ArrayBuffer>): void {
    this.#buffer = buffer;
    this.bytes = asBytes(buffer);
  }

  #addKey(key: Uint8Array): void {
    if (this.#keysLength + key.length > this.keys.length) {
      const grown = new Uint8Array(2 * (this.#keysLength + key.length));
      grown.set(this.keys.subarray(0, this.#keysLength));
      this.keys = grown;
    }
    this.keys.set(key, this.#keysLength);
    this.#keysLength += key.length;
  }

  clear(): void {
    this.count = 0;
    this.#byteLength = 0;
    this.#keysLength = 0;
    // What one huge record took is not kept.
    if (this.bytes.length > 8 * FULL_BYTES) this.#use(Buffer.allocUnsafeSlow(2 * FULL_BYTES));
  }
}

function asBytes(buffer: Buffer<ArrayBuffer>): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

export interface HashedKey {
  readonly bytes: Uint8Array;
  readonly low: number;
  readonly high: number;
}

const FULL_COUNT = 4096;
const FULL_BYTES = 256 << 10;
