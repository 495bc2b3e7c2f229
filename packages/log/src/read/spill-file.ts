import { rmSync } from "node:fs";
import { join } from "node:path";
import { closeFile, readAll, systemError, uniqueToken, writePieces } from "@partd/disk";
import { openOrMakeRoom, readAtOnce } from "../open-files.js";

/**
 * Chunks in an unlinked file, or in memory if there is no directory for it. They are gathered into long
 * writes: a write of 16 KiB costs a turn through the thread pool, as one of 512 KiB does.
 */
export class SpillFile {
  readonly #directory: string | undefined;
  readonly #chunks: Buffer[] = [];
  #fd: number | undefined;
  /** What is not written yet, and its position in the file. */
  #gathered: Buffer = Buffer.alloc(0);
  #length = 0;
  #start = 0;
  readonly #writing = new Set<Promise<void>>();
  readonly #free: Buffer[] = [];

  constructor(directory: string | undefined) {
    this.#directory = directory;
  }

  /** Copies pieces to a chunk, and does not use them afterwards. @returns the chunk's position. */
  async write(pieces: readonly Buffer[], length: number): Promise<number> {
    if (this.#directory === undefined) return this.#chunks.push(Buffer.concat(pieces)) - 1;
    if (this.#length + length > this.#gathered.length) {
      await this.#writeGathered();
      this.#gathered = this.#free.pop() ?? Buffer.allocUnsafeSlow(WRITE);
      if (length > WRITE) this.#gathered = Buffer.allocUnsafeSlow(length);
    }
    const position = this.#start + this.#length;
    for (const piece of pieces) {
      piece.copy(this.#gathered, this.#length);
      this.#length += piece.length;
    }
    return position;
  }

  /** Resolves when all chunks can be read. */
  async settle(): Promise<void> {
    await this.#writeGathered();
    await this.#settled(Promise.all(this.#writing));
    this.#gathered = Buffer.alloc(0);
    this.#free.length = 0;
  }

  /** Fills `target`. @returns a promise unless it was done at once. */
  read(position: number, target: Buffer): Promise<void> | undefined {
    const chunk = this.#chunks[position];
    if (chunk) chunk.copy(target);
    else if (readAtOnce(this.#fd as number, target, position) < target.length) {
      return this.#read(position, target);
    }
    return undefined;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#writing);
    if (this.#fd !== undefined) closeFile(this.#fd);
    this.#fd = undefined;
  }

  async #read(position: number, target: Buffer): Promise<void> {
    const count = await readAll(this.#fd as number, target, position);
    if (count < target.length) {
      throw new Error(`The spilled bytes in ${this.#directory} were cut short.`);
    }
  }

  /** Writes while the caller goes on. */
  async #writeGathered(): Promise<void> {
    const gathered = this.#gathered;
    const length = this.#length;
    if (length === 0) return;
    this.#fd ??= openUnnamed(this.#directory as string);
    const work = writePieces(this.#fd, [gathered.subarray(0, length)], this.#start).then(() => {
      this.#writing.delete(work);
      if (gathered.length === WRITE) this.#free.push(gathered);
    });
    work.catch(() => {}); // `settle` and later writes throw it.
    this.#writing.add(work);
    this.#start += length;
    this.#length = 0;
    this.#gathered = Buffer.alloc(0);
    if (this.#writing.size >= MOST_WRITING) await this.#settled(Promise.race(this.#writing));
  }

  async #settled(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      throw systemError({ action: "spill to", path: this.#directory ?? "memory" }, error);
    }
  }
}

function openUnnamed(directory: string): number {
  const path = join(directory, `spill-${uniqueToken()}`);
  try {
    const fd = openOrMakeRoom(path, "wx+");
    rmSync(path);
    return fd;
  } catch (error) {
    throw systemError({ action: "make", path: path }, error);
  }
}

/** Bytes that are written at once, unless a chunk is longer. */
const WRITE = 512 * 1024;
/** The most writes at a time. */
const MOST_WRITING = 4;

/** What the segments hold of some keys: chunks, in the order of writing. */
export class SpilledPartition {
  readonly #spill: SpillFile;
  readonly #positions: number[] = [];
  readonly #lengths: number[] = [];
  #byteLength = 0;

  constructor(spill: SpillFile) {
    this.#spill = spill;
  }

  /** Bytes of all chunks. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Bytes of each chunk. */
  get lengths(): readonly number[] {
    return this.#lengths;
  }

  /** Writes a chunk. */
  async write(pieces: readonly Buffer[]): Promise<void> {
    const length = pieces.reduce((sum, { length }) => sum + length, 0);
    this.#positions.push(await this.#spill.write(pieces, length));
    this.#lengths.push(length);
    this.#byteLength += length;
  }

  /** Reads one chunk. */
  async readChunk(index: number, bytes: Buffer): Promise<void> {
    await this.#spill.read(this.#positions[index] as number, bytes);
  }

  /** Reads all chunks, end to end. */
  async read(bytes: Buffer): Promise<void> {
    let reads: Promise<void>[] = [];
    for (let i = 0, start = 0; i < this.#positions.length; i++) {
      const end = start + (this.#lengths[i] as number);
      const part = bytes.subarray(start, end);
      const reading = this.#spill.read(this.#positions[i] as number, part);
      if (reading) reads.push(reading);
      if (reads.length === MOST_READING) {
        await Promise.all(reads);
        reads = [];
      }
      start = end;
    }
    await Promise.all(reads);
  }
}

/** Chunks that are read at a time. */
const MOST_READING = 8;
