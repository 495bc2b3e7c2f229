import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  linkSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { PartdError } from "@partd/core";
import { crc32, uniqueToken } from "@partd/core/node";
import { checkVersion, VERSION } from "./format.js";
import { ioError } from "./io-error.js";

/** What the manifest tells, one line each. */
export type ManifestEntry =
  /** A writer, named by its process's token, added a segment. */
  | readonly ["segment", id: string, writer: string]
  /** The segment's records fill its first `end` bytes, and it stays `size` bytes long. */
  | readonly ["finished", id: string, end: string, size: string]
  /** No one writes on to the segments named so far; each writer begins another. */
  | readonly ["seal"]
  /**
   * The segments of `oldIds` are replaced by those of `newIds`: lists with commas, or `-` for
   * none. To a new one's id its length is added behind a colon. `floor` is what the clock counted.
   */
  | readonly ["compacted", floor: string, newIds: string, oldIds: string]
  /** All segments so far are gone. */
  | readonly ["drop", floor: string];

/**
 * The list of a data set's segments: a text file that only grows, a line at a time, so that its
 * size tells every process at the cost of one `fstat` whether there is news. Lines are added
 * whole by `O_APPEND`; one that a crash or a full disk cut short fails its checksum and is skipped.
 */
export class Manifest {
  readonly path: string;
  readonly #fd: number;
  /** Bytes read so far: whole lines. */
  #read = 0;
  readonly #damaged: number[] = [];
  #size = 0;

  /** Opens the manifest, which is made if there is none. */
  constructor(path: string) {
    this.path = path;
    this.#fd = openManifest(path);
    try {
      const first = Buffer.alloc(64);
      const length = readSync(this.#fd, first, 0, 64, 0);
      const [, version] = /^partd-log (\d+)\n/.exec(first.toString("latin1", 0, length)) ?? [];
      if (!version) {
        throw new PartdError("ERR_PARTD_CORRUPT", `${path} is no manifest of a LogStore.`, {
          path,
        });
      }
      checkVersion(Number(version), path);
      this.#read = first.indexOf("\n") + 1;
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** Where lines are damaged or cut short. */
  get damaged(): readonly number[] {
    return this.#read < this.#size ? [...this.#damaged, this.#read] : this.#damaged;
  }

  /** Whether lines were added since they were last read. */
  get hasNews(): boolean {
    return fstatSync(this.#fd).size !== this.#size;
  }

  /** The entries that were added since the last call. */
  news(): ManifestEntry[] {
    const entries: ManifestEntry[] = [];
    const size = fstatSync(this.#fd).size;
    this.#size = size;
    if (size <= this.#read) return entries;
    const bytes = Buffer.alloc(size - this.#read);
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(this.#fd, bytes, length, bytes.length - length, this.#read + length);
      if (count === 0) break;
      length += count;
    }
    // Every line is written with a line feed before it, which ends one that was cut short.
    let start = 0;
    for (let end = bytes.indexOf(10, start); end >= 0; end = bytes.indexOf(10, start)) {
      const entry = parseLine(bytes.toString("latin1", start, end));
      if (entry) entries.push(entry);
      else if (end > start) this.#damaged.push(this.#read + start);
      start = end + 1;
    }
    this.#read += start;
    return entries;
  }

  /** Adds lines in one write, which other processes see whole. */
  add(entries: readonly ManifestEntry[], durable: boolean): void {
    const text = Buffer.from(entries.map((entry) => `\n${formatLine(entry)}\n`).join(""), "latin1");
    try {
      const written = writeSync(this.#fd, text, 0, text.length);
      if (written < text.length) writeSync(this.#fd, text, written, text.length - written);
      if (durable) fdatasyncSync(this.#fd);
    } catch (cause) {
      throw ioError("write to", this.path, cause);
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function openManifest(path: string): number {
  const flags = constants.O_RDWR | constants.O_APPEND;
  try {
    return openSync(path, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  // It appears with its first line in it, whoever comes first.
  const draft = `${path}.${uniqueToken()}`;
  try {
    writeFileSync(draft, `partd-log ${VERSION}\n`, { flush: true });
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return openSync(path, flags);
}

function formatLine(entry: ManifestEntry): string {
  const text = entry.join(" ");
  return `${checksum(text)} ${text}`;
}

function parseLine(line: string): ManifestEntry | undefined {
  const text = line.slice(9);
  if (line.slice(0, 9) !== `${checksum(text)} `) return undefined;
  return text.split(" ") as unknown as ManifestEntry;
}

function checksum(text: string): string {
  return crc32(Buffer.from(text, "latin1")).toString(16).padStart(8, "0");
}
