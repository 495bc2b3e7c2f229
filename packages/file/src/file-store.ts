import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type OperationOptions, PartdError } from "@partd/core";
import {
  type AppendOptions,
  BaseStore,
  type Batch,
  checkIntegerOption,
  Gate,
  type GetOptions,
} from "@partd/core/author";
import { TemporaryDirectory } from "@partd/disk";
import { Appender } from "./appender.js";
import { DirectoryLock } from "./directory-lock.js";
import { Disk, type Steps } from "./disk.js";
import { syncFolders } from "./file-steps.js";
import { ioError } from "./io-error.js";
import { Journal } from "./journal.js";
import { Layout } from "./layout.js";
import { defaultOpenFiles, OpenFiles } from "./open-files.js";
import type { Parts } from "./parts.js";
import { Reader } from "./reader.js";
import { recover, removeAll, removeKeys, settle } from "./recovery.js";
import { replaceValue } from "./replace.js";
import { surviveSizeLimit } from "./size-limit.js";
import type { Tenure } from "./tenure.js";
import { listKeys } from "./walk.js";

export interface FileStoreOptions {
  /**
   * Whether an append resolves only when it would survive a loss of power: its bytes, its names and
   * its journal are then brought to the disk first. Default false: it survives the end of the
   * process, however that comes, but not always that of the machine.
   */
  readonly fsync?: boolean | undefined;
  /**
   * After how many milliseconds without a sign of life the lock of a process is taken from it, if it
   * is not known to be dead: one that stands still, or runs on another machine. An integer from
   * 2,000 to 2^31 - 1; default 10,000. The same for all processes that share a directory.
   */
  readonly staleMs?: number | undefined;
  /**
   * After how many milliseconds an operation's wait for the lock rejects with `ERR_PARTD_LOCK`: an
   * integer from 0 to 2^31 - 1. Default: never; each operation takes a `signal` to give it up.
   */
  readonly lockTimeoutMs?: number | undefined;
  /**
   * How many files to have open at once: an integer from 2 to 2^20. Default: half of what the
   * process may have, at most 16,384. More makes appends faster that go round over more keys than
   * are open.
   */
  readonly maxOpenFiles?: number | undefined;
}

/**
 * A store in a directory: a file for each key, which holds the key's bytes and nothing else. Safe
 * for any number of processes of one machine at once, of which each may be killed at any moment.
 */
export class FileStore extends BaseStore {
  /** The directory, as an absolute path. */
  readonly path: string;
  readonly #temporary: TemporaryDirectory | undefined;
  readonly #parts: Parts;
  readonly #appender: Appender;
  readonly #reader: Reader;

  /**
   * @param path the directory, made with the first operation if there is none. Without it the store
   *   is temporary: in a directory of its own under `os.tmpdir()`, which goes with `close()`, with
   *   the end of the process or, if that was killed, with the next temporary store.
   * @throws `ERR_PARTD_VALUE` if an option is out of its range.
   */
  constructor(path?: string | URL, options: FileStoreOptions = {}) {
    super();
    const { fsync = false, staleMs = 10_000, lockTimeoutMs, maxOpenFiles } = options;
    checkIntegerOption("staleMs", staleMs, 2_000, LONGEST_TIMER);
    if (lockTimeoutMs !== undefined)
      checkIntegerOption("lockTimeoutMs", lockTimeoutMs, 0, LONGEST_TIMER);
    if (maxOpenFiles !== undefined) checkIntegerOption("maxOpenFiles", maxOpenFiles, 2, 2 ** 20);
    this.#temporary = path === undefined ? new TemporaryDirectory("partd-file") : undefined;
    this.path = this.#temporary?.path ?? absolute(path as string | URL);
    const disk = new Disk();
    const layout = new Layout(this.path, fsync);
    const journal = new Journal(layout.own("journal"), fsync);
    const files = new OpenFiles(layout, maxOpenFiles ?? defaultOpenFiles());
    const lock = new DirectoryLock(
      layout,
      disk,
      {
        taken: () => this.#taken(),
        resumed: () => files.doubt(),
        busy: () => journal.active,
        makeRoom: async () => disk.run(files.makeRoom()),
      },
      staleMs,
      lockTimeoutMs ?? Number.POSITIVE_INFINITY,
    );
    this.#parts = { disk, layout, files, journal, lock, fsync, turns: new Gate() };
    this.#appender = new Appender(this.#parts);
    this.#reader = new Reader(this.#parts);
  }

  protected override async _open(): Promise<void> {
    const { disk, layout } = this.#parts;
    try {
      await this.#temporary?.make();
      await disk.run(layout.make());
    } catch (error) {
      throw ioError("open", this.path, error);
    }
    surviveSizeLimit();
  }

  protected _append(batch: Batch, options: AppendOptions): Promise<void> {
    return this.#appender.append(batch, options);
  }

  protected _get(keys: readonly string[], options: GetOptions): Promise<Uint8Array[]> {
    return this.#read(options, (tenure) => this.#reader.get(keys, tenure, options));
  }

  protected override _stream(key: string, options: GetOptions): Promise<AsyncIterable<Uint8Array>> {
    return this.#read(options, (tenure) => this.#reader.stream(key, tenure, options));
  }

  protected _keys(options: OperationOptions): Promise<string[]> {
    return this.#read(options, async (tenure) => {
      const keys = await this.#io("list", () => listKeys(this.#parts, options), options);
      tenure.verify();
      return keys;
    });
  }

  protected override async _set(
    key: string,
    value: Uint8Array,
    options: AppendOptions,
  ): Promise<void> {
    if (value.byteLength === 0) return this._delete([key], options);
    await this.#change(options, (tenure) => replaceValue(this.#parts, tenure, key, value, options));
  }

  protected async _delete(keys: readonly string[], options: OperationOptions): Promise<void> {
    const { journal } = this.#parts;
    const distinct = [...new Set(keys)];
    if (distinct.length === 0) return;
    await this.#change(options, () =>
      this.#io("delete from", () => {
        // One file goes in one step, and needs no note.
        const note = distinct.length === 1 ? journal.countRemoval() : journal.beginDelete(distinct);
        return this.#noted(note, () => removeKeys(this.#parts, distinct));
      }),
    );
  }

  protected override async _drop(options: OperationOptions): Promise<void> {
    const { disk, files, journal } = this.#parts;
    await this.#change(options, () =>
      this.#io("drop", () =>
        this.#noted(journal.beginDrop(), async () => {
          await disk.run(files.closeAll());
          await removeAll(this.#parts);
        }),
      ),
    );
  }

  protected override async _close(): Promise<void> {
    const { disk, files, journal, lock } = this.#parts;
    await lock.close();
    await disk.run(files.closeAll());
    await disk.run(journal.close());
    await this.#io("remove", async () => this.#temporary?.remove());
  }

  protected override _exclusive<T>(
    critical: () => Promise<T>,
    options: OperationOptions,
  ): Promise<T> {
    return this.#parts.lock.section(options, critical);
  }

  /** Reads while no batch of this process is half written, and no other process writes. */
  #read<T>(options: OperationOptions, work: (tenure: Tenure) => Promise<T>): Promise<T> {
    const { journal, lock, turns } = this.#parts;
    return lock.hold(options, async (tenure) => {
      tenure.verify();
      if (journal.active) await turns.exclusive(() => this.#settle());
      return turns.shared(() => work(tenure), options);
    });
  }

  #change(options: OperationOptions, work: (tenure: Tenure) => Promise<void>): Promise<void> {
    const { lock, turns } = this.#parts;
    return lock.hold(options, (tenure) =>
      turns.exclusive(async () => {
        await this.#settle();
        options.signal?.throwIfAborted();
        tenure.verify();
        await work(tenure);
        tenure.verify();
      }),
    );
  }

  /**
   * Writes the note of a removal down, and crosses it out when that is done, or has failed: what
   * cannot be removed is told to who asked for it, and must not stand in the way of everything else.
   */
  async #noted(note: Steps<void>, removal: () => Promise<void>): Promise<void> {
    const { disk, files, journal } = this.#parts;
    try {
      await disk.run(note);
      files.sawRemovals(journal.removals);
      await removal();
    } finally {
      if (journal.active) await disk.run(journal.clear());
    }
  }

  /** Ends a change of ours that failed and could not be undone at the time. */
  async #settle(): Promise<void> {
    if (this.#parts.journal.active) await this.#io("recover", () => settle(this.#parts));
  }

  /** The lock was taken: what others have left and changed. */
  async #taken(): Promise<void> {
    const { disk, files, fsync, journal, layout } = this.#parts;
    await this.#io("open", async () => {
      await disk.run(layout.refresh());
      await recover(this.#parts);
      await disk.run(files.beginTenure(journal.removals));
      if (fsync) await disk.run(syncFolders([layout.own(""), this.path, dirname(this.path)]));
    });
  }

  async #io<T>(
    action: string,
    work: () => Promise<T>,
    { signal }: OperationOptions = {},
  ): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw signal?.aborted && error === signal.reason ? error : ioError(action, this.path, error);
    }
  }
}

function absolute(path: string | URL): string {
  if (typeof path === "string" && path !== "") return resolve(path);
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  throw new PartdError(
    "ERR_PARTD_IO",
    `A FileStore's path is a string or a file: URL, not ${JSON.stringify(String(path))}.`,
  );
}

/** In milliseconds: Node's timers end at once after longer ones. */
const LONGEST_TIMER = 2 ** 31 - 1;
