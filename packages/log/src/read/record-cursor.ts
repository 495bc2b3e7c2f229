import { crc32 } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";
import {
  LARGE,
  LONGEST_ENTRY,
  PIECE,
  RECORD_HEAD,
  type RecordHead,
  readHead,
  SEGMENT_HEADER,
  VarintReader,
} from "../format/layout.js";
import { contradiction, decodeTable, findHead } from "../format/scan.js";
import { beginsWith, orderHash } from "../index/key-table.js";
import { GrowingIndex } from "../index/range-chains.js";
import { grown, grownSize } from "../index/range-columns.js";
import type { Divider } from "./divider.js";
import { damagedRange } from "./gather.js";
import { NO_SPAN, Span } from "./partition.js";
import { Window } from "./window.js";

/** A segment, and where reading of it ends. */
export interface Extent {
  readonly segment: Segment;
  readonly end: number;
}

/** A record table is damaged: only the segment's index knows what it held. */
export class UnreadableTable extends Error {}

/**
 * Goes through the records of a segment, and divides what they hold by the hashes of the keys. Keys
 * stay bytes, and entries numbers: there may be a thousand million.
 */
export class RecordCursor {
  readonly isBase: boolean;
  /** The stamp of the present record, or of the first one. */
  stamp: number;
  readonly #segment: Segment;
  readonly #number: number;
  readonly #divider: Divider;
  readonly #start: string;
  #opened: Window | undefined;
  readonly #end: number;
  /**
   * Of each key's number in the segment: its partition, and the number that it has there, or 0.
   */
  #places = new Uint32Array(128);
  #at = SEGMENT_HEADER;
  #next = 0;
  #head: RecordHead | undefined;
  #table: Buffer = EMPTY;
  #tableSpan = NO_SPAN;
  /** Entries of the open group: the numbers of their keys, their lengths, and where keys stand. */
  #keys = new Uint32Array(1024);
  #lengths = new Uint32Array(1024);
  #keyFrom = new Uint32Array(1024);
  /** 0 for a key that was defined before. */
  #keyLengths = new Uint32Array(1024);
  #waiting = 0;
  /** Those of them that are divided, and their bytes. */
  #done = 0;
  #from = 0;

  /** @param start what the keys begin with; others are left out. */
  constructor({ segment, end }: Extent, number: number, divider: Divider, start: string) {
    this.#segment = segment;
    this.#number = number;
    this.#divider = divider;
    this.#start = start;
    this.#end = end;
    this.isBase = segment.isBase;
    this.stamp = segment.index?.firstStamp ?? 0;
  }

  /** Goes to the next record, if there is one. */
  async next(): Promise<boolean> {
    const { path, seed, unreadable } = this.#segment;
    this.#at = Math.max(this.#at, this.#next);
    for (;;) {
      const at = this.#at;
      if (at + RECORD_HEAD > this.#end) break;
      const head = readHead(await this.#window.read(at, RECORD_HEAD), seed, at);
      if (head) {
        const payload = at + RECORD_HEAD + head.tableLength;
        const end = payload + head.payloadLength;
        if (end > this.#end) break;
        const table = await this.#window.read(at + RECORD_HEAD, head.tableLength);
        if (crc32(table) === head.tableCrc) {
          this.#next = end;
          this.#head = head;
          this.#table = table;
          this.stamp = head.stamp;
          return true;
        }
      }
      // Known damage, which a salvage skips; or damage that nobody has found yet.
      const gap = unreadable.find(({ offset }) => offset === at);
      if (!gap) throw new UnreadableTable(path);
      this.#at = Math.max(gap.end, at + 1);
      if (!(await this.#isHead(this.#at))) {
        this.#at = (await findHead(this.#window, this.#segment, this.#at, this.#end)) ?? this.#end;
      }
    }
    this.#places = new Uint32Array(0);
    // A thousand cursors that each kept a stretch of their segment would be a gigabyte.
    this.#table = EMPTY;
    this.#tableSpan = NO_SPAN;
    this.#opened = undefined;
    return false;
  }

  isBefore(other: RecordCursor): boolean {
    return this.stamp === other.stamp ? this.#number < other.#number : this.stamp < other.stamp;
  }

  /**
   * Divides the record, and answers its length in bytes.
   *
   * @throws `ERR_PARTD_CORRUPT` if its table makes no sense, or bytes do not match their checksum.
   */
  async divide(): Promise<number> {
    try {
      await this.#divide();
    } catch (error) {
      if (error instanceof RangeError) throw contradiction(this.#segment.path, this.#at, error);
      throw error;
    }
    const byteLength = this.#next - this.#at;
    this.#at = this.#next;
    return byteLength;
  }

  async #divide(): Promise<void> {
    const { entries, groups, payloadLength } = this.#head as RecordHead;
    const reader = new VarintReader(this.#table);
    this.#tableSpan = new Span(this.#table);
    const crcs = this.#table.length - 4 * groups;
    if (entries * 2 > crcs) throw new RangeError("there is no room for so many entries");
    let position = this.#next - payloadLength;
    let group = 0;
    const next = async (length: number, entry?: number) => {
      if (group === groups) throw new RangeError("there are more groups than it says");
      const bytes =
        this.#window.has(position, length) ?? (await this.#window.read(position, length));
      if (crc32(bytes) !== this.#table.readUInt32LE(crcs + 4 * group)) {
        const named = entry ?? this.#lengths.findIndex((bytes) => bytes > 0);
        const key = await this.#textOf(this.#keys[named] as number);
        throw damagedRange(this.#segment, position, length, key);
      }
      position += length;
      group++;
      return new Span(bytes);
    };
    for (let left = entries; left > 0; left -= this.#waiting) {
      const open = this.#collect(reader, left, crcs);
      const large = this.#lengths[this.#waiting - 1] as number;
      const bytes = open > 0 ? await next(open) : NO_SPAN;
      this.#done = 0;
      this.#from = 0;
      while (!this.#divideSome(bytes)) await this.#makeRoom();
      if (large < LARGE) continue;
      const last = this.#waiting - 1;
      const place = 2 * (this.#keys[last] as number);
      const number = place < this.#places.length ? (this.#places[place + 1] as number) : 0;
      const partition = this.#places[place] as number;
      if (number > 0) await this.#divider.begin(partition, number, large);
      for (let rest = large; rest > 0; rest -= Math.min(rest, PIECE)) {
        const piece = await next(Math.min(rest, PIECE), last);
        if (number > 0) await this.#divider.addPiece(partition, piece);
      }
    }
    if (group !== groups || position !== this.#next || reader.at !== crcs) {
      throw new RangeError("its lengths differ from what it says");
    }
  }

  /**
   * Reads entries of the table up to the end of a group, and a large one behind it, whose groups
   * are its own. @returns the bytes of the group.
   */
  #collect(reader: VarintReader, most: number, end: number): number {
    let open = 0;
    let count = 0;
    while (count < most && open < LARGE) {
      if (count === this.#keys.length) this.#growWaiting();
      const reference = reader.next();
      const key = Math.floor(reference / 2);
      this.#keyLengths[count] = 0;
      if (reference % 2 === 1) {
        const length = reader.next();
        // A definition takes three bytes or more, all of them earlier in the file.
        if (length === 0 || reader.at + length > end || key > this.#next / 2) {
          throw new RangeError("a key is none");
        }
        this.#keyFrom[count] = reader.at;
        this.#keyLengths[count] = length;
        reader.at += length;
      }
      const length = reader.next();
      if (length > LONGEST_ENTRY || reader.at > end) throw new RangeError("an entry is too long");
      this.#keys[count] = key;
      this.#lengths[count++] = length;
      if (length >= LARGE) break;
      open += length;
    }
    this.#waiting = count;
    return open;
  }

  /** Divides waiting entries, except for the bytes of a large one; false if a chunk is full. */
  #divideSome(bytes: Span): boolean {
    const divider = this.#divider;
    const waiting = this.#waiting;
    let from = this.#from;
    let i = this.#done;
    for (; i < waiting; i++) {
      const key = this.#keys[i] as number;
      if (this.#keyLengths[i] !== 0 && !this.#define(key, i)) break;
      const length = this.#lengths[i] as number;
      if (length >= LARGE) continue; // It is the last one.
      const place = 2 * key;
      const number = place < this.#places.length ? (this.#places[place + 1] as number) : 0;
      // Nothing if its key is not wanted, or was defined where it cannot be read.
      if (number > 0) {
        const partition = this.#places[place] as number;
        if (!divider.add(partition, number, length, bytes, from)) break;
      }
      from += length;
    }
    this.#done = i;
    this.#from = from;
    return i === waiting;
  }

  /** Makes room for the first of the waiting entries. */
  async #makeRoom(): Promise<void> {
    const i = this.#done;
    const key = this.#keys[i] as number;
    const length = this.#keyLengths[i] as number;
    const partition = this.#places[2 * key] as number;
    if (length === 0) return this.#divider.flush(partition);
    const from = this.#keyFrom[i] as number;
    const table = this.#tableSpan;
    this.#places[2 * key + 1] = await this.#divider.defineLater(partition, table, from, length);
    this.#keyLengths[i] = 0;
  }

  /** Finds the partition of a key, and defines it there; false if its chunk is full. */
  #define(key: number, i: number): boolean {
    const table = this.#table;
    const from = this.#keyFrom[i] as number;
    const length = this.#keyLengths[i] as number;
    for (let at = from; at < from + length; at++) {
      if (IS_OF_KEYS[table[at] as number] === 0) throw new RangeError("a key is none");
    }
    if (2 * key >= this.#places.length) {
      const size = grownSize(Math.max(64, this.#places.length), 2 * key + 2);
      this.#places = grown(this.#places, size);
    }
    if (!beginsWith(table, from, from + length, this.#start)) {
      this.#places[2 * key + 1] = this.#keyLengths[i] = 0;
      return true;
    }
    const hash = orderHash(table, from, from + length);
    const partition = Math.floor((hash / 2 ** 32) * this.#divider.partitions.length);
    const number = this.#divider.define(partition, this.#tableSpan, from, length);
    this.#places[2 * key] = partition;
    this.#places[2 * key + 1] = number;
    if (number === 0) return false;
    this.#keyLengths[i] = 0;
    return true;
  }

  /** The text of a key of the segment, for messages: read anew, up to this record. */
  async #textOf(key: number): Promise<string> {
    const index = new GrowingIndex();
    const { path, seed } = this.#segment;
    const window = new Window(this.#segment, this.#end);
    for (let at = SEGMENT_HEADER; at <= this.#at; ) {
      const head = readHead(await window.read(at, RECORD_HEAD), seed, at);
      if (!head) break;
      const payload = at + RECORD_HEAD + head.tableLength;
      const table = await window.read(at + RECORD_HEAD, head.tableLength);
      decodeTable(table, head, payload, index, path);
      at = payload + head.payloadLength;
    }
    const number = index.locals[key];
    return number === undefined ? "?" : index.keys.text(number) || "?";
  }

  #growWaiting(): void {
    const size = 2 * this.#keys.length;
    this.#keys = grown(this.#keys, size);
    this.#lengths = grown(this.#lengths, size);
    this.#keyFrom = grown(this.#keyFrom, size);
    this.#keyLengths = grown(this.#keyLengths, size);
  }

  get #window(): Window {
    this.#opened ??= new Window(this.#segment, this.#end);
    return this.#opened;
  }

  async #isHead(at: number): Promise<boolean> {
    if (at + RECORD_HEAD > this.#end) return false;
    return !!readHead(await this.#window.read(at, RECORD_HEAD), this.#segment.seed, at);
  }
}

/** Bytes that encoded keys are made of. */
const IS_OF_KEYS = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[%/\w.() -]/.test(String.fromCharCode(byte)) ? 1 : 0,
);

const EMPTY = Buffer.alloc(0);
