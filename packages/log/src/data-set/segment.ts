import { fstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { isPartdError, PartdError } from "@partd/core";
import { closeFile, errnoOf, stateOf, systemError, writeAllSync } from "@partd/disk";
import { headSeed, SEGMENT_HEADER, segmentHeader } from "../format/layout.js";
import { scanRecords } from "../format/scan.js";
import { GrowingIndex } from "../index/range-chains.js";
import { StoredIndex } from "../index/stored-index.js";
import { areTooManyOpen, forget, type OpenFile, openOrMakeRoom, remember } from "../open-files.js";

/** A stretch of a segment that cannot be read, so that it is not known which keys it holds. */
export interface Unreadable {
  readonly offset: number;
  readonly end: number;
  readonly why: string;
}

/** A file of records, written by one writer, and what this process knows of it. */
export class Segment implements OpenFile {
  readonly id: string;
  readonly path: string;
  readonly indexPath: string;
  /** Seeds the checksums of record heads. */
  readonly seed: number;
  /** The token of the process that writes it. */
  readonly writer: string;
  /** It was made by compact: its records come before those of all others. */
  readonly isBase: boolean;
  /** Written by this store, which knows its index without reading. */
  readonly isOwn: boolean;
  /** Nobody adds to it: a `seal` came after it. */
  sealed = false;
  /** Set when it is finished: where its records end, and the length of the file. */
  finished: { readonly end: number; readonly size: number } | undefined;
  index: GrowingIndex | StoredIndex | undefined;
  /** Where the next record is looked for. */
  position = 0;
  /** The index is complete. */
  complete = false;
  readonly unreadable: Unreadable[] = [];
  #fd: number | undefined;
  /** Snapshots and streams that will read on, even when the file has been removed. */
  #holds = 0;
  /** Reads under way through the descriptor. */
  #reads = 0;
  #released = false;
  #closing = false;
  #catchingUp: Promise<void> | undefined;
  #trustsStored = true;

  constructor(
    directory: string,
    id: string,
    writer: string,
    { isBase = false, isOwn = false } = {},
  ) {
    this.id = id;
    this.path = join(directory, `${id}.seg`);
    this.indexPath = join(directory, `${id}.idx`);
    this.seed = headSeed(id);
    this.writer = writer;
    this.isBase = isBase;
    this.isOwn = isOwn;
    if (isOwn) this.index = new GrowingIndex();
  }

  /** Makes the file, which our writer is about to write. @returns its descriptor. */
  create(): number {
    const fd = openOrMakeRoom(this.path, "wx+");
    this.adopt(fd);
    writeAllSync(fd, segmentHeader(this.id), 0);
    this.position = SEGMENT_HEADER;
    this.isBeingWritten = true;
    return fd;
  }

  /** Opened for reading when first asked for, or for writing by {@link adopt}. */
  get fd(): number {
    if (this.#fd === undefined) {
      try {
        this.adopt(openOrMakeRoom(this.path, "r"));
      } catch (cause) {
        throw errnoOf(cause) === "ENOENT"
          ? missing(this.path, cause)
          : systemError({ action: "open", path: this.path }, cause);
      }
    }
    return this.#fd as number;
  }

  /** Gives it the descriptor that its writer writes through. */
  adopt(fd: number): void {
    this.#fd = fd;
    remember(this);
  }

  /** Whether our writer still adds to it, so that its length is known without `fstat`. */
  isBeingWritten = false;

  /** Where its records end; of a segment that is still written, where the last one that we read ends. */
  get recordsEnd(): number {
    return this.finished?.end ?? this.position;
  }

  /** Length of the file, as it is now or as it will always be. */
  get size(): number {
    if (this.finished) return this.finished.size;
    return this.isBeingWritten ? this.position : fstatSync(this.fd).size;
  }

  /** To be called while it has its name: from then on it is read whatever becomes of that. */
  hold(): void {
    this.#holds++;
    try {
      void this.fd;
    } catch {
      // The next read throws the reason.
    }
  }

  unhold(): void {
    this.#holds--;
    if (this.#holds > 0) return;
    if (this.#released || areTooManyOpen()) this.rest();
  }

  /** Runs `read` with the descriptor, which stays open meanwhile. */
  async reading<T>(read: (fd: number) => Promise<T>): Promise<T> {
    const { fd } = this;
    this.#reads++;
    try {
      return await read(fd);
    } finally {
      this.#reads--;
      if (this.#closing) this.close();
      else if (this.#released && this.#holds <= 0) this.rest();
    }
  }

  /**
   * Closes the file until it is read again, unless our writer still adds to it.
   *
   * @param scarce no more files can be opened: also one that is held is closed, as long as the file
   *   still has its name.
   */
  rest(scarce = false): void {
    if (this.#reads > 0) return;
    const isNeeded = this.#holds > 0 && (!scarce || this.#released);
    if (!isNeeded && (this.#released || this.finished)) this.#close();
  }

  /** It is no longer part of the data set; the file stays open for those that hold it. */
  release(): void {
    this.#released = true;
    this.rest();
  }

  /** Closes the file once no read is under way, even if it is held. */
  close(): void {
    this.#released = true;
    this.#closing = true;
    if (this.#reads === 0) this.#close();
  }

  /** Makes the index know every record that was whole before the call. */
  async catchUp(): Promise<void> {
    while (this.#catchingUp) await this.#catchingUp;
    if (this.complete || this.isOwn) return;
    this.hold();
    this.#catchingUp = this.#read().finally(() => {
      this.#catchingUp = undefined;
      this.unhold();
    });
    await this.#catchingUp;
  }

  async #read(): Promise<void> {
    const { finished } = this;
    if (this.index && !finished && this.#sizeThere() <= this.position) return;
    // First whether its writer runs, then the length: the other order could miss its last record.
    const live = !finished && mayRun(this.writer);
    const size = this.#sizeThere();
    if (!this.index) {
      // Of a file that was cut short it tells whose bytes are missing.
      const stored = finished && size >= SEGMENT_HEADER ? await this.#stored() : undefined;
      if (stored && stored.end === finished?.end) {
        this.index = stored;
        this.complete = true;
        return;
      }
      this.index = new GrowingIndex();
    }
    await scanRecords(this, { size: Math.min(size, finished?.end ?? size), live });
    if (live) return;
    this.complete = true;
    if (finished && this.position < finished.end) {
      const why = size < finished.end ? "the file was cut short" : "it does not match its checksum";
      this.unreadable.push({ offset: this.position, end: finished.end, why });
    }
    this.finished ??= { end: this.position, size };
  }

  /** Reads the segment through if a part of its stored index is damaged, which `get` would meet. */
  async replaceDamagedIndex(signal: AbortSignal): Promise<void> {
    if (!(this.index instanceof StoredIndex)) return;
    try {
      await this.index.check(signal);
    } catch (error) {
      if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
      // Others may read by the old one meanwhile.
      const { id, writer, isBase, finished } = this;
      const twin = new Segment(dirname(this.path), id, writer, { isBase });
      twin.finished = finished;
      twin.#trustsStored = false;
      try {
        await twin.catchUp();
      } finally {
        twin.close();
      }
      this.index = twin.index;
      this.unreadable.push(...twin.unreadable);
    }
  }

  async #stored(): Promise<StoredIndex | undefined> {
    if (!this.#trustsStored) return undefined;
    try {
      return await StoredIndex.open(this.indexPath, this.id);
    } catch (error) {
      // Whatever is wrong with the index, the segment has it all.
      if (isPartdError(error, "ERR_PARTD_CORRUPT")) return undefined;
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw systemError({ action: "read", path: this.indexPath }, error);
    }
  }

  /** The length that the file has now. */
  #sizeThere(): number {
    return fstatSync(this.fd).size;
  }

  #close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return;
    forget(this);
    closeFile(fd);
  }
}

function missing(path: string, cause: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${path} is missing, though the manifest lists it: what keys had bytes there is not known. Put it back from where the data set came from; or open it with { salvage: true }, and compact() it, which leaves it out.`,
    { path, cause },
  );
}

/**
 * Whether the writer that a token names may still run. One of another process namespace (another
 * container) cannot be seen from here and counts as running; one of another boot is gone, since a
 * data set is for one machine at a time.
 */
export function mayRun(token: string): boolean {
  const state = stateOf(token);
  return state === "running" || state === "hidden";
}
