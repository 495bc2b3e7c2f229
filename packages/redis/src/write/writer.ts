import { randomBytes } from "node:crypto";
import { isPartdError, type OperationOptions, PartdError } from "@partd/core";
import {
  type AppendOptions,
  type Batch,
  checkIntact,
  type GetOptions,
  memoryFor,
  unlessAborted,
} from "@partd/core/author";
import { type BucketNames, bucketOf } from "../data-set.js";
import type { Reader } from "../read/reader.js";
import { COMMIT, REMOVE_ALL, SET, STAGE } from "../scripts/change-scripts.js";
import { ScriptAnswer, type Session } from "../session.js";
import { BucketWriter } from "./bucket-writer.js";
import { chunksOf, costOf, isLong, nameCostOf } from "./changes.js";

/** Changes a data set. Each operation is one step in every bucket concerned. */
export class Writer {
  readonly buckets: readonly BucketWriter[];
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
    this.buckets = session.buckets.map((bucket) => new BucketWriter(session, bucket));
  }

  async append(batch: Batch, options: AppendOptions): Promise<void> {
    this.#session.checkLoss();
    const parts = this.#divide(batch, options);
    const outcomes = await Promise.allSettled(
      parts.map((part) =>
        part.cost > STAGED_BYTES ? this.#appendStaged(part, options) : this.#append(part, options),
      ),
    );
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (!failed) return;
    const written = outcomes.filter(({ status }) => status === "fulfilled").length;
    throw written === 0 ? failed.reason : inPart(failed.reason, written, outcomes.length);
  }

  /** Replaces a value. */
  async set(key: string, value: Uint8Array, options: OperationOptions): Promise<void> {
    const bucket = this.#bucketOf(key);
    const writer = this.buckets[bucket.index] as BucketWriter;
    const set = (count: number, chunks: readonly Buffer[], staging: readonly string[]) =>
      this.#besideReaders([key], bucket, (detached) =>
        writer.change(
          SET,
          [bucket.value(key), ...detached, ...staging],
          [String(count), ...chunks],
        ),
      );
    if (costOf(key, value) <= STAGED_BYTES) {
      // A copy: the caller may change the original before it is sent.
      return unlessAborted(set(0, [...chunksOf(new Uint8Array(value))], []), options.signal);
    }
    const chunks = [...chunksOf(value)];
    const batch = { keys: [key], values: [value], byteLength: value.length };
    await withStaged(this.#session, bucket, chunks, options, (staging) => {
      checkIntact(batch);
      return set(chunks.length, [], [staging]);
    });
  }

  async remove(keys: readonly string[], options: OperationOptions): Promise<void> {
    const work = [...this.#byBucket(new Set(keys))].map(async ([index, all]) => {
      for (let at = 0; at < all.length; at += REMOVED_KEYS) {
        options.signal?.throwIfAborted();
        const some = all.slice(at, at + REMOVED_KEYS);
        await this.#remove(
          index,
          some,
          some.map(() => ""),
        );
      }
    });
    await unlessAborted(Promise.all(work), options.signal);
  }

  /**
   * Reads values and removes them if they have not changed since, or else tries again.
   *
   * @param lock keeps others out of a value that changes all the time.
   */
  async pop(
    keys: readonly string[],
    reader: Reader,
    lock: <T>(critical: () => Promise<T>) => Promise<T>,
    options: GetOptions,
  ): Promise<Uint8Array[]> {
    const popped = new Map<string, Uint8Array>();
    let left = [...this.#byBucket(new Set(keys))];
    const attempt = async () => {
      const outcomes = await Promise.allSettled(
        left.map(async ([index, some]) => {
          const states = new Map<string, string>();
          const values = await reader.get(some, { signal: options.signal }, states);
          options.signal?.throwIfAborted();
          await this.#remove(
            index,
            some,
            some.map((key) => states.get(key) as string),
          );
          for (const [i, key] of some.entries()) popped.set(key, values[i] as Uint8Array);
        }),
      );
      const failed = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
      const error = failed.find((reason) => !isChanged(reason));
      if (error) throw error;
      left = left.filter((_, i) => outcomes[i]?.status === "rejected");
    };
    for (let i = 0; i < OPEN_ATTEMPTS && left.length > 0; i++) await attempt();
    if (left.length > 0) await lock(attempt);
    return copies(keys, popped, options);
  }

  /** Whether the bucket has changes of this writer, which a server may lose. */
  hasWritten(index: number): boolean {
    return (this.buckets[index] as BucketWriter).known.last > 0;
  }

  /** Resolves when all changes are done, including those whose caller has given up. */
  async settled(): Promise<void> {
    await Promise.all(this.buckets.map((bucket) => bucket.settled()));
  }

  /** After a loss: continues as a writer without changes. */
  async beginAnew(): Promise<void> {
    if (!this.#session.hasLost) return;
    this.#session.forgetLoss();
    await Promise.all(this.buckets.map((bucket) => bucket.renew()));
  }

  /** Removes this writer from the servers. A failure leaves a few bytes there. */
  async end(): Promise<void> {
    await Promise.allSettled(this.buckets.map((bucket) => bucket.end()));
  }

  async #append(part: Part, { signal, owned }: AppendOptions): Promise<void> {
    const { values } = part;
    // Of an append with a signal all were copied.
    const isCopied = !owned && signal === undefined && values.some(isLong);
    const appended = new Promise<void>((resolve, reject) => {
      (this.buckets[part.index] as BucketWriter).append({
        ...part,
        values: isCopied ? values.map((value) => new Uint8Array(value)) : values,
        get isWanted() {
          return !signal?.aborted;
        },
        resolve,
        reject,
      });
    });
    await unlessAborted(appended, signal);
  }

  async #appendStaged(part: Part, options: AppendOptions): Promise<void> {
    const bucket = this.#session.buckets[part.index] as BucketNames;
    const names: string[] = [];
    const chunks: Buffer[] = [];
    for (const [i, key] of part.keys.entries()) {
      for (const chunk of chunksOf(part.values[i] as Uint8Array)) {
        chunks.push(chunk);
        names.push(bucket.value(key));
      }
    }
    await withStaged(this.#session, bucket, chunks, options, (staging) => {
      options.signal?.throwIfAborted();
      checkIntact(part);
      return (this.buckets[part.index] as BucketWriter).change(COMMIT, [staging, ...names], []);
    });
  }

  /** @param wanted the expected state of each value, or "" for any. */
  #remove(index: number, keys: readonly string[], wanted: readonly string[]): Promise<void> {
    const bucket = this.#session.buckets[index] as BucketNames;
    const values = keys.map((key) => bucket.value(key));
    return this.#besideReaders(keys, bucket, (detached) =>
      (this.buckets[index] as BucketWriter).change(REMOVE_ALL, [...values, ...detached], wanted),
    );
  }

  /**
   * Makes a call that removes values. A value that is being read gets another name, under which its
   * readers find it. The server says which values those are, because it must know every name before
   * the call.
   */
  async #besideReaders(
    keys: readonly string[],
    bucket: BucketNames,
    call: (detached: readonly string[]) => Promise<void>,
  ): Promise<void> {
    const detached = keys.map((key) => bucket.value(key));
    for (;;) {
      try {
        return await call(detached);
      } catch (error) {
        if (!(error instanceof ScriptAnswer && error.code === "PARTDREAD")) throw error;
        const words = error.detail.split(" ");
        for (let i = 0; i < words.length; i += 2) {
          const place = Number(words[i]) - 1;
          detached[place] = bucket.detached(keys[place] as string, words[i + 1] as string);
        }
      }
    }
  }

  #bucketOf(key: string): BucketNames {
    const { buckets } = this.#session;
    return buckets[bucketOf(key, buckets.length)] as BucketNames;
  }

  #byBucket(keys: Iterable<string>): Map<number, string[]> {
    const lists = new Map<number, string[]>();
    for (const key of keys) {
      const index = bucketOf(key, this.#session.buckets.length);
      const list = lists.get(index);
      if (list) list.push(key);
      else lists.set(index, [key]);
    }
    return lists;
  }

  /** Divides a batch into a part for each bucket. */
  #divide(batch: Batch, { owned, signal }: AppendOptions): readonly Part[] {
    // A caller that aborts an append may change what is still to be sent.
    const isCopied = signal !== undefined && !owned;
    const { length } = this.#session.buckets;
    // For a single bucket, new arrays would be a fifth of what an append allocates.
    if (length === 1 && !isCopied && batch.values.every(isPlain)) {
      const { keys, values, byteLength } = batch;
      return [{ index: 0, keys, values, byteLength, cost: byteLength + nameCostOf(keys) }];
    }
    const parts = new Map<
      number,
      { index: number; keys: string[]; values: Uint8Array[]; byteLength: number; cost: number }
    >();
    for (const [i, key] of batch.keys.entries()) {
      const value = batch.values[i] as Uint8Array;
      const index = bucketOf(key, length);
      let part = parts.get(index);
      if (!part) {
        part = { index, keys: [], values: [], byteLength: 0, cost: 0 };
        parts.set(index, part);
      }
      part.keys.push(key);
      part.values.push(isCopied || !isPlain(value) ? new Uint8Array(value) : value);
      part.byteLength += value.length;
      part.cost += costOf(key, value);
    }
    return [...parts.values()];
  }
}

/** A batch's part for one bucket. */
interface Part {
  readonly index: number;
  readonly keys: readonly string[];
  readonly values: readonly Uint8Array[];
  readonly byteLength: number;
  readonly cost: number;
}

/** Whether the memory can neither grow nor be shared with another thread. */
function isPlain({ buffer }: Uint8Array): boolean {
  return buffer instanceof ArrayBuffer && !(buffer as { resizable?: boolean }).resizable;
}

/** One value for each of `keys`, which may repeat. */
function copies(
  keys: readonly string[],
  values: ReadonlyMap<string, Uint8Array>,
  options: GetOptions,
): Uint8Array[] {
  const given = new Set<string>();
  return keys.map((key) => {
    const value = values.get(key) as Uint8Array;
    if (!options.allocate && !given.has(key)) {
      given.add(key);
      return value;
    }
    const copy = memoryFor(value.length, options);
    copy.set(value);
    return copy;
  });
}

function isChanged(error: unknown): boolean {
  return error instanceof ScriptAnswer && error.code === "PARTDCHANGED";
}

function inPart(reason: unknown, written: number, all: number): unknown {
  if (!isPartdError(reason)) return reason;
  const { address, cause, code, key, message } = reason;
  return new PartdError(
    code,
    `${message} Of the ${all} buckets that the batch has keys in, ${written} have theirs: an append is whole within a bucket.`,
    { address, cause: cause ?? reason, key },
  );
}

/** From this size on, a bucket's part of a batch is staged in several calls and moved in one. */
const STAGED_BYTES = 16 << 20;
/** Keys removed in one step. */
const REMOVED_KEYS = 1_000;
/** Attempts to pop a changing value before the lock is taken. */
const OPEN_ATTEMPTS = 4;

/**
 * Sends chunks that are too large for one call to a list of their own, from which one short call
 * moves them to their places.
 *
 * @param use makes that call. The list is removed if it fails, and expires if this process ends.
 */
async function withStaged(
  session: Session,
  bucket: BucketNames,
  chunks: readonly Buffer[],
  options: OperationOptions,
  use: (staging: string) => Promise<void>,
): Promise<void> {
  const { connection } = session;
  const staging = bucket.staging(randomBytes(9).toString("base64url"));
  try {
    for (let from = 0; from < chunks.length; ) {
      const start = from;
      let bytes = 0;
      while (from < chunks.length && (from === start || bytes < STEP_BYTES)) {
        bytes += (chunks[from++] as Buffer).byteLength;
      }
      const args = [String(start), ...chunks.slice(start, from)];
      await session.retry(() => STAGE.run(connection, [staging], args), options);
    }
    await use(staging);
  } catch (error) {
    await connection.send(staging, ["UNLINK", staging]).catch(() => {}); // The list expires anyway.
    if (!(error instanceof ScriptAnswer && error.code === "PARTDSTAGE")) throw error;
    throw new PartdError(
      "ERR_PARTD_IO",
      "The Redis server has lost the first parts of the batch, and nothing was written: append it again.",
      { cause: error },
    );
  }
}

/** Bytes that are staged in one call. */
const STEP_BYTES = 4 << 20;
