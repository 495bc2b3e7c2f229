import type { Cover } from "../format/cover.js";
import { type CommitKind, DATA, parseSegmentName, type SegmentName } from "../format/names.js";

/** A commit in the bucket. */
export class Segment implements SegmentName {
  /** The object's full name. */
  readonly key: string;
  /** Bytes of the object. */
  readonly size: number;
  readonly stamp: number;
  readonly writer: string;
  readonly sequence: number;
  readonly epoch: number;
  readonly kind: CommitKind;
  readonly inParts: boolean;
  readonly tailLength: number;

  constructor(key: string, size: number, name: SegmentName) {
    this.key = key;
    this.size = size;
    this.stamp = name.stamp;
    this.writer = name.writer;
    this.sequence = name.sequence;
    this.epoch = name.epoch;
    this.kind = name.kind;
    this.inParts = name.inParts;
    this.tailLength = name.tailLength;
  }

  /** Whether it only removes: no value has to be looked for in it. */
  get isWithoutValues(): boolean {
    // One that adds, and is no longer than its tail, was cut short: its tail has to be looked at.
    return this.kind !== "add" && !this.inParts && this.size === this.tailLength;
  }

  /** The segment of a listed object, if its name is one. */
  static parse(folder: string, key: string, size: number): Segment | undefined {
    const name = parseSegmentName(key.slice(folder.length), size);
    return name && new Segment(key, size, name);
  }

  static isIn(folder: string, key: string): boolean {
    return key.startsWith(DATA, folder.length);
  }
}

/**
 * Whether a segment written under a lock came too late: after the next holder had taken over and
 * recorded what counts.
 */
export function isTooLate(segment: Segment, lost: ReadonlyMap<number, Cover>): boolean {
  const seen = segment.epoch === 0 ? undefined : lost.get(segment.epoch);
  return seen !== undefined && !seen.has(segment);
}
