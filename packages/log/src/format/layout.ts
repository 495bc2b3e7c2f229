import { PartdError } from "@partd/core";
import { crc32 } from "@partd/disk";

/** The layout of a segment, which `docs/log-format.md` specifies. Numbers are little-endian. */
export const VERSION = 1;
export const SEGMENT_HEADER = 64;
export const RECORD_HEAD = 48;
/** Offset of the kind in the header of a segment. */
const KIND = 12;
const SEGMENT_MAGIC = 0x676f6c6474726170n; // "partdlog"
export const RECORD_MAGIC = 0x64636572; // "recd"

/** Entries of this many bytes or more have checksums of their own; smaller ones share one. */
export const LARGE = 4096;
/** The most bytes of a large entry under one checksum. */
export const PIECE = 65536;
/** A longer value is several entries of its key. */
export const LONGEST_ENTRY = 2 ** 30;

export interface RecordHead {
  readonly stamp: number;
  readonly payloadLength: number;
  readonly tableLength: number;
  readonly tableCrc: number;
  readonly entries: number;
  readonly groups: number;
}

/** @param isBase whether it is made by `compact`. */
export function segmentHeader(id: string, isBase = false): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER);
  bytes.writeBigUInt64LE(SEGMENT_MAGIC, 0);
  bytes.writeUInt16LE(VERSION, 8);
  bytes.writeUInt16LE(SEGMENT_HEADER, 10);
  bytes[KIND] = isBase ? 1 : 0;
  bytes.write(id, 16, "hex");
  bytes.writeUInt32LE(crc32(bytes.subarray(0, SEGMENT_HEADER - 4)), SEGMENT_HEADER - 4);
  return bytes;
}

/** Whether a header is valid and says that `compact` made the segment. */
export function isBaseHeader(bytes: Buffer): boolean {
  const crc = crc32(bytes.subarray(0, SEGMENT_HEADER - 4));
  return crc === bytes.readUInt32LE(SEGMENT_HEADER - 4) && bytes[KIND] === 1;
}

/**
 * The fault of a segment's header, or `undefined`.
 *
 * @throws `ERR_PARTD_CORRUPT` if it is valid, but of a version that we cannot read.
 */
export function segmentHeaderDamage(bytes: Buffer, id: string, path: string): string | undefined {
  if (bytes.length < SEGMENT_HEADER) return "its header is cut short";
  const stored = bytes.readUInt32LE(SEGMENT_HEADER - 4);
  if (crc32(bytes.subarray(0, SEGMENT_HEADER - 4)) !== stored) {
    return "its header does not match its checksum";
  }
  if (bytes.readBigUInt64LE(0) !== SEGMENT_MAGIC) return "it is no segment of a LogStore";
  checkVersion(bytes.readUInt16LE(8), path);
  if (bytes.toString("hex", 16, 24) !== id) return "it is another segment, renamed or copied";
  return undefined;
}

export function checkVersion(version: number, path: string, ours = VERSION): void {
  if (version === ours) return;
  throw new PartdError(
    "ERR_PARTD_CORRUPT",
    `${path} has version ${version} of the format and this @partd/log reads version ${ours}; use a newer @partd/log.`,
    { path },
  );
}

/** Seeds the checksums of a segment's heads, so that bytes of another segment never match. */
export function headSeed(id: string): number {
  return crc32(Buffer.from(id, "hex"));
}

export function writeHead(bytes: Buffer, seed: number, offset: number, head: RecordHead): void {
  bytes.writeUInt32LE(RECORD_MAGIC, 0);
  writeUint64(bytes, 8, head.stamp);
  writeUint64(bytes, 16, head.payloadLength);
  bytes.writeUInt32LE(head.tableLength, 24);
  bytes.writeUInt32LE(head.tableCrc, 28);
  bytes.writeUInt32LE(head.entries, 32);
  bytes.writeUInt32LE(head.groups, 36);
  writeUint64(bytes, 40, offset);
  bytes.writeUInt32LE(crc32(bytes.subarray(8, RECORD_HEAD), seed), 4);
}

/**
 * Reads the record head at the start of `bytes`; `undefined` unless it is one that belongs at `offset`.
 */
export function readHead(bytes: Buffer, seed: number, offset: number): RecordHead | undefined {
  if (bytes.length < RECORD_HEAD || bytes.readUInt32LE(0) !== RECORD_MAGIC) return undefined;
  if (crc32(bytes.subarray(8, RECORD_HEAD), seed) !== bytes.readUInt32LE(4)) return undefined;
  if (readUint64(bytes, 40) !== offset) return undefined;
  return {
    stamp: readUint64(bytes, 8),
    payloadLength: readUint64(bytes, 16),
    tableLength: bytes.readUInt32LE(24),
    tableCrc: bytes.readUInt32LE(28),
    entries: bytes.readUInt32LE(32),
    groups: bytes.readUInt32LE(36),
  };
}

/** Writes `value`, at most 2^53 - 1. */
export function writeUint64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value % 2 ** 32, at);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

export function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

/** Writes `value`, at most 2^53 - 1, seven bits a byte. @returns the position behind it. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest % 0x80) | 0x80;
    rest = rest < 2 ** 31 ? rest >>> 7 : Math.floor(rest / 0x80);
  }
  bytes[at++] = rest;
  return at;
}

/** Reads varints one after another, the next one at `at`. */
export class VarintReader {
  at = 0;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  next(): number {
    let byte = this.bytes[this.at++] as number;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let scale = 0x80; ; scale *= 0x80) {
      byte = this.bytes[this.at++] as number;
      if (byte === undefined || scale > 2 ** 49) throw new RangeError("a number is cut short");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }
}
