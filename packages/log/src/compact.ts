import { randomBytes } from "node:crypto";
import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { allocateBytes } from "@partd/core/author";
import { uniqueToken } from "@partd/disk";
import type { DataSet } from "./data-set.js";
import { SEGMENT_HEADER, segmentHeader } from "./format.js";
import { gather } from "./gather.js";
import { type GrowingIndex, NEVER } from "./growing-index.js";
import { writeIndex } from "./index-file.js";
import { ifSystemError, ioError } from "./io-error.js";
import type { KeyTable } from "./key-table.js";
import { liveKeys } from "./live-keys.js";
import { LockFolder } from "./lock-folder.js";
import { planRead } from "./read-plan.js";
import { RecordEncoder } from "./record-encoder.js";
import { UNKNOWN_KEY } from "./scan.js";
import { Segment } from "./segment.js";
import { ValueStream } from "./stream.js";
import { syncDirectory, syncFile, writeAll } from "./write-all.js";

export interface Progress {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

export interface CompactOptions {
  readonly signal: AbortSignal;
  readonly onProgress: ((progress: Progress) => void) | undefined;
  readonly segmentSize: number;
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
  const lock = new LockFolder(join(dataSet.directory, ".partd-log", "compact"), uniqueToken());
  try {
    await lock.take(signal);
  } catch (error) {
    lock.release();
    throw ifSystemError("lock", dataSet.directory, error);
  }
  try {
    const old = await alone(() => seal(dataSet, options));
    const copier = new Copier(dataSet, old, options);
    try {
      try {
        await copier.run();
      } catch (error) {
        dataSet.sync();
        if (isGone(dataSet, old)) return; // Dropped, and with it what was to be read.
        throw error;
      }
      await alone(async () => replace(dataSet, old, copier));
    } finally {
      copier.end();
    }
  } finally {
    lock.release();
  }
}

/** From here on the segments that there are stay as they are. */
async function seal(
  dataSet: DataSet,
  { signal, salvage }: CompactOptions,
): Promise<readonly Segment[]> {
  await dataSet.refresh(signal);
  if (!salvage) dataSet.checkReadable();
  // What a crash left of an earlier one. If the list itself is damaged they may be all there is.
  if (dataSet.maybeListed() === undefined) {
    for (const name of dataSet.unlisted()) rmSync(join(dataSet.directory, name), { force: true });
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
  let floor = dataSet.clock();
  for (const segment of kept) floor -= segment.size;
  const freshIds = fresh.map(({ id, position }) => `${id}:${position}`).join(",") || "-";
  const oldIds = old.map(({ id }) => id).join(",") || "-";
  try {
    dataSet.announce([["compacted", String(floor), freshIds, oldIds]], true);
  } catch (error) {
    // If only the disk has not got the line, all go by it already; after a loss of power none may.
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
  readonly #keys: KeyTable;
  #encoder = new RecordEncoder();
  #fd = -1;
  #kept = false;
  #done = 0;
  #total = 0;

  constructor(dataSet: DataSet, old: readonly Segment[], options: CompactOptions) {
    this.#dataSet = dataSet;
    this.#old = old;
    this.#options = options;
    this.#keys = dataSet.keys;
  }

  async run(): Promise<void> {
    const keys = (await liveKeys(this.#old)).filter((key) => this.#keys.text(key) !== UNKNOWN_KEY);
    const lengths = keys.map((key) => {
      let deleted = NEVER;
      for (const { index } of this.#old) deleted = Math.max(deleted, index?.deleted(key) ?? NEVER);
      let length = 0; // Or a little less, where a deletion falls within a segment's time.
      for (const { index } of this.#old) {
        if (index && index.last(key) >= deleted) length += index.bytes(key);
      }
      return length;
    });
    this.#total = lengths.reduce((sum, length) => sum + length, 0);
    for (let from = 0; from < keys.length; ) {
      this.#options.signal.throwIfAborted();
      let to = from;
      let sum = 0;
      while (to < keys.length && (to === from || sum + (lengths[to] as number) <= AT_ONCE)) {
        sum += lengths[to++] as number;
      }
      if (sum > AT_ONCE) await this.#copyLarge(keys[from] as number);
      else await this.#copy(keys.slice(from, to));
      from = to;
    }
    await this.#finishSegment();
    syncDirectory(this.#dataSet.directory);
    this.#options.onProgress?.({ bytesDone: this.#done, bytesTotal: this.#done });
  }

  /** They are part of the data set now. */
  keep(kept = true): void {
    this.#kept = kept;
  }

  end(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    if (!this.#kept) this.#dataSet.removeFiles(this.segments);
  }

  async #copy(keys: readonly number[]): Promise<void> {
    const texts = keys.map((key) => this.#keys.text(key));
    const plan = await planRead(this.#old, keys, this.#options.signal);
    const values = keys.map((_, slot) => allocateBytes(plan.lengths[slot] as number));
    for (const part of plan.segments) await gather(part, values, texts, this.#options.signal);
    for (let from = 0; from < texts.length; ) {
      let to = from;
      let byteLength = 0;
      while (to < texts.length && (to === from || byteLength < RECORD)) {
        byteLength += (values[to++] as Uint8Array).length;
      }
      await this.#write(texts.slice(from, to), values.slice(from, to));
      from = to;
    }
  }

  async #copyLarge(key: number): Promise<void> {
    const text = this.#keys.text(key);
    const plan = await planRead(this.#old, [key], this.#options.signal);
    for await (const piece of new ValueStream(plan, text, () => {})) {
      this.#options.signal.throwIfAborted();
      await this.#write([text], [piece]);
    }
  }

  async #write(keys: readonly string[], values: readonly Uint8Array[]): Promise<void> {
    let segment = this.segments.at(-1);
    if (!segment || segment.complete) segment = await this.#beginSegment();
    const encoder = this.#encoder;
    encoder.begin(segment, this.#keys, BASE_STAMP);
    let byteLength = 0;
    for (const value of values) byteLength += value.length;
    encoder.add({ keys, values, byteLength });
    encoder.end();
    try {
      const payload = await encoder.payload();
      await writeAll(this.#fd, payload, segment.position + encoder.payloadStart);
      await encoder.checksum();
      await writeAll(this.#fd, [encoder.headAndTable()], segment.position);
    } catch (cause) {
      throw ioError("write to", segment.path, cause);
    }
    encoder.commit();
    segment.position += encoder.byteLength;
    this.#done += byteLength;
    this.#options.onProgress?.({ bytesDone: this.#done, bytesTotal: this.#total });
    if (segment.position >= this.#options.segmentSize) await this.#finishSegment();
  }

  async #beginSegment(): Promise<Segment> {
    const id = randomBytes(8).toString("hex");
    const segment = new Segment(this.#dataSet.directory, id, "", { isOwn: true });
    try {
      this.#fd = openSync(segment.path, "wx");
      this.segments.push(segment);
      this.#encoder = new RecordEncoder();
      await writeAll(this.#fd, [segmentHeader(id, true)], 0);
    } catch (cause) {
      throw ioError("begin", segment.path, cause);
    }
    segment.position = SEGMENT_HEADER;
    return segment;
  }

  /** The old segments are removed for this one, so it has to be on the disk. */
  async #finishSegment(): Promise<void> {
    const segment = this.segments.at(-1);
    if (!segment || segment.complete) return;
    segment.complete = true;
    const { indexPath, id, position, index } = segment;
    await writeIndex(indexPath, id, position, index as GrowingIndex, this.#keys, true);
    segment.index = undefined;
    await syncFile(this.#fd);
    closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Base segments come before all others, and a later deletion is of a higher stamp. */
const BASE_STAMP = 0;
/** Bytes of values that are read together, each time through all segments. */
const AT_ONCE = 128 * 2 ** 20;
/** Bytes from which on a record is ended. */
const RECORD = 2 ** 20;
