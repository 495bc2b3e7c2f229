import { PartdError } from "@partd/core";
import { Pace } from "@partd/core/author";
import { crc32, readAll } from "@partd/disk";
import type { GrowingIndex, RangeColumns } from "../index/range-chains.js";
import type { ReadableFile } from "../open-files.js";
import {
  LARGE,
  LONGEST_ENTRY,
  PIECE,
  RECORD_HEAD,
  RECORD_MAGIC,
  type RecordHead,
  readHead,
  SEGMENT_HEADER,
  segmentHeaderDamage,
  VarintReader,
} from "./layout.js";

/** A stretch of a segment that cannot be read, so that its keys are unknown. */
export interface Unreadable {
  readonly offset: number;
  readonly end: number;
  readonly why: string;
}

/** A segment, and how far it is scanned. */
export interface ScannedSegment extends ReadableFile {
  readonly id: string;
  readonly path: string;
  /** Seeds the checksums of record heads. */
  readonly seed: number;
  /** Where its records end, and the length of the file. Set when it is finished. */
  readonly finished: { readonly end: number; readonly size: number } | undefined;
  /** Where the next record is expected. */
  readonly position: number;
  /** Moves {@link position} to the end of a record. */
  advance(end: number): void;
  addUnreadable(stretch: Unreadable): void;
}

/**
 * Reads on from `segment.position` and adds the records up to `size` to the index, skipping long
 * payloads. It stops after the last whole record: what follows may be a record that is being written
 * (`live`) or that a crash cut short. A record of a finished segment was once whole, so it counts if
 * its table is intact: only values whose bytes were cut off are damaged.
 */
export async function scanRecords(
  segment: ScannedSegment,
  index: GrowingIndex,
  { size, live }: { readonly size: number; readonly live: boolean },
): Promise<void> {
  const window = new Window(segment, size);
  const pace = new Pace();
  if (segment.position === 0) {
    if (size < SEGMENT_HEADER) return; // Its writer was stopped before it began.
    const header = await window.read(0, SEGMENT_HEADER);
    const why = segmentHeaderDamage(header, segment.id, segment.path);
    if (why) segment.addUnreadable({ offset: 0, end: SEGMENT_HEADER, why });
    segment.advance(SEGMENT_HEADER);
  }
  while (segment.position + RECORD_HEAD <= size) {
    const at = segment.position;
    const head = readHead(
      window.has(at, RECORD_HEAD) ?? (await window.read(at, RECORD_HEAD)),
      segment.seed,
      at,
    );
    if (!head) {
      const next = await findHead(window, segment, at + 1, size);
      if (next === undefined) return;
      segment.addUnreadable({ offset: at, end: next, why: "its head is damaged" });
      segment.advance(next);
      continue;
    }
    const payload = at + RECORD_HEAD + head.tableLength;
    const end = payload + head.payloadLength;
    const isCut = end > size;
    const { finished } = segment;
    if (isCut && (!finished || end > finished.end || payload > size)) return;
    const bytes =
      window.has(at + RECORD_HEAD, head.tableLength) ??
      (await window.read(at + RECORD_HEAD, head.tableLength));
    const isLast = end === size && !finished && !live;
    if (crc32(bytes) !== head.tableCrc) {
      if (isLast || isCut) return; // As after a power failure.
      segment.addUnreadable({ offset: at, end, why: "the table of its keys is damaged" });
    } else {
      const unknown = decodeTable(bytes, head, payload, index, segment.path);
      if (isLast && !(await payloadIsWhole(window, index, head.groups))) return;
      index.commit(
        index.columns.count + head.entries,
        index.columns.groupCount + head.groups,
        head.stamp,
      );
      if (unknown) {
        const why = "it uses a key that was defined where the segment is damaged";
        segment.addUnreadable({ offset: at, end, why });
      }
    }
    segment.advance(end);
    if (pace.due) await pace.rest();
  }
}

/** Stands for an unknown key: no encoded key is empty. */
export const UNKNOWN_KEY = "";

/**
 * Fills rows after those that count. @returns whether the text of a key is unknown.
 *
 * @throws `ERR_PARTD_CORRUPT` if the table makes no sense: no LogStore writes such a table.
 */
export function decodeTable(
  bytes: Buffer,
  head: RecordHead,
  payload: number,
  index: GrowingIndex,
  path: string,
): boolean {
  try {
    return decodeChecked(bytes, head, payload, index);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw contradiction(path, payload, error);
  }
}

/** The error for a record that matches its checksums but makes no sense: faulty software wrote it. */
export function contradiction(path: string, offset: number, cause: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `A record of ${path} contradicts itself though its checksum is right; it was written by faulty software.`,
    { path, offset, cause },
  );
}

function decodeChecked(
  bytes: Buffer,
  head: RecordHead,
  payload: number,
  { columns, keys, locals }: GrowingIndex,
): boolean {
  const crcs = bytes.length - head.groups * 4;
  // Check this before allocating memory for them.
  if (head.entries * 2 > crcs) throw new RangeError("there is no room for so many entries");
  columns.reserve(columns.count + head.entries);
  columns.reserveGroups(columns.groupCount + head.groups);
  const reader = new VarintReader(bytes);
  const groups = new GroupRows(columns, bytes, head, payload);
  let row = columns.count;
  let unknown = false;
  for (let i = 0; i < head.entries; i++, row++) {
    const reference = reader.next();
    const local = Math.floor(reference / 2);
    if (reference % 2 === 1) {
      const length = reader.next();
      const end = reader.at + length;
      // A definition takes three bytes or more, all of them earlier in the file.
      if (length === 0 || end > crcs || local > payload / 2)
        throw new RangeError("a key is not valid");
      locals[local] = keys.number(keyText(bytes, reader.at, end));
      reader.at = end;
    }
    const key = locals[local];
    if (key === undefined) unknown = true;
    const length = reader.next();
    if (length > LONGEST_ENTRY || reader.at > crcs) throw new RangeError("an entry is too long");
    columns.key[row] = key ?? keys.number(UNKNOWN_KEY);
    groups.add(row, length);
  }
  if (!groups.areWhole() || reader.at !== crcs) {
    throw new RangeError("its lengths differ from what it says");
  }
  return unknown;
}

/** Divides the entries of a record into groups, as its writer did, and fills the rows of the groups. */
class GroupRows {
  readonly #columns: RangeColumns;
  readonly #bytes: Buffer;
  readonly #stamp: number;
  /** Where the checksum of the next group is in the table. */
  #crc: number;
  readonly #endGroup: number;
  #group: number;
  /** Bytes in the open group. */
  #open = 0;
  #start: number;
  readonly #end: number;

  /** @param payload where the record's payload begins in the file. */
  constructor(columns: RangeColumns, bytes: Buffer, head: RecordHead, payload: number) {
    this.#columns = columns;
    this.#bytes = bytes;
    this.#stamp = head.stamp;
    this.#crc = bytes.length - head.groups * 4;
    this.#group = columns.groupCount;
    this.#endGroup = this.#group + head.groups;
    this.#start = payload;
    this.#end = payload + head.payloadLength;
  }

  /** Adds the entry of a row, which is as long as this. */
  add(row: number, length: number): void {
    const columns = this.#columns;
    if (length >= LARGE) this.#closeOpen();
    columns.length[row] = length;
    columns.delta[row] = this.#open;
    columns.group[row] = this.#group;
    if (length < LARGE) {
      this.#open += length;
      if (this.#open >= LARGE) this.#closeOpen();
    } else {
      for (let left = length; left > 0; left -= PIECE) this.#close(Math.min(left, PIECE));
    }
  }

  /** Ends the last group. @returns whether the groups are those that the head states. */
  areWhole(): boolean {
    this.#closeOpen();
    return this.#group === this.#endGroup && this.#start === this.#end;
  }

  #closeOpen(): void {
    if (this.#open > 0) this.#close(this.#open);
    this.#open = 0;
  }

  #close(length: number): void {
    const columns = this.#columns;
    const group = this.#group;
    if (group === this.#endGroup) throw new RangeError("there are more groups than it says");
    columns.start[group] = this.#start;
    columns.groupLength[group] = length;
    columns.crc[group] = this.#bytes.readUInt32LE(this.#crc);
    columns.stamp[group] = this.#stamp;
    this.#crc += 4;
    this.#start += length;
    this.#group++;
  }
}

/** Matches a character that no encoded key has. */
const NO_KEY = /[^%/\w.() -]/;

function keyText(bytes: Buffer, from: number, to: number): string {
  const text = bytes.toString("latin1", from, to);
  if (NO_KEY.test(text)) throw new RangeError("a key is not valid");
  return text;
}

async function payloadIsWhole(
  window: Window,
  index: GrowingIndex,
  groups: number,
): Promise<boolean> {
  const { columns } = index;
  const end = columns.groupCount + groups;
  for (let group = columns.groupCount; group < end; group++) {
    const bytes = await window.read(
      columns.start[group] as number,
      columns.groupLength[group] as number,
    );
    if (crc32(bytes) !== columns.crc[group]) return false;
  }
  return true;
}

/** The offset of the next valid record head, from `from` on. */
export async function findHead(
  window: Window,
  { seed }: { readonly seed: number },
  from: number,
  size: number,
): Promise<number | undefined> {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(RECORD_MAGIC);
  for (let at = from; at + RECORD_HEAD <= size; ) {
    const length = Math.min(2 ** 20, size - at);
    const bytes = await window.read(at, length);
    for (let found = bytes.indexOf(magic); found >= 0; found = bytes.indexOf(magic, found + 1)) {
      const place = at + found;
      if (place + RECORD_HEAD > size) return undefined;
      if (readHead(await new Window(window.file, size).read(place, RECORD_HEAD), seed, place))
        return place;
    }
    at += Math.max(1, length - 3);
  }
  return undefined;
}

/** A segment that is read in long stretches, from front to back. */
export class Window {
  readonly file: ReadableFile;
  readonly #size: number;
  readonly #allocate: (length: number) => Buffer;
  readonly #stretch: number;
  #bytes: Buffer = EMPTY;
  #start = 0;

  /**
   * @param size bytes after this are not read.
   * @param allocate memory for a stretch, which may be that of the previous one. If a stretch is
   *   detached from its memory, it is read again.
   * @param stretch bytes that are read at a time, or more if more are asked for.
   */
  constructor(
    file: ReadableFile,
    size: number,
    allocate: (length: number) => Buffer = Buffer.allocUnsafeSlow,
    stretch = STRETCH,
  ) {
    this.file = file;
    this.#size = size;
    this.#allocate = allocate;
    this.#stretch = stretch;
  }

  /** The stretch, if an earlier read has fetched it. */
  has(offset: number, length: number): Buffer | undefined {
    const at = offset - this.#start;
    if (at < 0 || at + length > this.#bytes.length) return undefined;
    return this.#bytes.subarray(at, at + length);
  }

  /** Reads the stretch; it is shorter at the end of the file. */
  async read(offset: number, length: number): Promise<Buffer> {
    const found = this.has(offset, length);
    if (found) return found;
    const wanted = Math.max(0, Math.min(Math.max(length, this.#stretch), this.#size - offset));
    this.#bytes = EMPTY;
    const bytes = this.#allocate(wanted);
    const filled = await this.file.reading((fd) => readAll(fd, bytes, offset));
    this.#bytes = bytes.subarray(0, filled);
    this.#start = offset;
    return this.#bytes.subarray(0, Math.min(length, filled));
  }

  /** What is in memory from `offset` on: `least` bytes or more, fewer at the end of the file. */
  async from(offset: number, least: number): Promise<Buffer> {
    if (!this.has(offset, least)) await this.read(offset, least);
    return this.#bytes.subarray(offset - this.#start);
  }
}

const STRETCH = 2 ** 20;
const EMPTY = Buffer.alloc(0);
