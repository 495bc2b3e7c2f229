import { fstatSync } from "node:fs";
import { dirname, join } from "node:path";
import { isPartdError, PartdError } from "@partd/core";
import { closeFile, errnoOf, stateOf, systemError, writeAllSync } from "@partd/disk";
import { headSeed, SEGMENT_HEADER, segmentHeader } from "../format/layout.js";
import { type ScannedSegment, scanRecords, type Unreadable } from "../format/scan.js";
import { GrowingIndex } from "../index/range-chains.js";
import { StoredIndex } from "../index/stored-index.js";
import { areTooManyOpen, forget, type OpenFile, openOrMakeRoom, remember } from "../open-files.js";

/** A file of records, written by one writer, and what this process knows of it. */
export class Segment implements OpenFile, ScannedSegment {
  readonly id: string;
  readonly path: string;
  readonly indexPath: string;
  /** Seeds the checksums of record heads. */
  readonly seed: number;
  /** The token of the process that writes it. */
  readonly writer: string;
  /** Whether `compact` made it: its records come before those of all other segments. */
  readonly isBase: boolean;
  /** Whether this store writes it, and so knows its index without reading. */
  readonly isOwn: boolean;
  /** Whether our writer still adds to it; then its length is known without `fstat`. */
  #isBeingWritten = false;
  #finished: { readonly end: number; readonly size: number } | undefined;
  #index: GrowingIndex | StoredIndex | undefined;
  #position = 0;
  #complete = false;
  readonly #unreadable: Unreadable[] = [];
  #sealed = false;
  #fd: number | undefined;
  /** Snapshots and streams that will read on, even if the file is removed. */
  #holds = 0;
  /** Running reads through the descriptor. */
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
    if (isOwn) this.#index = new GrowingIndex();
  }

  /** A segment that `compact` made, and that the manifest lists with its length. */
  static base(directory: string, id: string, size: number): Segment {
    const segment = new Segment(directory, id, "", { isBase: true });
    segment.#finished = { end: size, size };
    segment.#sealed = true;
    return segment;
  }

  /** Where its records end, and the length of the file. Set when it is finished. */
  get finished(): { readonly end: number; readonly size: number } | undefined {
    return this.#finished;
  }

  get index(): GrowingIndex | StoredIndex | undefined {
    return this.#index;
  }

  /** Where the next record is expected. */
  get position(): number {
    return this.#position;
  }

  /** Whether the index is complete. */
  get complete(): boolean {
    return this.#complete;
  }

  get unreadable(): readonly Unreadable[] {
    return this.#unreadable;
  }

  /** Whether a `seal` came after it: nobody adds to it. */
  get sealed(): boolean {
    return this.#sealed;
  }

  /** Notes that the manifest has a `seal` behind it. */
  seal(): void {
    this.#sealed = true;
  }

  /** Notes where its records end, and the length of the file, as its writer has told. */
  finish(end: number, size: number): void {
    this.#finished = { end, size };
    if (this.#position === end) this.#complete = true;
  }

  /** Moves the {@link position} to the end of what was read or written. */
  advance(end: number): void {
    this.#position = end;
  }

  /** Notes a stretch that cannot be read. */
  addUnreadable(stretch: Unreadable): void {
    this.#unreadable.push(stretch);
  }

  /** Creates the file, for our writer. @returns its descriptor. */
  create(): number {
    const fd = openOrMakeRoom(this.path, "wx+");
    this.adopt(fd);
    writeAllSync(fd, segmentHeader(this.id), 0);
    this.#position = SEGMENT_HEADER;
    this.#isBeingWritten = true;
    return fd;
  }

  /** Notes that our writer adds no more to it. */
  endWriting(): void {
    this.#isBeingWritten = false;
  }

  /** Reads on from the index file, which has been written, and frees the memory of its own index. */
  async useStoredIndex(): Promise<void> {
    this.#index = await StoredIndex.open(this.indexPath, this.id);
  }

  /** Frees the memory of the index, when nobody will read the segment through this object. */
  freeIndex(): void {
    this.#index = undefined;
  }

  /** Opened for reading at the first use, or for writing by {@link adopt}. */
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

  /**
   * Where its records end. In a segment that is still written: where the last record that we read ends.
   */
  get recordsEnd(): number {
    return this.#finished?.end ?? this.#position;
  }

  /** The length of the file: the present one, or the final one if it is finished. */
  get size(): number {
    if (this.#finished) return this.#finished.size;
    return this.#isBeingWritten ? this.#position : fstatSync(this.fd).size;
  }

  /** Opens the file while it has its name: from then on it can be read even if it is removed. */
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
    if (this.#released || areTooManyOpen()) this.closeIfIdle();
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
      else if (this.#released && this.#holds <= 0) this.closeIfIdle();
    }
  }

  /**
   * Closes the file until it is read again, unless our writer still adds to it.
   *
   * @param scarce whether no more files can be opened. Then a held file is closed too, as long as it
   *   still has its name.
   */
  closeIfIdle(scarce = false): void {
    if (this.#reads > 0) return;
    const isNeeded = this.#holds > 0 && (!scarce || this.#released);
    if (!isNeeded && (this.#released || this.#finished)) this.#close();
  }

  /** It no longer belongs to the data set; the file stays open for those that hold it. */
  release(): void {
    this.#released = true;
    this.closeIfIdle();
  }

  /** Closes the file once no read is running, even if it is held. */
  close(): void {
    this.#released = true;
    this.#closing = true;
    if (this.#reads === 0) this.#close();
  }

  /** Adds to the index every record that was whole before the call. */
  async catchUp(): Promise<void> {
    while (this.#catchingUp) await this.#catchingUp;
    if (this.#complete || this.isOwn) return;
    this.hold();
    this.#catchingUp = this.#read().finally(() => {
      this.#catchingUp = undefined;
      this.unhold();
    });
    await this.#catchingUp;
  }

  async #read(): Promise<void> {
    const finished = this.#finished;
    if (this.#index && !finished && this.#sizeThere() <= this.#position) return;
    // First check whether the writer runs, then the length: the other order could miss its last record.
    const live = !finished && mayRun(this.writer);
    const size = this.#sizeThere();
    if (!this.#index) {
      // The stored index of a file that was cut short tells whose bytes are missing.
      const stored = finished && size >= SEGMENT_HEADER ? await this.#stored() : undefined;
      if (stored && stored.end === finished?.end) {
        this.#index = stored;
        this.#complete = true;
        return;
      }
      this.#index = new GrowingIndex();
    }
    await scanRecords(this, this.#index as GrowingIndex, {
      size: Math.min(size, finished?.end ?? size),
      live,
    });
    if (live) return;
    this.#complete = true;
    if (finished && this.#position < finished.end) {
      const why = size < finished.end ? "the file was cut short" : "it does not match its checksum";
      this.#unreadable.push({ offset: this.#position, end: finished.end, why });
    }
    this.#finished ??= { end: this.#position, size };
  }

  /** Reads the segment through if a part of its stored index is damaged, where `get` would fail. */
  async replaceDamagedIndex(signal: AbortSignal): Promise<void> {
    if (!(this.#index instanceof StoredIndex)) return;
    try {
      await this.#index.check(signal);
    } catch (error) {
      if (!isPartdError(error, "ERR_PARTD_CORRUPT")) throw error;
      // Other reads may use the old index meanwhile.
      const { id, writer, isBase } = this;
      const twin = new Segment(dirname(this.path), id, writer, { isBase });
      twin.#finished = this.#finished;
      twin.#trustsStored = false;
      try {
        await twin.catchUp();
      } finally {
        twin.close();
      }
      this.#index = twin.#index;
      this.#unreadable.push(...twin.#unreadable);
    }
  }

  async #stored(): Promise<StoredIndex | undefined> {
    if (!this.#trustsStored) return undefined;
    try {
      return await StoredIndex.open(this.indexPath, this.id);
    } catch (error) {
      // A damaged or missing index is no loss: the segment is read instead.
      if (isPartdError(error, "ERR_PARTD_CORRUPT")) return undefined;
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw systemError({ action: "read", path: this.indexPath }, error);
    }
  }

  /** The present length of the file. */
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
