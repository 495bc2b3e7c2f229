import { PartdError } from "@partd/core";
import type { By } from "./by.js";
import { keyFunction } from "./by.js";
import { KeyCache } from "./key-cache.js";
import { BatchWriter, type KeyedBatch } from "./keyed-batch.js";
import { decodeStructured, encodeStructured } from "./structured.js";

/** Where records come from: any iterable of objects, or a reader of `@partd/records`. */
export type Source<R> = AsyncIterable<R> | Iterable<R>;

/** A source as batches of bytes with keys. */
export interface Input<R> {
  /** Bytes to come, where that is known. */
  readonly byteLength: number | undefined;
  batches(signal: AbortSignal | undefined): AsyncIterable<KeyedBatch>;
  decode(bytes: Uint8Array, start: number, end: number): R;
}

/** @param by which key a record has. */
export function inputOf<R>(source: Source<R>, by: By<R>): Input<R> {
  checkSource(source);
  return {
    byteLength: undefined,
    batches: (signal) => objectBatches(source, keyFunction(by), signal),
    decode: decodeStructured as Input<R>["decode"],
  };
}

function checkSource(source: unknown): void {
  const iterable = source as Partial<AsyncIterable<unknown> & Iterable<unknown>> | undefined | null;
  if (iterable?.[Symbol.asyncIterator] || (iterable?.[Symbol.iterator] && typeof source !== "string")) {
    return;
  }
  throw new PartdError(
    "ERR_PARTD_VALUE",
    "The source of records is an iterable or async iterable, such as an array, a stream, or what readNdjson() returns.",
  );
}

async function* objectBatches<R>(
  source: Source<R>,
  keyOf: (record: R) => unknown,
  signal: AbortSignal | undefined,
): AsyncGenerator<KeyedBatch> {
  const batch = new BatchWriter();
  const keys = new KeyCache();
  const add = (record: R) => batch.add(encodeStructured(record), keys.get(keyOf(record)));
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
