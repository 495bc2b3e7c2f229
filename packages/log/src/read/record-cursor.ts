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
} from "../format/layout.js";
import { contradiction, decodeTable, findHead } from "../format/scan.js";
import { GrowingIndex } from "../index/range-chains.js";
import { type DivideMemory, Result } from "./divide-memory.js";
import type { Divider } from "./divider.js";
import { damagedRange } from "./gather.js";
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
  #opened: Window | undefined;
  readonly #end: number;
  /** Of `divide.c`: where each of the segment's keys was defined. */
  #places: number | undefined;
  #at = SEGMENT_HEADER;
  #next = 0;
  #head: RecordHead | undefined;
  #table: Buffer = EMPTY;

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
    if (this.#places !== undefined) this.#memory.exports.closeSegment(this.#places);
    // A thousand cursors that each kept a stretch of their segment would be a gigabyte.
    this.#table = EMPTY;
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
    const memory = this.#memory;
    const { exports } = memory;
    this.#places ??= exports.openSegment();
    const crcs = this.#table.length - 4 * groups;
    if (entries * 2 > crcs) throw new RangeError("there is no room for so many entries");
    memory.copy(this.#table, exports.table(this.#table.length));
    const mostKey = Math.min(this.#next / 2, MOST_KEYS);
    let position = this.#next - payloadLength;
    let group = 0;
    const next = async (length: number, isOfLast = false) => {
      if (group === groups) throw new RangeError("there are more groups than it says");
      const bytes =
        this.#window.has(position, length) ?? (await this.#window.read(position, length));
      if (bytes.length < length) throw new RangeError("its lengths differ from what it says");
      if (crc32(bytes) !== this.#table.readUInt32LE(crcs + 4 * group)) {
        exports.lastPlace(this.#places as number);
        const key = await this.#textOf(isOfLast ? memory.out(1) : exports.firstKey());
        throw damagedRange(this.#segment, position, length, key);
      }
      position += length;
      group++;
      return bytes;
    };
    let at = 0;
    for (let left = entries; left > 0; ) {
      check(exports.collect(at, crcs, left, LONGEST_ENTRY, mostKey));
      at = memory.out(0);
      const open = memory.out(1);
      left -= memory.out(2);
      const large = memory.out(3);
      if (open > 0) memory.copy(await next(open), exports.group());
      for (;;) {
        const result = exports.divide(this.#places);
        if (result !== Result.cutShort) {
          check(result);
          break;
        }
        await this.#makeRoom();
      }
      if (large < LARGE) continue;
      const number = exports.lastPlace(this.#places);
      const partition = memory.out(0);
      if (number !== 0) await this.#divider.begin(partition, number >>> 0, large);
      for (let rest = large; rest > 0; rest -= Math.min(rest, PIECE)) {
        const piece = await next(Math.min(rest, PIECE), true);
        if (number !== 0) await this.#divider.addPiece(partition, piece);
      }
    }
    if (group !== groups || position !== this.#next || at !== crcs) {
      throw new RangeError("its lengths differ from what it says");
    }
  }

  /** Makes room for the first of the entries that wait. */
  async #makeRoom(): Promise<void> {
    const { exports } = this.#memory;
    const [partition, from, length] = [0, 1, 2].map((i) => this.#memory.out(i)) as Three;
    if (await this.#divider.flush(partition)) return;
    // Its key is longer than an empty chunk.
    await this.#divider.writeKey(partition, this.#table.subarray(from, from + length));
    exports.definedAlone(this.#places as number);
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

  get #memory(): DivideMemory {
    return this.#divider.memory;
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

/** @throws RangeError if a table makes no sense. */
function check(result: Result): void {
  if (result === Result.ok) return;
  if (result === Result.cutShort) throw new RangeError("a number is cut short");
  throw new RangeError(result === Result.badKey ? "a key is none" : "an entry is too long");
}

type Three = [number, number, number];

/** Of one segment: eight bytes of memory each. */
const MOST_KEYS = 2 ** 31;
const EMPTY = Buffer.alloc(0);
