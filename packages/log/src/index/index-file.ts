import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { Pace } from "@partd/core/author";
import { crc32, uniqueToken } from "@partd/disk";
import { LARGE, PIECE, writeUint64, writeVarint } from "../format/layout.js";
import { NONE } from "./key-dictionary.js";
import { writeFilter } from "./key-filter.js";
import { type GrowingIndex, NEVER } from "./range-chains.js";

/** The layout of an index, which `docs/log-format.md` specifies. */
export const INDEX_MAGIC = 0x7864696474726170n; // "partdidx"
export const INDEX_VERSION = 3;
export const INDEX_HEADER = 96;
/** Groups on a page, except the last page, and the bytes of a group. */
export const PAGE_GROUPS = 170;
export const GROUP_BYTES = 24;
export const PAGE_BYTES = GROUP_BYTES * PAGE_GROUPS + 4;
/** A block of keys ends at this many bytes. Finding a key reads one block. */
const BLOCK_BYTES = 4096;
/** Bytes of a block in the table at the end: the hash of its first key, and its length. */
export const FENCE_BYTES = 8;

/**
 * Writes the index of a finished segment: its groups, then blocks of keys in the order of their hashes,
 * then a filter of the hashes, then the first hash of each block. The file appears complete or not at
 * all.
 */
export async function writeIndex(
  path: string,
  id: string,
  end: number,
  index: GrowingIndex,
  durable = false,
): Promise<void> {
  const draft = `${path}.${uniqueToken()}`;
  try {
    const file = await open(draft, "wx");
    try {
      await new IndexWriter(file, index).write(id, end);
      if (durable) await file.datasync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

class IndexWriter {
  readonly #file: FileHandle;
  readonly #index: GrowingIndex;
  readonly #pace = new Pace();
  #bytes = Buffer.allocUnsafeSlow(2 * FLUSH_BYTES);
  #length = 0;
  #position = 0;
  #count = 0;
  /** Where the open block begins in `bytes`. */
  #block = 0;
  /** The last group of the previous range. */
  #group = 0;
  #fences = Buffer.allocUnsafeSlow(1024);
  #blocks = 0;

  constructor(file: FileHandle, index: GrowingIndex) {
    this.#file = file;
    this.#index = index;
  }

  async write(id: string, end: number): Promise<void> {
    const { columns, firstStamp, lastStamp, hasDeletions } = this.#index;
    this.#length = INDEX_HEADER;
    this.#bytes.fill(0, 0, INDEX_HEADER);
    await this.#writeGroups();
    const hashes = await this.#writeKeys();
    const filter = writeFilter(hashes);
    await this.#file.write(filter.bytes, 0, filter.bytes.length, this.#position);
    this.#position += filter.bytes.length;
    const fences = this.#fences.subarray(0, this.#blocks * FENCE_BYTES);
    const fencesAt = this.#position;
    await this.#file.write(fences, 0, fences.length, fencesAt);
    const header = Buffer.alloc(INDEX_HEADER);
    header.writeBigUInt64LE(INDEX_MAGIC, 0);
    header.writeUInt16LE(INDEX_VERSION, 8);
    header.writeUInt16LE(INDEX_HEADER, 10);
    header.writeUInt32LE(hasDeletions ? 1 : 0, 12);
    header.write(id, 16, "hex");
    writeUint64(header, 24, end);
    writeUint64(header, 32, Number.isFinite(firstStamp) ? firstStamp : 0);
    writeUint64(header, 40, lastStamp + 1);
    header.writeUInt32LE(columns.groupCount, 48);
    header.writeUInt32LE(this.#count, 52);
    header.writeUInt32LE(this.#blocks, 56);
    header.writeUInt32LE(crc32(fences), 60);
    writeUint64(header, 64, fencesAt);
    header.writeUInt32LE(filter.blocks, 72);
    header.writeUInt32LE(crc32(header.subarray(0, INDEX_HEADER - 4)), INDEX_HEADER - 4);
    await this.#file.write(header, 0, header.length, 0);
  }

  async #writeGroups(): Promise<void> {
    const { groupCount, start, groupLength, crc, stamp } = this.#index.columns;
    for (let group = 0; group < groupCount; ) {
      const page = this.#length;
      this.#reserve(PAGE_BYTES);
      const stop = Math.min(groupCount, group + PAGE_GROUPS);
      for (; group < stop; group++) {
        writeUint64(this.#bytes, this.#length, start[group] as number);
        this.#bytes.writeUInt32LE(groupLength[group] as number, this.#length + 8);
        this.#bytes.writeUInt32LE(crc[group] as number, this.#length + 12);
        writeUint64(this.#bytes, this.#length + 16, stamp[group] as number);
        this.#length += GROUP_BYTES;
      }
      const sum = crc32(this.#bytes.subarray(page, this.#length));
      this.#length = this.#bytes.writeUInt32LE(sum, this.#length);
      if (this.#length >= FLUSH_BYTES) await this.#flush();
      if (this.#pace.due) await this.#pace.rest();
    }
    await this.#flush();
  }

  /** @returns the hashes of the keys. */
  async #writeKeys(): Promise<Uint32Array> {
    const { keys } = this.#index;
    const { order, hashes } = this.#index.byHash();
    const first = Number.isFinite(this.#index.firstStamp) ? this.#index.firstStamp : 0;
    this.#block = NONE;
    for (let i = 0; i < order.length; i++) {
      const key = order[i] as number;
      if (this.#block === NONE) this.#beginBlock(hashes[i] as number);
      const keyLength = keys.byteLength(key);
      this.#reserve(keyLength + 64);
      this.#varint(keyLength);
      this.#length = keys.copy(key, this.#bytes, this.#length);
      const deleted = this.#index.deleted(key);
      this.#varint(deleted === NEVER ? 0 : deleted - first + 1);
      let row = this.#beginRanges(key, first);
      while (row !== NONE) {
        row = this.#writeRanges(row);
        if (row !== NONE && this.#pace.isOver) await this.#pace.rest();
      }
      this.#count++;
      if (this.#length - this.#block >= BLOCK_BYTES) await this.#endBlock();
      if (this.#pace.due) await this.#pace.rest();
    }
    if (this.#block !== NONE) await this.#endBlock();
    await this.#flush();
    return hashes;
  }

  /** Writes what precedes the ranges of a key. @returns the row of the first range, or {@link NONE}. */
  #beginRanges(key: number, firstStamp: number): number {
    const index = this.#index;
    const lengths = index.columns.length;
    let ranges = 0;
    let byteLength = 0;
    const head = index.firstSince(key, NEVER);
    for (let row = head; row !== NONE; row = index.next(row)) {
      ranges++;
      byteLength += lengths[row] as number;
    }
    this.#varint(ranges);
    if (ranges === 0) return NONE;
    this.#varint(byteLength);
    this.#varint(index.last(key) - firstStamp);
    this.#group = 0;
    return head;
  }

  /**
   * Writes ranges from a row on, some at a time: an awaited call costs as much as five ranges, and most
   * keys have fewer. @returns the row of the next range, or {@link NONE}.
   */
  #writeRanges(from: number): number {
    const index = this.#index;
    const { columns } = index;
    this.#reserve(24 * SOME);
    const bytes = this.#bytes;
    let at = this.#length;
    let row = from;
    for (let i = 0; row !== NONE && i < SOME; row = index.next(row), i++) {
      const length = columns.length[row] as number;
      const group = columns.group[row] as number;
      at = writeVarint(bytes, at, group - this.#group);
      at = writeVarint(bytes, at, columns.delta[row] as number);
      at = writeVarint(bytes, at, length);
      this.#group = length >= LARGE ? group + Math.ceil(length / PIECE) - 1 : group;
    }
    this.#length = at;
    return row;
  }

  #beginBlock(hash: number): void {
    this.#block = this.#length;
    this.#reserve(4);
    this.#length += 4;
    const at = this.#blocks * FENCE_BYTES;
    if (at === this.#fences.length) {
      const larger = Buffer.allocUnsafeSlow(2 * at);
      this.#fences.copy(larger);
      this.#fences = larger;
    }
    this.#fences.writeUInt32LE(hash, at);
  }

  async #endBlock(): Promise<void> {
    const bytes = this.#bytes.subarray(this.#block + 4, this.#length);
    this.#bytes.writeUInt32LE(crc32(bytes), this.#block);
    this.#fences.writeUInt32LE(bytes.length + 4, this.#blocks * FENCE_BYTES + 4);
    this.#blocks++;
    this.#block = NONE;
    if (this.#length >= FLUSH_BYTES) await this.#flush();
  }

  #varint(value: number): void {
    this.#length = writeVarint(this.#bytes, this.#length, value);
  }

  #reserve(room: number): void {
    if (this.#length + room <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + room));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }

  async #flush(): Promise<void> {
    await this.#file.write(this.#bytes, 0, this.#length, this.#position);
    this.#position += this.#length;
    this.#length = 0;
  }
}

const FLUSH_BYTES = 2 ** 18;
/** Ranges that are written at once. */
const SOME = 1024;
