import { writeSync } from "node:fs";
import { type Batch, concatBytes, type Pace } from "@partd/core/author";
import { Flight, LONG } from "./disk.js";
import { SLICE, syncFile, syncFolders, writeAll } from "./file-steps.js";
import { ioError } from "./io-error.js";
import type { Touched } from "./journal.js";
import { isOutOfFiles, type OpenFile, withRoom } from "./open-files.js";
import type { Parts } from "./parts.js";
import { restore, settle } from "./recovery.js";
import type { Tenure } from "./tenure.js";

/** Thrown when one of the appends of a group was aborted; the group is undone then. */
export class GivenUp extends Error {}

interface Write {
  readonly key: string;
  readonly values: readonly Uint8Array[];
}

/** One append of a group. */
export interface GroupedAppend {
  readonly batch: Batch;
  readonly signal: AbortSignal | undefined;
}

/** Several batches that are written as one: whole, or not at all. */
export class Group {
  readonly #parts: Parts;
  readonly #appends: readonly GroupedAppend[];
  readonly #tenure: Tenure;
  readonly #pace: Pace;
  /** Of each file that was opened, as it was before. */
  readonly #touched: Touched[] = [];

  constructor(parts: Parts, appends: readonly GroupedAppend[], tenure: Tenure, pace: Pace) {
    this.#parts = parts;
    this.#appends = appends;
    this.#tenure = tenure;
    this.#pace = pace;
  }

  async write(): Promise<void> {
    const { disk, journal } = this.#parts;
    this.#tenure.verify();
    if (journal.active) await settle(this.#parts); // What could not be undone before.
    try {
      const writes = this.#onlyWrite() ?? (await this.#gather());
      for (let next = 0; next < writes.length; ) next += await this.#writeChunk(writes, next);
      if (this.#parts.fsync) await this.#syncNewNames();
      this.#checkOn();
      const cleared = disk.run(journal.clear());
      if (cleared) await cleared;
    } catch (error) {
      await this.#undo();
      const { directory } = this.#parts.layout;
      throw error instanceof GivenUp ? error : ioError("append to", directory, error);
    }
  }

  #onlyWrite(): Write[] | undefined {
    const { keys, values } = (this.#appends[0] as GroupedAppend).batch;
    if (this.#appends.length > 1 || keys.length > 1) return undefined;
    return [{ key: keys[0] as string, values }];
  }

  /** The values of each key together, in order of its first. */
  async #gather(): Promise<Write[]> {
    const writes = new Map<string, { key: string; values: Uint8Array[] }>();
    for (const { batch } of this.#appends) {
      for (let i = 0; i < batch.keys.length; i++) {
        const key = batch.keys[i] as string;
        const value = batch.values[i] as Uint8Array;
        const write = writes.get(key);
        if (write) write.values.push(value);
        else writes.set(key, { key, values: [value] });
        if (this.#pace.due) await this.#rest();
      }
    }
    return [...writes.values()];
  }

  /**
   * Opens as many files as may be open at once, writes down how long they are, and writes to them.
   *
   * @returns how many of `writes` were done.
   */
  async #writeChunk(writes: readonly Write[], from: number): Promise<number> {
    const { disk, files, journal } = this.#parts;
    const opened: OpenFile[] = [];
    try {
      await this.#openChunk(writes, from, opened);
      const touched = this.#touched.slice(-opened.length);
      this.#tenure.verifyNow();
      const noted = disk.run(journal.beginAppend(touched));
      if (noted) await noted;
      await this.#writeOpened(writes, from, opened);
    } finally {
      for (const file of opened) {
        const released = disk.run(files.release(file));
        if (released) await released;
      }
    }
    return opened.length;
  }

  async #openChunk(writes: readonly Write[], from: number, opened: OpenFile[]): Promise<void> {
    const { disk, files, layout } = this.#parts;
    const most = Math.min(writes.length - from, files.atOnce);
    for (let i = 0; i < most; i++) {
      const { key } = writes[from + i] as Write;
      if (this.#pace.due) await this.#rest();
      let file: OpenFile;
      try {
        const taken = disk.run(files.takeToWrite(key));
        file = taken instanceof Promise ? await taken : taken;
      } catch (error) {
        if (isOutOfFiles(error) && opened.length > 0) {
          await disk.run(files.makeRoom());
          return; // These first; then there will be room.
        }
        if (!isOutOfFiles(error)) throw ioError("append to", layout.directory, error, key);
        file = await withRoom(this.#parts, "append to", key, () => files.takeToWrite(key));
      }
      opened.push(file);
      this.#touched.push({ key, aside: file.aside, length: file.length });
    }
  }

  async #writeOpened(
    writes: readonly Write[],
    from: number,
    opened: readonly OpenFile[],
  ): Promise<void> {
    const { disk } = this.#parts;
    // One alone has no other to be written beside it: waiting for the pool gains nothing.
    const most = opened.length === 1 ? LONG_ALONE : LONG;
    const flight = new Flight(WIDTH);
    try {
      for (let i = 0; i < opened.length; i++) {
        const file = opened[i] as OpenFile;
        const { values } = writes[from + i] as Write;
        const only = values.length === 1 ? (values[0] as Uint8Array) : undefined;
        if (only && disk.takesHere(only.byteLength, most) && !this.#parts.fsync) {
          const count = this.#writeHere(file, only);
          if (count < only.byteLength) await this.#writeFile(file, [only.subarray(count)], count);
          else file.length += count;
        } else {
          flight.add(this.#writeFile(file, values, 0));
          await flight.room();
        }
        if (this.#pace.due) await this.#rest();
      }
      await flight.landed();
    } finally {
      await flight.settled();
    }
  }

  /** Most writes, in the fewest steps. */
  #writeHere({ fd, key, length }: OpenFile, value: Uint8Array): number {
    const { disk, layout } = this.#parts;
    const start = performance.now();
    try {
      return writeSync(fd, value, 0, value.byteLength, length);
    } catch (error) {
      throw ioError("append to", layout.directory, error, key);
    } finally {
      disk.took(performance.now() - start);
    }
  }

  /** @param done bytes that were written already. */
  async #writeFile(file: OpenFile, values: readonly Uint8Array[], done: number): Promise<void> {
    const { disk, layout, fsync } = this.#parts;
    let position = file.length + done;
    try {
      for (const piece of pieces(values)) {
        this.#checkOn();
        const written = disk.run(writeAll(file.fd, piece, position));
        if (written) await written;
        position += piece.byteLength;
      }
      if (fsync) await disk.run(syncFile(file.fd));
    } catch (error) {
      throw error instanceof GivenUp
        ? error
        : ioError("append to", layout.directory, error, file.key);
    }
    file.length = position;
  }

  async #rest(): Promise<void> {
    await this.#pace.rest();
    this.#checkOn();
  }

  /** @throws if the lock was lost, or one of the appends was given up. */
  #checkOn(): void {
    this.#tenure.verifyNow();
    if (this.#appends.some(({ signal }) => signal?.aborted)) throw new GivenUp();
  }

  async #syncNewNames(): Promise<void> {
    const { disk, layout } = this.#parts;
    const folders = new Set<string>();
    for (const { key, aside, length } of this.#touched) {
      if (length === 0) for (const folder of layout.foldersOf(key, aside)) folders.add(folder);
    }
    await disk.run(syncFolders(folders));
  }

  /** Puts all back as it was, unless that is another's to do by now. */
  async #undo(): Promise<void> {
    const { disk, files, journal, layout } = this.#parts;
    try {
      this.#tenure.verify();
      await disk.run(journal.reinstate());
      await disk.run(journal.countRemoval());
      files.sawRemovals(journal.removals);
      for (const touched of this.#touched) {
        await disk.run(files.forget(touched.key));
        await disk.run(restore(layout, touched));
        if (this.#pace.due) await this.#pace.rest();
      }
      await disk.run(journal.clear());
    } catch {
      // The journal stays: the next operation, or the next holder of the lock, tries again.
    }
  }
}

/** Values as pieces to write: long ones in slices, short ones together. */
function* pieces(values: readonly Uint8Array[]): Iterable<Uint8Array> {
  for (let i = 0; i < values.length; ) {
    const first = values[i] as Uint8Array;
    let byteLength = first.byteLength;
    let end = i + 1;
    for (
      let next = values[end];
      next && byteLength + next.byteLength <= GATHERED;
      next = values[++end]
    )
      byteLength += next.byteLength;
    if (end > i + 1) yield concatBytes(values.slice(i, end));
    else for (let at = 0; at < byteLength; at += SLICE) yield first.subarray(at, at + SLICE);
    i = end;
  }
}

/** Short values of a key are written together up to so many bytes. */
const GATHERED = 2 ** 20;
/** A megabyte is copied to the page cache in 160 µs; by way of the pool in 200 µs. */
const LONG_ALONE = 2 ** 20;
/** Writes in the thread pool under way at once. */
const WIDTH = 64;
