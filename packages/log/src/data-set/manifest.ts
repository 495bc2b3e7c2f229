import { fdatasyncSync, fstatSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { PartdError } from "@partd/core";
import { closeFile, readAllSync, syncDirectory, systemError } from "@partd/disk";
import {
  formatLine,
  HEADING_LENGTH,
  isCutShort,
  type ManifestLine,
  manifestText,
  parseLine,
} from "../format/manifest-line.js";
import {
  draftsOf,
  LONGEST,
  makeManifest,
  openManifest,
  removeDrafts,
  tooLong,
  writeDraft,
} from "./manifest-file.js";
import { mayRun } from "./segment.js";

/**
 * The list of a data set's segments: a text file that grows by lines. One `fstat` shows by the size
 * whether there are new ones. Lines are appended whole by `O_APPEND`; a line that a crash or a full
 * disk cut short fails its checksum and is skipped. When most lines are obsolete, a shorter file
 * replaces it, which the same `fstat` shows.
 */
export class Manifest {
  readonly path: string;
  /** Lines that a blank file lacks: announce them under the exclusive lock, if no one else has. */
  readonly lost: readonly ManifestLine[];
  readonly #salvage: boolean;
  #fd: number;
  /** Where the first line begins. */
  #start: number;
  /** Bytes read so far, in whole lines. */
  #read: number;
  #damaged: number[] = [];
  #cutShort: number[] = [];
  /** Whether the rest after the last whole line was cut short. */
  #endsCutShort = false;
  #size = 0;

  /**
   * Opens the manifest, and creates it with `lines` if there is none.
   *
   * @param salvage whether to read a manifest with a damaged heading.
   */
  constructor(
    path: string,
    lines: () => readonly ManifestLine[] = () => [],
    { salvage = false } = {},
  ) {
    this.path = path;
    this.#salvage = salvage;
    this.lost = makeManifest(path, lines);
    [this.#fd, this.#start] = openManifest(path, salvage);
    this.#read = this.#start;
  }

  /** Offsets of lines that are damaged or cut short. */
  get damaged(): readonly number[] {
    return this.#read < this.#size ? [...this.#damaged, this.#read] : this.#damaged;
  }

  /**
   * Whether the first line is damaged: in a condensed manifest, the only one that names base segments.
   */
  get isStartDamaged(): boolean {
    return this.damaged.some((offset) => offset <= this.#start + 1);
  }

  /** Those of {@link damaged} that a killed writer or a full disk has left: lines without their end. */
  get cutShort(): readonly number[] {
    const hasEnd = this.#read >= this.#size || !this.#endsCutShort;
    return hasEnd ? this.#cutShort : [...this.#cutShort, this.#read];
  }

  /** Whether lines were added since they were last read, or the file was replaced. */
  get hasNews(): boolean {
    const { nlink, size } = fstatSync(this.#fd);
    return size !== this.#size || nlink === 0;
  }

  /** Whether there are lines that were not read yet. */
  get hasUnread(): boolean {
    return fstatSync(this.#fd).size !== this.#size;
  }

  /** Whether another file has replaced it: then call {@link reopen}. */
  get isReplaced(): boolean {
    return fstatSync(this.#fd).nlink === 0;
  }

  /** Reads the lines of the file that has replaced it. */
  reopen(): ManifestLine[] {
    try {
      this.#use(...openManifest(this.path, this.#salvage));
      return this.#unread();
    } catch (cause) {
      throw systemError({ action: "read", path: this.path }, cause);
    }
  }

  /**
   * The lines that were added since the last call. Of very many it returns some, so that the call is
   * short; {@link hasNews} then stays true.
   *
   * @throws `ERR_PARTD_CORRUPT` if the file is longer than any that a LogStore writes.
   */
  news(): ManifestLine[] {
    const { size } = fstatSync(this.#fd);
    if (size > LONGEST) throw tooLong(this.path, size);
    for (let length = SLICE; ; length *= 2) {
      const bytes = Buffer.alloc(Math.min(length, Math.max(0, size - this.#read)));
      const count = readAllSync(this.#fd, bytes, this.#read);
      const isLast = this.#read + bytes.length >= size;
      const { lines, end } = this.#parse(bytes.subarray(0, count), isLast);
      if (end === 0 && !isLast) continue; // A line that is longer than the slice.
      this.#read += end;
      this.#size = isLast ? size : this.#read;
      if (isLast) this.#endsCutShort = isCutShort(bytes.toString("latin1", end, count));
      return lines;
    }
  }

  #unread(): ManifestLine[] {
    const lines: ManifestLine[] = [];
    do {
      for (const line of this.news()) lines.push(line);
    } while (this.hasUnread);
    return lines;
  }

  /** The whole lines, parsed, and where the last of them ends. */
  #parse(bytes: Buffer, isLast: boolean): { lines: ManifestLine[]; end: number } {
    // Every line is written with a line feed before it, which ends a line that was cut short. A line
    // that lacks only its last byte would match its checksum, but must not become valid with the next
    // line. So the byte behind a line has to be known.
    const lines: ManifestLine[] = [];
    const known = isLast ? bytes.length : bytes.length - 1;
    let start = 0;
    for (;;) {
      while (bytes[start] === 10 && start < known) start++;
      const end = bytes.indexOf(10, start);
      if (end < 0 || end >= known) return { lines, end: start };
      const text = bytes.toString("latin1", start, end);
      const isWhole = end + 1 === bytes.length || bytes[end + 1] === 10;
      const line = isWhole ? parseLine(text, this.path, this.#read + start) : undefined;
      if (line) lines.push(line);
      else if (this.#damaged.length < MOST_DAMAGED) {
        this.#damaged.push(this.#read + start);
        if (!isWhole && isCutShort(text)) this.#cutShort.push(this.#read + start);
      }
      start = end + 1;
    }
  }

  /**
   * Adds lines in one write, so that other processes see all or none of them.
   *
   * @throws `ERR_PARTD_IO` for a segment if there are too many: the rest of the room is for the lines
   *   that make the manifest shorter again.
   */
  add(lines: readonly ManifestLine[], durable: boolean): void {
    if (this.#size > FULL && lines.some(([kind]) => kind === "segment")) {
      throw new PartdError(
        "ERR_PARTD_IO",
        `${this.path} lists so many segments that no more can be added, and nothing was done; compact() the data set.`,
        { path: this.path },
      );
    }
    const text = Buffer.from(lines.map(formatLine).join(""), "latin1");
    try {
      this.#refuseOtherNames();
      let written = writeSync(this.#fd, text, 0, text.length);
      // Write all of it once more: another process may have added a line in between.
      if (written < text.length) written = writeSync(this.#fd, text, 0, text.length);
      if (written < text.length) throw Object.assign(new Error("cut short"), { code: "ENOSPC" });
      if (durable) fdatasyncSync(this.#fd);
    } catch (cause) {
      throw systemError({ action: "write to", path: this.path }, cause);
    }
  }

  /**
   * A copy of the directory that is made of hard links shares the file: each would list the other's
   * segments.
   */
  #refuseOtherNames(): void {
    if (fstatSync(this.#fd).nlink <= 1) return;
    removeDrafts(this.path, mayRun);
    const drafts = draftsOf(this.path).map((draft) => statSync(draft, { throwIfNoEntry: false }));
    const { ino, nlink } = fstatSync(this.#fd);
    // A store that makes the file gives it two names for a moment.
    if (nlink - drafts.filter((draft) => draft?.ino === ino).length <= 1) return;
    const message = `${this.path} has other names`;
    throw Object.assign(new Error(message), { code: "EMLINK", syscall: "open" });
  }

  /**
   * Replaces the file by one with these lines, if that is much shorter. Call it under the exclusive
   * lock.
   *
   * @param verify throws if the lock was lost.
   */
  condense(lines: readonly ManifestLine[], verify: () => void): void {
    const text = manifestText(lines);
    const isLong = this.#size > LONG && this.#size > 2 * text.length;
    const isDamaged = this.damaged.length > 0 || this.#start !== HEADING_LENGTH;
    if (isLong || isDamaged) this.replace(lines, verify);
  }

  /**
   * The same, however long. Only a store without a lease can add a line to the old file at the last
   * moment, namely one that says where a segment ends. It saves time, so it is added to the new file,
   * too.
   */
  replace(lines: readonly ManifestLine[], verify: () => void): void {
    const text = manifestText(lines);
    const folder = dirname(this.path);
    removeDrafts(this.path, mayRun);
    const draft = writeDraft(this.path, text);
    try {
      verify(); // A process that passes us over removes the draft, so it cannot replace a later file.
      renameSync(draft, this.path);
    } catch (error) {
      rmSync(draft, { force: true });
      throw error;
    }
    syncDirectory(folder); // What is added from now on must not be lost with the new name.
    // A process that adds a line later sees that the file has no name.
    const late = this.#unread().filter(([kind]) => kind === "finished");
    this.#use(...openManifest(this.path, this.#salvage));
    this.#unread();
    try {
      if (late.length > 0) this.add(late, true);
    } catch {
      // The disk is full: the segments are then read through.
    }
  }

  /** Removes the drafts of holders that were passed over, so that they cannot replace the manifest. */
  removeDrafts(): void {
    removeDrafts(this.path, () => false);
  }

  close(): void {
    closeFile(this.#fd);
  }

  #use(fd: number, start: number): void {
    closeFile(this.#fd);
    this.#fd = fd;
    this.#start = this.#read = start;
    this.#size = 0;
    this.#damaged = [];
    this.#cutShort = [];
    this.#endsCutShort = false;
  }
}

/** A manifest of up to this many bytes is not worth replacing. */
const LONG = 4096;
/** Bytes that are read at once: some 3,000 lines, in a few milliseconds. */
const SLICE = 2 ** 18;
/** From this many bytes on no segment is added: some 290,000 segments, if none was compacted. */
const FULL = 2 ** 25;
/** The most damaged lines whose offsets are kept. */
const MOST_DAMAGED = 1_000;
