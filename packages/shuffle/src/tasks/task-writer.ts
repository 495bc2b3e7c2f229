import { type OperationOptions, PartdError, type Store, tuple } from "@partd/core";
import { checkOperation, unlessAborted } from "@partd/core/author";
import type { PartitionFinder } from "../partition/partitioner.js";
import { inputOf, isRecords, type Keyer, type Source } from "../source/input.js";
import { encodeStructured } from "../source/structured.js";
import { ChunkWriter } from "./chunk.js";
import type { Journal, Settings } from "./journal.js";
import type { SharedSettings } from "./shared-settings.js";

/**
 * One attempt at one task: writes records, then commits them. Until then no reader sees any. Of several
 * attempts at a task, the first that commits counts.
 */
export class TaskWriter<R> implements AsyncDisposable {
  /** The task, as text. */
  readonly task: string;
  /**
   * A unique name, so that two attempts never write to the same keys, even under the same attempt
   * number.
   */
  readonly #writer: string;
  readonly #store: Store;
  readonly #name: string;
  readonly #journal: Journal;
  readonly #keyer: Keyer<R>;
  readonly #finder: PartitionFinder;
  readonly #settings: SharedSettings;
  /** What was agreed when the attempt began. */
  #agreed: Settings | undefined;
  readonly #partitions: ChunkWriter[];
  #waiting = 0;
  /** Resolves after the last flush. */
  #flushed: Promise<void> = Promise.resolve();
  #state: "open" | "failed" | "ended" = "open";
  /** The writes that are under way. */
  readonly #writing = new Set<Promise<void>>();
  /** Aborted with the attempt, so that its writes end. */
  readonly #ending = new AbortController();
  /** Whether the journal may name this attempt: a failed commit leaves that unknown. */
  #mayCount = false;

  constructor(context: WriterContext<R>, task: string, attempt: string) {
    this.task = task;
    this.#writer = `${attempt}.${crypto.randomUUID()}`;
    this.#store = context.store;
    this.#name = context.name;
    this.#journal = context.journal;
    this.#keyer = context.keyer;
    this.#finder = context.finder;
    this.#settings = context.settings;
    this.#partitions = Array.from({ length: context.finder.count }, () => new ChunkWriter());
  }

  /** Writes all records of a source. May be called again for more. Rows of CSV become objects. */
  async write(source: Source<R>, options: OperationOptions = {}): Promise<void> {
    checkOperation("write", options);
    this.#checkOpen();
    options.signal?.throwIfAborted();
    const writing = this.#write(source, options);
    this.#writing.add(writing);
    try {
      await writing;
    } finally {
      this.#writing.delete(writing);
    }
  }

  async #write(source: Source<R>, options: OperationOptions): Promise<void> {
    const signals = [this.#ending.signal, options.signal].filter((signal) => signal !== undefined);
    const signal = AbortSignal.any(signals);
    this.#agreed ??= await unlessAborted(this.#settings.agree(), signal);
    // Readers take all records of a partition to be of one format.
    const { format } = isRecords(source) ? source : {};
    const parsed = format && format.name !== "ndjson" ? format : undefined;
    try {
      for await (const batch of inputOf(source, this.#keyer).batches({ signal })) {
        signal.throwIfAborted();
        const { count, bytes, ends, keys, keyStarts, keyEnds, hashLow, hashHigh } = batch;
        for (let i = 0, start = 0; i < count; i++) {
          const keyStart = keyStarts[i]!;
          const keyEnd = keyEnds[i]!;
          const end = ends[i]!;
          const index = this.#finder.find(keys, keyStart, keyEnd, hashLow[i]!, hashHigh[i]!);
          const partition = this.#partitions[index]!;
          if (parsed) {
            const object = Buffer.from(encodeStructured(parsed.parse(bytes, start, end)));
            partition.add(keys, keyStart, keyEnd, object, 0, object.length);
          } else partition.add(keys, keyStart, keyEnd, bytes, start, end);
          this.#waiting += keyEnd - keyStart + end - start;
          start = end;
        }
        if (this.#waiting >= FLUSH_BYTES) await this.#flush(options);
      }
    } catch (error) {
      if (this.#state === "open") this.#state = "failed";
      throw error;
    }
  }

  /** Appends what waits, after what was appended before: a store may swap appends that overlap. */
  #flush(options: OperationOptions): Promise<void> {
    const flushed = this.#flushed.then(() => this.#append(options));
    this.#flushed = flushed.catch(() => {}); // The attempt has failed then.
    return flushed;
  }

  async #append(options: OperationOptions): Promise<void> {
    const entries = this.#partitions.flatMap((partition, index) =>
      partition.waiting === 0 ? [] : [[this.#key(index), partition.take()] as const],
    );
    this.#waiting = 0;
    if (entries.length > 0) await this.#store.append(entries, options);
  }

  #key(partition: number) {
    return tuple(this.#name, "data", partition, this.task, this.#writer);
  }

  /**
   * Makes the written records count, unless another attempt at the task was first. Waits for writes
   * that are under way. Resolves when readers in every process see the records. It takes the store's
   * lock for a moment. If it rejects it is unknown whether the attempt counts: after `abort()`,
   * `tasks()` says so.
   *
   * @returns whether this attempt counts.
   * @throws `ERR_PARTD_CLOSED` if the shuffle was sealed without this task; `ERR_PARTD_CORRUPT` if it was
   *   dropped since the attempt began.
   */
  async commit(options: OperationOptions = {}): Promise<boolean> {
    checkOperation("commit", options);
    this.#checkOpen();
    this.#agreed ??= await unlessAborted(this.#settings.agree(), options.signal);
    const agreed = this.#agreed;
    await unlessAborted(Promise.allSettled(this.#writing), options.signal);
    this.#checkOpen();
    this.#state = "failed"; // Until everything has been done.
    await this.#flush(options);
    await this.#store.flush(options);
    const [task, writer] = [this.task, this.#writer];
    const written = this.#partitions.map(({ records, bytes }) => [records, bytes] as const);
    this.#mayCount = true;
    const state = await this.#journal.update((state) => {
      this.#settings.checkKept(state, agreed);
      const isLate = state.isSealed || state.committed.has(task);
      return isLate ? undefined : { task, writer, written };
    }, options);
    const first = state.committed.get(task);
    this.#mayCount = first?.writer === writer;
    if (this.#mayCount) {
      this.#state = "ended";
      return true;
    }
    await this.abort();
    if (first) return false;
    throw new PartdError(
      "ERR_PARTD_CLOSED",
      `The shuffle was sealed before task ${JSON.stringify(task)} was committed: seal it when all tasks are.`,
    );
  }

  /** Removes what was written, unless it was committed. If that fails it may be called again. */
  async abort(): Promise<void> {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#ending.abort(ended());
    await Promise.allSettled(this.#writing);
    try {
      if (this.#mayCount) {
        // Under the lock, so that no commit that was given up is still on its way.
        const { committed } = await this.#journal.update(() => undefined);
        if (committed.get(this.task)?.writer === this.#writer) return;
      }
      await this.#store.delete(this.#partitions.map((_, index) => this.#key(index)));
    } catch (error) {
      this.#state = "failed";
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#state === "open") return;
    if (this.#state === "ended") throw ended();
    throw new PartdError(
      "ERR_PARTD_CLOSED",
      "This attempt has failed: abort it and take a new writer for its task.",
    );
  }

  /** Aborts, unless it was committed. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.abort();
  }
}

function ended(): PartdError {
  return new PartdError(
    "ERR_PARTD_CLOSED",
    "This attempt was committed or aborted: take a new writer.",
  );
}

/** What all writers of a shuffle share. */
export interface WriterContext<R> {
  readonly store: Store;
  readonly name: string;
  readonly journal: Journal;
  readonly keyer: Keyer<R>;
  readonly finder: PartitionFinder;
  readonly settings: SharedSettings;
}

/** A writer flushes at this many waiting bytes; one batch may come on top. */
const FLUSH_BYTES = 16 << 20;
