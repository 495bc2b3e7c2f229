import type { Argument } from "../connection/connection.js";
import type { BucketNames } from "../data-set.js";
import { APPEND } from "../scripts/change-scripts.js";
import type { Change } from "./bucket-writer.js";

/** The part of a batch that belongs to one bucket. */
export interface PendingAppend {
  readonly keys: readonly string[];
  readonly values: readonly Uint8Array[];
  /** Its bytes in a call. */
  readonly cost: number;
  readonly isWanted: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/** Appends that are sent in one call. */
export class AppendCall implements Change {
  readonly script = APPEND;
  readonly #bucket: BucketNames;
  readonly #appends: readonly PendingAppend[];
  #encoded: { readonly keys: string[]; readonly args: Argument[] } | undefined;

  constructor(bucket: BucketNames, appends: readonly PendingAppend[]) {
    this.#bucket = bucket;
    this.#appends = appends;
  }

  get keys(): readonly string[] {
    return this.#encode().keys;
  }

  get args(): readonly Argument[] {
    return this.#encode().args;
  }

  get isWanted(): boolean {
    return this.#appends.some(({ isWanted }) => isWanted);
  }

  resolve(): void {
    for (const append of this.#appends) append.resolve();
  }

  reject(error: unknown): void {
    for (const append of this.#appends) append.reject(error);
  }

  /**
   * Short chunks go end to end in one argument: the client makes a write for each Buffer, which
   * costs 2 µs instead of 0.2 µs a chunk. Long ones are sent in place, without a copy.
   */
  #encode() {
    if (this.#encoded) return this.#encoded;
    let chunks = 0;
    let packedBytes = 0;
    for (const { values } of this.#appends) {
      for (const { byteLength } of values) {
        chunks += byteLength < OWN_BYTES ? 1 : Math.ceil(byteLength / CHUNK_BYTES);
        if (byteLength < OWN_BYTES) packedBytes += byteLength;
      }
    }
    const keys = new Array<string>(chunks);
    const lengths = Buffer.alloc(4 * chunks);
    const packed = Buffer.allocUnsafe(packedBytes);
    const own: Buffer[] = [];
    let at = 0;
    let end = 0;
    for (const append of this.#appends) {
      for (let i = 0; i < append.keys.length; i++) {
        const key = this.#bucket.value(append.keys[i] as string);
        const value = append.values[i] as Uint8Array;
        if (value.byteLength < OWN_BYTES) {
          packed.set(value, end);
          end += value.byteLength;
          lengths.writeUInt32LE(value.byteLength, 4 * at);
          keys[at++] = key;
          continue;
        }
        for (const chunk of chunksOf(value)) {
          own.push(chunk);
          keys[at++] = key;
        }
      }
    }
    this.#encoded = { keys, args: [lengths, packed, ...own] };
    return this.#encoded;
  }
}

/** The chunks of a value, as Buffers over its memory. */
export function* chunksOf(value: Uint8Array): Iterable<Buffer> {
  for (let at = 0; at < value.byteLength; at += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, value.byteLength - at);
    yield Buffer.from(value.buffer as ArrayBuffer, value.byteOffset + at, length);
  }
}

/** A value's bytes in a call, including its key's name. */
export function costOf(key: string, value: Uint8Array): number {
  return value.byteLength + key.length + 40;
}

/**
 * The longest chunk: one step reads two of them. With what Redis keeps beside it, it just fits into
 * memory of 512 KiB; one of 512 KiB itself takes 640 (jemalloc has nothing in between).
 */
const CHUNK_BYTES = (512 << 10) - 64;
/** From this size on, a chunk is an argument of its own. */
const OWN_BYTES = 8 << 10;
