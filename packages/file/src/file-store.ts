import { constants } from "node:fs";
import type { OperationOptions } from "@partd/core";
import {
  type AppendOptions,
  BaseStore,
  type Batch,
  checkIntact,
  checkIntegerOption,
  type GetOptions,
  type OptionNames,
  Pace,
  takeOptions,
} from "@partd/core/author";
import {
  absolutePath,
  checkGivenPath,
  type Lease,
  surviveSizeLimit,
  TemporaryDirectory,
} from "@partd/disk";
import { AppendQueue } from "./append-queue.js";
import { DataSet } from "./data-set.js";
import { SLICE } from "./disk.js";
import { Reader } from "./reader.js";
import { removeAll, removeKeys } from "./recovery.js";

export interface FileStoreOptions {
  /**
   * Whether an append resolves only when it would survive a power failure: its bytes, names and
   * journal are flushed to the disk first. Default false: it survives any end of the process, but
   * not always that of the machine.
   */
  readonly fsync?: boolean | undefined;
  /**
   * Milliseconds without a sign of life after which the lock is taken from a process that is not
   * known to have ended: one that stands still, or runs on another machine. An integer from 2,000
   * to 2^31 - 1; default 10,000. All processes that share a directory must agree.
   */
  readonly staleMs?: number | undefined;
  /**
   * Milliseconds after which an operation's wait for the lock rejects with `ERR_PARTD_LOCK`, whose
   * message names the holder. An integer from 0 to 2^31 - 1; default 600,000.
   */
  readonly lockTimeoutMs?: number | undefined;
  /**
   * The most files to keep open at once: an integer from 2 to 2^20. Default: half of the process's
   * limit, at most 16,384. More makes appends faster that cycle through more keys than are open.
   */
  readonly maxOpenFiles?: number | undefined;
  /**
   * Whether a missing directory is created. If false, the directory must already be a data set,
   * also one that Python's partd wrote; otherwise the first operation rejects with `ERR_PARTD_IO`.
   * Default true.
   */
  readonly create?: boolean | undefined;
  /** The directory in which a temporary store is made. Default: `os.tmpdir()`. */
  readonly dir?: string | undefined;
}

const OPTIONS: OptionNames<FileStoreOptions> = {
  fsync: "boolean",
  staleMs: true,
  lockTimeoutMs: true,
  maxOpenFiles: true,
  create: "boolean",
  dir: "string",
};

/**
 * A store in a directory: one file for each key, which holds the key's bytes and nothing else. Any
 * number of processes of one machine may use it at once, and each may be killed at any moment.
 */
export class FileStore extends BaseStore {
  /** The directory, as an absolute path. */
  readonly path: string;
  readonly #temporary: TemporaryDirectory | undefined;
  readonly #set: DataSet;
  readonly #appends: AppendQueue;
  readonly #reader: Reader;

  /**
   * @param path the directory, created with the first operation if missing. Without a path the
   *   store is temporary: in a directory of its own under `dir`, removed by `close()`, at the end
   *   of the thread or process or, after a kill, by the next temporary store.
   * @throws `ERR_PARTD_VALUE` if an option is unknown or out of range, for a path that is neither a string
   *   nor a `file:` URL, and for an `undefined` path without `dir`.
   */
  constructor(...given: [path?: string | URL | undefined, options?: FileStoreOptions | undefined]) {
    super();
    const [path, options = {}] = given;
    if (new.target === FileStore) checkGivenPath("FileStore", given);
    const taken = takeOptions("new FileStore", options, OPTIONS, new.target !== FileStore);
    const { fsync = false, create = true, staleMs = 10_000, lockTimeoutMs = 600_000 } = taken;
    const { maxOpenFiles, dir } = taken;
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
    if (value.length === 0) return this._delete([key], options);
    const batch = { keys: [key], values: [value], byteLength: value.length };
    await this.#change(options, (lease) => replaceValue(this.#set, lease, batch, options));
  }

  protected async _delete(keys: readonly string[], options: OperationOptions): Promise<void> {
    const { journal } = this.#set;
    const distinct = [...new Set(keys)];
    if (distinct.length === 0) return;
    await this.#remove("delete from", options, {
      // Removing one file is atomic, and needs no note.
      note: () => (distinct.length === 1 ? journal.countRemoval() : journal.beginDelete(distinct)),
      removal: (lease) => removeKeys(this.#set, lease, distinct),
    });
  }

  protected override async _drop(options: OperationOptions): Promise<void> {
    await this.#set.io("drop", () => this.#set.layout.checkDroppable());
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

  /** Reads while no batch of this process is half written and no other process writes. */
  async #read<T>(options: OperationOptions, work: (lease: Lease) => Promise<T>): Promise<T> {
    const { journal, lock, turns } = this.#set;
    this.#set.begin();
    try {
      return await lock.read("exclusive", options, async (lease) => {
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
   * Writes a note, removes, and crosses the note out, also after a failure: the caller learns of
   * it, and it must not block all later operations.
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
            lease.confirm(); // If the lock is lost, the next holder completes the removal.
            await journal.clear();
          }
        }
      }),
    );
  }
}

/** In milliseconds: longer timers of Node fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * Replaces the value of the batch's one key atomically: writes it to a file of its own, then renames
 * that to the old name.
 */
async function replaceValue(
  set: DataSet,
  lease: Lease,
  batch: Batch,
  { signal }: OperationOptions,
): Promise<void> {
  const { disk, files, fsync, journal, layout } = set;
  const [key] = batch.keys as [string];
  const [value] = batch.values as [Uint8Array];
  const replace = async () => {
    const draft = await set.work.file(lease, "draft");
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
      const fd = await files.withRoom(() => disk.open(draft, flags));
      try {
        for (let at = 0; at < value.length; at += SLICE) {
          signal?.throwIfAborted();
          lease.verifyNow();
          await disk.writeAll(fd, value.subarray(at, at + SLICE), at);
        }
        if (fsync) await disk.sync(fd);
      } finally {
        await disk.close(fd);
      }
      signal?.throwIfAborted();
      const aside = await files.withRoom(() => place(set, key));
      checkIntact(batch);
      lease.verify();
      await journal.countRemoval();
      await disk.rename(draft, layout.path(key, aside));
      files.sawRemovals(journal.removals);
      if (fsync) await disk.syncFolders(layout.foldersOf(key, aside));
    } catch (error) {
      set.work.remove();
      throw error;
    }
  };
  await set.io("set", replace, { signal, key });
}

/** Makes sure that the key has a file in its possible place. @returns whether that is aside. */
async function place({ disk, files, layout }: DataSet, key: string): Promise<boolean> {
  await files.forget(key);
  const { fd, aside } = await layout.openOrCreate(key);
  await disk.close(fd);
  return aside;
}
