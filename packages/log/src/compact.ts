import { randomBytes } from "node:crypto";
import { fstatSync } from "node:fs";
import {
  closeFile,
  type Lease,
  syncDirectory,
  syncFile,
  systemError,
  writePieces,
} from "@partd/disk";
import type { DataSet } from "./data-set/data-set.js";
import { Segment } from "./data-set/segment.js";
import { SEGMENT_HEADER, segmentHeader } from "./format/layout.js";
import { RecordEncoder } from "./format/record-encoder.js";
import { writeIndex } from "./index/index-file.js";
import { liveKeys } from "./index/key-listing.js";
import type { GrowingIndex } from "./index/range-chains.js";
import { openOrMakeRoom } from "./open-files.js";
import { entriesOf } from "./read/entries.js";
import { LongEntry } from "./read/entry-batch.js";
import { planRead } from "./read/read-plan.js";
import { LeftOut } from "./read/salvage.js";
import type { Damage, Progress } from "./verify.js";

export interface CompactReport {
  /**
   * What a store with `salvage` has left out because it is damaged: stretches of files that are now
   * gone, with the keys that lost bytes there, or `undefined` if these are unknown. Without `salvage`
   * it is empty, since damage is an error then.
   */
  readonly leftOut: readonly Damage[];
}

export interface CompactOptions {
  readonly signal: AbortSignal;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  readonly segmentSize: number;
  readonly indexMemory: number;
  readonly salvage: boolean;
  /** Runs `critical` under the exclusive lock of the data set. */
  readonly exclusive: <T>(critical: () => Promise<T>) => Promise<T>;
}

/**
 * Removes segments in which nothing is alive, to free space. Copies the live bytes of the others to new
 * *base* segments, key by key, then replaces the old segments by one line of the manifest. Records
 * written meanwhile are in segments that stay.
 */
export async function compact(dataSet: DataSet, options: CompactOptions): Promise<CompactReport> {
  const { signal, exclusive, salvage } = options;
  const leftOut = salvage ? new LeftOut() : undefined;
  await dataSet.compaction(signal, async (lease) => {
    /** @returns false if a drop has removed the segments that were to be read. */
    const read = async (segments: readonly Segment[], work: () => Promise<void>) => {
      try {
        await work();
        return true;
      } catch (error) {
        dataSet.sync();
        if (isGone(dataSet, segments)) return false;
        // The process that passed us over has removed our files, and compacts itself.
        if (!signal.aborted) lease.verify();
        throw error;
      }
    };
    const putInPlace = (old: readonly Segment[], copier: Copier) =>
      exclusive(async () => {
        lease.verify();
        await replace(dataSet, old, copier);
      });

    const sealed = await exclusive(async () => {
      const missing = salvage ? dataSet.relist() : [];
      for (const { path, finished } of missing) {
        leftOut?.addStretch(path, 0, finished?.end ?? 0, "the file is missing");
      }
      return seal(dataSet, options, lease);
    });
    let dead: readonly Segment[] = [];
    const search = async () => {
      if (leftOut) await noteUnreadable(sealed, leftOut, signal);
      dead = await deadSegments(sealed, signal);
    };
    if (!(await read(sealed, search))) return;
    if (dead.length > 0) await putInPlace(dead, new Copier(dataSet, dead, options, leftOut));
    const old = sealed.filter((segment) => !dead.includes(segment));
    const copier = new Copier(dataSet, old, options, leftOut);
    try {
      if (await read(old, () => copier.run())) await putInPlace(old, copier);
    } finally {
      copier.end();
    }
  });
  return { leftOut: leftOut?.list() ?? [] };
}

/** Adds the unreadable parts of segments, and what follows their last records, to `leftOut`. */
async function noteUnreadable(
  segments: readonly Segment[],
  leftOut: LeftOut,
  signal: AbortSignal,
): Promise<void> {
  for (const segment of segments) {
    await segment.replaceDamagedIndex(signal);
    const { path, recordsEnd, unreadable } = segment;
    for (const { offset, end, why } of unreadable) leftOut.addStretch(path, offset, end, why);
    const { size } = fstatSync(segment.fd);
    if (size > recordsEnd) leftOut.addStretch(path, recordsEnd, size, "no whole record");
  }
}

/** Seals the present segments, so that no writer adds to them. */
async function seal(
  dataSet: DataSet,
  { signal, salvage }: CompactOptions,
  lease: Lease,
): Promise<readonly Segment[]> {
  await dataSet.refresh(signal);
  if (!salvage) dataSet.checkReadable();
  // A crash left these of an earlier compaction. If the list is damaged they may be the only data.
  if (dataSet.inventory.maybeListed() === undefined) {
    dataSet.inventory.remove(() => {
      dataSet.verifyExclusive();
      lease.verify();
    });
  }
  await dataSet.reserve.spend(async () => dataSet.announce([["seal"]], false));
  return dataSet.segments;
}

/**
 * Finds segments that can be removed as a whole: all their bytes are deleted, and everything that their
 * deletions concern is gone.
 */
async function deadSegments(
  segments: readonly Segment[],
  signal: AbortSignal,
): Promise<readonly Segment[]> {
  if (!segments.some(({ index }) => index?.hasDeletions)) return [];
  const dead = new Set(segments.filter(({ unreadable }) => unreadable.length === 0));
  for await (const keys of liveKeys(segments, signal)) {
    const { segments: plans } = await planRead(segments, keys, signal);
    for (const { segment, count } of plans) if (count > 0) dead.delete(segment);
    if (dead.size === 0) return [];
  }
  const stampsOf = ({ index }: Segment) => index ?? { firstStamp: 0, lastStamp: 0 };
  const kept = new Set(segments.filter((one) => !dead.has(one) || one.index?.hasDeletions));
  for (const one of [...kept].sort((a, b) => stampsOf(a).lastStamp - stampsOf(b).lastStamp)) {
    if (!dead.has(one)) continue;
    kept.delete(one);
    const { lastStamp } = stampsOf(one);
    const hasEarlier = [...kept].some(
      (other) => other.isBase || stampsOf(other).firstStamp <= lastStamp,
    );
    if (hasEarlier) kept.add(one);
  }
  return segments.filter((segment) => !kept.has(segment));
}

async function replace(dataSet: DataSet, old: readonly Segment[], copier: Copier): Promise<void> {
  const fresh = copier.segments;
  dataSet.sync();
  if (isGone(dataSet, old)) return; // Dropped meanwhile.
  const kept = dataSet.segments.filter((segment) => !old.includes(segment));
  // The clock must not go back when the old segments no longer count.
  let floor = dataSet.list.clock();
  for (const segment of kept) if (!segment.isBase) floor -= segment.size;
  const freshIds = fresh.map(({ id, position }) => `${id}:${position}`).join(",") || "-";
  const oldIds = old.map(({ id }) => id).join(",") || "-";
  try {
    const line = ["compacted", String(floor), freshIds, oldIds] as const;
    // The line must not be added twice: if only the fsync failed, it has been applied.
    const mayRepeat = () => {
      dataSet.sync();
      return !isGone(dataSet, old);
    };
    await dataSet.reserve.spend(async () => dataSet.announce([line], true), mayRepeat);
  } catch (error) {
    // If only the fsync failed, every process has applied the line, but a power failure may lose it.
    // So both sets of files are kept.
    copier.keep();
    dataSet.sync();
    if (!isGone(dataSet, old)) copier.keep(false);
    throw error;
  }
  copier.keep();
  dataSet.removeFiles(old);
  dataSet.condense();
  dataSet.reserve.make(); // Before other programs take the space.
}

function isGone(dataSet: DataSet, old: readonly Segment[]): boolean {
  return old.some((segment) => !dataSet.segments.includes(segment));
}

class Copier {
  readonly segments: Segment[] = [];
  readonly #dataSet: DataSet;
  readonly #old: readonly Segment[];
  readonly #options: CompactOptions;
  readonly #leftOut: LeftOut | undefined;
  #encoder = new RecordEncoder();
  /** The segment that is being written, and its descriptor. */
  #open: Segment | undefined;
  #fd = -1;
  #kept = false;
  /** The keys and values of the next record. */
  #keys: string[] = [];
  #values: Uint8Array[] = [];
  #byteLength = 0;

  constructor(
    dataSet: DataSet,
    old: readonly Segment[],
    options: CompactOptions,
    leftOut: LeftOut | undefined,
  ) {
    this.#dataSet = dataSet;
    this.#old = old;
    this.#options = options;
    this.#leftOut = leftOut;
  }

  async run(): Promise<void> {
    const { signal, onProgress } = this.#options;
    const extents = this.#old.map((segment) => ({ segment, end: segment.recordsEnd }));
    const onBytes = (done: number, total: number) =>
      onProgress?.({ bytesDone: done, bytesTotal: total });
    const leftOut = this.#leftOut;
    for await (const some of entriesOf(this.#dataSet, extents, { signal, onBytes, leftOut })) {
      if (some instanceof LongEntry) {
        await this.#flush();
        for await (const piece of some.pieces()) await this.#write([some.key], [piece]);
      } else for (const [key, value] of some) if (this.#add(key, value)) await this.#flush();
    }
    await this.#flush();
    await this.#finishSegment();
    syncDirectory(this.#dataSet.directory);
  }

  /** Call this when the new segments are part of the data set. */
  keep(kept = true): void {
    this.#kept = kept;
  }

  end(): void {
    if (this.#fd >= 0) closeFile(this.#fd);
    if (!this.#kept) this.#dataSet.removeFiles(this.segments);
  }

  /** Adds a value to the next record. @returns whether the record is long enough. */
  #add(key: string, value: Uint8Array): boolean {
    this.#keys.push(key);
    this.#values.push(value);
    this.#byteLength += value.length;
    return this.#byteLength >= RECORD || this.#keys.length >= MOST_KEYS;
  }

  async #flush(): Promise<void> {
    if (this.#keys.length === 0) return;
    await this.#write(this.#keys, this.#values);
    this.#keys = [];
    this.#values = [];
    this.#byteLength = 0;
  }

  async #write(keys: readonly string[], values: readonly Uint8Array[]): Promise<void> {
    const segment = this.#open ?? (await this.#beginSegment());
    const encoder = this.#encoder;
    encoder.begin(segment, BASE_STAMP);
    let byteLength = 0;
    for (const value of values) byteLength += value.length;
    encoder.add({ keys, values, byteLength });
    encoder.end();
    try {
      let at = segment.position + encoder.payloadStart;
      // Nobody else has these values, so they need no copy.
      await encoder.writePayload(
        () => false,
        async (pieces) => {
          await writePieces(this.#fd, pieces, at);
          for (const { length } of pieces) at += length;
        },
      );
      await writePieces(this.#fd, [encoder.headAndTable()], segment.position);
    } catch (cause) {
      throw systemError({ action: "write to", path: segment.path }, cause);
    }
    encoder.commit();
    segment.advance(segment.position + encoder.byteLength);
    const isFull = segment.position >= this.#options.segmentSize;
    if (isFull || (segment.index as GrowingIndex).memory >= this.#options.indexMemory)
      await this.#finishSegment();
  }

  async #beginSegment(): Promise<Segment> {
    const id = randomBytes(8).toString("hex");
    const segment = new Segment(this.#dataSet.directory, id, "", { isOwn: true });
    try {
      this.#fd = openOrMakeRoom(segment.path, "wx");
      this.segments.push(segment);
      this.#encoder = new RecordEncoder();
      await writePieces(this.#fd, [segmentHeader(id, true)], 0);
    } catch (cause) {
      throw systemError({ action: "begin", path: segment.path }, cause);
    }
    segment.advance(SEGMENT_HEADER);
    this.#open = segment;
    return segment;
  }

  /** Flushes the segment to the disk, since the segments that it replaces will be removed. */
  async #finishSegment(): Promise<void> {
    const segment = this.#open;
    if (!segment) return;
    this.#open = undefined;
    const { indexPath, id, position, index } = segment;
    await writeIndex(indexPath, id, position, index as GrowingIndex, true);
    segment.freeIndex();
    await syncFile(this.#fd);
    closeFile(this.#fd);
    this.#fd = -1;
  }
}

/** Base segments come before all others, and every deletion has a higher stamp. */
const BASE_STAMP = 0;
/** A record of this many bytes is ended. */
const RECORD = 2 ** 20;
/** The most keys of a record: writing a longer table would block the event loop. */
const MOST_KEYS = 16_384;
