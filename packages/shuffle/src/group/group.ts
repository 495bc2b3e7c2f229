import { PartdError } from "@partd/core";
import { Pace } from "@partd/core/author";
import { decoded, unparsed, type Visit, type Walk } from "../run/walk.js";
import type { RecordCodec } from "../source/input.js";

/** The records of one key, in the order of the source. It can be read, once, until the next group is asked for. */
export interface Group<K, R> extends AsyncIterable<R> {
  readonly key: K;
  /** All its records: only if they fit in memory. */
  toArray(): Promise<R[]>;
  /** The records in arrays as they come, which is faster for small ones. */
  batches(): AsyncIterable<readonly R[]>;
  /** The records as bytes, end to end and never parsed: as they were in a source of bytes, else lines of JSON. */
  bytes(): AsyncIterable<Uint8Array>;
}

/** A group of a run. */
export class StoredGroup<K, R> implements Group<K, R> {
  readonly key: K;
  readonly #frames: Walk;
  readonly #codec: RecordCodec<R>;
  #state: "new" | "read" | "over" = "new";

  constructor(key: K, frames: Walk, codec: RecordCodec<R>) {
    this.key = key;
    this.#frames = frames;
    this.#codec = codec;
  }

  /** Called when the next group is asked for. */
  end(): void {
    this.#state = "over";
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<R> {
    for await (const batch of this.batches()) yield* batch;
  }

  async toArray(): Promise<R[]> {
    const records: R[] = [];
    for await (const batch of this.batches()) for (const record of batch) records.push(record);
    return records;
  }

  batches(): AsyncGenerator<readonly R[]> {
    return decoded((visit) => this.#walk(visit), this.#codec);
  }

  bytes(): AsyncGenerator<Uint8Array> {
    return unparsed((visit) => this.#walk(visit), this.#codec);
  }

  async *#walk(visit: Visit): AsyncGenerator<void> {
    this.take();
    const pace = new Pace();
    for await (const _ of this.#frames(visit)) {
      yield;
      if (pace.isOver) await pace.rest();
      this.#checkOpen();
    }
  }

  /** Begins the one reading that there is. */
  protected take(): void {
    this.#checkOpen();
    if (this.#state === "read") {
      throw new PartdError("ERR_PARTD_CLOSED", "This can be read once: keep what toArray() gives.");
    }
    this.#state = "read";
  }

  #checkOpen(): void {
    if (this.#state !== "over") return;
    throw new PartdError(
      "ERR_PARTD_CLOSED",
      "This can be read until the next one is asked for: await its records inside the loop.",
    );
  }
}
