import {
  isPartdError,
  type OperationOptions,
  PartdError,
  type Store,
  type Tuple,
  tuple,
} from "@partd/core";
import type { Written } from "./chunk.js";

/** The state the journal describes. Where two lines say the same thing, the earlier one holds. */
export interface JournalState {
  /** `undefined` until a process has recorded its settings. */
  readonly settings: Settings | undefined;
  /** By task: the attempt that was committed first. */
  readonly committed: ReadonlyMap<string, CommittedAttempt>;
  readonly isSealed: boolean;
}

/** What all processes have to agree on. */
export interface Settings {
  /** Differs from that of a shuffle of the same name that was dropped. */
  readonly id?: string | undefined;
  readonly partitions: number;
  /** The fields of the key; `undefined` if a function makes it, and in journals of earlier versions. */
  readonly by?: readonly string[] | undefined;
  /** The name of the partitioner; not there in journals of earlier versions. */
  readonly partitioner?: string | undefined;
}

export interface CommittedAttempt {
  /** The writer's unique name, under which its data lies. */
  readonly writer: string;
  /** What it has in the partition that was asked for. */
  readonly written: Written | undefined;
}

/**
 * The journal of a shuffle: lines of JSON under one key. Lines are added under the store's lock,
 * because a LogStore or an S3Store may put an overlapping append before one that was already read: an
 * attempt could then replace one that was told that it counts, or appear after the seal.
 */
export class Journal {
  readonly #store: Store;
  readonly #key: Tuple;

  constructor(store: Store, name: string) {
    this.#store = store;
    this.#key = tuple(name, "journal");
  }

  /** @param partition of which the state tells what attempts have written. */
  async read(options?: OperationOptions, partition?: number): Promise<JournalState> {
    return this.#read(this.#store, options, partition);
  }

  /**
   * Adds the line that `next` returns, if any: nothing is added between the state that `next` is given
   * and this line. Resolves when other processes see it, also if this process crashes.
   *
   * @returns the state after that.
   */
  async update(
    next: (state: JournalState) => Line | undefined,
    options?: OperationOptions,
  ): Promise<JournalState> {
    for (let attempt = 1; ; attempt++) {
      let hadLock = false;
      try {
        return await this.#store.withLock(async (held) => {
          hadLock = true;
          const state = await this.#read(held, options);
          const line = next(state);
          if (line) {
            const text = Buffer.from(`${JSON.stringify(line)}\n`);
            await held.append([[this.#key, text]], options);
            state.follow(line);
          }
          await held.flush(options);
          return state;
        }, options);
      } catch (error) {
        // A lock is lost with its connection. Whether the line was added is seen under the next one.
        if (!hadLock || attempt === ATTEMPTS || !isPartdError(error, "ERR_PARTD_LOCK")) throw error;
      }
    }
  }

  async #read(store: Store, options?: OperationOptions, partition?: number): Promise<State> {
    const state = new State(partition);
    const bytes = Buffer.from(await store.get(this.#key, options));
    // Line by line: with many tasks and partitions it is longer than a string can be.
    for (let start = 0, end: number; start < bytes.length; start = end + 1) {
      end = bytes.indexOf(LINE_FEED, start);
      if (end < 0) end = bytes.length;
      if (end > start) state.follow(this.#parse(bytes.toString("utf8", start, end), state));
    }
    return state;
  }

  #parse(text: string, { settings }: JournalState): Line {
    let line: Partial<Settings & Sealed & Commit> | null = null;
    let cause: unknown;
    try {
      line = JSON.parse(text);
    } catch (error) {
      cause = error;
    }
    if (
      Number.isInteger(line?.partitions) ||
      line?.sealed === true ||
      (typeof line?.task === "string" &&
        typeof line.writer === "string" &&
        Array.isArray(line.written) &&
        line.written.length === (settings?.partitions ?? line.written.length))
    ) {
      return line as Line;
    }
    throw new PartdError(
      "ERR_PARTD_CORRUPT",
      "The journal of the shuffle holds what no shuffle writes: use a store, or a name, that nothing else writes to.",
      { key: this.#key, cause },
    );
  }
}

const LINE_FEED = 10;
const ATTEMPTS = 3;

type Line = Settings | Sealed | Commit;

interface Sealed {
  readonly sealed: true;
}

interface Commit {
  readonly task: string;
  readonly writer: string;
  /** For each partition. */
  readonly written: readonly Written[];
}

class State implements JournalState {
  settings: Settings | undefined;
  readonly committed = new Map<string, CommittedAttempt>();
  isSealed = false;
  readonly #partition: number | undefined;

  constructor(partition: number | undefined) {
    this.#partition = partition;
  }

  follow(line: Line): void {
    if ("partitions" in line) this.settings ??= line;
    else if ("sealed" in line) this.isSealed = true;
    else if (!this.isSealed && !this.committed.has(line.task)) {
      const { writer, written } = line;
      // Only of the wanted partition: with many tasks, the counts of all partitions take much memory.
      this.committed.set(line.task, { writer, written: written[this.#partition ?? -1] });
    }
  }
}
