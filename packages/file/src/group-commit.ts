import { PartdError } from "@partd/core";
import { type Batch, checkIntact, concatBytes, type Pace } from "@partd/core/author";
import { isOutOfFiles, type Lease } from "@partd/disk";
import type { DataSet } from "./data-set.js";
import { LONG, PoolQueue, SLICE } from "./disk.js";
import type { Touched } from "./journal.js";
import type { OpenFile } from "./open-files.js";
import { settle, undoAppend } from "./recovery.js";

/** Thrown when one of the appends of a group was aborted. The group is then undone. */
export class Aborted extends Error {}

/** One append of a group. */
export interface GroupedAppend {
  readonly batch: Batch;
  readonly signal: AbortSignal | undefined;
}

/** Writes several batches as one: all of them, or none. */
export class GroupCommit {
  readonly #set: DataSet;
  readonly #appends: readonly GroupedAppend[];
  readonly #lease: Lease;
  readonly #pace: Pace;
  /** Each opened file as it was before. */
  readonly #touched: Touched[] = [];
  #isDue = false;

  constructor(set: DataSet, appends: readonly GroupedAppend[], lease: Lease, pace: Pace) {
    this.#set = set;
    this.#appends = appends;
    this.#lease = lease;
    this.#pace = pace;
  }

  async write(): Promise<void> {
    const { journal, path } = this.#set;
    this.#lease.verify();
    // An earlier change that could not be undone.
    if (journal.active) await settle(this.#set, this.#lease);
    try {
      for (const { batch } of this.#appends) checkIntact(batch);
      const writes = this.#onlyWrite() ?? (await this.#gather());
      for (let next = 0; next < writes.keys.length; ) next += await this.#writeChunk(writes, next);
      for (const { batch } of this.#appends) checkIntact(batch);
      if (this.#set.fsync) await this.#syncNewNames();
      this.#checkOn();
      const cleared = journal.clear();
      if (cleared) await cleared;
    } catch (error) {
      await this.#undo();
      if (journal.uncertain) throw this.#unknown(error);
      if (error instanceof Aborted) throw error;
      for (const { batch } of this.#appends) checkIntact(batch);
      throw this.#set.error("append to", error);
    }
    if (this.#lease.isInTime()) return;
    try {
      this.#lease.confirm();
    } catch (cause) {
      throw new PartdError(
        "ERR_PARTD_LOCK",
        `The lock of ${path} was lost to another process while an append was being completed: ${NOT_KNOWN}`,
        { path, cause },
      );
    }
  }

  #unknown(cause: unknown): PartdError {
    const { path } = this.#set;
    const { message } = this.#set.error("complete an append to", cause);
    return new PartdError("ERR_PARTD_IO", `${message} Nor could it be undone: ${NOT_KNOWN}`, {
      path,
      cause,
    });
  }

  #onlyWrite(): Writes | undefined {
    const { keys, values } = (this.#appends[0] as GroupedAppend).batch;
    return this.#appends.length > 1 || keys.length > 1 ? undefined : { keys, values };
  }

  /** Groups the values by key, in order of each key's first value. */
  async #gather(): Promise<Writes> {
    const places = new Map<string, number>();
    const keys: string[] = [];
    const values: (Uint8Array | Uint8Array[])[] = [];
    for (const { batch } of this.#appends) {
      for (let i = 0; i < batch.keys.length; i++) {
        const key = batch.keys[i] as string;
        const value = batch.values[i] as Uint8Array;
        const place = places.get(key);
        if (place === undefined) {
          places.set(key, keys.length);
          keys.push(key);
          values.push(value);
        } else {
          const earlier = values[place] as Uint8Array | Uint8Array[];
          if (Array.isArray(earlier)) earlier.push(value);
          else values[place] = [earlier, value];
        }
        if (this.#pace.due) await this.#rest();
      }
    }
    return { keys, values };
  }

  /**
   * Opens as many files as may be open at once, notes their lengths, and writes to them.
   *
   * @returns how many of `writes` were done.
   */
  async #writeChunk(writes: Writes, from: number): Promise<number> {
    const { files, journal } = this.#set;
    const opened: OpenFile[] = [];
    try {
      const opening = this.#openChunk(writes, from, opened);
      if (opening) await opening;
      const touched = this.#touched.slice(-opened.length);
      const noted = journal.beginAppend(touched);
      if (noted) await noted;
      // From now on, whoever takes the lock sees the note and replaces these files, so that our
      // late writes reach only unnamed files.
      this.#lease.confirm();
      const writing = this.#writeOpened(writes, from, opened);
      if (writing) await writing;
    } finally {
      for (const file of opened) {
        const released = files.release(file);
        if (released) await released;
      }
    }
    return opened.length;
  }

  #openChunk(writes: Writes, from: number, opened: OpenFile[]): void | Promise<void> {
    const most = Math.min(writes.keys.length - from, this.#set.files.atOnce);
    this.#openHere(writes, from, opened, most);
    if (opened.length < most) return this.#openRest(writes, from, opened, most);
  }

  /** Opens files in this thread, up to the first that needs a wait. */
  #openHere({ keys }: Writes, from: number, opened: OpenFile[], most: number): void {
    const { disk, files } = this.#set;
    const laps = disk.laps();
    while (opened.length < most && !this.#mustRest()) {
      const file = files.takeHereToWrite(keys[from + opened.length] as string, laps);
      if (!file) return;
      this.#touch(file, opened);
    }
  }

  async #openRest(writes: Writes, from: number, opened: OpenFile[], most: number): Promise<void> {
    const { files } = this.#set;
    while (opened.length < most) {
      if (this.#isDue) await this.#rest();
      const key = writes.keys[from + opened.length] as string;
      let file: OpenFile;
      try {
        file = await files.takeToWrite(key);
      } catch (error) {
        if (!isOutOfFiles(error)) throw this.#set.error("append to", error, key);
        if (opened.length > 0) {
          await files.makeRoom();
          return; // Write to these first; then there will be room.
        }
        const open = () => files.withRoom(() => files.takeToWrite(key));
        file = await this.#set.io("append to", open, { key });
      }
      this.#touch(file, opened);
      this.#openHere(writes, from, opened, most);
    }
  }

  #touch(file: OpenFile, opened: OpenFile[]): void {
    opened.push(file);
    this.#touched.push({ key: file.key, aside: file.aside, length: file.length });
  }

  #writeOpened(writes: Writes, from: number, opened: readonly OpenFile[]): void | Promise<void> {
    const next = this.#writeHere(writes, from, opened, 0);
    if (next < opened.length) return this.#writeRest(writes, from, opened, next);
  }

  /**
   * Writes to files in this thread, up to the first that needs a wait.
   *
   * @returns the place of that file in `opened`.
   */
  #writeHere({ values }: Writes, from: number, opened: readonly OpenFile[], first: number): number {
    const { disk, fsync } = this.#set;
    // A single file has no other to be written beside it: the pool gains nothing.
    const most = opened.length === 1 ? LONG_ALONE : LONG;
    const laps = disk.laps();
    let next = first;
    for (; next < opened.length && !this.#mustRest() && !fsync; next++) {
      const file = opened[next] as OpenFile;
      const value = values[from + next] as Uint8Array | Uint8Array[];
      if (Array.isArray(value) || !disk.takesHere(value.length, most)) break;
      try {
        laps.writeAll(file.fd, value, file.length);
      } catch (error) {
        throw this.#set.error("append to", error, file.key);
      }
      file.length += value.length;
    }
    return next;
  }

  async #writeRest(
    writes: Writes,
    from: number,
    opened: readonly OpenFile[],
    first: number,
  ): Promise<void> {
    const pool = new PoolQueue(WIDTH);
    try {
      for (let i = first; i < opened.length; i = this.#writeHere(writes, from, opened, i + 1)) {
        if (this.#isDue) await this.#rest();
        const value = writes.values[from + i] as Uint8Array | Uint8Array[];
        pool.add(this.#writeFile(opened[i] as OpenFile, Array.isArray(value) ? value : [value]));
        await pool.room();
      }
    } finally {
      await pool.settled();
    }
    await pool.done();
  }

  async #writeFile(file: OpenFile, values: readonly Uint8Array[]): Promise<void> {
    const { disk, fsync } = this.#set;
    let position = file.length;
    try {
      for (const piece of pieces(values)) {
        this.#checkOn();
        await disk.writeAll(file.fd, piece, position);
        position += piece.length;
      }
      if (fsync) await disk.sync(file.fd);
    } catch (error) {
      throw error instanceof Aborted ? error : this.#set.error("append to", error, file.key);
    }
    file.length = position;
  }

  /** Whether to rest before the next file. Remains true until that is done. */
  #mustRest(): boolean {
    this.#isDue ||= this.#pace.due;
    return this.#isDue;
  }

  async #rest(): Promise<void> {
    await this.#pace.rest();
    this.#isDue = false;
    this.#checkOn();
  }

  /** @throws if the lock was lost or one of the appends was aborted. */
  #checkOn(): void {
    this.#lease.verifyNow();
    if (this.#appends.some(({ signal }) => signal?.aborted)) throw new Aborted();
  }

  async #syncNewNames(): Promise<void> {
    const { disk, layout } = this.#set;
    const folders = new Set<string>();
    for (const { key, aside, length } of this.#touched) {
      if (length === 0) for (const folder of layout.foldersOf(key, aside)) folders.add(folder);
    }
    await disk.syncFolders(folders);
  }

  /** Restores everything, unless the lock was lost: then the next holder does it. */
  async #undo(): Promise<void> {
    const { files, journal } = this.#set;
    try {
      this.#lease.verify();
      await journal.reinstate();
      await journal.countRemoval();
      files.sawRemovals(journal.removals);
      await undoAppend(this.#set, this.#lease, this.#touched);
      if (journal.active) await journal.clear();
    } catch {
      // The journal stays: the next operation, or the next holder of the lock, tries again.
    }
  }
}

const NOT_KNOWN = "whether it is there is not known. Read its keys before you append it again.";

/** What is written to each key: one value, or several. */
interface Writes {
  readonly keys: readonly string[];
  readonly values: readonly (Uint8Array | Uint8Array[])[];
}

/** Cuts long values into slices and concatenates short ones. */
function* pieces(values: readonly Uint8Array[]): Iterable<Uint8Array> {
  for (let i = 0; i < values.length; ) {
    const first = values[i] as Uint8Array;
    let byteLength = first.length;
    let end = i + 1;
    for (let next = values[end]; next && byteLength + next.length <= GATHERED; next = values[++end])
      byteLength += next.length;
    if (end > i + 1) yield concatBytes(values.slice(i, end));
    else for (let at = 0; at < byteLength; at += SLICE) yield first.subarray(at, at + SLICE);
    i = end;
  }
}

/** Short values of a key are written together up to this many bytes. */
const GATHERED = 2 ** 20;
/** A megabyte takes 160 µs to the page cache from this thread, and 200 µs through the pool. */
const LONG_ALONE = 2 ** 20;
/** The most writes in the thread pool at once. */
const WIDTH = 64;
