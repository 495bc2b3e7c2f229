import type { OperationOptions } from "@partd/core";
import {
  type AppendOptions,
  BaseStore,
  type Batch,
  checkIntegerOption,
  type GetOptions,
  Pace,
} from "@partd/core/author";
import { absolutePath, type Lease, surviveSizeLimit, TemporaryDirectory } from "@partd/disk";
import { AppendQueue } from "./append-queue.js";
import { DataSet } from "./data-set.js";
import { Reader } from "./reader.js";
import { removeAll, removeKeys } from "./recovery.js";
import { replaceValue } from "./replace.js";

export interface FileStoreOptions {
  /**
   * Whether an append resolves only when it would survive a loss of power: its bytes, its names and
   * its journal are then brought to the disk first. Default false: it survives the end of the
   * process, however that comes, but not always that of the machine.
   */
  readonly fsync?: boolean | undefined;
  /**
   * After how many milliseconds without a sign of life the lock is taken from a process that is not
   * known to have ended: one that stands still, or runs on another machine. An integer from 2,000 to
   * 2^31 - 1; default 10,000. The same for all processes that share a directory.
   */
  readonly staleMs?: number | undefined;
  /**
   * After how many milliseconds an operation's wait for the lock rejects with `ERR_PARTD_LOCK`, whose
   * message names the holder: an integer from 0 to 2^31 - 1; default 600,000.
   */
  readonly lockTimeoutMs?: number | undefined;
  /**
   * How many files to have open at once: an integer from 2 to 2^20. Default: half of what the
   * process may have, at most 16,384. More makes appends faster that go round over more keys than
   * are open.
   */
  readonly maxOpenFiles?: number | undefined;
  /**
   * Whether the directory is made when it is missing. With false it has to be a data set already,
   * one that Python's partd wrote too; otherwise the first operation rejects with `ERR_PARTD_IO`.
   * Default true.
   */
  readonly create?: boolean | undefined;
  /** Where a temporary store is made: a directory. Default: `os.tmpdir()`. */
  readonly dir?: string | undefined;
}

/**
 * A store in a directory: a file for each key, which holds the key's bytes and nothing else. Safe
 * for any number of processes of one machine at once, of which each may be killed at any moment.
 */
export class FileStore extends BaseStore {
  /** The directory, as an absolute path. */
  readonly path: string;
  readonly #temporary: TemporaryDirectory | undefined;
  readonly #set: DataSet;
  readonly #appends: AppendQueue;
  readonly #reader: Reader;

  /**
   * @param path the directory, made with the first operation if there is none. Without it the store
   *   is temporary: in a directory of its own under `dir`, which goes with `close()`, with the end of
   *   the thread or process or, if that was killed, with the next temporary store.
   * @throws `ERR_PARTD_VALUE` if an option is out of its range.
   */
  constructor(path?: string | URL, options: FileStoreOptions = {}) {
    super();
    const { fsync = false, create = true, staleMs = 10_000, lockTimeoutMs = 600_000 } = options;
    const { maxOpenFiles, dir } = options;
    checkIntegerOption("staleMs", staleMs, 2_000, LONGEST_TIMER);
    checkIntegerOption("lockTimeoutMs", lockTimeoutMs, 0, LONGEST_TIMER);
    if (maxOpenFiles !== undefined) checkIntegerOption("maxOpenFiles", maxOpenFiles, 2, 2 ** 20);
    this.#temporary = path === undefined ? new TemporaryDirectory("partd-file", dir) : undefined;
    this.path = this.#temporary?.path ?? absolutePath(path as string | URL, "FileStore");
    this.#set = new DataSet(this.path, { fsync, create, staleMs, lockTimeoutMs, maxOpenFiles });
    this.#appends = new AppendQueue(this.#set);
    this.#reader = new Reader(this.#set);
  }

  protected override async _open(): Promise<void> {
    await this.#set.io("open", async () => {
      await this.#temporary?.make();
      await this.#set.open();
    });
    surviveSizeLimit();
  }

  protected _append(batch: Batch, options: AppendOptions): Promise<void> {
    return this.#appends.append(batch, options);
  }

  protected _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    return this.#read(options, (lease) => this.#reader.get(keys, lease, options));
  }

  protected override _stream(key: string, options: GetOptions): Promise<AsyncIterable<Uint8Array>> {
    return this.#read(options, (lease) => this.#reader.stream(key, lease, options));
  }

  protected _keys(options: OperationOptions): Promise<string[]> {
    return this.#read(options, async (lease) => {
      const keys = await this.#set.io("list", () => this.#set.layout.keys(options), options);
      lease.verify();
      return keys;
    });
  }

  protected override async _count(options: OperationOptions): Promise<number> {
    return (await this._keys(options)).length;
  }

  protected override _sizes(keys: readonly string[], options: OperationOptions): Promise<number[]> {
    return this.#read(options, async (lease) => {
      const sizes: number[] = [];
      const pace = new Pace();
      for (const key of keys) {
        sizes.push(await this.#set.io("measure", () => this.#set.layout.size(key), { key }));
        if (!pace.due) continue;
        await pace.rest();
        options.signal?.throwIfAborted();
        lease.verifyNow();
      }
      lease.verify();
      return sizes;
    });
  }

  protected override async _set(
    key: string,
    value: Uint8Array,
    options: AppendOptions,
  ): Promise<void> {
    if (value.byteLength === 0) return this._delete([key], options);
    await this.#change(options, (lease) => replaceValue(this.#set, lease, key, value, options));
  }

  protected async _delete(keys: readonly string[], options: OperationOptions): Promise<void> {
    const { journal } = this.#set;
    const distinct = [...new Set(keys)];
    if (distinct.length === 0) return;
    await this.#remove("delete from", options, {
      // One file goes in one step, and needs no note.
      note: () => (distinct.length === 1 ? journal.countRemoval() : journal.beginDelete(distinct)),
      removal: (lease) => removeKeys(this.#set, lease, distinct),
    });
  }

  protected override async _drop(options: OperationOptions): Promise<void> {
    await this.#remove("drop", options, {
      note: () => this.#set.journal.beginDrop(),
      removal: async (lease) => {
        await this.#set.files.closeAll();
        await removeAll(this.#set, lease);
      },
    });
  }

  protected override async _close(): Promise<void> {
    await this.#set.close();
    await this.#set.io("remove", () => this.#temporary?.remove());
  }

  protected override _exclusive<T>(
    critical: () => Promise<T>,
    options: OperationOptions,
  ): Promise<T> {
    return this.#set.lock.section(options, critical);
  }

  /** Reads while no batch of this process is half written, and no other process writes. */
  async #read<T>(options: OperationOptions, work: (lease: Lease) => Promise<T>): Promise<T> {
    const { journal, lock, turns } = this.#set;
    this.#set.begin();
    try {
      return await lock.hold("exclusive", options, async (lease) => {
        lease.verify();
        if (journal.active) await turns.exclusive(() => this.#set.settle(lease));
        return turns.shared(() => work(lease), options);
      });
    } finally {
      this.#set.end();
    }
  }

  async #change(options: OperationOptions, work: (lease: Lease) => Promise<void>): Promise<void> {
    const { lock, turns } = this.#set;
    this.#set.begin();
    try {
      await lock.hold("exclusive", options, (lease) =>
        turns.exclusive(async () => {
          await this.#set.settle(lease);
          options.signal?.throwIfAborted();
          lease.verify();
          await work(lease);
          lease.verify();
        }),
      );
    } finally {
      this.#set.end();
    }
  }

  /**
   * Writes the note of a removal down, and crosses it out when that is done, or has failed: a failure
   * is reported to the caller, and must not stand in the way of everything else.
   */
  #remove(
    action: string,
    options: OperationOptions,
    { note, removal }: { note: () => Promise<void>; removal: (lease: Lease) => Promise<void> },
  ): Promise<void> {
    const { files, journal } = this.#set;
    return this.#change(options, (lease) =>
      this.#set.io(action, async () => {
        try {
          await note();
          lease.confirm();
          files.sawRemovals(journal.removals);
          await removal(lease);
        } finally {
          if (journal.active) {
            lease.confirm(); // Or it is another's to carry to its end.
            await journal.clear();
          }
        }
      }),
    );
  }
}

/** In milliseconds: Node's timers end at once after longer ones. */
const LONGEST_TIMER = 2 ** 31 - 1;
