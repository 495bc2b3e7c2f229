import { appendFileSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { uptime } from "node:os";
import { join, resolve } from "node:path";
import { PartdError } from "@partd/core";
import { makeFolders, pidOf, processToken, stateOf } from "@partd/disk";
import type { Chain } from "../spill/chain.js";
import { diskError } from "../spill/disk-error.js";
import type { TapeSpace } from "../spill/tape.js";
import { type FileTape, TemporaryFile } from "../spill/temporary-file.js";
import type { Workspace } from "../spill/workspace.js";

/**
 * Sorted runs in a directory that outlives a kill: their blocks in one file, and a journal that lists
 * the complete runs, one a line. Neither is synced to the disk, so nothing is used that was written
 * before this boot, or on another machine.
 */
export class Checkpoint {
  readonly #runs: string;
  readonly #journal: string;
  readonly #file: TemporaryFile;
  #header: string | undefined;

  /**
   * @param expected bytes that will probably be spilled.
   * @throws `ERR_PARTD_LOCK` while another process sorts with this directory.
   */
  constructor(directory: string, expected: number) {
    const path = resolve(directory);
    this.#runs = join(path, RUNS);
    this.#journal = join(path, JOURNAL);
    const make = async () => makeFolders(path, 0o700);
    this.#file = new TemporaryFile(path, expected, { path, make, remove: async () => undefined });
  }

  get space(): TapeSpace {
    return this.#file;
  }

  /**
   * The complete runs, and how many records of the source they hold. Call this before anything is
   * spilled.
   */
  recall(workspace: Workspace): { readonly runs: Chain[]; readonly covered: number } {
    const { blockSize } = workspace;
    const notes = this.#notes(blockSize);
    const header: Header = { format: FORMAT, blockSize, owner: processToken() };
    this.#header = `${JSON.stringify(header)}\n`;
    if (notes.length === 0) {
      rmSync(this.#journal, { force: true });
      rmSync(this.#runs, { force: true });
      return { runs: [], covered: 0 };
    }
    const lines = notes.map((note) => `${JSON.stringify(note)}\n`);
    // In one step, so that a kill leaves the journal as it was.
    writeFileSync(`${this.#journal}.draft`, this.#header + lines.join(""));
    renameSync(`${this.#journal}.draft`, this.#journal);
    this.#header = undefined;
    const listed = listedRuns(notes);
    this.#file.occupy(listed.flatMap(({ extents }) => extents));
    const runs = listed.map(({ extents, ...note }) => {
      const blocks = extents.reduce((sum, { length }) => sum + length, 0);
      const run = workspace.chain();
      run.restore(this.#file.tape([...extents]), blocks, note);
      return run;
    });
    return { runs, covered: notes.at(-1)!.covered };
  }

  /**
   * Lists a run. All its blocks have to be on its tape.
   *
   * @param covered how many records of the source the listed runs hold.
   * @param merged the runs that it was made of, which are no longer listed: the first one's index, and
   *   their count.
   */
  note(run: Chain, covered: number, merged?: Note["merged"]): void {
    const { records, byteLength, longest } = run;
    const { extents } = run.tape as FileTape;
    const note: Note = { covered, merged, records, byteLength, longest, extents };
    try {
      appendFileSync(this.#journal, `${this.#header ?? ""}${JSON.stringify(note)}\n`);
    } catch (cause) {
      throw diskError("write", this.#journal, cause);
    }
    this.#header = undefined;
  }

  /**
   * The usable part of the journal: nothing if another version wrote it, blocks had another size, or may
   * not have reached the disk.
   */
  #notes(blockSize: number): Note[] {
    const text = ifThere(() => readFileSync(this.#journal, "utf8"));
    const size = ifThere(() => statSync(this.#runs).size);
    if (text === undefined || size === undefined) return [];
    // A kill may have cut the last line short.
    const lines = text.split("\n").slice(0, -1);
    const [header, ...notes] = parsed(lines) as [Header?, ...unknown[]];
    if (header?.format !== FORMAT || header.blockSize !== blockSize) return [];
    if (!this.#isOfThisBoot(header.owner) || !notes.every(isNote)) return [];
    const isThere = ({ start, length }: FileTape["extents"][number]) =>
      (start + length) * blockSize <= size;
    return notes.every(({ extents }) => extents.every(isThere)) ? notes : [];
  }

  #isOfThisBoot(owner: string): boolean {
    const state = stateOf(owner);
    if (owner !== processToken() && (state === "running" || state === "hidden")) {
      throw new PartdError(
        "ERR_PARTD_LOCK",
        `Process ${pidOf(owner)} sorts with the checkpoint ${this.#journal}: wait for it, or choose another directory.`,
        { path: this.#journal },
      );
    }
    const booted = Date.now() - uptime() * 1000;
    return state !== "unknown" && statSync(this.#journal).mtimeMs >= booted;
  }
}

/** The first line of the journal. */
interface Header {
  readonly format: number;
  readonly blockSize: number;
  readonly owner: string;
}

/** Each further line: a run. */
interface Note {
  readonly covered: number;
  readonly merged?: { readonly from: number; readonly count: number } | undefined;
  readonly records: number;
  readonly byteLength: number;
  readonly longest: number;
  readonly extents: FileTape["extents"];
}

/** Whether a line has all that a run needs. */
function isNote(line: unknown): line is Note {
  const { merged, extents, ...counts } = (line ?? {}) as Note;
  const { covered, records, byteLength, longest } = counts;
  if (!areCounts(covered, records, byteLength, longest)) return false;
  if (merged !== undefined && !areCounts(merged?.from, merged?.count)) return false;
  return Array.isArray(extents) && extents.every((one) => areCounts(one?.start, one?.length));
}

function areCounts(...values: readonly unknown[]): boolean {
  return values.every((value) => Number.isSafeInteger(value) && (value as number) >= 0);
}

/** The runs that were not merged into a later one, in the order of the source. */
function listedRuns(notes: readonly Note[]): Note[] {
  const listed: Note[] = [];
  for (const note of notes) {
    if (note.merged) listed.splice(note.merged.from, note.merged.count, note);
    else listed.push(note);
  }
  return listed;
}

/** Parses the lines. A journal that a crash of the machine has damaged has none. */
function parsed(lines: readonly string[]): unknown[] {
  try {
    return lines.map((line) => JSON.parse(line));
  } catch {
    return [];
  }
}

function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The version of the journal and of the runs' frames. */
const FORMAT = 3;
const RUNS = "spilled";
const JOURNAL = "runs.ndjson";
