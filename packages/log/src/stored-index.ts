import { type FileHandle, open } from "node:fs/promises";
import { PartdError } from "@partd/core";
import { Pace } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import { checkVersion, LARGE, PIECE, readUint64, VarintReader } from "./format.js";
import { GrowingIndex, NEVER } from "./growing-index.js";
import { ioError } from "./io-error.js";
import type { KeyTable } from "./key-table.js";
import { radixOrder } from "./radix-order.js";

export const INDEX_HEADER = 64;
export const INDEX_MAGIC = 0x7864696474726170n; // "partdidx"

/** What an index file says about each key; all columns are in the order of `keys`. */
interface Summaries {
  /** Numbers of the store's key table, ascending. */
  readonly keys: Uint32Array;
  readonly deleted: Float64Array;
  readonly ranges: Uint32Array;
  readonly bytes: Float64Array;
  readonly last: Float64Array;
  /** Where the key's ranges are in the file, and in how many bytes. */
  readonly blobs: Float64Array;
  readonly blobLengths: Uint32Array;
}

/**
 * The index of a finished segment, in a file beside it: what it says about each key is in memory,
 * where a key's ranges lie is read when they are asked for.
 */
export class StoredIndex {
  readonly path: string;
  /** The segment's records fill its first `end` bytes. */
  readonly end: number;
  readonly firstStamp: number;
  readonly lastStamp: number;
  readonly hasDeletions: boolean;
  readonly #summaries: Summaries;

  /**
   * Reads the summary of every key.
   *
   * @throws `ERR_PARTD_CORRUPT` if the file is damaged or belongs to another segment.
   */
  static async open(path: string, id: string, table: KeyTable): Promise<StoredIndex> {
    const file = await open(path, "r");
    try {
      const header = await readExactly(file, path, 0, INDEX_HEADER);
      if (header.readBigUInt64LE(0) !== INDEX_MAGIC) throw damaged(path, "it is no index");
      if (crc32(header.subarray(0, 60)) !== header.readUInt32LE(60)) {
        throw damaged(path, "its header does not match its checksum");
      }
      checkVersion(header.readUInt16LE(8), path);
      if (header.toString("hex", 16, 24) !== id) throw damaged(path, "it is of another segment");
      const bytes = await readExactly(file, path, INDEX_HEADER, readUint64(header, 40));
      if (crc32(bytes) !== header.readUInt32LE(36)) {
        throw damaged(path, "its keys do not match their checksum");
      }
      const stamps = [readUint64(header, 48), header.readUInt32LE(32)] as const;
      const summaries = await readSummaries(bytes, stamps[1], table);
      return new StoredIndex(path, readUint64(header, 24), stamps[0], summaries);
    } finally {
      await file.close();
    }
  }

  private constructor(path: string, end: number, firstStamp: number, summaries: Summaries) {
    this.path = path;
    this.end = end;
    this.firstStamp = firstStamp;
    this.#summaries = summaries;
    let lastStamp = NEVER;
    let hasDeletions = false;
    for (let i = 0; i < summaries.keys.length; i++) {
      const deleted = summaries.deleted[i] as number;
      lastStamp = Math.max(lastStamp, summaries.last[i] as number, deleted);
      if (deleted !== NEVER) hasDeletions = true;
    }
    this.lastStamp = lastStamp;
    this.hasDeletions = hasDeletions;
  }

  keys(): Iterable<number> {
    return this.#summaries.keys;
  }

  deleted(key: number): number {
    const i = this.#find(key);
    return i < 0 ? NEVER : (this.#summaries.deleted[i] as number);
  }

  last(key: number): number {
    const i = this.#find(key);
    return i < 0 ? NEVER : (this.#summaries.last[i] as number);
  }

  bytes(key: number): number {
    const i = this.#find(key);
    return i < 0 ? 0 : (this.#summaries.bytes[i] as number);
  }

  /** The ranges of `keys`, where key `i` of the answer is `keys[i]`; -1 stands for none. */
  async load(keys: readonly number[]): Promise<GrowingIndex> {
    const { blobs, blobLengths, ranges } = this.#summaries;
    const wanted: { row: number; slot: number }[] = [];
    let rows = 0;
    for (let slot = 0; slot < keys.length; slot++) {
      const row = this.#find(keys[slot] as number);
      if (row < 0 || ranges[row] === 0) continue;
      wanted.push({ row, slot });
      rows += ranges[row] as number;
    }
    wanted.sort((a, b) => (blobs[a.row] as number) - (blobs[b.row] as number));
    const index = new GrowingIndex();
    index.columns.reserve(rows);
    if (wanted.length === 0) return index;
    const pace = new Pace();
    const file = await open(this.path, "r").catch((cause) => {
      throw ioError("open", this.path, cause);
    });
    try {
      for (let from = 0; from < wanted.length; ) {
        // Neighbours are read together.
        const start = blobs[wanted[from]!.row] as number;
        let to = from;
        let end = start;
        for (; to < wanted.length; to++) {
          const next = blobs[wanted[to]!.row] as number;
          const nextEnd = next + (blobLengths[wanted[to]!.row] as number);
          if (to > from && (next - end > 65536 || nextEnd - start > 4 * 2 ** 20)) break;
          end = nextEnd;
        }
        const bytes = await readExactly(file, this.path, start, end - start);
        for (; from < to; from++) {
          const { row, slot } = wanted[from]!;
          const at = (blobs[row] as number) - start;
          const blob = bytes.subarray(at, at + (blobLengths[row] as number));
          if (!decodeRanges(blob, ranges[row] as number, slot, index)) {
            throw damaged(this.path, "the ranges of a key do not match their checksum");
          }
          if (pace.due) await pace.rest();
        }
      }
    } finally {
      await file.close();
    }
    return index;
  }

  /** The place of a key in the columns, or -1. */
  #find(key: number): number {
    const { keys } = this.#summaries;
    let low = 0;
    let high = keys.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = keys[middle] as number;
      if (found === key) return middle;
      if (found < key) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

async function readSummaries(bytes: Buffer, count: number, table: KeyTable): Promise<Summaries> {
  const reader = new VarintReader(bytes);
  const numbers = new Uint32Array(count);
  const columns = Array.from({ length: 6 }, () => new Float64Array(count));
  const [deleted, ranges, byteLengths, last, blobs, blobLengths] = columns as Float64Array[] as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  let blob = INDEX_HEADER + bytes.length;
  const pace = new Pace();
  for (let i = 0; i < count; i++) {
    const length = reader.next();
    numbers[i] = table.number(bytes.toString("utf8", reader.at, reader.at + length));
    reader.at += length;
    deleted[i] = reader.next() - 1;
    ranges[i] = reader.next();
    last[i] = NEVER;
    blobs[i] = blob;
    if (ranges[i] !== 0) {
      byteLengths[i] = reader.next();
      last[i] = reader.next();
      blobLengths[i] = reader.next();
      blob += blobLengths[i] as number;
    }
    if (pace.due) await pace.rest();
  }
  const order = radixOrder(numbers, count);
  const ordered = (column: ArrayLike<number>, to: Uint32Array | Float64Array) => {
    for (let i = 0; i < count; i++) to[i] = column[order[i] as number] as number;
    return to;
  };
  return {
    keys: ordered(numbers, new Uint32Array(count)) as Uint32Array,
    deleted: ordered(deleted, new Float64Array(count)) as Float64Array,
    ranges: ordered(ranges, new Uint32Array(count)) as Uint32Array,
    bytes: ordered(byteLengths, new Float64Array(count)) as Float64Array,
    last: ordered(last, new Float64Array(count)) as Float64Array,
    blobs: ordered(blobs, new Float64Array(count)) as Float64Array,
    blobLengths: ordered(blobLengths, new Uint32Array(count)) as Uint32Array,
  };
}

/** Adds the ranges of a key, whose form `index-file.ts` writes, to `index` as those of `slot`. */
function decodeRanges(blob: Buffer, count: number, slot: number, index: GrowingIndex): boolean {
  const length = blob.length - 4;
  if (length < 0 || crc32(blob.subarray(0, length)) !== blob.readUInt32LE(length)) return false;
  const reader = new VarintReader(blob);
  const { columns } = index;
  columns.reserve(columns.count + count);
  let group = columns.groupCount;
  let end = 0;
  let stamp = 0;
  let row = columns.count;
  for (let i = 0; i < count; i++) {
    const gap = reader.next();
    const isNewGroup = gap > 0;
    if (isNewGroup) stamp += reader.next();
    const delta = reader.next();
    const size = reader.next();
    const first = isNewGroup ? group : group - 1;
    if (isNewGroup) {
      let start = end + gap - 1;
      const large = size >= LARGE;
      for (let left = large ? size : reader.next(); left > 0; ) {
        const taken = large ? Math.min(left, PIECE) : left;
        columns.reserveGroups(group + 1);
        columns.start[group] = start;
        columns.groupLength[group] = taken;
        columns.crc[group] = blob.readUInt32LE(reader.at);
        columns.stamp[group] = stamp;
        reader.at += 4;
        start += taken;
        left -= taken;
        group++;
      }
      end = start;
    }
    columns.key[row] = slot;
    columns.group[row] = first;
    columns.delta[row] = delta;
    columns.length[row] = size;
    row++;
  }
  index.commit(row, group, stamp);
  return true;
}

async function readExactly(
  file: FileHandle,
  path: string,
  position: number,
  length: number,
): Promise<Buffer> {
  // Before memory is taken for it: a damaged length may be anything.
  if (position + length > (await file.stat()).size) throw damaged(path, "it is cut short");
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw damaged(path, "it is cut short");
    done += bytesRead;
  }
  return bytes;
}

function damaged(path: string, why: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `The index ${path} cannot be used: ${why}; it is made anew from its segment when it is deleted.`,
    { path },
  );
}
