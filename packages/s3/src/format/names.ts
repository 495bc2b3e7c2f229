import { PartdError } from "@partd/core";

/**
 * The folders of a data set, in listing order. Readers rely on the order: a listing that shows a
 * segment also shows the lock taken before the segment was written.
 */
export const DATA = "data/";
export const INDEX = "index/";
export const LOCK = "lock/";
export const LOST = "lost/";
export const PART = "part/";

/** A commit's identity, before its object exists. */
export interface CommitId {
  /** Orders commits: microseconds since 1970, or more if its writer knew of a later commit. */
  readonly stamp: number;
  /** 16 hexadecimal digits. */
  readonly writer: string;
  /** Numbers a writer's commits, from 1. */
  readonly sequence: number;
  /** The epoch of the lock it was written under; 0 for none. */
  readonly epoch: number;
  /** What it does besides adding values: nothing, remove keys, or remove everything. */
  readonly kind: CommitKind;
}

export type CommitKind = "add" | "remove" | "clear";

export interface SegmentName extends CommitId {
  /** Whether the values are in objects of their own, the parts. */
  readonly inParts: boolean;
  /** Bytes of the tail, which describes the values. */
  readonly tailLength: number;
}

/**
 * `data/<hash>/<stamp>-<writer>-<sequence>-<epoch>-<kind><tail>`, all in hexadecimal. The hash
 * spreads names over the partitions of a large server. A segment in parts gives its tail's length
 * as 0, so that its name follows from those of its parts.
 */
export function segmentName(id: CommitId, tailLength: number): string {
  return `${DATA}${hashOf(id)}/${commitName(id)}${hex(tailLength, 8)}`;
}

export function partName(id: CommitId, part: number): string {
  return `${PART}${hashOf(id)}/${commitName(id)}-${hex(part, 8)}`;
}

/** The commit that a part belongs to, and the part's number. */
export function parsePartName(name: string): { id: CommitId; part: number } | undefined {
  const match = /^part\/[0-9a-f]{2}\/([0-9a-f-]+-[arc])-([0-9a-f]{8})$/.exec(name);
  const id = match && parseCommit(match[1] as string);
  if (!id) return undefined;
  const part = Number.parseInt(match[2] as string, 16);
  return partName(id, part) === name ? { id, part } : undefined;
}

/** @param size the object's size in bytes. */
export function parseSegmentName(name: string, size: number): SegmentName | undefined {
  const match = /^data\/[0-9a-f]{2}\/([0-9a-f-]+-[arc])([0-9a-f]{8})$/.exec(name);
  const id = match && parseCommit(match[1] as string);
  if (!id) return undefined;
  const length = Number.parseInt(match[2] as string, 16);
  const inParts = length === 0;
  const tailLength = inParts ? size : length;
  if (segmentName(id, length) !== name || tailLength > size) return undefined;
  return { ...id, inParts, tailLength };
}

/** Compares two commits by their order. */
export function commitOrder(a: CommitId, b: CommitId): number {
  return (
    a.stamp - b.stamp ||
    (a.writer < b.writer ? -1 : a.writer > b.writer ? 1 : 0) ||
    a.sequence - b.sequence
  );
}

/** The error for a foreign object in a folder of the data set. */
export function strangeObject(address: string): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${address} is not an object of a data set, or of a newer version; remove it, or use a prefix that nothing else writes to.`,
    { address },
  );
}

export function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/** Microseconds until the year 2112: 13 hexadecimal digits. */
export const LAST_STAMP = 2 ** 52 - 1;

const LETTERS = { add: "a", remove: "r", clear: "c" } as const;
const KINDS: Readonly<Record<string, CommitKind>> = { a: "add", r: "remove", c: "clear" };

function commitName({ stamp, writer, sequence, epoch, kind }: CommitId): string {
  return `${hex(stamp, 13)}-${writer}-${hex(sequence, 8)}-${hex(epoch, 8)}-${LETTERS[kind]}`;
}

function parseCommit(text: string): CommitId | undefined {
  const match = /^([0-9a-f]{13})-([0-9a-f]{16})-([0-9a-f]{8})-([0-9a-f]{8})-([arc])$/.exec(text);
  if (!match) return undefined;
  const [, stamp = "", writer = "", sequence = "", epoch = "", letter = ""] = match;
  return {
    stamp: Number.parseInt(stamp, 16),
    writer,
    sequence: Number.parseInt(sequence, 16),
    epoch: Number.parseInt(epoch, 16),
    kind: KINDS[letter] as CommitKind,
  };
}

/** FNV-1a of the writer and the sequence, folded to 8 bits. */
function hashOf({ writer, sequence }: CommitId): string {
  let hash = 0x811c9dc5;
  for (const character of `${writer}${hex(sequence, 8)}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  }
  return hex((hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & 0xff, 2);
}
