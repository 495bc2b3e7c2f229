import type { OperationOptions, Store, Tuple } from "@partd/core";
import { PartdError, tuple } from "@partd/core";

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
  readonly partitions: number;
  /** The fields of the key; `undefined` if a function makes it, and in journals of earlier versions. */
  readonly by?: readonly string[] | undefined;
  /** The name of the partitioner; not there in journals of earlier versions. */
  readonly partitioner?: string | undefined;
}

export interface CommittedAttempt {
  readonly task: string;
  /** The writer's unique name, under which its data lies. */
  readonly writer: string;
  /** For each partition: how many records, and bytes of chunks, were written. */
  readonly written: readonly (readonly [records: number, bytes: number])[];
}

/**
 * The journal of a shuffle: lines of JSON under one key. Appends are atomic and every process reads
 * them in the same order, so no lock is needed.
 */
export class Journal {
  readonly #store: Store;
  readonly #key: Tuple;

  constructor(store: Store, name: string) {
    this.#store = store;
    this.#key = tuple(name, "journal");
  }

  async read(options?: OperationOptions): Promise<JournalState> {
    let settings: Settings | undefined;
    const committed = new Map<string, CommittedAttempt>();
    let isSealed = false;
    for (const line of lines(await this.#store.get(this.#key, options), this.#key)) {
      if ("partitions" in line) settings ??= line;
      else if ("sealed" in line) isSealed = true;
      else if (!isSealed && !committed.has(line.task)) committed.set(line.task, line);
    }
    return { settings, committed, isSealed };
  }

  /** Resolves when other processes see the line, also if this process crashes. */
  async add(line: Line, options?: OperationOptions): Promise<void> {
    await this.#store.append([[this.#key, Buffer.from(`${JSON.stringify(line)}\n`)]], options);
    await this.#store.flush(options);
  }
}

type Line = Settings | { readonly sealed: true } | CommittedAttempt;

function* lines(bytes: Uint8Array, key: Tuple): Generator<Line> {
  for (const text of Buffer.from(bytes).toString().split("\n")) {
    if (text === "") continue;
    try {
      yield JSON.parse(text);
    } catch (cause) {
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        "The journal of the shuffle holds what no shuffle writes: use a store, or a name, that nothing else writes to.",
        { key, cause },
      );
    }
  }
}
