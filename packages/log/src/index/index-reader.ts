import { fstatSync } from "node:fs";
import { PartdError } from "@partd/core";
import { closeFile, readAll, systemError } from "@partd/disk";
import { LARGE, PIECE, readUint64, VarintReader } from "../format/layout.js";
import {
  AT_ONCE,
  forget,
  isNamed,
  type OpenFile,
  openOrMakeRoom,
  type ReadableFile,
  readAtOnce,
  remember,
} from "../open-files.js";
import { NEVER, RangeChains, radixOrder } from "./range-chains.js";

/**
 * Reads places of a file in ascending order: in long stretches if most of the file is wanted, otherwise
 * only what is asked for, in this thread. A read from the page cache takes 3 µs here, and 30 through
 * the thread pool.
 */
export class StretchReader {
  readonly #file: ListedFile;
  readonly #path: string;
  readonly isDense: boolean;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(file: ListedFile, path: string, isDense: boolean) {
    this.#file = file;
    this.#path = path;
    this.isDense = isDense;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const at = position - this.#start;
    if (at < 0 || at + length > this.#bytes.length) {
      const wanted = this.isDense ? Math.max(length, STRETCH) : length;
      this.#bytes = await this.#file.reading((fd) => this.#readSome(fd, position, wanted, length));
      this.#start = position;
      return this.#bytes.subarray(0, length);
    }
    return this.#bytes.subarray(at, at + length);
  }

  async #readSome(fd: number, position: number, wanted: number, least: number): Promise<Buffer> {
    if (wanted <= AT_ONCE) {
      const bytes = Buffer.allocUnsafeSlow(wanted);
      if (readAtOnce(fd, bytes, position) === wanted) return bytes;
    }
    const { size } = fstatSync(fd);
    if (position + least > size) throw damagedIndex(this.#path, "it is cut short");
    return readExactly(fd, this.#path, position, Math.min(wanted, size - position));
  }
}

/** The bytes of a long stretch. */
const STRETCH = 2 ** 18;

export async function readExactly(
  fd: number,
  path: string,
  position: number,
  length: number,
): Promise<Buffer> {
  // Check before allocating: a damaged length may be anything.
  if (position + length > fstatSync(fd).size) throw damagedIndex(path, "it is cut short");
  const bytes = Buffer.allocUnsafeSlow(length);
  if ((await readAll(fd, bytes, position)) < length) throw damagedIndex(path, "it is cut short");
  return bytes;
}

export function damagedIndex(path: string, why: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The index ${path} cannot be used: ${why}; it is made anew from its segment when it is deleted.`,
    { path },
  );
}

/**
 * An index whose keys are being listed. It stays open between reads, because it may be removed
 * meanwhile. If descriptors run out it is closed, as long as it still has its name.
 */
export class ListedFile implements OpenFile, ReadableFile {
  readonly #path: string;
  #fd: number | undefined;
  #isRead = false;

  constructor(path: string) {
    this.#path = path;
  }

  async reading<T>(read: (fd: number) => Promise<T>): Promise<T> {
    this.#isRead = true;
    try {
      return await read(this.#fd ?? this.#open());
    } finally {
      this.#isRead = false;
    }
  }

  closeIfIdle(scarce: boolean): void {
    if (scarce && !this.#isRead && this.#fd !== undefined && isNamed(this.#fd)) this.close();
  }

  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return;
    forget(this);
    closeFile(fd);
  }

  #open(): number {
    try {
      this.#fd = openOrMakeRoom(this.#path, "r");
    } catch (cause) {
      throw systemError({ action: "open", path: this.#path }, cause);
    }
    remember(this);
    return this.#fd;
  }
}

/** Reads the keys of a block one after the other. */
export class BlockReader {
  readonly bytes: Buffer;
  readonly #reader: VarintReader;
  readonly #firstStamp: number;
  /** Where the bytes of the present key lie in the block. */
  start = 0;
  end = 0;
  deleted = NEVER;
  last = NEVER;
  ranges = 0;

  constructor(bytes: Buffer, firstStamp: number) {
    this.bytes = bytes;
    this.#reader = new VarintReader(bytes);
    this.#firstStamp = firstStamp;
  }

  /**
   * Goes to the next key, if there is one. The ranges of the present one must have been read or
   * skipped.
   */
  next(): boolean {
    const reader = this.#reader;
    if (reader.at >= this.bytes.length) return false;
    const length = reader.next();
    this.start = reader.at;
    this.end = reader.at += length;
    if (this.end > this.bytes.length) throw new RangeError("a key is cut short");
    const deleted = reader.next();
    this.deleted = deleted === 0 ? NEVER : deleted - 1 + this.#firstStamp;
    this.ranges = reader.next();
    this.last = NEVER;
    if (this.ranges > 0) {
      reader.next(); // The total of their bytes.
      this.last = reader.next() + this.#firstStamp;
    }
    return true;
  }

  /** Whether it is the present key. */
  isKey(key: string): boolean {
    const { start, end, bytes } = this;
    if (key.length !== end - start) return false;
    let at = end - 1;
    while (at >= start && bytes[at] === key.charCodeAt(at - start)) at--;
    return at < start;
  }

  skipRanges(): void {
    for (let left = 3 * this.ranges; left > 0; left--) this.#reader.next();
  }

  readRange(): { gap: number; delta: number; length: number } {
    const reader = this.#reader;
    return { gap: reader.next(), delta: reader.next(), length: reader.next() };
  }
}

/** Collects ranges key by key, and afterwards their groups. */
export class FoundRanges {
  count = 0;
  #slots = new Uint32Array(16);
  #groups = new Uint32Array(16);
  #deltas = new Uint32Array(16);
  #lengths = new Uint32Array(16);
  readonly #deleted: (readonly [slot: number, stamp: number])[] = [];
  readonly #chains = new RangeChains();
  #groupCount = 0;
  #rows = 0;

  add(slot: number, entries: BlockReader): void {
    if (entries.deleted !== NEVER) this.#deleted.push([slot, entries.deleted]);
    let end = 0;
    for (let i = 0; i < entries.ranges; i++) {
      const { gap, delta, length } = entries.readRange();
      const group = end + gap;
      if (length === 0 || group >= 2 ** 32 || delta >= 2 ** 32 || length >= 2 ** 32) {
        throw new RangeError("a range makes no sense");
      }
      const at = this.count++;
      if (at === this.#slots.length) this.#grow();
      this.#slots[at] = slot;
      this.#groups[at] = group;
      this.#deltas[at] = delta;
      this.#lengths[at] = length;
      end = group + groupsOf(length) - 1;
    }
  }

  /** Yields the groups that are needed, ascending, each once; call {@link addGroup} for each. */
  *groupRuns(): Generator<readonly [first: number, count: number], void, undefined> {
    const { columns } = this.#chains;
    columns.reserve(this.count);
    let last = -1;
    for (const i of radixOrder(this.#groups.subarray(0, this.count), this.count)) {
      const first = this.#groups[i] as number;
      const length = this.#lengths[i] as number;
      const isShared = first === last;
      const row = this.#rows++;
      columns.key[row] = this.#slots[i] as number;
      columns.group[row] = isShared ? this.#groupCount - 1 : this.#groupCount;
      columns.delta[row] = this.#deltas[i] as number;
      columns.length[row] = length;
      if (isShared) continue;
      const count = groupsOf(length);
      yield [first, count];
      last = first + count - 1;
    }
  }

  addGroup(page: Buffer, at: number): void {
    const { columns } = this.#chains;
    const group = this.#groupCount++;
    columns.reserveGroups(group + 1);
    columns.start[group] = readUint64(page, at);
    columns.groupLength[group] = page.readUInt32LE(at + 8);
    columns.crc[group] = page.readUInt32LE(at + 12);
    columns.stamp[group] = readUint64(page, at + 16);
  }

  chains(lastStamp: number): RangeChains {
    for (const [slot, stamp] of this.#deleted) this.#chains.markDeleted(slot, stamp);
    this.#chains.commit(this.#rows, this.#groupCount, lastStamp);
    return this.#chains;
  }

  #grow(): void {
    const larger = (column: Uint32Array<ArrayBuffer>) => {
      const copy = new Uint32Array(column.length * 2);
      copy.set(column);
      return copy;
    };
    this.#slots = larger(this.#slots);
    this.#groups = larger(this.#groups);
    this.#deltas = larger(this.#deltas);
    this.#lengths = larger(this.#lengths);
  }
}

function groupsOf(length: number): number {
  return length >= LARGE ? Math.ceil(length / PIECE) : 1;
}
