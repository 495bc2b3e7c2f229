import { open, rename, rm } from "node:fs/promises";
import { Pace } from "@partd/core/author";
import { crc32, uniqueToken } from "@partd/disk";
import { LARGE, PIECE, VERSION, writeUint64, writeVarint } from "./format.js";
import { type GrowingIndex, NONE } from "./growing-index.js";
import type { KeyTable } from "./key-table.js";
import { INDEX_HEADER, INDEX_MAGIC } from "./stored-index.js";

/**
 * Writes the index of a finished segment: a header, then what there is to know about each key,
 * then for each key a blob that tells where its ranges lie. It appears whole or not at all.
 */
export async function writeIndex(
  path: string,
  id: string,
  end: number,
  index: GrowingIndex,
  table: KeyTable,
  durable = false,
): Promise<void> {
  const keys = new GrowingBytes();
  const blobs = new GrowingBytes();
  const pace = new Pace();
  let count = 0;
  for (const key of index.keys()) {
    const text = Buffer.from(table.text(key));
    keys.reserve(text.length + 64);
    keys.varint(text.length);
    keys.bytes.set(text, keys.length);
    keys.length += text.length;
    keys.varint(index.deleted(key) + 1);
    keys.varint(index.ranges(key));
    if (index.ranges(key) > 0) {
      keys.varint(index.bytes(key));
      keys.varint(index.last(key));
      const before = blobs.length;
      await writeRanges(blobs, index, key, pace);
      keys.varint(blobs.length - before);
    }
    count++;
    if (pace.due) await pace.rest();
  }
  const header = Buffer.alloc(INDEX_HEADER);
  header.writeBigUInt64LE(INDEX_MAGIC, 0);
  header.writeUInt16LE(VERSION, 8);
  header.writeUInt16LE(INDEX_HEADER, 10);
  header.write(id, 16, "hex");
  writeUint64(header, 24, end);
  header.writeUInt32LE(count, 32);
  header.writeUInt32LE(crc32(keys.written()), 36);
  writeUint64(header, 40, keys.length);
  writeUint64(header, 48, Number.isFinite(index.firstStamp) ? index.firstStamp : 0);
  header.writeUInt32LE(crc32(header.subarray(0, 60)), 60);
  await writeWhole(path, [header, keys.written(), blobs.written()], durable);
}

async function writeRanges(
  blobs: GrowingBytes,
  index: GrowingIndex,
  key: number,
  pace: Pace,
): Promise<void> {
  const { columns } = index;
  const begin = blobs.length;
  let last = NONE;
  let end = 0;
  let stamp = 0;
  for (let row = index.firstSince(key, -1); row !== NONE; row = index.next(row)) {
    const length = columns.length[row] as number;
    const first = columns.group[row] as number;
    const groups = columns.ownsGroups(row) ? Math.ceil(length / PIECE) : 1;
    blobs.reserve(64 + groups * 4);
    if (first === last) blobs.varint(0);
    else {
      blobs.varint((columns.start[first] as number) - end + 1);
      blobs.varint((columns.stamp[first] as number) - stamp);
      stamp = columns.stamp[first] as number;
    }
    blobs.varint(columns.delta[row] as number);
    blobs.varint(length);
    if (first !== last) {
      if (length < LARGE) blobs.varint(columns.groupLength[first] as number);
      for (let group = first; group < first + groups; group++) {
        blobs.uint32(columns.crc[group] as number);
      }
      last = first + groups - 1;
      end = (columns.start[last] as number) + (columns.groupLength[last] as number);
    }
    if (pace.due) await pace.rest();
  }
  blobs.reserve(4);
  blobs.uint32(crc32(blobs.bytes.subarray(begin, blobs.length)));
}

async function writeWhole(path: string, parts: Buffer[], durable: boolean): Promise<void> {
  const draft = `${path}.${uniqueToken()}`;
  try {
    const file = await open(draft, "wx");
    try {
      for (const part of parts) await file.appendFile(part);
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

class GrowingBytes {
  bytes = Buffer.allocUnsafeSlow(65536);
  length = 0;

  reserve(room: number): void {
    if (this.length + room <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + room));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  varint(value: number): void {
    this.length = writeVarint(this.bytes, this.length, value);
  }

  uint32(value: number): void {
    this.length = this.bytes.writeUInt32LE(value, this.length);
  }

  written(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}
