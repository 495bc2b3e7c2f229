import { PartdError } from "@partd/core";
import type { Pace } from "@partd/core/author";
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
import { contradiction, decodeTable, findHead, Window } from "../format/scan.js";
import { GrowingIndex } from "../index/range-chains.js";
import { type DivideMemory, type Divider, Result } from "./divider.js";
import type { LoneEntries } from "./entry-batch.js";
import { cutShort, damagedRange } from "./read-ranges.js";

/** A segment, and where reading it ends. */
export interface Extent {
  readonly segment: Segment;
  readonly end: number;
}

/** Thrown if a record's table is damaged: only the segment's index knows what it held. */
export class UnreadableTable extends PartdError {
  constructor(path: string) {
    super(
      "ERR_PARTD_CORRUPT",
      `The table of a record of ${path} does not match its checksum; verify() lists all damage.`,
      { path },
    );
  }
}

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
  readonly #lone: LoneEntries | undefined;
  readonly #stretch: number | undefined;
  readonly #end: number;
  #opened: Opened | undefined;
  /** Where the present record begins, and where it ends. */
  #at = SEGMENT_HEADER;
  #next = 0;
  #head: RecordHead | undefined;
  /** The address of its table. */
  #table = 0;
  /** The entries that are left, and where the next one, its bytes and its group are. */
  #left = 0;
  #entry = 0;
  #position = 0;
  #group = 0;

  /**
   * @param number the place of the segment in the manifest.
   * @param lone collects whole values.
   * @param stretch bytes that are read at a time.
   */
  constructor(
    { segment, end }: Extent,
    number: number,
    divider: Divider,
    lone?: LoneEntries,
    stretch?: number,
  ) {
    this.#lone = lone;
    this.#stretch = stretch;
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
          this.#left = head.entries;
          this.#position = payload;
          this.#entry = this.#group = 0;
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

  /** Of the present record. */
  get byteLength(): number {
    return this.#next - this.#at;
  }

  /**
   * Divides the record. @returns false if there is more of it, and whole values have to be taken first.
   *
   * @throws `ERR_PARTD_CORRUPT` if its table makes no sense, or bytes do not match their checksum.
   */
  divide(): Promise<boolean> {
    return this.#makingSense(async () => {
      const crcs = this.#checkedTableEnd();
      while (this.#left > 0) {
        await this.#divideSome(crcs);
        if (this.#lone?.isFull) return false;
      }
      const { groups } = this.#head as RecordHead;
      if (this.#group !== groups || this.#position !== this.#next || this.#entry !== crcs) {
        throw new RangeError("its lengths differ from what it says");
      }
      return true;
    });
  }

  /**
   * Counts the entries of the record in `divide.c`, by key: those longer than `longest` as two.
   *
   * @throws `ERR_PARTD_CORRUPT` if its table makes no sense.
   */
  sight(longest: number, pace: Pace): Promise<void> {
    return this.#makingSense(async () => {
      const { exports } = this.#memory;
      const crcs = this.#checkedTableEnd();
      while (this.#left > 0) {
        const some = Math.min(this.#left, SOME);
        const { address } = this.#open;
        check(exports.sight(address, this.#entry, crcs, some, this.#mostKey, longest));
        this.#entry = this.#memory.out(0);
        this.#left -= some;
        if (pace.isOver) await pace.rest();
      }
    });
  }

  async #makingSense<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof RangeError) throw contradiction(this.#segment.path, this.#at, error);
      throw error;
    }
  }

  /** Where the entries end in the table. */
  #checkedTableEnd(): number {
    const { entries, groups, tableLength } = this.#head as RecordHead;
    const crcs = tableLength - 4 * groups;
    if (entries * 2 > crcs) throw new RangeError("there is no room for so many entries");
    return crcs;
  }

  /** Keys are numbered as they are defined, and each takes two bytes or more. */
  get #mostKey(): number {
    return Math.min(this.#next / 2, MOST_KEYS);
  }

  /** Divides groups of small entries, and a large one behind them. */
  async #divideSome(crcs: number): Promise<void> {
    const memory = this.#memory;
    const { exports } = memory;
    const { address: segment, window } = this.#open;
    const rest = this.#next - this.#position;
    const wanted = Math.min(rest, 2 * LARGE);
    const bytes = await window.from(this.#position, wanted);
    if (bytes.length < wanted) throw cutShort(this.#segment, this.#position + bytes.length);
    const address = bytes.byteOffset;
    const limit = Math.min(rest, bytes.length);
    const left = this.#left;
    check(exports.collect(segment, this.#entry, crcs, left, this.#mostKey, address, limit));
    this.#entry = memory.out(0);
    const byteLength = memory.out(1);
    const count = memory.out(2);
    const large = memory.out(3);
    if (count === 0) throw new RangeError("its lengths differ from what it says");
    this.#left -= count;
    let checked = 0;
    for (const length of memory.words(memory.out(5), memory.out(4))) {
      const start = address + checked;
      if (this.#nextCrc() !== crc32(memory.slice(start, start + length))) {
        const key = await this.#textOf(exports.keyAt(checked));
        throw damagedRange(this.#segment, this.#position + checked, length, key);
      }
      checked += length;
    }
    this.#position += byteLength;
    for (;;) {
      const result = exports.divide(segment);
      if (result !== Result.cutShort) {
        check(result);
        break;
      }
      await this.#makeRoom();
    }
    const value = this.#lone?.add(memory, large);
    if (large > 0) await this.#divideLarge(large, value);
  }

  /** @param value its memory, if it is the only entry of its key. */
  async #divideLarge(length: number, value: Uint8Array | undefined): Promise<void> {
    const memory = this.#memory;
    const number = memory.exports.lastPlace();
    const [partition, key] = [memory.out(0), memory.out(1)] as const;
    if (number !== 0) await this.#divider.begin(partition, number >>> 0, length);
    for (let done = 0; done < length; done += PIECE) {
      const wanted = Math.min(length - done, PIECE);
      const piece = (await this.#open.window.from(this.#position, wanted)).subarray(0, wanted);
      if (piece.length < wanted) throw cutShort(this.#segment, this.#position + piece.length);
      if (this.#nextCrc() !== crc32(piece)) {
        throw damagedRange(this.#segment, this.#position, wanted, await this.#textOf(key));
      }
      this.#position += wanted;
      if (number !== 0) await this.#divider.addPiece(partition, piece);
      else value?.set(piece, done);
    }
  }

  /** The checksum of the next group, from the table. */
  #nextCrc(): number {
    const { groups, tableLength } = this.#head as RecordHead;
    const group = this.#group++;
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
      const allocate = (length: number) => {
        const start = exports.window(address, length) >>> 0;
        return this.#memory.slice(start, start + length);
      };
      const window = new Window(this.#segment, this.#end, allocate, this.#stretch);
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

/** @throws RangeError if a table makes no sense. */
function check(result: Result): void {
  if (result === Result.ok) return;
  if (result === Result.cutShort) throw new RangeError("a number is cut short");
  throw new RangeError(result === Result.badKey ? "a key is not valid" : "an entry is too long");
}

type Three = [number, number, number];

/** Entries that are counted at once: some 2 ms. */
const SOME = 32_768;

/** The most keys of one segment: eight bytes of memory each. */
const MOST_KEYS = 2 ** 31;

/** The records of several segments in the order of appends. */
export class RecordsInOrder {
  /** What `compact` made comes first, in its order. */
  readonly #bases: RecordCursor[];
  readonly #pending: RecordCursor[];
  readonly #open: RecordCursor[] = [];
  #last: RecordCursor | undefined;

  constructor(cursors: readonly RecordCursor[]) {
    this.#bases = cursors.filter(({ isBase }) => isBase);
    this.#pending = cursors.filter(({ isBase }) => !isBase).sort((a, b) => a.stamp - b.stamp);
  }

  /** A cursor at the next record, which has to be read before another one is asked for. */
  async next(): Promise<RecordCursor | undefined> {
    for (;;) {
      const [base] = this.#bases;
      if (!base) break;
      if (await base.next()) return base;
      this.#bases.shift();
    }
    const open = this.#open;
    if (this.#last && !(await this.#last.next())) open.splice(open.indexOf(this.#last), 1);
    let first = this.#first();
    for (;;) {
      const [next] = this.#pending;
      if (!next || (first && next.stamp > first.stamp)) break;
      this.#pending.shift();
      if (await next.next()) open.push(next);
      first = this.#first();
    }
    this.#last = first;
    return first;
  }

  #first(): RecordCursor | undefined {
    let first: RecordCursor | undefined;
    // Two writers may have taken the same stamp: then the order in the manifest decides.
    for (const cursor of this.#open) if (!first || cursor.isBefore(first)) first = cursor;
    return first;
  }
}
