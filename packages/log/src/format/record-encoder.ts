import { type Batch, changedMeanwhile, Pace } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";
import type { GrowingIndex, RangeColumns } from "../index/range-chains.js";
import { LARGE, LONGEST_ENTRY, PIECE, RECORD_HEAD, writeHead, writeVarint } from "./layout.js";

/**
 * Encodes records of one segment, one at a time: `begin`, `add` for each batch or part of one, `end`;
 * then either `whole`, or `writePayload` and `headAndTable`; and `commit` once it is written.
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
  /** Bytes of the batch that are still to be added. */
  #left = 0;
  #payloadLength = 0;
  #tableLength = 0;
  #tableCrc = 0;
  readonly #values: Uint8Array[] = [];
  /** Of each value, when it was added. */
  readonly #lengths: number[] = [];
  /** What is copied of a slice. */
  #slice: Buffer = NOTHING;

  begin(segment: Segment, stamp: number): void {
    const { columns } = segment.index as GrowingIndex;
    this.#segment = segment;
    this.#stamp = stamp;
    this.#at = RECORD_HEAD;
    this.#entries = this.#open = this.#payloadLength = 0;
    this.#values.length = this.#lengths.length = 0;
    this.#row = columns.count;
    this.#group = columns.groupCount;
  }

  /**
   * Adds the entries `from` to `to`.
   *
   * @throws `ERR_PARTD_VALUE` at the end of a batch if its values are not as long as they were: one that
   *   has lost its bytes was added as a deletion of its key.
   */
  add({ keys, values, byteLength }: Batch, from = 0, to = keys.length): void {
    const columns = this.#columns;
    if (from === 0) this.#left = byteLength;
    columns.reserve(this.#row + to - from);
    for (let i = from; i < to; i++) {
      const value = values[i] as Uint8Array;
      const key = this.#writeKey(keys[i] as string);
      const length = value.length;
      this.#left -= length;
      if (length < LARGE) {
        if (length > 0) {
          this.#values.push(value);
          this.#lengths.push(length);
        }
        this.#addSmall(columns, key, length);
      } else {
        this.#values.push(value);
        this.#lengths.push(length);
        this.#addLarge(columns, key, length);
        columns.reserve(this.#row + to - i);
      }
    }
    if (to === keys.length && this.#left !== 0) throw changedMeanwhile();
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

  /**
   * Passes on the payload, a slice at a time, and computes its checksums. The caller may change a value
   * while it is written, so nothing else runs between a checksum and the call of `write` with its bytes.
   *
   * @param isCopied whether the next slice is a copy, which `write` may keep until its promise resolves.
   * @throws `ERR_PARTD_VALUE` if a value is no longer as long as the table says.
   */
  async writePayload(
    isCopied: () => boolean,
    write: (pieces: readonly Uint8Array[], isCopied: boolean) => void | Promise<void>,
  ): Promise<void> {
    const columns = this.#columns;
    const pace = new Pace();
    const most = Math.min(this.#payloadLength, SLICE + 2 * LARGE);
    if (this.#slice.length < most) this.#slice = Buffer.allocUnsafeSlow(most);
    let next = 0;
    let value: Uint8Array = NOTHING;
    let from = 0;
    let to = 0;
    for (let group = columns.groupCount; group < this.#group; ) {
      const copied = isCopied();
      const pieces: Uint8Array[] = [];
      let filled = 0;
      for (let length = 0; length < SLICE && group < this.#group; group++) {
        const groupLength = columns.groupLength[group] as number;
        if (length > 0 && length + groupLength > SLICE) break;
        length += groupLength;
        let bytes: Uint8Array = this.#slice.subarray(filled, filled + groupLength);
        for (let at = 0; at < groupLength; ) {
          if (from === to) {
            value = this.#values[next] as Uint8Array;
            from = 0;
            to = this.#lengths[next++] as number;
          }
          const some = value.subarray(from, Math.min(to, from + groupLength - at));
          if (some.length === 0) throw changedMeanwhile();
          if (some.length === PIECE && !copied) bytes = some;
          else this.#slice.set(some, filled + at);
          at += some.length;
          from += some.length;
        }
        if (bytes.buffer === this.#slice.buffer) filled += groupLength;
        columns.crc[group] = crc32(bytes);
        addPiece(pieces, bytes);
      }
      const written = write(pieces, copied);
      if (written) await written;
      if (pace.isOver) await pace.rest();
    }
    await this.#sumTable(pace);
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
    this.#values.length = this.#lengths.length = 0;
  }

  async #sumTable(pace: Pace): Promise<void> {
    const table = this.#table();
    let crc = 0;
    for (let from = 0; from < table.length; from += TABLE_SLICE) {
      crc = crc32(table.subarray(from, from + TABLE_SLICE), crc);
      if (pace.isOver) await pace.rest();
    }
    this.#tableCrc = crc;
  }

  /** The table, with the checksums of the groups. */
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

const NOTHING: Buffer = Buffer.alloc(0);
/**
 * Bytes of a slice. Copying all of them for another thread to write takes 25 % more CPU time for values of
 * 1 MiB, since the copy moves from one core's cache to the other's.
 */
const SLICE = 2 ** 18;
/** The most bytes of a table whose checksum is computed at once. */
const TABLE_SLICE = 2 ** 20;

/** Adds a piece, to the last one if it continues that one's memory. */
function addPiece(pieces: Uint8Array[], piece: Uint8Array): void {
  const last = pieces.at(-1);
  if (last?.buffer === piece.buffer && last.byteOffset + last.length === piece.byteOffset) {
    const { buffer, byteOffset } = last;
    pieces[pieces.length - 1] = new Uint8Array(buffer, byteOffset, last.length + piece.length);
  } else pieces.push(piece);
}
