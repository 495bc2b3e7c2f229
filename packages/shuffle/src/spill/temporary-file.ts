import type { FileHandle } from "node:fs/promises";
import { constants, open, statfs } from "node:fs/promises";
import { join, resolve } from "node:path";
import { PartdError } from "@partd/core";
import type { Block } from "./block.js";
import { diskError } from "./disk-error.js";
import type { Tape, TapeSpace } from "./tape.js";

/**
 * All tapes in one temporary file, so that any number of them needs one open file. The file is created
 * when the first block is spilled; the space of a discarded tape is used again.
 */
export class TemporaryFile implements TapeSpace {
  readonly #folder: string | undefined;
  #directory: SpillDirectory | undefined;
  readonly #expected: number;
  #opening: Promise<FileHandle> | undefined;
  readonly #space = new FreeSpace();

  /**
   * @param folder where to put it. Default: `os.tmpdir()`.
   * @param expected bytes that will probably be spilled; checked against the free space before the
   *   first of them.
   * @param directory a directory for this file alone. It may already have the file, from an earlier
   *   process.
   */
  constructor(folder: string | undefined, expected = 0, directory?: SpillDirectory) {
    this.#folder = folder === undefined ? undefined : resolve(folder);
    this.#directory = directory;
    this.#expected = expected;
  }

  /** Marks extents of an existing file as used, before anything is appended. */
  occupy(extents: readonly Extent[]): void {
    this.#space.occupy(extents);
  }

  /** @param extents the tape's extents in an existing file. */
  tape(extents: Extent[] = []): FileTape {
    return {
      extents,
      append: (blocks) => this.#append(extents, blocks),
      read: (from, into) => this.#read(extents, from, into),
      discard: async () => {
        for (const extent of extents.splice(0)) this.#space.free(extent);
      },
    };
  }

  async #append(extents: Extent[], blocks: readonly Block[]): Promise<void> {
    this.#opening ??= this.#open();
    const file = await this.#opening;
    const size = blocks[0]!.bytes.length;
    const extent = this.#space.allocate(blocks.length);
    try {
      await writeAll(file, blocks, extent.start * size);
    } catch (cause) {
      this.#space.free(extent);
      throw diskError("spill to", this.#path, cause);
    }
    const last = extents[extents.length - 1];
    if (last && last.start + last.length === extent.start) last.length += extent.length;
    else extents.push(extent);
  }

  get #path(): string {
    return join(this.#directory?.path ?? this.#folder ?? "", "spilled");
  }

  async #open(): Promise<FileHandle> {
    try {
      this.#directory ??= await temporaryDirectory(this.#folder);
      await this.#directory.make();
      await this.#lookForSpace(this.#directory.path);
      return await open(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (cause) {
      throw diskError("make", this.#path, cause);
    }
  }

  /** It is better not to begin a run that cannot end. */
  async #lookForSpace(path: string): Promise<void> {
    const { bavail, bsize } = await statfs(path);
    const free = bavail * bsize;
    if (free >= this.#expected) return;
    throw new PartdError(
      "ERR_PARTD_IO",
      `About ${this.#expected} bytes have to be spilled, and ${free} are free in ${this.#folder ?? "the system's temporary directory"}: set dir to a folder on a disk with more space, or raise memory.`,
      { path },
    );
  }

  async #read(extents: readonly Extent[], from: number, into: readonly Block[]): Promise<void> {
    this.#opening ??= this.#open();
    const file = await this.#opening;
    let skip = from;
    let done = 0;
    for (const { start, length } of extents) {
      if (done === into.length) return;
      if (skip >= length) {
        skip -= length;
        continue;
      }
      const blocks = into.slice(done, done + length - skip);
      const size = blocks[0]!.bytes.length;
      try {
        await readAll(file, blocks, (start + skip) * size);
      } catch (cause) {
        throw diskError("read what was spilled to", this.#path, cause);
      }
      done += blocks.length;
      skip = 0;
    }
  }

  async close(): Promise<void> {
    const opening = this.#opening;
    this.#opening = undefined;
    if (!opening) return;
    let file: FileHandle;
    try {
      file = await opening;
    } catch {
      // The run rejects with that error. What prevents the file may also prevent its removal.
      await this.#directory?.remove().catch(() => {});
      return;
    }
    await file.close().catch(() => {});
    await this.#directory?.remove();
  }
}

/** Imported at the first spill: it takes 12 ms of CPU, which most runs do not need. */
async function temporaryDirectory(folder: string | undefined): Promise<SpillDirectory> {
  const { TemporaryDirectory } = await import("@partd/disk");
  return new TemporaryDirectory("partd-shuffle", folder);
}

async function writeAll(file: FileHandle, blocks: readonly Block[], at: number): Promise<void> {
  let position = at;
  let pieces: Uint8Array[] = blocks.map(({ bytes }) => bytes);
  while (pieces.length > 0) {
    const { bytesWritten } = await file.writev(pieces, position);
    position += bytesWritten;
    pieces = after(pieces, bytesWritten);
  }
}

async function readAll(file: FileHandle, blocks: readonly Block[], at: number): Promise<void> {
  let position = at;
  let pieces: Uint8Array[] = blocks.map(({ bytes }) => bytes);
  while (pieces.length > 0) {
    const { bytesRead } = await file.readv(pieces, position);
    if (bytesRead === 0) {
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        "Another program has cut the temporary file of this run short: run it again.",
      );
    }
    position += bytesRead;
    pieces = after(pieces, bytesRead);
  }
}

/** The rest of the pieces after this many bytes: a call may do a part of them. */
function after(pieces: readonly Uint8Array[], byteLength: number): Uint8Array[] {
  let skip = byteLength;
  let index = 0;
  while (index < pieces.length && skip >= pieces[index]!.length) skip -= pieces[index++]!.length;
  const rest = pieces.slice(index);
  if (rest.length > 0) rest[0] = rest[0]!.subarray(skip);
  return rest;
}

/** The directory of the file. */
interface SpillDirectory {
  readonly path: string;
  make(): Promise<void>;
  remove(): Promise<void>;
}

export interface FileTape extends Tape {
  readonly extents: readonly Extent[];
}

/** A run of blocks in the file. */
interface Extent {
  start: number;
  length: number;
}

/** The free blocks of the file: extents in order, no two of them adjacent. */
class FreeSpace {
  readonly #extents: Extent[] = [];
  #end = 0;

  occupy(extents: readonly Extent[]): void {
    for (const { start, length } of [...extents].sort((a, b) => a.start - b.start)) {
      if (start > this.#end) this.free({ start: this.#end, length: start - this.#end });
      this.#end = start + length;
    }
  }

  allocate(length: number): Extent {
    const index = this.#extents.findIndex((extent) => extent.length >= length);
    const extent = this.#extents[index];
    if (!extent) {
      this.#end += length;
      return { start: this.#end - length, length };
    }
    const { start } = extent;
    extent.start += length;
    extent.length -= length;
    if (extent.length === 0) this.#extents.splice(index, 1);
    return { start, length };
  }

  free({ start, length }: Extent): void {
    const extents = this.#extents;
    let low = 0;
    let high = extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (extents[middle]!.start < start) low = middle + 1;
      else high = middle;
    }
    extents.splice(low, 0, { start, length });
    this.#join(low);
    this.#join(low - 1);
  }

  #join(index: number): void {
    const left = this.#extents[index];
    const right = this.#extents[index + 1];
    if (!left || !right || left.start + left.length !== right.start) return;
    left.length += right.length;
    this.#extents.splice(index + 1, 1);
  }
}
