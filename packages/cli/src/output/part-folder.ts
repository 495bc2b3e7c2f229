import {
  appendFileSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { UsageError } from "../command/failure.js";
import { showMany } from "../command/quantity.js";
import { appendStart, PartFile } from "./part-file.js";
import {
  describe,
  identify,
  type KeyPart,
  NAMES_TABLE,
  numbered,
  type PartNames,
} from "./part-names.js";
import { isPlacing, place, UnfinishedRun } from "./unfinished-run.js";

export interface PartFolderOptions {
  readonly append: boolean;
  readonly force: boolean;
  readonly resume: boolean;
  readonly names: PartNames;
  /** The identity of the work: only the same work can be resumed. */
  readonly identity: unknown;
  /** The beginning of every new file: the header of CSV. */
  readonly header?: Uint8Array | undefined;
  readonly maxBytes?: number | undefined;
  readonly maxRows?: number | undefined;
}

/** Whole records, end to end. */
export interface Rows {
  readonly bytes: Uint8Array;
  /** Where a file may end: if files are limited, after each record. */
  readonly ends: ArrayLike<number>;
}

/**
 * A directory with one file a key, or several if files are limited. The files are written in an {@link
 * UnfinishedRun} and put into place together; in a new directory, by one rename.
 */
export class PartFolder {
  files = 0;
  bytes = 0;
  /** Whether the interrupted run had already put everything into place. */
  readonly isDone: boolean;
  readonly #out: string;
  readonly #run: UnfinishedRun;
  readonly #options: PartFolderOptions;
  readonly #existing: ReadonlySet<string>;
  /** Files of keys by the table of names. */
  readonly #known = new Map<string, string>();
  /** Keys whose files were complete when the run was interrupted. */
  readonly #done = new Set<string>();
  /** Whether all names so far spell out their keys, so that no table is needed. */
  #allTell = true;
  #journal = "";

  /**
   * @throws `UsageError` if the directory is not empty, and no option says what to do with its content.
   */
  static open(name: string, options: PartFolderOptions): PartFolder {
    const existing = listing(name);
    const out = targetOf(name);
    refuseMount(out);
    const run = UnfinishedRun.begin(out, options.identity, options);
    const isOurs = isPlacing(run) || !existsSync(run.parts);
    if (existing.length > 0 && !options.append && !options.force && !isOurs) {
      if (!run.resumed) run.remove();
      throw new UsageError(
        `${out} is not empty; --append adds to its files, --force replaces those of the same names`,
      );
    }
    return new PartFolder(out, run, existing, options);
  }

  private constructor(
    out: string,
    run: UnfinishedRun,
    existing: readonly string[],
    options: PartFolderOptions,
  ) {
    this.#out = out;
    this.#run = run;
    this.#options = options;
    this.#existing = new Set(options.append ? existing : []);
    this.isDone = !existsSync(run.parts);
    if (this.isDone) return;
    for (const name of this.#existing) options.names.reserve(name);
    if (options.append) {
      for (const { file, key } of readTable(join(out, NAMES_TABLE))) {
        this.#known.set(JSON.stringify(key), file);
      }
    }
    if (run.resumed && !this.isPlacing) this.#recall();
  }

  /** Whether every file was complete when the run was interrupted, so that only placing is left. */
  get isPlacing(): boolean {
    return isPlacing(this.#run);
  }

  /** Where the files are written. */
  get draft(): string {
    return this.#run.parts;
  }

  /** Whether the files of a key were complete before the run was interrupted. */
  has(key: readonly KeyPart[]): boolean {
    return this.#done.has(identify(key));
  }

  /** Writes all records of a key. */
  async add(key: readonly KeyPart[], rows: AsyncIterable<Rows>): Promise<void> {
    const name = this.#nameOf(key);
    const files: PartFile[] = [];
    let file: PartFile | undefined;
    try {
      for await (const { bytes, ends } of rows) {
        for (let row = 0, from = 0; row < ends.length; ) {
          file ??= this.#begin(name, files.length + 1);
          const count = file.room(ends, row, from);
          if (count > 0) {
            const to = ends[row + count - 1] as number;
            file.write(bytes.subarray(from, to), count);
            from = to;
            row += count;
          } else {
            file.close();
            files.push(file);
            file = undefined;
          }
        }
      }
      file ??= this.#begin(name, files.length + 1);
    } finally {
      file?.close();
    }
    this.#note(key, [...files, file]);
  }

  /** Takes over a complete file in {@link draft} with all records of a key. */
  adopt(key: readonly KeyPart[], file: string): void {
    const name = this.#nameOf(key);
    const path = join(this.#run.parts, name);
    renameSync(join(this.#run.parts, file), path);
    this.#note(key, [{ name, bytes: statSync(path).size }]);
  }

  /** Puts the files into place. */
  async complete(): Promise<void> {
    if (this.isDone) return this.#run.remove();
    this.#flush();
    let stale: readonly string[] = [];
    if (!this.isPlacing) {
      if (!(this.#allTell && this.#known.size === 0)) this.#writeTable();
      stale = this.#staleFiles();
    }
    await place(this.#run, this.#out, { append: this.#options.append, stale });
    this.#run.remove();
  }

  /**
   * Files of an earlier split that this one does not write, and that --force removes: those that the
   * earlier split's table lists.
   *
   * @throws `UsageError` for others that would be taken for files of this split.
   */
  #staleFiles(): readonly string[] {
    const { append, force, names } = this.#options;
    if (append || !force) return [];
    const written = new Set(readdirSync(this.#run.parts));
    const left = listing(this.#out).filter((name) => {
      return !written.has(name) && statSync(join(this.#out, name)).isFile();
    });
    const listed = listedIn(join(this.#out, NAMES_TABLE));
    const stale = left.filter((name) => listed.has(name));
    const others = left.filter((name) => !listed.has(name) && names.isLike(name));
    if (others.length > 0) {
      const [one] = others;
      throw new UsageError(
        `${this.#out} holds ${showMany(others.length, "file")} that this run does not write, such as ${one}, and no ${NAMES_TABLE} says that an earlier split made ${others.length === 1 ? "it" : "them"}: move them away and go on with --resume --force, or take another directory`,
      );
    }
    return stale;
  }

  /** Call this after a failure: leaves what --resume can use. @returns whether there is anything. */
  abandon(): boolean {
    try {
      this.#flush();
    } catch {
      // The disk may be full: keys without a note are written again.
    }
    if (this.isPlacing || this.files > 0) return true;
    this.#run.remove();
    return false;
  }

  #nameOf(key: readonly KeyPart[]): string {
    const { names } = this.#options;
    const known = this.#known.get(identify(key));
    if (known !== undefined) return known;
    const plain = names.plain(key);
    return this.#existing.has(plain) && names.tells(plain, key) ? plain : names.take(key);
  }

  #begin(name: string, number: number): PartFile {
    const { names, header, maxBytes, maxRows } = this.#options;
    const file = numbered(name, number);
    if (number > 1) names.reserve(file);
    return new PartFile(join(this.#run.parts, file), {
      name: file,
      header: this.#existing.has(file) ? appendStart(join(this.#out, file), header) : header,
      maxBytes,
      maxRows,
    });
  }

  #note(key: readonly KeyPart[], files: readonly Pick<PartFile, "name" | "bytes">[]): void {
    for (const { name, bytes } of files) {
      this.files++;
      this.bytes += bytes;
      this.#allTell &&= this.#options.names.tells(name, key);
    }
    const note: Note = {
      key: key.map(describe),
      files: files.map(({ name, bytes }) => ({ name, bytes })),
    };
    this.#journal += `${JSON.stringify(note)}\n`;
    if (this.#journal.length > JOURNAL) this.#flush();
  }

  #flush(): void {
    if (this.#journal === "") return;
    appendFileSync(this.#run.path(DONE), this.#journal);
    this.#journal = "";
  }

  /** Notes the complete files of the interrupted run, and removes unfinished ones. */
  #recall(): void {
    const complete = new Set<string>();
    let journal = "";
    for (const note of this.#notes()) {
      const whole = note.files.every(({ name, bytes }) => {
        const found = statSync(join(this.#run.parts, name), { throwIfNoEntry: false });
        return found?.size === bytes;
      });
      if (!whole) continue;
      this.#done.add(JSON.stringify(note.key));
      journal += `${JSON.stringify(note)}\n`;
      for (const { name, bytes } of note.files) {
        complete.add(name);
        this.#options.names.reserve(name);
        this.files++;
        this.bytes += bytes;
        this.#allTell &&= this.#options.names.tells(name, note.key);
      }
    }
    for (const name of readdirSync(this.#run.parts)) {
      if (!complete.has(name)) rmSync(join(this.#run.parts, name));
    }
    // A kill may have cut the last line, which the next one must not continue.
    writeFileSync(this.#run.path(DONE), journal);
  }

  *#notes(): Generator<Note> {
    for (const line of linesOf(this.#run.path(DONE))) {
      try {
        yield JSON.parse(line) as Note;
      } catch {
        return;
      }
    }
  }

  #writeTable(): void {
    const path = join(this.#run.parts, NAMES_TABLE);
    writeFileSync(path, "");
    let text = "";
    const listed = new Set<string>();
    const list = (file: string, key: readonly unknown[]) => {
      if (listed.has(file)) return;
      listed.add(file);
      text += `${JSON.stringify({ file, key: key.length === 1 ? key[0] : key })}\n`;
      if (text.length < JOURNAL) return;
      appendFileSync(path, text);
      text = "";
    };
    for (const [key, file] of this.#known) list(file, JSON.parse(key));
    for (const { key, files } of this.#notes()) for (const { name } of files) list(name, key);
    appendFileSync(path, text);
  }
}

/** A line of the journal: a key and its files. */
interface Note {
  readonly key: readonly unknown[];
  readonly files: readonly {
    readonly name: string;
    readonly bytes: number;
  }[];
}

/** The directory that a name means: where its symbolic links lead, even if nothing is there yet. */
function targetOf(name: string): string {
  const path = resolve(name);
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) return name;
  return existsSync(path) ? realpathSync(path) : targetOf(resolve(path, "..", readlinkSync(path)));
}

/** @throws `UsageError` for a directory that is a disk of its own: files are written beside it, then renamed. */
function refuseMount(directory: string): void {
  const [own, parent] = [directory, resolve(directory, "..")].map((path) => {
    return statSync(path, { throwIfNoEntry: false })?.dev;
  });
  if (own === undefined || parent === undefined || own === parent) return;
  throw new UsageError(
    `${directory} is another disk than what it lies in; take a directory within it`,
  );
}

function listing(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    if (code !== "ENOTDIR") throw error;
    if (existsSync(directory))
      throw new UsageError(`${directory} is a file; --out takes a directory`);
    throw new UsageError(`there is no directory ${dirname(directory)} for ${directory}`);
  }
}

/**
 * The files that the table of a split lists, and the table itself; none where there is no such table.
 */
function listedIn(table: string): ReadonlySet<string> {
  try {
    const files = readTable(table).map(({ file }) => file);
    return new Set(files.length > 0 ? [...files, NAMES_TABLE] : []);
  } catch {
    return new Set(); // It is something else.
  }
}

function readTable(path: string): { file: string; key: unknown[] }[] {
  return linesOf(path).map((line) => {
    const { file, key } = JSON.parse(line) as { file: string; key: unknown };
    return { file, key: Array.isArray(key) ? key : [key] };
  });
}

function linesOf(path: string): string[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "");
}

/** The keys that are done, one a line. */
const DONE = "done.ndjson";

/** Characters that are written at once. */
const JOURNAL = 1 << 16;
