import { crc32 } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";
import {
  LARGE,
  PIECE,
  RECORD_HEAD,
  type RecordHead,
  readHead,
  SEGMENT_HEADER,
} from "../format/layout.js";
import { contradiction, decodeTable, findHead } from "../format/scan.js";
import { GrowingIndex } from "../index/range-chains.js";
import { type DivideMemory, Result } from "./divide-memory.js";
import type { Divider } from "./divider.js";
import { cutShort, damagedRange } from "./read-ranges.js";
import { Window } from "./window.js";

/** A segment, and where reading it ends. */
export interface Extent {
  readonly segment: Segment;
  readonly end: number;
}

/** Thrown if a record's table is damaged: only the segment's index knows what it held. */
export class UnreadableTable extends Error {}

/**
 * Walks through the records of a segment, and divides their entries by the hashes of the keys. Keys
 * stay bytes, and entries numbers: there may be a thousand million.
 */
export class RecordCursor {
  readonly isBase: boolean;
  /** The stamp of the present record, or of the first one. */
  stamp: number;
  readonly #segment: Segment;
  readonly #number: number;
  readonly #divider: Divider;
  readonly #end: number;
  #opened: Opened | undefined;
  #at = SEGMENT_HEADER;
  #next = 0;
  #head: RecordHead | undefined;
  /** The address of its table. */
  #table = 0;

  constructor({ segment, end }: Extent, number: number, divider: Divider) {
    this.#segment = segment;
    this.#number = number;
    this.#divider = divider;
    this.#end = end;
    this.isBase = segment.isBase;
    this.stamp = segment.index?.firstStamp ?? 0;
  }

  /** Goes to the next record, if there is one. */
  async next(): Promise<boolean> {
    const { path, seed, unreadable } = this.#segment;
    this.#at = Math.max(this.#at, this.#next);
    const { address, window } = this.#open;
    for (;;) {
      const at = this.#at;
      if (at + RECORD_HEAD > this.#end) break;
      const head = readHead(await window.read(at, RECORD_HEAD), seed, at);
      if (head) {
        const payload = at + RECORD_HEAD + head.tableLength;
        const end = payload + head.payloadLength;
        if (end > this.#end) break;
        this.#table = this.#memory.exports.table(address, head.tableLength) >>> 0;
        const table = await window.read(at + RECORD_HEAD, head.tableLength);
        if (crc32(table) === head.tableCrc) {
          this.#memory.copy(table, this.#table);
          this.#next = end;
          this.#head = head;
          this.stamp = head.stamp;
          return true;
        }
      }
      // Known damage, which a salvage skips; or new damage.
      const gap = unreadable.find(({ offset }) => offset === at);
      if (!gap) throw new UnreadableTable(path);
      this.#at = Math.max(gap.end, at + 1);
      if (!(await this.#isHead(this.#at))) {
        this.#at = (await findHead(window, this.#segment, this.#at, this.#end)) ?? this.#end;
      }
    }
    // With a thousand cursors, keeping a stretch of each segment would take a gigabyte.
    this.#memory.exports.closeSegment(address);
    this.#opened = undefined;
    return false;
  }

  isBefore(other: RecordCursor): boolean {
    return this.stamp === other.stamp ? this.#number < other.#number : this.stamp < other.stamp;
  }

  /**
   * Divides the record. @returns its length in bytes.
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
    const { entries, groups, payloadLength, tableLength } = this.#head as RecordHead;
    const memory = this.#memory;
    const { exports } = memory;
    const { address: segment, window } = this.#open;
    const crcs = tableLength - 4 * groups;
    if (entries * 2 > crcs) throw new RangeError("there is no room for so many entries");
    const mostKey = Math.min(this.#next / 2, MOST_KEYS);
    let position = this.#next - payloadLength;
    let group = 0;
    let at = 0;
    for (let left = entries; left > 0; ) {
      const rest = this.#next - position;
      const wanted = Math.min(rest, 2 * LARGE);
      const bytes = await window.from(position, wanted);
      if (bytes.length < wanted) throw cutShort(this.#segment, position + bytes.length);
      const address = bytes.byteOffset;
      const limit = Math.min(rest, bytes.length);
      check(exports.collect(segment, at, crcs, left, mostKey, address, limit));
      at = memory.out(0);
      const byteLength = memory.out(1);
      const count = memory.out(2);
      const large = memory.out(3);
      if (count === 0) throw contradictory();
      left -= count;
      let checked = 0;
      for (const length of memory.words(memory.out(5), memory.out(4))) {
        const start = address + checked;
        if (this.#crc(group++) !== crc32(memory.slice(start, start + length))) {
          const key = await this.#textOf(exports.keyAt(checked));
          throw damagedRange(this.#segment, position + checked, length, key);
        }
        checked += length;
      }
      position += byteLength;
      for (;;) {
        const result = exports.divide(segment);
        if (result !== Result.cutShort) {
          check(result);
          break;
        }
        await this.#makeRoom();
      }
      if (large === 0) continue;
      const number = exports.lastPlace();
      const partition = memory.out(0);
      const key = memory.out(1);
      if (number !== 0) await this.#divider.begin(partition, number >>> 0, large);
      for (let done = 0; done < large; done += PIECE) {
        const length = Math.min(large - done, PIECE);
        const piece = (await window.from(position, length)).subarray(0, length);
        if (piece.length < length) throw cutShort(this.#segment, position + piece.length);
        if (this.#crc(group++) !== crc32(piece)) {
          throw damagedRange(this.#segment, position, length, await this.#textOf(key));
        }
        position += length;
        if (number !== 0) await this.#divider.addPiece(partition, piece);
      }
    }
    if (group !== groups || position !== this.#next || at !== crcs) throw contradictory();
  }

  /** The checksum of a group of the present record, in the table. */
  #crc(group: number): number {
    const { groups, tableLength } = this.#head as RecordHead;
    if (group >= groups) throw new RangeError("there are more groups than it says");
    return this.#memory.bytes.readUInt32LE(this.#table + tableLength - 4 * (groups - group));
  }

  /** Makes room for the first of the waiting entries. */
  async #makeRoom(): Promise<void> {
    const memory = this.#memory;
    const [partition, from, length] = [0, 1, 2].map((i) => memory.out(i)) as Three;
    if (await this.#divider.flush(partition)) return;
    // The key is longer than an empty chunk.
    await this.#divider.writeKey(partition, memory.slice(from, from + length));
    memory.exports.definedAlone(this.#open.address);
  }

  /** The text of a key, for messages: the segment is read again, up to this record. */
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

  get #memory(): DivideMemory {
    return this.#divider.memory;
  }

  /** Opened at its first use. */
  get #open(): Opened {
    if (!this.#opened) {
      const { exports } = this.#memory;
      const address = exports.openSegment();
      const window = new Window(this.#segment, this.#end, (length) => {
        const start = exports.window(address, length) >>> 0;
        return this.#memory.slice(start, start + length);
      });
      this.#opened = { address, window };
    }
    return this.#opened;
  }

  async #isHead(at: number): Promise<boolean> {
    if (at + RECORD_HEAD > this.#end) return false;
    return !!readHead(await this.#open.window.read(at, RECORD_HEAD), this.#segment.seed, at);
  }
}

/** What reading a segment needs: its state in `divide.c`, and the bytes read into that memory. */
interface Opened {
  readonly address: number;
  readonly window: Window;
}

function contradictory(): RangeError {
  return new RangeError("its lengths differ from what it says");
}

/** @throws RangeError if a table makes no sense. */
function check(result: Result): void {
  if (result === Result.ok) return;
  if (result === Result.cutShort) throw new RangeError("a number is cut short");
  throw new RangeError(result === Result.badKey ? "a key is none" : "an entry is too long");
}

type Three = [number, number, number];

/** The most keys of one segment: eight bytes of memory each. */
const MOST_KEYS = 2 ** 31;
