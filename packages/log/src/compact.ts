import { randomBytes } from "node:crypto";
import type { OperationOptions } from "@partd/core";
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
import type { GrowingIndex } from "./index/range-chains.js";
import { openOrMakeRoom } from "./open-files.js";
import { entriesOf } from "./read/entries.js";
import { LongEntry } from "./read/grouping.js";

export interface Progress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface LongOptions extends OperationOptions {
  /** Called from time to time with the bytes done so far and the total. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export interface CompactOptions {
  readonly signal: AbortSignal;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  readonly segmentSize: number;
  readonly indexMemory: number;
  readonly salvage: boolean;
  /** Runs `critical` while no one else touches the data set. */
  readonly alone: <T>(critical: () => Promise<T>) => Promise<T>;
}

/**
 * Copies what the segments hold to new *base* segments, key by key, then replaces them in the
 * manifest by one line. Records written meanwhile are in segments that stay.
 */
export async function compact(dataSet: DataSet, options: CompactOptions): Promise<void> {
  const { signal, alone } = options;
  await dataSet.compaction(signal, async (lease) => {
    const old = await alone(() => seal(dataSet, options, lease));
    const copier = new Copier(dataSet, old, options);
    try {
      try {
        await copier.run();
      } catch (error) {
        dataSet.sync();
        if (isGone(dataSet, old)) return; // Dropped, and with it the segments to read.
        // Whoever has passed us over has removed what we wrote, and now compacts itself.
        if (!signal.aborted) lease.verify();
        throw error;
      }
      await alone(async () => {
        lease.verify();
        replace(dataSet, old, copier);
      });
    } finally {
      copier.end();
    }
  });
}

/** Seals the present segments: nobody writes on to them. */
async function seal(
  dataSet: DataSet,
  { signal, salvage }: CompactOptions,
  lease: Lease,
): Promise<readonly Segment[]> {
  await dataSet.refresh(signal);
  if (!salvage) dataSet.checkReadable();
  // A crash left these of an earlier compaction. With a damaged list they may be the only data.
  if (dataSet.maybeListed() === undefined) {
    dataSet.removeUnlisted(() => {
      dataSet.verifyAlone();
      lease.verify();
    });
  }
  dataSet.announce([["seal"]], false);
  return dataSet.segments;
}

function replace(dataSet: DataSet, old: readonly Segment[], copier: Copier): void {
  const fresh = copier.segments;
  dataSet.sync();
  if (isGone(dataSet, old)) return; // Dropped meanwhile.
  const kept = dataSet.segments.filter((segment) => !old.includes(segment));
  // The clock must not fall back when the old segments no longer count.
  let floor = dataSet.list.clock();
  for (const segment of kept) floor -= segment.size;
  const freshIds = fresh.map(({ id, position }) => `${id}:${position}`).join(",") || "-";
  const oldIds = old.map(({ id }) => id).join(",") || "-";
  try {
    const entry = ["compacted", String(floor), freshIds, oldIds] as const;
    dataSet.announce([entry], true);
  } catch (error) {
    // If only the fsync failed, every process has applied the entry, but a power cut may lose it: both
    // sets of files are kept.
    copier.keep();
    dataSet.sync();
    if (!isGone(dataSet, old)) copier.keep(false);
    throw error;
  }
  copier.keep();
  dataSet.removeFiles(old);
  dataSet.condense();
}

function isGone(dataSet: DataSet, old: readonly Segment[]): boolean {
  return old.some((segment) => !dataSet.segments.includes(segment));
}

class Copier {
  readonly segments: Segment[] = [];
  readonly #dataSet: DataSet;
  readonly #old: readonly Segment[];
  readonly #options: CompactOptions;
  #encoder = new RecordEncoder();
  #fd = -1;
  #kept = false;
  /** The next record. */
  #keys: string[] = [];
  #values: Uint8Array[] = [];
  #byteLength = 0;

  constructor(dataSet: DataSet, old: readonly Segment[], options: CompactOptions) {
    this.#dataSet = dataSet;
    this.#old = old;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { signal, onProgress } = this.#options;
    const extents = this.#old.map((segment) => ({ segment, end: segment.recordsEnd }));
    const onBytes = (done: number, total: number) =>
      onProgress?.({ bytesDone: done, bytesTotal: total });
    for await (const some of entriesOf(this.#dataSet, extents, { signal, onBytes })) {
      if (some instanceof LongEntry) {
        await this.#flush();
        for await (const piece of some.pieces()) await this.#write([some.key], [piece]);
      } else for (const [key, value] of some) if (this.#add(key, value)) await this.#flush();
    }
    await this.#flush();
    await this.#finishSegment();
    syncDirectory(this.#dataSet.directory);
  }

  /** They are part of the data set now. */
  keep(kept = true): void {
    this.#kept = kept;
  }

  end(): void {
    if (this.#fd >= 0) closeFile(this.#fd);
    if (!this.#kept) this.#dataSet.removeFiles(this.segments);
  }

  /** Adds a value to the next record; true if that is long enough then. */
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
    let segment = this.segments.at(-1);
    if (!segment || segment.complete) segment = await this.#beginSegment();
    const encoder = this.#encoder;
    encoder.begin(segment, BASE_STAMP);
    let byteLength = 0;
    for (const value of values) byteLength += value.length;
    encoder.add({ keys, values, byteLength });
    encoder.end();
    try {
      const payload = await encoder.payload();
      await writePieces(this.#fd, payload, segment.position + encoder.payloadStart);
      await encoder.checksum();
      await writePieces(this.#fd, [encoder.headAndTable()], segment.position);
    } catch (cause) {
      throw systemError({ action: "write to", path: segment.path }, cause);
    }
    encoder.commit();
    segment.position += encoder.byteLength;
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
    segment.position = SEGMENT_HEADER;
    return segment;
  }

  /** It replaces segments that are removed, so it has to be on the disk before. */
  async #finishSegment(): Promise<void> {
    const segment = this.segments.at(-1);
    if (!segment || segment.complete) return;
    segment.complete = true;
    const { indexPath, id, position, index } = segment;
    await writeIndex(indexPath, id, position, index as GrowingIndex, true);
    segment.index = undefined;
    await syncFile(this.#fd);
    closeFile(this.#fd);
    this.#fd = -1;
  }
}

/** Base segments come before all others, and every deletion has a higher stamp. */
const BASE_STAMP = 0;
/** Bytes from which on a record is ended. */
const RECORD = 2 ** 20;
/** The most keys of a record: writing a longer table would block the loop. */
const MOST_KEYS = 16_384;
