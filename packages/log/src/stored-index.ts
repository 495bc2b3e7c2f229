import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { PartdError } from "@partd/core";
import { Pace } from "@partd/core/author";
import { crc32, readAll, systemError } from "@partd/disk";
import { checkVersion, LARGE, PIECE, readUint64, VarintReader } from "./format.js";
import {
  FENCE_BYTES,
  GROUP_BYTES,
  INDEX_HEADER,
  INDEX_MAGIC,
  INDEX_VERSION,
  PAGE_BYTES,
  PAGE_GROUPS,
} from "./index-file.js";
import { orderHash, orderHashOf } from "./key-table.js";
import { radixOrder } from "./radix-order.js";
import { NEVER, RangeChains } from "./range-chains.js";

/** What a segment says of a key, without where its ranges lie. */
export interface KeySummary {
  readonly hash: number;
  readonly key: string;
  /** Stamp of its last deletion, or {@link NEVER}. */
  readonly deleted: number;
  /** Stamp of its last bytes, or {@link NEVER}. */
  readonly last: number;
}

/**
 * The index of a finished segment, in a file beside it. In memory are 12 bytes for each block of
 * 4 KiB: the hash of its first key, and its place. To find a key, a block and a page of groups are
 * read.
 */
export class StoredIndex {
  readonly path: string;
  /** The segment's records fill its first `end` bytes. */
  readonly end: number;
  readonly firstStamp: number;
  readonly lastStamp: number;
  readonly hasDeletions: boolean;
  readonly #groups: number;
  /** The hash with which each block begins. */
  readonly #hashes: Uint32Array;
  /** Where each block begins, and the last one ends. */
  readonly #places: Float64Array;

  /**
   * @returns undefined if it is of version 1: it is made anew from its segment.
   * @throws `ERR_PARTD_CORRUPT` if the file is damaged or belongs to another segment.
   */
  static async open(path: string, id: string): Promise<StoredIndex | undefined> {
    const fd = openSync(path, "r");
    try {
      const { size } = fstatSync(fd);
      const header = await readExactly(fd, path, 0, Math.min(size, INDEX_HEADER));
      if (header.length < 64 || header.readBigUInt64LE(0) !== INDEX_MAGIC) {
        throw damaged(path, "it is no index");
      }
      const version = header.readUInt16LE(8);
      if (version === 1 && crc32(header.subarray(0, 60)) === header.readUInt32LE(60)) return;
      if (
        header.length < INDEX_HEADER ||
        crc32(header.subarray(0, INDEX_HEADER - 4)) !== header.readUInt32LE(INDEX_HEADER - 4)
      ) {
        throw damaged(path, "its header does not match its checksum");
      }
      checkVersion(version, path, INDEX_VERSION);
      if (header.toString("hex", 16, 24) !== id) throw damaged(path, "it is of another segment");
      const fencesAt = readUint64(header, 64);
      const fences = await readExactly(fd, path, fencesAt, header.readUInt32LE(56) * FENCE_BYTES);
      if (crc32(fences) !== header.readUInt32LE(60)) {
        throw damaged(path, "its table of blocks does not match its checksum");
      }
      if (fencesAt + fences.length !== size) throw damaged(path, "it is too long");
      const index = new StoredIndex(path, header, fences);
      if (index.#places.at(-1) !== fencesAt) throw damaged(path, "its blocks have gaps");
      return index;
    } finally {
      closeSync(fd);
    }
  }

  private constructor(path: string, header: Buffer, fences: Buffer) {
    this.path = path;
    this.end = readUint64(header, 24);
    this.firstStamp = readUint64(header, 32);
    this.lastStamp = readUint64(header, 40) - 1;
    this.hasDeletions = (header.readUInt32LE(12) & 1) === 1;
    this.#groups = header.readUInt32LE(48);
    const blocks = fences.length / FENCE_BYTES;
    this.#hashes = new Uint32Array(blocks);
    this.#places = new Float64Array(blocks + 1);
    let place =
      INDEX_HEADER + GROUP_BYTES * this.#groups + 4 * Math.ceil(this.#groups / PAGE_GROUPS);
    for (let block = 0; block < blocks; block++) {
      this.#hashes[block] = fences.readUInt32LE(block * FENCE_BYTES);
      this.#places[block] = place;
      place += fences.readUInt32LE(block * FENCE_BYTES + 4);
    }
    this.#places[blocks] = place;
  }

  /** In bytes. */
  get memory(): number {
    return 12 * this.#hashes.length;
  }

  /** The ranges and deletions of `keys`, where key `i` of the answer is `keys[i]`. */
  async load(keys: readonly string[]): Promise<RangeChains> {
    const found = new FoundRanges();
    if (keys.length === 0 || this.#hashes.length === 0) return found.chains(this.lastStamp);
    const fd = this.#open();
    try {
      await this.#findRanges(fd, keys, found);
      await this.#readGroups(fd, found);
    } catch (error) {
      // What does not read as numbers was written by faulty software: the checksums are right.
      if (error instanceof RangeError) throw damaged(this.path, "its numbers make no sense");
      throw error;
    } finally {
      closeSync(fd);
    }
    return found.chains(this.lastStamp);
  }

  /** What the segment says of all its keys, in the order of their hashes, then bytes. */
  async *summaries(): AsyncGenerator<KeySummary[], void, undefined> {
    if (this.#hashes.length === 0) return;
    const fd = this.#open();
    try {
      const reader = new StretchReader(fd, this.path, true);
      for (let block = 0; block < this.#hashes.length; block++) {
        const some: KeySummary[] = [];
        const bytes = await this.#readBlock(reader, block);
        for (const entries = new BlockReader(bytes, this.firstStamp); entries.next(); ) {
          const { start, end, deleted, last } = entries;
          const hash = orderHash(bytes, start, end);
          some.push({ hash, key: bytes.toString("latin1", start, end), deleted, last });
          entries.skipRanges();
        }
        yield some;
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Reads all of it. @throws `ERR_PARTD_CORRUPT` if anything does not match its checksum. */
  async check(signal: AbortSignal): Promise<void> {
    for await (const _ of this.summaries()) signal.throwIfAborted();
    const fd = this.#open();
    try {
      const reader = new StretchReader(fd, this.path, true);
      for (let group = 0; group < this.#groups; group += PAGE_GROUPS) {
        await this.#readPage(reader, group);
      }
    } finally {
      closeSync(fd);
    }
  }

  async #findRanges(fd: number, keys: readonly string[], found: FoundRanges): Promise<void> {
    const hashes = Uint32Array.from(keys, orderHashOf);
    const order = radixOrder(hashes, keys.length);
    const reader = new StretchReader(fd, this.path, keys.length > this.#hashes.length / 4);
    const pace = new Pace();
    for (let i = 0; i < keys.length; ) {
      const hash = hashes[order[i] as number] as number;
      const wanted = new Map<string, number>();
      for (; i < keys.length && hashes[order[i] as number] === hash; i++) {
        wanted.set(keys[order[i] as number] as string, order[i] as number);
      }
      // Keys of one hash may go on in the next block.
      for (let block = this.#blockOf(hash); block < this.#hashes.length; block++) {
        if (wanted.size === 0 || (this.#hashes[block] as number) > hash) break;
        const bytes = await this.#readBlock(reader, block);
        for (const entries = new BlockReader(bytes, this.firstStamp); entries.next(); ) {
          const slot = entries.isOneOf(wanted);
          if (slot === undefined) entries.skipRanges();
          else found.add(slot, entries);
          if (wanted.size === 0) break;
        }
        if (pace.due) await pace.rest();
      }
    }
  }

  async #readGroups(fd: number, found: FoundRanges): Promise<void> {
    const pages = Math.ceil(this.#groups / PAGE_GROUPS);
    const reader = new StretchReader(fd, this.path, found.count > pages / 4);
    const pace = new Pace();
    let page: Buffer | undefined;
    let pageStart = 0;
    for (const [first, count] of found.groupRuns()) {
      if (first + count > this.#groups) throw new RangeError("there is no such group");
      for (let group = first; group < first + count; group++) {
        if (!page || group < pageStart || group >= pageStart + PAGE_GROUPS) {
          pageStart = group - (group % PAGE_GROUPS);
          page = await this.#readPage(reader, pageStart);
        }
        found.addGroup(page, GROUP_BYTES * (group - pageStart));
      }
      if (pace.due) await pace.rest();
    }
  }

  async #readPage(reader: StretchReader, group: number): Promise<Buffer> {
    const place = INDEX_HEADER + (group / PAGE_GROUPS) * PAGE_BYTES;
    const length = GROUP_BYTES * Math.min(PAGE_GROUPS, this.#groups - group);
    const page = await reader.read(place, length + 4);
    if (crc32(page.subarray(0, length)) !== page.readUInt32LE(length)) {
      throw damaged(this.path, "a page of groups does not match its checksum");
    }
    return page;
  }

  async #readBlock(reader: StretchReader, block: number): Promise<Buffer> {
    const { [block]: place = 0, [block + 1]: end = 0 } = this.#places;
    const bytes = await reader.read(place, end - place);
    if (bytes.length < 4 || crc32(bytes.subarray(4)) !== bytes.readUInt32LE(0)) {
      throw damaged(this.path, "a block of keys does not match its checksum");
    }
    return bytes.subarray(4);
  }

  /** The first block in which a key of the hash can be. */
  #blockOf(hash: number): number {
    let low = 0;
    let high = this.#hashes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#hashes[middle] as number) < hash) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  #open(): number {
    try {
      return openSync(this.path, "r");
    } catch (cause) {
      throw systemError({ action: "open", path: this.path }, cause);
    }
  }
}

/** Goes through the keys of a block. */
class BlockReader {
  readonly bytes: Buffer;
  readonly #reader: VarintReader;
  readonly #firstStamp: number;
  /** Where the bytes of the key lie in the block. */
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

  /** Goes to the next key, if there is one. Its ranges have to be read or skipped before. */
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
      reader.next(); // Their bytes in all.
      this.last = reader.next() + this.#firstStamp;
    }
    return true;
  }

  /** The number of the key in `wanted`, from which it is removed. */
  isOneOf(wanted: Map<string, number>): number | undefined {
    const { start, end, bytes } = this;
    for (const [key, slot] of wanted) {
      if (key.length !== end - start) continue;
      let at = end - 1;
      while (at >= start && bytes[at] === key.charCodeAt(at - start)) at--;
      if (at >= start) continue;
      wanted.delete(key);
      return slot;
    }
    return undefined;
  }

  skipRanges(): void {
    for (let left = 3 * this.ranges; left > 0; left--) this.#reader.next();
  }

  readRange(): { gap: number; delta: number; length: number } {
    const reader = this.#reader;
    return { gap: reader.next(), delta: reader.next(), length: reader.next() };
  }
}

/** Ranges as they are found, key by key, until their groups are known, too. */
class FoundRanges {
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

  /** The groups that are needed, ascending, each once; {@link addGroup} is called for each. */
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

/**
 * Reads places of a file in ascending order: in long stretches if most of it is wanted, otherwise
 * only what is asked for, on this thread, where a read of what the system has in memory takes 3 µs
 * and a turn through the thread pool 30.
 */
class StretchReader {
  readonly #fd: number;
  readonly #path: string;
  readonly #isDense: boolean;
  #bytes: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(fd: number, path: string, isDense: boolean) {
    this.#fd = fd;
    this.#path = path;
    this.#isDense = isDense;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const at = position - this.#start;
    if (at < 0 || at + length > this.#bytes.length) {
      const wanted = this.#isDense ? Math.max(length, STRETCH) : length;
      this.#bytes = await this.#readSome(position, wanted, length);
      this.#start = position;
      return this.#bytes.subarray(0, length);
    }
    return this.#bytes.subarray(at, at + length);
  }

  async #readSome(position: number, wanted: number, least: number): Promise<Buffer> {
    const now = performance.now();
    if (wanted <= AT_ONCE && now > slowUntil) {
      const bytes = Buffer.allocUnsafeSlow(wanted);
      const count = readSync(this.#fd, bytes, 0, wanted, position);
      const end = performance.now();
      if (end - now > SLOW_MS) slowUntil = end + STAY_SLOW_MS;
      if (count === wanted) return bytes;
    }
    const { size } = fstatSync(this.#fd);
    if (position + least > size) throw damaged(this.#path, "it is cut short");
    return readExactly(this.#fd, this.#path, position, Math.min(wanted, size - position));
  }
}

const STRETCH = 2 ** 18;
/** Bytes that are read on this thread. */
const AT_ONCE = 64 * 1024;
/** A read that takes so long waits for the disk, and the next ones leave the thread. */
const SLOW_MS = 5;
const STAY_SLOW_MS = 250;
let slowUntil = 0;

async function readExactly(
  fd: number,
  path: string,
  position: number,
  length: number,
): Promise<Buffer> {
  // Before memory is taken for it: a damaged length may be anything.
  if (position + length > fstatSync(fd).size) throw damaged(path, "it is cut short");
  const bytes = Buffer.allocUnsafeSlow(length);
  if ((await readAll(fd, bytes, position)) < length) throw damaged(path, "it is cut short");
  return bytes;
}

function damaged(path: string, why: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The index ${path} cannot be used: ${why}; it is made anew from its segment when it is deleted.`,
    { path },
  );
}
