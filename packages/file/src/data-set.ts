import { dirname } from "node:path";
import { decodeKey, isPartdError, PartdError } from "@partd/core";
import { describeKey, Gate } from "@partd/core/author";
import { DirectoryLock, errnoOf, type Lease, systemError, type Takeover } from "@partd/disk";
import { Disk } from "./disk.js";
import { Journal } from "./journal.js";
import { isEncodedKey, Layout } from "./layout.js";
import { OpenFiles } from "./open-files.js";
import { type Recoverable, recover, settle } from "./recovery.js";
import { WorkFolder } from "./work-folder.js";

export interface DataSetOptions {
  readonly fsync: boolean;
  readonly create: boolean;
  readonly staleMs: number;
  readonly lockTimeoutMs: number;
  readonly maxOpenFiles: number | undefined;
}

/** A directory of keys with its lock and journal, as used by one store. */
export class DataSet implements Recoverable {
  readonly disk = new Disk();
  readonly fsync: boolean;
  readonly layout: Layout;
  readonly journal: Journal;
  readonly files: OpenFiles;
  readonly work: WorkFolder;
  readonly lock: DirectoryLock;
  /**
   * Batches are written exclusively and values are read shared, so that no reader sees half a
   * batch.
   */
  readonly turns = new Gate();
  readonly #create: boolean;
  #underWay = 0;

  constructor(path: string, options: DataSetOptions) {
    this.fsync = options.fsync;
    this.#create = options.create;
    this.layout = new Layout(this.disk, path, options.fsync);
    this.journal = new Journal(this.disk, this.layout.own("journal"), options.fsync);
    this.files = new OpenFiles(this.disk, this.layout, options.maxOpenFiles);
    this.work = new WorkFolder(this.disk, this.layout);
    this.lock = new DirectoryLock({
      directory: path,
      folder: this.layout.own("lock"),
      staleMs: options.staleMs,
      timeoutMs: options.lockTimeoutMs,
      onTaken: (takeover) => this.#taken(takeover),
      onRelease: () => this.work.remove(),
      isBusy: () => this.journal.active,
      makeAgain: () => this.layout.make(), // Python's partd drops a data set by removing it.
      makeRoom: () => this.files.makeRoom(),
    });
  }

  get path(): string {
    return this.layout.directory;
  }

  async open(): Promise<void> {
    if (!this.#create && !(await this.#isThere())) {
      throw new PartdError(
        "ERR_PARTD_IO",
        `${this.path} is not a data set: it is not there, or has neither a key nor .partd. Check the path, or leave out { create: false }.`,
        { path: this.path },
      );
    }
    await this.layout.make();
  }

  async close(): Promise<void> {
    await this.lock.close();
    await this.files.closeAll();
    await this.journal.close();
  }

  /**
   * Begins an operation; {@link end} must follow. The first operation after a pause checks each
   * file again before using it: programs that ignore the lock, such as Python's partd, may have
   * changed it. The check costs 1 µs for each file.
   */
  begin(): void {
    if (this.#underWay++ === 0) this.files.recheckKept();
  }

  end(): void {
    this.#underWay--;
  }

  /** Completes or undoes a change of this store that failed and could not be undone then. */
  async settle(lease: Lease): Promise<void> {
    if (this.journal.active) await this.io("recover", () => settle(this, lease));
  }

  /** Runs `work` and turns its failures into `PartdError`s, except a signal's reason. */
  async io<T>(action: string, work: () => T | Promise<T>, of: ErrorScope = {}): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw of.signal?.aborted && error === of.signal.reason
        ? error
        : this.error(action, error, of.key);
    }
  }

  /** @param key the encoded key, if one is concerned. */
  error(action: string, cause: unknown, key?: string): PartdError {
    const { path } = this;
    if (key === undefined || isPartdError(cause)) return systemError({ action, path }, cause);
    const decoded = decodeKey(key);
    const what = `key ${describeKey(decoded)} in ${path}`;
    if (errnoOf(cause) !== "ENAMETOOLONG") {
      return systemError({ action, path, what, key: decoded }, cause);
    }
    return new PartdError(
      "ERR_PARTD_KEY",
      `Cannot ${action} ${what}: there its file's path would be longer than the system allows; use a shorter key, or a directory with a shorter path.`,
      { path, key: decoded, cause },
    );
  }

  async #isThere(): Promise<boolean> {
    if (await this.disk.exists(this.layout.own(""))) return true;
    if (!(await this.disk.stat(this.path))?.isDirectory()) return false;
    // Python's partd may have written it.
    return (await this.disk.readdir(this.path)).some(isEncodedKey);
  }

  /**
   * Called when the lock was taken: recovers what earlier holders left, and notes what they
   * changed.
   */
  async #taken(takeover: Takeover): Promise<void> {
    await this.io("open", async () => {
      await this.layout.refresh();
      await recover(this, takeover);
      await this.files.beginLease(this.journal.removals);
      if (this.fsync) {
        await this.disk.syncFolders([this.layout.own(""), this.path, dirname(this.path)]);
      }
    });
  }
}

interface ErrorScope {
  readonly signal?: AbortSignal | undefined;
  readonly key?: string | undefined;
}
