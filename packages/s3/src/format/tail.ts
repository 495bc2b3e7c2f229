import { PartdError } from "@partd/core";
import { crc32 } from "@partd/disk";
import { ByteReader, ByteWriter } from "./bytes.js";
import { Cover } from "./cover.js";
import type { CommitId } from "./names.js";

/**
 * The tail of a segment, which describes its values: they lie in the order of their keys, end to end,
 * before the tail or in parts.
 *
 * | bytes | |
 * |---|---|
 * | 4 | magic |
 * | 8, 4, 4, 8 | writer, sequence, epoch, stamp: the commit, as its name says |
 * | 8 | bytes of the values |
 * | 8 | bytes of each part but the last; 0 if the values lie before the tail |
 * | 4, 4 | number of entries, and their bytes |
 * | … | for each key its length and text; the value's length, doubled, plus 1 if the key is removed first; a CRC-32 for each {@link CHUNK} of the value |
 * | … | the {@link Cover} of what is removed, if anything is |
 * | 4 | CRC-32 of the tail |
 *
 * Numbers are little-endian; lengths in entries and covers are varints.
 */
export class Tail {
  readonly bytes: Buffer;
  readonly bodyLength: number;
  readonly partLength: number;
  readonly count: number;
  /** The commits that this segment's removals remove from. */
  readonly cover: Cover;
  readonly #entriesStart: number;
  readonly #entriesEnd: number;
  /**
   * For each {@link ANCHOR}th entry: its position in the tail, and that of its value in the body.
   */
  readonly #anchors: number[] = [];

  /**
   * @param address the object's name, for messages.
   * @throws `ERR_PARTD_CORRUPT` unless the bytes are the commit's tail.
   */
  constructor(bytes: Buffer, id: CommitId, address: string) {
    this.bytes = bytes;
    try {
      const end = bytes.length - 4;
      if (end < HEAD || crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end)) {
        throw new RangeError("its checksum is wrong");
      }
      const reader = new ByteReader(bytes, 0, end);
      if (reader.uint32() !== MAGIC) throw new RangeError("it is of another format");
      reader.skip(8);
      const writer = bytes.toString("hex", 4, 12);
      if (
        writer !== id.writer ||
        reader.uint32() !== id.sequence ||
        reader.uint32() !== id.epoch ||
        reader.uint53() !== id.stamp
      ) {
        throw new RangeError("it belongs to another object");
      }
      this.bodyLength = reader.uint53();
      this.partLength = reader.uint53();
      this.count = reader.uint32();
      const entries = reader.uint32();
      this.#entriesStart = reader.at;
      this.#entriesEnd = reader.at + entries;
      reader.skip(entries);
      this.cover = id.kind === "add" ? new Cover() : Cover.read(reader);
      if (!reader.isAtEnd) throw new RangeError("something follows");
      this.#check();
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new PartdError(
        "ERR_PARTD_CORRUPT",
        `The description of the values in ${address} is damaged: ${cause.message}.`,
        { address, cause },
      );
    }
  }

  /** Iterates over the entries in key order. */
  entries(): TailCursor {
    return new TailCursor(this.bytes, this.#entriesStart, this.#entriesEnd, this.#anchors);
  }

  #check(): void {
    const entries = this.entries();
    let before: Buffer = Buffer.alloc(0);
    let count = 0;
    for (; ; count++) {
      const start = entries.next;
      const offset = entries.nextOffset;
      if (!entries.advance()) break;
      if (count % ANCHOR === 0) this.#anchors.push(start, offset);
      const key = entries.keyBytes;
      if (count > 0 && before.compare(key) >= 0) throw new RangeError("keys are in disorder");
      if (key.length === 0 || NO_KEY.test(entries.key)) throw new RangeError("a key is not valid");
      before = key;
    }
    if (count !== this.count || entries.nextOffset !== this.bodyLength) {
      throw new RangeError("its lengths contradict one another");
    }
  }
}

/** Iterates over entries. Before the first {@link advance} it is at none. */
export class TailCursor {
  readonly #reader: ByteReader;
  readonly #anchors: readonly number[];
  #keyStart = 0;
  #keyEnd = 0;
  #crcs = 0;
  /** The value's position among the values, and its length. */
  offset = 0;
  length = 0;
  /** Whether the key's earlier value is removed. */
  removes = false;
  /** The position of the next entry's value. */
  nextOffset = 0;

  constructor(bytes: Buffer, start: number, end: number, anchors: readonly number[]) {
    this.#reader = new ByteReader(bytes, start, end);
    this.#anchors = anchors;
  }

  /** The next entry's position in the tail. */
  get next(): number {
    return this.#reader.at;
  }

  get keyBytes(): Buffer {
    return this.#reader.bytes.subarray(this.#keyStart, this.#keyEnd);
  }

  get key(): string {
    return this.#reader.bytes.toString("latin1", this.#keyStart, this.#keyEnd);
  }

  /** The CRC-32 of each chunk of the value. */
  get checksums(): number[] {
    const list: number[] = [];
    for (let at = this.#crcs; at < this.#reader.at; at += 4) {
      list.push(this.#reader.bytes.readUInt32LE(at));
    }
    return list;
  }

  /** Moves to the next entry, if there is one. */
  advance(): boolean {
    const reader = this.#reader;
    if (reader.isAtEnd) return false;
    const keyLength = reader.varint();
    this.#keyStart = reader.at;
    reader.skip(keyLength);
    this.#keyEnd = reader.at;
    const flagged = reader.varint();
    this.removes = flagged % 2 === 1;
    this.length = Math.floor(flagged / 2);
    this.offset = this.nextOffset;
    this.nextOffset += this.length;
    this.#crcs = reader.at;
    reader.skip(4 * Math.ceil(this.length / CHUNK));
    return true;
  }

  /** Moves to the first entry whose key is not before `key`. @returns whether it is `key`. */
  seek(key: Buffer): boolean {
    this.#jump(key);
    for (;;) {
      if (this.#keyEnd > 0) {
        const order = this.keyBytes.compare(key);
        if (order >= 0) return order === 0;
      }
      if (!this.advance()) return false;
    }
  }

  /** Moves to the last anchor whose key is not after `key`, if it is ahead. */
  #jump(key: Buffer): void {
    let from = 0;
    let to = this.#anchors.length / 2;
    while (from < to) {
      const middle = (from + to) >> 1;
      const at = this.#anchors[2 * middle] as number;
      const reader = new ByteReader(this.#reader.bytes, at);
      const length = reader.varint();
      const anchor = this.#reader.bytes.subarray(reader.at, reader.at + length);
      if (anchor.compare(key) <= 0) from = middle + 1;
      else to = middle;
    }
    if (from === 0) return;
    const start = this.#anchors[2 * from - 2] as number;
    if (start <= this.#reader.at) return;
    this.#reader.at = start;
    this.nextOffset = this.#anchors[2 * from - 1] as number;
    this.advance();
  }
}

/** Writes a tail. */
export class TailWriter {
  readonly #entries = new ByteWriter();
  #count = 0;
  #bodyLength = 0;

  add(key: string, length: number, removes: boolean, checksums: readonly number[]): void {
    this.#entries.varint(key.length);
    this.#entries.ascii(key);
    this.#entries.varint(2 * length + (removes ? 1 : 0));
    for (const checksum of checksums) this.#entries.uint32(checksum);
    this.#count++;
    this.#bodyLength += length;
  }

  end(id: CommitId, partLength: number, cover: Cover | undefined): Buffer {
    const tail = new ByteWriter();
    tail.uint32(MAGIC);
    tail.append(Buffer.from(id.writer, "hex"));
    tail.uint32(id.sequence);
    tail.uint32(id.epoch);
    tail.uint53(id.stamp);
    tail.uint53(this.#bodyLength);
    tail.uint53(partLength);
    tail.uint32(this.#count);
    tail.uint32(this.#entries.length);
    tail.append(this.#entries.bytes);
    if (id.kind !== "add") (cover as Cover).write(tail);
    tail.uint32(crc32(tail.bytes));
    return tail.bytes;
  }
}

/** Bytes of a value under one checksum: the least that is read of a large value. */
export const CHUNK = 2 ** 20;
/** Entries from one anchor to the next: the most that a search visits. */
const ANCHOR = 32;
const MAGIC = 0x01335370; // "pS3", version 1
const HEAD = 4 + 8 + 4 + 4 + 8 + 8 + 8 + 4 + 4;
/** Characters that no encoded key has. */
const NO_KEY = /[^%/\w.() -]/;
