import { constants } from "node:fs";
import { PartdError } from "@partd/core";
import { crc32 } from "@partd/disk";
import { type Disk, STRICT } from "./disk.js";
import { isEncodedKey } from "./layout.js";

/** A file that a batch changes, as it was before. */
export interface Touched {
  readonly key: string;
  readonly aside: boolean;
  /** The file's length in bytes. 0: the key did not exist. */
  readonly length: number;
}

/** The change that a holder of the lock had begun when it died. */
export type Unfinished =
  | { readonly kind: "append"; readonly touched: readonly Touched[] }
  | { readonly kind: "delete"; readonly keys: readonly string[] }
  | { readonly kind: "drop" };

/**
 * Makes changes atomic: each change is noted here before it begins, and the note is crossed out
 * when it is done. A process that takes the lock and finds a note truncates the files of an append
 * to their old lengths, and completes a deletion.
 *
 * The file: a count of removals (float64) and 8 reserved bytes; then records, each a header (magic,
 * kind, batch float64, number within the batch, body length, CRC-32 of the body, CRC-32 of the
 * header; uint32 unless stated, all little-endian) and a body: a line for each file,
 * `<0 or 1 for aside> <length> <encoded key>`. A torn record was never followed by the change that
 * it announces. To cross the note out, the first record's magic is overwritten.
 */
export class Journal {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #fsync: boolean;
  #fd = -1;
  #end = RECORDS;
  #batch = 0;
  #number = 0;
  #removals = 0;
  #uncertain = false;
  #scratch = Buffer.allocUnsafe(4096);

  constructor(disk: Disk, path: string, fsync: boolean) {
    this.#disk = disk;
    this.#path = path;
    this.#fsync = fsync;
  }

  /**
   * How often any process removed or replaced keys. While the count stays the same, open files are
   * the current ones.
   */
  get removals(): number {
    return this.#removals;
  }

  /** Whether a change has begun and is not done. */
  get active(): boolean {
    return this.#number > 0;
  }

  /** Whether overwriting the note has begun and not succeeded, so that it may stand or not. */
  get uncertain(): boolean {
    return this.#uncertain;
  }

  /**
   * Call this when the lock was taken.
   *
   * @param draft a path for a copy that replaces the journal, so that a former holder that still
   *   writes reaches only a file that no one reads.
   * @throws `ERR_PARTD_CORRUPT` if the note names files that a store does not have.
   */
  async read(draft?: string): Promise<Unfinished | undefined> {
    await this.#reopen(draft !== undefined);
    this.#number = 0;
    this.#end = RECORDS;
    this.#uncertain = false;
    const { size } = await this.#disk.fstat(this.#fd);
    const start = Buffer.alloc(RECORDS + HEADER);
    const count = await this.#disk.readAll(this.#fd, start, 0);
    const removals = count >= 8 ? start.readDoubleLE(0) : 0;
    this.#removals = Number.isSafeInteger(removals) && removals >= 0 ? removals : 0;
    const isNoted = count === start.byteLength && start.readUInt32LE(RECORDS) === MAGIC;
    if (!isNoted && draft === undefined) return undefined;
    if (size > LONGEST) throw corrupt(this.#path, 0, `a change in ${size} bytes`);
    const bytes = Buffer.allocUnsafe(size);
    const whole = bytes.subarray(0, await this.#disk.readAll(this.#fd, bytes, 0));
    if (draft !== undefined) await this.#replace(draft, whole);
    const unfinished = isNoted ? parse(whole.subarray(RECORDS), this.#path) : undefined;
    if (unfinished) this.#number = 1; // Until it is crossed out, no other change may begin.
    return unfinished;
  }

  /** Notes the files of an append, or more files of the current one. */
  beginAppend(touched: readonly Touched[]): void | Promise<void> {
    let lines = "";
    for (const { aside, length, key } of touched) lines += `${aside ? 1 : 0} ${length} ${key}\n`;
    return this.#write(APPEND, lines);
  }

  async beginDelete(keys: readonly string[]): Promise<void> {
    await this.countRemoval();
    await this.#write(DELETE, keys.map((key) => `0 0 ${key}\n`).join(""));
  }

  async beginDrop(): Promise<void> {
    await this.countRemoval();
    await this.#write(DROP, "");
  }

  /** Call this before a key's file is removed or replaced. */
  async countRemoval(): Promise<void> {
    const count = Buffer.allocUnsafe(8);
    count.writeDoubleLE(this.#removals + 1);
    await this.#disk.writeAll(this.#fd, count, 0);
    this.#removals++;
  }

  /** Crosses the note out: the change is done, or undone. If this fails, it is neither. */
  clear(): void | Promise<void> {
    const isLong = this.#end > LONG_JOURNAL;
    const crossed = this.#overwrite(CROSSED_OUT);
    if (crossed) return crossed.then(() => this.#cleared(isLong));
    return this.#cleared(isLong);
  }

  /**
   * Call this before undoing a change: the note must stand until that is done, and a failed `clear`
   * may have crossed it out.
   */
  async reinstate(): Promise<void> {
    if (this.#uncertain) await this.#overwrite(STANDING);
  }

  async close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = -1;
    this.#number = 0;
    if (fd >= 0) await this.#disk.close(fd);
  }

  #overwrite(magic: Buffer): void | Promise<void> {
    this.#uncertain = true;
    const written = this.#disk.writeAll(this.#fd, magic, RECORDS);
    if (!written && !this.#fsync) {
      this.#uncertain = false;
      return;
    }
    return this.#synced(written).then(() => {
      this.#uncertain = false;
    });
  }

  #cleared(isLong: boolean): void | Promise<void> {
    this.#number = 0;
    this.#end = RECORDS;
    if (isLong) return this.#shorten();
  }

  async #shorten(): Promise<void> {
    try {
      await this.#disk.truncate(this.#fd, RECORDS + HEADER);
    } catch {
      // The note is crossed out all the same; later ones overwrite the rest.
    }
  }

  async #synced(written: void | Promise<void>): Promise<void> {
    await written;
    if (this.#fsync) await this.#disk.sync(this.#fd);
  }

  /** Opens the journal, unless the open file is still the current one. */
  async #reopen(anew: boolean): Promise<void> {
    if (this.#fd >= 0) {
      if (!anew && (await this.#disk.fstat(this.#fd)).nlink > 0) return;
      await this.close();
    }
    this.#fd = await this.#disk.open(this.#path, constants.O_RDWR | constants.O_CREAT | STRICT);
  }

  async #replace(draft: string, bytes: Uint8Array): Promise<void> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC;
    const fd = await this.#disk.open(draft, flags);
    try {
      await this.#disk.writeAll(fd, bytes, 0);
      if (this.#fsync) await this.#disk.sync(fd);
      await this.#disk.rename(draft, this.#path);
    } catch (error) {
      await this.#disk.close(fd);
      throw error;
    }
    await this.#disk.close(this.#fd);
    this.#fd = fd;
  }

  #write(kind: number, body: string): void | Promise<void> {
    if (this.#number === 0) this.#batch = nextBatch(this.#batch);
    const length = HEADER + body.length;
    if (length > this.#scratch.byteLength) this.#scratch = Buffer.allocUnsafe(2 * length);
    const record = this.#scratch.subarray(0, length);
    record.write(body, HEADER, "latin1");
    record.writeUInt32LE(MAGIC, 0);
    record.writeUInt32LE(kind, 4);
    record.writeDoubleLE(this.#batch, 8);
    record.writeUInt32LE(this.#number, 16);
    record.writeUInt32LE(body.length, 20);
    record.writeUInt32LE(crc32(record.subarray(HEADER)), 24);
    record.writeUInt32LE(crc32(record.subarray(0, 28)), 28);
    const position = this.#end;
    const written = this.#disk.writeAll(this.#fd, record, position);
    if (written) return written.then(() => this.#written(position + length));
    return this.#written(position + length);
  }

  /**
   * The record counts from now on. One that could not be written does not: the note is torn then, or is
   * still an earlier one that was crossed out and must not come to stand again.
   */
  #written(end: number): void | Promise<void> {
    this.#number++;
    this.#end = end;
    this.#uncertain = false;
    if (this.#fsync) return this.#disk.sync(this.#fd);
  }
}

/**
 * Parses the noted change; undefined if the first record is torn, because the change had not begun.
 */
function parse(bytes: Buffer, path: string): Unfinished | undefined {
  const touched: Touched[] = [];
  let batch = 0;
  let offset = 0;
  for (let number = 0; ; number++) {
    const header = bytes.subarray(offset, offset + HEADER);
    if (header.byteLength < HEADER || header.readUInt32LE(0) !== MAGIC) break;
    if (crc32(header.subarray(0, 28)) !== header.readUInt32LE(28)) break;
    const body = bytes.subarray(offset + HEADER, offset + HEADER + header.readUInt32LE(20));
    if (body.byteLength < header.readUInt32LE(20)) break;
    if (crc32(body) !== header.readUInt32LE(24)) break;
    if (number === 0) batch = header.readDoubleLE(8);
    // Records behind those of this batch are left from an earlier one.
    if (header.readDoubleLE(8) !== batch || header.readUInt32LE(16) !== number) break;
    const kind = header.readUInt32LE(4);
    if (kind === DROP) return { kind: "drop" };
    if (kind !== APPEND && kind !== DELETE) throw corrupt(path, offset, "a change of no kind");
    for (const line of body.toString("latin1").split("\n").slice(0, -1)) {
      touched.push(parseLine(line) ?? fail(corrupt(path, offset, JSON.stringify(line))));
    }
    if (kind === DELETE) return { kind: "delete", keys: touched.map(({ key }) => key) };
    offset += HEADER + body.byteLength;
  }
  return offset > 0 ? { kind: "append", touched } : undefined;
}

/**
 * Parses a line. The journal may be hostile: only names of keys are sure to stay inside the
 * directory.
 */
function parseLine(line: string): Touched | undefined {
  const [, aside, length, key = ""] = /^([01]) (0|[1-9][0-9]{0,15}) (.*)$/s.exec(line) ?? [];
  if (!Number.isSafeInteger(Number(length)) || !isEncodedKey(key)) return undefined;
  return { aside: aside === "1", length: Number(length), key };
}

function corrupt(path: string, offset: number, what: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${path} describes ${what}, which no store writes, so nothing was done. If the directory comes from elsewhere, do not trust it; otherwise remove the journal: an append that was under way when its process ended may then be there in part.`,
    { path, offset: RECORDS + offset },
  );
}

function fail(error: Error): never {
  throw error;
}

/** A batch number that no earlier batch in this file has, whichever process wrote it. */
function nextBatch(last: number): number {
  return last === 0 ? 1 + Math.floor(Math.random() * 2 ** 52) : last + 1;
}

const MAGIC = 0x6a647470; // "ptdj"
const STANDING = Buffer.from("ptdj", "latin1");
const CROSSED_OUT = Buffer.alloc(4);
const APPEND = 1;
const DELETE = 2;
const DROP = 3;
/** Position of the first record, and length of a header, in bytes. */
const RECORDS = 16;
const HEADER = 32;
const LONG_JOURNAL = 2 ** 20;
/** In bytes: about as long as a string can be, and a note is made of one. */
const LONGEST = 2 ** 29;
