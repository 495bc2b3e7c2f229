import { type Batch, changedMeanwhile, Pace } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";
import type { GrowingIndex, RangeColumns } from "../index/range-chains.js";
import { LARGE, LONGEST_ENTRY, PIECE, RECORD_HEAD, writeHead, writeVarint } from "./layout.js";

/**
 * Encodes records of one segment, one at a time: `begin`, `add` for each batch or part of one, `end`;
 * then either `whole`, or `payload`, `checksum` and `headAndTable`; and `commit` once it is written.
 * Its buffers are used again for the next record.
 */
export class RecordEncoder {
  #segment: Segment | undefined;
  #stamp = 0;
  /** The head and the table, and for a small record the payload, too. */
  #bytes = Buffer.allocUnsafeSlow(64 * 1024);
  #at = 0;
  #entries = 0;
  #row = 0;
  #group = 0;
  /** Bytes in the open group. */
  #open = 0;
  #payloadLength = 0;
  #tableLength = 0;
  #tableCrc = 0;
  readonly #values: Uint8Array[] = [];
  /** Small values gathered for a record that is written in pieces. */
  #gathered = Buffer.alloc(0);
  /** What {@link payload} returned, until {@link checksum}. */
  #pieces: Uint8Array[] = [];

  begin(segment: Segment, stamp: number): void {
    const { columns } = segment.index as GrowingIndex;
    this.#segment = segment;
    this.#stamp = stamp;
    this.#at = RECORD_HEAD;
    this.#entries = this.#open = this.#payloadLength = 0;
    this.#values.length = 0;
    this.#row = columns.count;
    this.#group = columns.groupCount;
  }

  /** Adds the entries `from` to `to`. */
  add({ keys, values }: Batch, from = 0, to = keys.length): void {
    const columns = this.#columns;
    columns.reserve(this.#row + to - from);
    for (let i = from; i < to; i++) {
      const value = values[i] as Uint8Array;
      const key = this.#writeKey(keys[i] as string);
      const length = value.length;
      if (length < LARGE) {
        if (length > 0) this.#values.push(value);
        this.#addSmall(columns, key, length);
      } else {
        this.#values.push(value);
        this.#addLarge(columns, key, length);
        columns.reserve(this.#row + to - i);
      }
    }
  }

  end(): void {
    if (this.#open > 0) this.#closeGroup(this.#open);
    this.#tableLength = this.#at - RECORD_HEAD + this.#groups * 4;
    this.#ensure(this.#groups * 4);
    const columns = this.#columns;
    const base = (this.#segment as Segment).position + this.payloadStart;
    for (let group = columns.groupCount; group < this.#group; group++) {
      (columns.start[group] as number) += base;
    }
  }

  /** Bytes of the whole record. */
  get byteLength(): number {
    return this.payloadStart + this.#payloadLength;
  }

  /** Where the payload begins in the record. */
  get payloadStart(): number {
    return RECORD_HEAD + this.#tableLength;
  }

  /** The record in one piece. */
  whole(): Buffer {
    this.#ensure(this.byteLength - this.#at);
    const bytes = this.#bytes;
    let at = this.payloadStart;
    for (let i = 0; i < this.#values.length; i++) {
      const value = this.#values[i] as Uint8Array;
      bytes.set(value, at);
      at += value.length;
    }
    const columns = this.#columns;
    at = this.payloadStart;
    for (let group = columns.groupCount; group < this.#group; group++) {
      const end = at + (columns.groupLength[group] as number);
      columns.crc[group] = crc32(bytes.subarray(at, end));
      at = end;
    }
    this.#tableCrc = crc32(this.#table());
    this.headAndTable();
    return bytes.subarray(0, this.byteLength);
  }

  /** The payload in pieces: large values without a copy, small ones gathered. */
  async payload(): Promise<Uint8Array[]> {
    const pace = new Pace();
    let small = 0;
    for (const value of this.#values) if (value.length < LARGE) small += value.length;
    if (this.#gathered.length < small) this.#gathered = Buffer.allocUnsafeSlow(small);
    const pieces: Uint8Array[] = [];
    let start = 0;
    let at = 0;
    for (const value of this.#values) {
      if (value.length < LARGE) {
        this.#gathered.set(value, at);
        at += value.length;
      } else {
        if (at > start) pieces.push(this.#gathered.subarray(start, at));
        pieces.push(value);
        start = at;
      }
      if (pace.due) await pace.rest();
    }
    if (at > start) pieces.push(this.#gathered.subarray(start, at));
    this.#pieces = pieces;
    return pieces;
  }

  /** Computes the checksums of what {@link payload} returned, and of the table. */
  async checksum(): Promise<void> {
    const columns = this.#columns;
    const pace = new Pace();
    let piece = 0;
    let at = 0;
    for (let group = columns.groupCount; group < this.#group; group++) {
      const bytes = this.#pieces[piece] as Uint8Array;
      const end = at + (columns.groupLength[group] as number);
      columns.crc[group] = crc32(bytes.subarray(at, end));
      at = end;
      if (at === bytes.length) {
        piece++;
        at = 0;
      }
      if (pace.due) await pace.rest();
    }
    this.#pieces = [];
    const table = this.#table();
    let crc = 0;
    for (let from = 0; from < table.length; from += SLICE) {
      crc = crc32(table.subarray(from, from + SLICE), crc);
      if (pace.isOver) await pace.rest();
    }
    this.#tableCrc = crc;
  }

  /**
   * The head and the table, once the checksums are known.
   *
   * @throws `ERR_PARTD_VALUE` if a value is no longer as long as the table says.
   */
  headAndTable(): Buffer {
    let left = this.#payloadLength;
    for (let i = 0; i < this.#values.length; i++) left -= (this.#values[i] as Uint8Array).length;
    if (left !== 0) throw changedMeanwhile();
    const bytes = this.#bytes;
    const segment = this.#segment as Segment;
    writeHead(bytes, segment.seed, segment.position, {
      stamp: this.#stamp,
      payloadLength: this.#payloadLength,
      tableLength: this.#tableLength,
      tableCrc: this.#tableCrc,
      entries: this.#entries,
      groups: this.#groups,
    });
    return bytes.subarray(0, this.payloadStart);
  }

  /** Adds the rows to the index, once the record is written. */
  commit(): void {
    ((this.#segment as Segment).index as GrowingIndex).commit(this.#row, this.#group, this.#stamp);
    this.#values.length = 0;
    if (this.#gathered.length > KEPT_BYTES) this.#gathered = Buffer.alloc(0);
  }

  /** The table, still without the checksums of the groups. */
  #table(): Buffer {
    const columns = this.#columns;
    let at = this.#at;
    for (let group = columns.groupCount; group < this.#group; group++) {
      at = this.#bytes.writeUInt32LE(columns.crc[group] as number, at);
    }
    return this.#bytes.subarray(RECORD_HEAD, at);
  }

  get #columns(): RangeColumns {
    return ((this.#segment as Segment).index as GrowingIndex).columns;
  }

  get #groups(): number {
    return this.#group - this.#columns.groupCount;
  }

  #addSmall(columns: RangeColumns, key: number, length: number): void {
    this.#at = writeVarint(this.#bytes, this.#at, length);
    const row = this.#row++;
    columns.key[row] = key;
    columns.group[row] = this.#group;
    columns.delta[row] = this.#open;
    columns.length[row] = length;
    this.#entries++;
    this.#open += length;
    if (this.#open >= LARGE) this.#closeGroup(this.#open);
  }

  #addLarge(columns: RangeColumns, key: number, length: number): void {
    if (this.#open > 0) this.#closeGroup(this.#open);
    let part: number;
    for (let left = length; left > 0; left -= part) {
      part = Math.min(left, LONGEST_ENTRY);
      if (left > part && left - part < LARGE) part -= PIECE; // No small part is left over.
      if (left !== length)
        this.#writeKey(((this.#segment as Segment).index as GrowingIndex).keys.text(key));
      this.#at = writeVarint(this.#bytes, this.#at, part);
      columns.reserve(this.#row + 1);
      const row = this.#row++;
      columns.key[row] = key;
      columns.group[row] = this.#group;
      columns.delta[row] = 0;
      columns.length[row] = part;
      this.#entries++;
      for (let rest = part; rest > 0; rest -= PIECE) this.#closeGroup(Math.min(rest, PIECE));
    }
  }

  #closeGroup(length: number): void {
    const columns = this.#columns;
    columns.reserveGroups(this.#group + 1);
    columns.start[this.#group] = this.#payloadLength; // `end` makes it a position in the file.
    columns.groupLength[this.#group] = length;
    columns.stamp[this.#group] = this.#stamp;
    this.#group++;
    this.#payloadLength += length;
    this.#open = 0;
  }

  /** Writes the number of the key, with its text if it is new in the segment. */
  #writeKey(text: string): number {
    this.#ensure(32 + text.length);
    const { keys } = (this.#segment as Segment).index as GrowingIndex;
    const known = keys.size;
    const key = keys.number(text);
    if (key < known) {
      this.#at = writeVarint(this.#bytes, this.#at, key * 2);
      return key;
    }
    this.#at = writeVarint(this.#bytes, this.#at, key * 2 + 1);
    // Encoded keys are ASCII.
    this.#at = writeVarint(this.#bytes, this.#at, text.length);
    this.#at += this.#bytes.write(text, this.#at, "latin1");
    return key;
  }

  #ensure(room: number): void {
    if (this.#at + room <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + room));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** The most bytes of a table whose checksum is computed at once. */
const SLICE = 2 ** 20;
/** Buffers up to this length are kept for the next record. */
const KEPT_BYTES = 4 * 2 ** 20;
