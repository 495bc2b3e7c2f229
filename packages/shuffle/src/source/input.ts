import { PartdError } from "@partd/core";
import type { KeyColumns } from "./key-columns.js";
import { BatchWriter, type KeyedBatch } from "./keyed-batch.js";
import { checkJsonLine, decodeStructured, encodeStructured } from "./structured.js";

/** Where records come from: any iterable of objects, or a reader of `@partd/records`. */
export type Source<R> = AsyncIterable<R> | Iterable<R>;

/** Records from their bytes. */
export interface RecordCodec<R> {
  decode(bytes: Uint8Array, start: number, end: number): R;
  /** @throws `ERR_PARTD_CODEC` if the bytes that a record is stored as are of no use to others. */
  checkBytes(bytes: Uint8Array, start: number): void;
}

/** A source as batches of bytes with keys. */
export interface Input<R> extends RecordCodec<R> {
  /** Bytes to come, where that is known. */
  readonly byteLength: number | undefined;
  batches(signal: AbortSignal | undefined): AsyncIterable<KeyedBatch>;
}

/** How records are keyed: by the hash of a key, or by an order. */
export interface Keyer<R> {
  /** The fields that make the key, if no more than these need be looked at. */
  readonly fields: readonly string[] | "whole record" | undefined;
  /** Adds the record's key. */
  writeKey(record: R, columns: KeyColumns): void;
}

export function inputOf<R>(source: Source<R>, keyer: Keyer<R>): Input<R> {
  checkSource(source);
  return {
    byteLength: undefined,
    batches: (signal) => objectBatches(source, keyer, signal),
    decode: decodeStructured as Input<R>["decode"],
    checkBytes: checkJsonLine,
  };
}

/** @throws `ERR_PARTD_VALUE` for what cannot be iterated. */
export function checkSource(source: unknown): void {
  const iterable = source as Partial<AsyncIterable<unknown> & Iterable<unknown>> | undefined | null;
  if (
    iterable?.[Symbol.asyncIterator] ||
    (iterable?.[Symbol.iterator] && typeof source !== "string")
  ) {
    return;
  }
  throw new PartdError(
    "ERR_PARTD_VALUE",
    "The source of records is an iterable or async iterable, such as an array, a stream, or what readNdjson() returns.",
  );
}

async function* objectBatches<R>(
  source: Source<R>,
  keyer: Keyer<R>,
  signal: AbortSignal | undefined,
): AsyncGenerator<KeyedBatch> {
  const batch = new BatchWriter();
  const add = (record: R) => {
    batch.addRecord(encodeStructured(record));
    keyer.writeKey(record, batch);
  };
  if (Symbol.asyncIterator in source) {
    for await (const record of source) {
      add(record);
      if (!batch.isFull) continue;
      signal?.throwIfAborted();
      yield batch;
      batch.clear();
    }
  } else {
    for (const record of source) {
      add(record);
      if (!batch.isFull) continue;
      signal?.throwIfAborted();
      yield batch;
      batch.clear();
    }
  }
  if (batch.count > 0) yield batch;
}
