import { PartdError } from "@partd/core";
import { ItemIterator, Pace, releaseBytes } from "@partd/core/author";
import { decodeGroupKey } from "@partd/records";
import { DecodedBatches, unparsed, type Walk } from "../run/walk.js";
import type { RecordCodec } from "../source/input.js";
import type { Workspace } from "../spill/workspace.js";

/**
 * The records of one key, in the order of the source. They can be read once, until the next group is
 * asked for.
 */
export interface Group<K, R> extends AsyncIterable<R> {
  /** What the records have in common: the field's value, a list for several fields, or the function's result. */
  readonly key: K;
  /** Collects all its records, which have to fit in memory. */
  toArray(): Promise<R[]>;
  /** The records in arrays as they come, which is faster for small records. */
  batches(): AsyncIterable<readonly R[]>;
  /**
   * The records as bytes, end to end and never parsed: as they were in a source of bytes, otherwise
   * lines of JSON.
   */
  bytes(): AsyncIterable<Uint8Array>;
}

/** A key of megabytes, which is decoded only if it is asked for. */
export class LongKey<K> {
  #withBytes: (<T>(use: (key: Uint8Array) => T) => T) | undefined;
  #key: { readonly value: K } | undefined;
  #release = () => {};

  /** @param withBytes calls a function with the encoded key, until {@link hold} or {@link end}. */
  constructor(withBytes: <T>(use: (key: Uint8Array) => T) => T) {
    this.#withBytes = withBytes;
  }

  read(): K {
    if (!this.#key) {
      if (!this.#withBytes) {
        throw new PartdError(
          "ERR_PARTD_CLOSED",
          "A key of a mebibyte or more can be read until the next group is asked for: keep what group.key gives.",
        );
      }
      this.#key = { value: this.#withBytes((key) => decodeGroupKey(key) as K) };
    }
    return this.#key.value;
  }

  /** Copies the encoded key, because the record that has it is about to be freed. */
  hold(workspace: Workspace): void {
    if (this.#key || !this.#withBytes) return;
    const key = this.#withBytes((bytes) => new Uint8Array(bytes));
    workspace.chargeRecord(key.length);
    this.#withBytes = (use) => use(key);
    this.#release = () => {
      workspace.chargeRecord(-key.length);
      releaseBytes(key);
    };
  }

  /** Call this before the encoded bytes are freed. */
  end(): void {
    this.#withBytes = undefined;
    this.#release();
    this.#release = () => {};
  }
}

/** A group of a run. */
export class StoredGroup<K, R> implements Group<K, R> {
  declare readonly key: K;
  readonly #walk: Walk;
  readonly #codec: RecordCodec<R>;
  readonly #signal: AbortSignal | undefined;
  #state: "new" | "read" | "over" = "new";

  constructor(
    key: K | LongKey<K>,
    walk: Walk,
    codec: RecordCodec<R>,
    signal: AbortSignal | undefined,
  ) {
    if (key instanceof LongKey) {
      Object.defineProperty(this, "key", { get: () => key.read(), enumerable: true });
    } else this.key = key;
    this.#walk = walk;
    this.#codec = codec;
    this.#signal = signal;
  }

  /** Call this when the next group is asked for. */
  end(): void {
    this.#state = "over";
  }

  [Symbol.asyncIterator](): AsyncIterator<R> {
    return new ItemIterator(this.batches(), { check: () => this.#signal?.throwIfAborted() });
  }

  async toArray(): Promise<R[]> {
    const records: R[] = [];
    const step = this.#take((bytes, start, end) => {
      records.push(this.#codec.decode(bytes, start, end));
    });
    for (let more = step(); typeof more === "boolean" ? more : await more; ) more = step();
    return records;
  }

  batches(): AsyncIterableIterator<readonly R[], undefined> {
    return new DecodedBatches((visit) => this.#take(visit), this.#codec);
  }

  bytes(): AsyncGenerator<Uint8Array> {
    const pieces = unparsed((visit) => this.#take(visit), this.#codec);
    return this.#signal ? untilAborted(pieces, this.#signal) : pieces;
  }

  #take(visit: Parameters<Walk>[0]): ReturnType<Walk> {
    this.take();
    const step = this.#walk(visit);
    let pace: Pace | undefined;
    return () => {
      this.#check();
      const more = step();
      if (more === false) return false;
      // Other work runs between the steps of a larger group.
      pace ??= new Pace();
      if (typeof more === "boolean") return pace.isOver ? pace.rest().then(() => more) : more;
      const rest = pace.isOver ? pace.rest().then(() => more) : more;
      // If the run ends meanwhile, this group's memory is reused, and the records read may be another
      // group's.
      return rest.finally(() => this.#check());
    };
  }

  /** Begins the only reading. */
  protected take(): void {
    this.#checkOpen();
    if (this.#state === "read") {
      throw new PartdError(
        "ERR_PARTD_CLOSED",
        "A group or partition can be read once: keep what its toArray() gives.",
      );
    }
    this.#state = "read";
  }

  #check(): void {
    this.#signal?.throwIfAborted();
    this.#checkOpen();
  }

  #checkOpen(): void {
    if (this.#state !== "over") return;
    throw new PartdError(
      "ERR_PARTD_CLOSED",
      "A group or partition can be read until the next one is asked for: read each inside the loop, or keep what `await group.toArray()` gives. An array of them, as toArray() of the whole result gives, comes too late.",
    );
  }
}

/** Yields pieces until the signal is aborted. */
async function* untilAborted<P>(pieces: AsyncGenerator<P>, signal: AbortSignal): AsyncGenerator<P> {
  for await (const piece of pieces) {
    yield piece;
    signal.throwIfAborted();
  }
}
