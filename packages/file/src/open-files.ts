import fs, { type Stats } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { closeFile, isOutOfFiles } from "@partd/disk";
import type { Disk, Laps } from "./disk.js";
import type { Layout, Opened } from "./layout.js";

/** A key's open file. */
export interface OpenFile {
  readonly key: string;
  readonly fd: number;
  readonly aside: boolean;
  readonly readOnly: boolean;
  /** Length in bytes; -1 if not known yet. */
  length: number;
  /** Names that lead to it; 0 if not known yet. */
  names: number;
  /** How many operations use it now. A file in use is not closed. */
  users: number;
  /** The generation in which it was last checked to be the current file. */
  generation: number;
  kept: boolean;
}

/**
 * Keeps files open between operations, because opening and closing costs more than a small write.
 * When full, it keeps the files that it has and admits a new one only now and then: work that
 * cycles through more keys than can be open would otherwise evict each before its next use.
 */
export class OpenFiles {
  readonly #disk: Disk;
  readonly #layout: Layout;
  readonly #kept = new Map<string, OpenFile>();
  #most: number;
  #open = 0;
  #generation = 0;
  #removals = 0;
  #turnedAway = 0;

  /**
   * @param most files to keep open at once, 2 or more. Lowered if the process cannot have that
   *   many.
   */
  constructor(disk: Disk, layout: Layout, most = defaultOpenFiles()) {
    this.#disk = disk;
    this.#layout = layout;
    this.#most = most;
  }

  /** How many files one operation may use at once, beside those that are kept. */
  get atOnce(): number {
    return Math.max(1, Math.min(this.#most >> 2, AT_ONCE));
  }

  /**
   * Call this when the lock was taken: kept files must be checked before they are used again. If
   * keys were removed since, all are closed, because their names may be gone.
   */
  async beginLease(removals: number): Promise<void> {
    this.recheckKept();
    if (removals !== this.#removals) await this.closeAll();
    this.#removals = removals;
  }

  /** Has all kept files checked before they are used again: other programs may have changed them. */
  recheckKept(): void {
    this.#generation++;
  }

  /** Notes that this store removed keys itself and has closed their files. */
  sawRemovals(removals: number): void {
    this.#removals = removals;
  }

  /** The file if it is open. Checks in this thread whether it is still the current one. */
  takeHere(key: string): OpenFile | undefined {
    const file = this.#kept.get(key);
    if (!file) return undefined;
    if (file.generation !== this.#generation && !this.#sees(file, fs.fstatSync(file.fd))) {
      return undefined;
    }
    file.users++;
    return file;
  }

  /** Adopts an opened file; {@link release} must follow. */
  adopt(key: string, fd: number): OpenFile {
    return this.#admit({ key, fd, ...fresh, aside: false, generation: this.#generation });
  }

  /** Opens a key's file if it exists; {@link release} must follow. */
  async take(key: string): Promise<OpenFile | undefined> {
    const kept = await this.#revive(key);
    if (kept) return kept;
    const opened = await this.#layout.open(key);
    return opened && this.#admitOpened(key, opened);
  }

  /**
   * Opens or creates a key's file in this thread and finds its length; {@link release} must follow.
   * Undefined if that needs a wait or fails: {@link takeToWrite} does it then, and reports the failure.
   */
  takeHereToWrite(key: string, laps: Laps): OpenFile | undefined {
    if (!this.#disk.takesHere(0)) return undefined;
    const file = this.#kept.get(key);
    if (!file) return this.#openHereToWrite(key, laps);
    if (file.readOnly || file.names > 1) return undefined;
    if (file.generation !== this.#generation || file.length < 0 || file.names === 0) {
      try {
        if (!this.#sees(file, laps.fstat(file.fd)) || file.names > 1) return undefined;
      } catch {
        return undefined;
      }
    }
    file.users++;
    return file;
  }

  /** Opens or creates a key's file and finds its length; {@link release} must follow. */
  async takeToWrite(key: string): Promise<OpenFile> {
    let file = await this.#revive(key);
    if (file?.readOnly) {
      await this.#letGo(file);
      await this.release(file);
      file = undefined;
    }
    file ??= this.#admitOpened(key, await this.#layout.openOrCreate(key));
    if (file.length >= 0 && file.names === 1) return file;
    try {
      const stats = await this.#disk.fstat(file.fd);
      const path = this.#layout.path(key, file.aside);
      file.length = sizeOf(stats, path);
      file.names = stats.nlink;
      if (file.names > 1) throw withCode("EMLINK", `${path} has other names`);
      return file;
    } catch (error) {
      await this.release(file);
      throw error;
    }
  }

  release(file: OpenFile): void | Promise<void> {
    if (--file.users === 0 && !file.kept) return this.#close(file);
  }

  /** Closes a key's file before it is removed or replaced. */
  forget(key: string): void | Promise<void> {
    const file = this.#kept.get(key);
    if (file) return this.#letGo(file);
  }

  async closeAll(): Promise<void> {
    for (const key of [...this.#kept.keys()]) await this.forget(key);
  }

  /**
   * Call this when the process or the system has no free descriptor: closes unused files, and keeps
   * fewer from now on.
   *
   * @returns whether anything was closed.
   */
  async makeRoom(): Promise<boolean> {
    this.#most = Math.max(2, Math.min(this.#most, this.#open) >> 1);
    let closed = false;
    for (const [key, file] of [...this.#kept]) {
      if (file.users > 0) continue;
      await this.forget(key);
      closed = true;
    }
    return closed;
  }

  /** Calls `open`, and makes room if there is no free descriptor. */
  async withRoom<T>(open: () => T | Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await open();
      } catch (error) {
        if (!isOutOfFiles(error) || attempt >= ATTEMPTS) throw error;
      }
      // If there was nothing to close, other parts of the process may be about to close their
      // files.
      if (!(await this.makeRoom())) await sleep(attempt * 5);
    }
  }

  /** Over 20,000 keys, of which half are kept open, this saves a tenth of an append's time. */
  #openHereToWrite(key: string, laps: Laps): OpenFile | undefined {
    const fd = this.#layout.openOrCreateHere(key, laps);
    if (fd < 0) return undefined;
    let stats: Stats | undefined;
    try {
      stats = laps.fstat(fd);
    } catch {
      // See above.
    }
    if (!stats?.isFile() || stats.nlink !== 1) {
      closeFile(fd);
      return undefined;
    }
    const { size: length, nlink: names } = stats;
    const generation = this.#generation;
    return this.#admit({ key, fd, ...fresh, aside: false, length, names, generation });
  }

  async #revive(key: string): Promise<OpenFile | undefined> {
    const file = this.#kept.get(key);
    if (!file) return undefined;
    file.users++;
    if (file.generation === this.#generation) return file;
    let isCurrent = false;
    try {
      isCurrent = this.#sees(file, await this.#disk.fstat(file.fd));
    } finally {
      if (!isCurrent) {
        await this.#letGo(file);
        await this.release(file);
      }
    }
    return isCurrent ? file : undefined;
  }

  /** Records the stats of an open file. @returns whether it is one, and still has a name. */
  #sees(file: OpenFile, stats: Stats): boolean {
    if (stats.nlink === 0 || !stats.isFile()) return false;
    file.generation = this.#generation;
    file.length = stats.size;
    file.names = stats.nlink;
    return true;
  }

  #admitOpened(key: string, opened: Opened): OpenFile {
    return this.#admit({ key, ...fresh, ...opened, generation: this.#generation });
  }

  #admit(file: OpenFile): OpenFile {
    this.#open++;
    if (this.#kept.has(file.key)) return file; // Another was opened meanwhile.
    if (this.#kept.size >= this.#most - this.atOnce) {
      if (++this.#turnedAway % ADMITTED !== 0) return file;
      const oldest = this.#kept.values().next().value;
      if (oldest) this.#letGoHere(oldest);
    }
    file.kept = true;
    this.#kept.set(file.key, file);
    return file;
  }

  #letGo(file: OpenFile): void | Promise<void> {
    if (!file.kept) return;
    this.#kept.delete(file.key);
    file.kept = false;
    if (file.users === 0) return this.#close(file);
  }

  #letGoHere(file: OpenFile): void {
    this.#kept.delete(file.key);
    file.kept = false;
    if (file.users > 0) return;
    this.#open--;
    closeFile(file.fd);
  }

  #close(file: OpenFile): void | Promise<void> {
    this.#open--;
    return this.#disk.close(file.fd);
  }
}

/** The default of open files: half of the process's limit. */
function defaultOpenFiles(): number {
  return Math.max(2, Math.min(16_384, allowance() >> 1));
}

/** The process's limit of descriptors. */
function allowance(): number {
  try {
    const limits = fs.readFileSync("/proc/self/limits", "latin1");
    const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? 2 ** 16 : Number(soft);
  } catch {
    return 4096; // Not Linux. Node raises the limit as far as it may, on macOS to 10,240 or more.
  }
}

/** The length of a key's file. @throws EFTYPE for a device or a pipe: its bytes are not a value. */
export function sizeOf(stats: Stats, path: string): number {
  if (stats.isFile()) return stats.size;
  throw withCode("EFTYPE", `${path} is no regular file`);
}

function withCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code, syscall: "open" });
}

const fresh = { readOnly: false, length: -1, names: 0, users: 1, kept: false };
/**
 * With a quarter of 10,000 files instead, fewer are kept, and an append to 20,000 keys takes a tenth
 * longer. Each note in the journal is for this many files.
 */
const AT_ONCE = 512;
/** When full, one in this many new files is kept. */
const ADMITTED = 32;
/** Attempts to open a file when there is no free descriptor: about a second in all. */
const ATTEMPTS = 20;
