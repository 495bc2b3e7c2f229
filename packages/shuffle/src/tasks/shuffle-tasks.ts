import {
  isTuple,
  type Key,
  type OperationOptions,
  PartdError,
  type Store,
  tuple,
} from "@partd/core";
import {
  checkByteStore,
  checkOperation,
  checkOptionNames,
  type OptionNames,
  unlessAborted,
} from "@partd/core/author";
import { chainGroups } from "../group/chain-groups.js";
import type { Group } from "../group/group.js";
import { partitionByHash } from "../group/group-by.js";
import { GroupOutput } from "../group/group-output.js";
import { type Partitioner, partitionFinder } from "../partition/partitioner.js";
import type { Output } from "../run/output.js";
import { RecordOutput } from "../run/record-output.js";
import { RUN_OPTIONS, Run, type RunOptions } from "../run/run.js";
import type { Visit } from "../run/walk.js";
import { type By, fieldsOf, type KeyOf } from "../source/by.js";
import { GroupKeyer } from "../source/group-keyer.js";
import { type Input, inputOf } from "../source/input.js";
import type { KeyedBatch } from "../source/keyed-batch.js";
import { readChunks } from "./chunk.js";
import { Journal } from "./journal.js";
import { SharedSettings } from "./shared-settings.js";
import { TaskWriter, type WriterContext } from "./task-writer.js";

/** Options of a `Shuffle`, the same in every process. */
export interface ShuffleTasksOptions<R, B extends By<R>> {
  /**
   * The key of a record: a field's name, several names, or a function. The type of records is inferred from
   * the parameter of a function.
   */
  readonly by: B & By<R>;
  /**
   * How many partitions, from 1 to 65,536; the same in every process. Default: 64, or as many as the
   * range has.
   */
  readonly partitions?: number | undefined;
  /** Which partition a record's key goes to; the same in every process. Default: `"hash"`. */
  readonly partitioner?: Partitioner<KeyOf<R, B>> | undefined;
  /**
   * The first part of all its keys, so that several shuffles may share a store. Default: `"shuffle"`.
   */
  readonly name?: string | undefined;
}

const OPTIONS: OptionNames<ShuffleTasksOptions<unknown, By<unknown>>> = {
  by: true,
  partitions: true,
  partitioner: true,
  name: true,
};

/** Names one attempt at one task. */
export interface TaskAttempt {
  /**
   * A part of the input, such as a file or a range of it. It must be the same each time that the task
   * runs.
   */
  readonly task: string | number;
  /** A name for people who look into the store. Default: `"0"`. */
  readonly attempt?: string | number | undefined;
}

/**
 * A shuffle by many processes, over a store that they share. Each task is written by one process, or by
 * several in succession or at the same time; readers see exactly one committed attempt of each.
 *
 * ```ts
 * const shuffle = new Shuffle<Event, "user">(store, { by: "user", partitions: 16 });
 *
 * const writer = shuffle.writer({ task: "part-3.ndjson" }); // in each worker
 * await writer.write(events);
 * await writer.commit();
 *
 * await shuffle.seal(); // in one process, when all tasks are committed
 *
 * for await (const group of shuffle.groups(5)) { … } // in any process
 * ```
 *
 * A process may be killed at any moment: run its task again. The store stays open.
 */
export class Shuffle<R, const B extends By<R> = By<R>> {
  /** How many partitions; they are numbered from 0. */
  readonly partitions: number;
  readonly #store: Store;
  readonly #name: string;
  readonly #journal: Journal;
  readonly #settings: SharedSettings;
  readonly #by: B;
  readonly #writers: WriterContext<R>;

  constructor(store: Store, options: ShuffleTasksOptions<R, B>) {
    checkOptionNames("Shuffle", options, OPTIONS);
    const advice = "a Shuffle encodes records itself, so give it the store without the codec";
    checkByteStore("new Shuffle", store, advice);
    this.#store = store;
    this.#name = options.name ?? "shuffle";
    if (typeof this.#name !== "string" || !this.#name.isWellFormed()) {
      throw new PartdError("ERR_PARTD_VALUE", `name must be text, not ${String(this.#name)}.`);
    }
    this.#journal = new Journal(store, this.#name);
    this.#by = options.by;
    const finder = partitionFinder(options.partitioner as Partitioner<never>, options.partitions);
    this.partitions = finder.count;
    this.#settings = new SharedSettings(this.#journal, this.#name, finder, fieldsOf(options.by));
    this.#writers = {
      store,
      name: this.#name,
      journal: this.#journal,
      settings: this.#settings,
      // A single task may have no record with the field.
      keyer: new GroupKeyer(options.by, { missing: "keep" }),
      finder,
    };
  }

  /** Begins an attempt at a task. */
  writer(attemptOf: TaskAttempt): TaskWriter<R> {
    checkOptionNames("writer", attemptOf, { task: true, attempt: true });
    const { task, attempt = "0" } = attemptOf;
    checkName("task", task);
    checkName("attempt", attempt);
    return new TaskWriter(this.#writers, String(task), String(attempt));
  }

  /** The committed tasks, which need not be run again. */
  async tasks(options: OperationOptions = {}): Promise<string[]> {
    checkOperation("tasks", options);
    return [...(await this.#journal.read(options)).committed.keys()].sort(compareTasks);
  }

  /**
   * Ends writing: no task can be committed any more, and partitions can be read. Sealing again does
   * nothing.
   */
  async seal(options: OperationOptions = {}): Promise<void> {
    checkOperation("seal", options);
    const agreed = await unlessAborted(this.#settings.agree(), options.signal);
    await this.#journal.update((state) => {
      this.#settings.checkKept(state, agreed);
      return state.isSealed ? undefined : { sealed: true };
    }, options);
  }

  /**
   * The records of a partition, task by task, each in the order in which it was written. Tasks come in
   * the order of their numbers, then of their names.
   *
   * @throws `ERR_PARTD_VALUE` before the shuffle is sealed; `ERR_PARTD_CORRUPT` if the store has lost
   *   something.
   */
  partition(index: number, options: RunOptions = {}): RecordOutput<R> {
    checkOptionNames("partition", options, RUN_OPTIONS);
    const input = this.#input(index);
    return new RecordOutput(
      (visit, signal) => walkInput(input, { ...options, signal }, visit),
      input,
      options.signal,
    );
  }

  /** The records of a partition by key: see `groupBy`. */
  groups(index: number, options: RunOptions = {}): Output<Group<KeyOf<R, B>, R>> {
    checkOptionNames("groups", options, RUN_OPTIONS);
    const input = this.#input(index);
    return new GroupOutput(
      (signal) => groups<KeyOf<R, B>, R>(input, { ...options, signal }),
      options.signal,
    );
  }

  #input(index: number): Input<R> {
    if (!Number.isInteger(index) || index < 0 || index >= this.partitions) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        `There is no partition ${index}: they are numbered from 0 to ${this.partitions - 1}.`,
      );
    }
    const codec = inputOf<R>([], new GroupKeyer(this.#by));
    return {
      byteLength: async () => undefined,
      consumed: undefined,
      isJson: codec.isJson,
      batches: ({ signal }) => this.#read(index, signal),
      decode: (bytes, start, end) => codec.decode(bytes, start, end),
      checkBytes: (bytes, start) => codec.checkBytes?.(bytes, start),
    };
  }

  async *#read(index: number, signal: AbortSignal | undefined): AsyncGenerator<KeyedBatch> {
    const { committed, isSealed, settings } = await this.#journal.read({ signal }, index);
    this.#settings.check(settings);
    if (!isSealed) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "Records may still be written: call seal() once all tasks are committed, then read.",
      );
    }
    for (const task of [...committed.keys()].sort(compareTasks)) {
      const { writer, written } = committed.get(task)!;
      if (written === undefined || written[0] === 0) continue;
      const key = tuple(this.#name, "data", index, task, writer);
      const pieces = this.#store.stream(key, { signal });
      yield* readChunks(pieces, key, written);
    }
  }

  /**
   * Removes the data of attempts that were killed or came second. Call it once the shuffle is sealed:
   * until then it is unknown which attempts are still running.
   *
   * @throws `ERR_PARTD_VALUE` before the shuffle is sealed.
   */
  async sweep(options: OperationOptions = {}): Promise<void> {
    checkOperation("sweep", options);
    const { committed, isSealed } = await this.#journal.read(options);
    if (!isSealed) {
      throw new PartdError(
        "ERR_PARTD_VALUE",
        "Attempts at tasks may still be at work, and sweep() would remove their records: call seal() once all tasks are committed, then sweep().",
      );
    }
    await this.#deleteData((task, writer) => committed.get(task)?.writer !== writer, options);
  }

  /** Removes the shuffle with all its records. Call it when no process writes or reads any more. */
  async drop(options: OperationOptions = {}): Promise<void> {
    checkOperation("drop", options);
    // First the journal: a drop that was killed must not leave tasks that count and have no records.
    await this.#store.delete(tuple(this.#name, "journal"), options);
    this.#settings.forget();
    await this.#deleteData(() => true, options);
  }

  async #deleteData(
    isOver: (task: string, writer: string) => boolean,
    options?: OperationOptions,
  ): Promise<void> {
    let over: Key[] = [];
    for await (const key of this.#store.keys({ ...options, prefix: tuple(this.#name, "data") })) {
      const [, , , task, writer] = isTuple(key) ? key.parts : [];
      if (writer === undefined || !isOver(task!, writer)) continue;
      over.push(key);
      if (over.length < DELETED_AT_ONCE) continue;
      await this.#store.delete(over, options);
      over = [];
    }
    if (over.length > 0) await this.#store.delete(over, options);
  }
}

/** A deletion takes a lock in some stores, and in others it writes an object. */
const DELETED_AT_ONCE = 1000;

/** Orders numbers first, by value, then names. */
function compareTasks(left: string, right: string): number {
  const [a, b] = [left, right].map((task) => (NUMBER.test(task) ? Number(task) : undefined));
  if (a !== undefined && b !== undefined && a !== b) return a - b;
  if ((a === undefined) !== (b === undefined)) return a !== undefined ? -1 : 1;
  // The same order whichever was committed first, also for "2" and "02".
  return left < right ? -1 : left === right ? 0 : 1;
}

/** As numbers are written, and with zeros before them. */
const NUMBER = /^-?\d+(\.\d+)?(e[+-]\d+)?$/;

/** @throws `ERR_PARTD_VALUE` for a name that may differ each time, such as a variable that is not set. */
function checkName(option: string, given: unknown): void {
  if (Number.isFinite(given) || (typeof given === "string" && given.isWellFormed())) return;
  throw new PartdError(
    "ERR_PARTD_VALUE",
    `${option} must be text or a number, as in writer({ task: "part-3.ndjson" }), not ${String(given)}.`,
  );
}

async function* walkInput(
  input: Input<unknown>,
  options: RunOptions,
  visit: Visit,
): AsyncGenerator<void> {
  const run = new Run("shuffle", options);
  try {
    for await (const batch of input.batches(run.reading)) {
      const { count, bytes, ends } = batch;
      for (let i = 0; i < count; i++) visit(bytes, i === 0 ? 0 : ends[i - 1]!, ends[i]!);
      run.progress.read(batch, undefined);
      yield;
    }
    run.progress.done();
  } finally {
    await run.close();
  }
}

async function* groups<K, R>(input: Input<R>, options: RunOptions) {
  const run = new Run("groupBy", options);
  try {
    for (const chain of await partitionByHash(run, input)) {
      yield* chainGroups<K, R>(run.workspace, chain, input, 1);
    }
    run.progress.done();
  } finally {
    await run.close();
  }
}
