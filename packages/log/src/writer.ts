import { randomBytes } from "node:crypto";
import { fsyncSync, rmSync } from "node:fs";
import { PartdError } from "@partd/core";
import { type Batch, changeOf, checkIntact, Pace } from "@partd/core/author";
import {
  isOutOfFiles,
  type Lease,
  syncDirectory,
  syncFile,
  systemError,
  uniqueToken,
  writeAllSync,
  writePieces,
} from "@partd/disk";
import type { DataSet } from "./data-set/data-set.js";
import { Segment } from "./data-set/segment.js";
import { RecordEncoder } from "./format/record-encoder.js";
import type { GrowingIndex } from "./index/range-chains.js";
import { Indexer } from "./indexer.js";

interface Waiting {
  readonly batch: Batch;
  /** The lease under which it is written; released at the end. */
  readonly lease: Lease;
  readonly signal: AbortSignal | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Appends to segments of its own. Batches that wait at the same time become one record of up to 4 MiB.
 */
export class Writer {
  readonly #dataSet: DataSet;
  readonly #token = uniqueToken();
  readonly #fsync: boolean;
  readonly #segmentSize: number;
  readonly #indexMemory: number;
  #waiting: Waiting[] = [];
  #busy = false;
  #pace = new Pace();
  #segment: Segment | undefined;
  #fd = -1;
  #encoder = new RecordEncoder();
  #lastStamp = 0;
  /** Until this time small writes go to the thread pool, after one that was slow. */
  #slowUntil = 0;
  readonly #indexer: Indexer;

  constructor(
    dataSet: DataSet,
    options: {
      readonly fsync: boolean;
      readonly segmentSize: number;
      /** At this many bytes of index a segment is ended; also the limit of indexes being written. */
      readonly indexMemory: number;
    },
  ) {
    this.#dataSet = dataSet;
    this.#fsync = options.fsync;
    this.#segmentSize = options.segmentSize;
    this.#indexMemory = options.indexMemory;
    this.#indexer = new Indexer(dataSet, options.fsync, options.indexMemory);
  }

  /**
   * Appends a batch. An empty value deletes its key; later values in the batch are kept.
   *
   * @param lease released at the end.
   */
  append(batch: Batch, lease: Lease, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, lease, signal, resolve, reject });
      if (this.#busy) return;
      this.#busy = true;
      // In a microtask, so that appends of the same turn are written together.
      queueMicrotask(() => this.#run());
    });
  }

  /** Finishes the segment and waits for all indexes. */
  async close(): Promise<void> {
    await this.#indexer.close(this.#end());
  }

  #run(): void {
    while (this.#waiting.length > 0) {
      // Small writes stay in this thread, so let other work have its turn.
      if (this.#pace.due) {
        void this.#pace.rest().then(() => this.#run());
        return;
      }
      if (this.#indexer.isFull) {
        this.#runOnceIndexed();
        return;
      }
      const appends = this.#takeAppends();
      if (appends.length === 0) continue;
      try {
        this.#begin(appends);
        if (isLong(appends)) {
          this.#goOnLater(appends, this.#encode(appends));
          return;
        }
        for (const { batch } of appends) this.#encoder.add(batch);
        this.#encoder.end();
        if (this.#encoder.byteLength > AT_ONCE || this.#fsync || this.#slow()) {
          this.#goOnLater(appends);
          return;
        }
        this.#writeAtOnce();
        this.#commit(appends);
        this.#succeed(appends);
      } catch (error) {
        if (this.#indexer.isRunning && isOutOfFiles((error as Error).cause)) {
          this.#waiting = [...appends, ...this.#waiting];
          this.#runOnceIndexed();
          return;
        }
        void this.#fail(appends, error);
      }
    }
    this.#busy = false;
  }

  #runOnceIndexed(): void {
    void this.#indexer.next().then(() => this.#run());
  }

  /** Continues asynchronously. Appends that come meanwhile wait until it is done. */
  async #goOnLater(appends: readonly Waiting[], encoded?: Promise<void>): Promise<void> {
    try {
      await encoded;
      await this.#writeLater();
      this.#pace = new Pace();
      this.#commit(appends);
      this.#succeed(appends);
    } catch (error) {
      void this.#fail(appends, error);
    }
    this.#run();
  }

  #takeAppends(): Waiting[] {
    let byteLength = 0;
    let taken = 0;
    for (; taken < this.#waiting.length && byteLength < RECORD_BYTES; taken++) {
      byteLength += (this.#waiting[taken] as Waiting).batch.byteLength;
    }
    const isAll = taken === this.#waiting.length;
    const taking = isAll ? this.#waiting : this.#waiting.slice(0, taken);
    this.#waiting = isAll ? [] : this.#waiting.slice(taken);
    return taking.filter((waiting) => {
      try {
        waiting.signal?.throwIfAborted();
        checkIntact(waiting.batch); // A value without bytes would delete its key.
        return true;
      } catch (error) {
        this.#dataSet.lock.leave(waiting.lease);
        waiting.reject(error);
        return false;
      }
    });
  }

  #succeed(appends: readonly Waiting[]): void {
    for (const { lease, resolve } of appends) {
      this.#dataSet.lock.leave(lease);
      resolve();
    }
  }

  #begin(appends: readonly Waiting[]): void {
    forEachLease(appends, (lease) => lease.verifyNow());
    const dataSet = this.#dataSet;
    dataSet.sync();
    const segment = this.#segmentToWrite((appends.at(-1) as Waiting).lease);
    this.#lastStamp = Math.max(this.#lastStamp, dataSet.list.clock()) + 1;
    this.#encoder.begin(segment, this.#lastStamp);
  }

  /** Encodes as `#run` does, but lets other work run. Until `commit` the encoder's rows do not count. */
  async #encode(appends: readonly Waiting[]): Promise<void> {
    const pace = new Pace();
    for (const { batch } of appends) {
      for (let from = 0; from < batch.keys.length; from += STRETCH) {
        this.#encoder.add(batch, from, Math.min(from + STRETCH, batch.keys.length));
        if (pace.isOver) await pace.rest();
      }
    }
    this.#encoder.end();
  }

  #writeAtOnce(): void {
    const segment = this.#segment as Segment;
    this.#writeHere([this.#encoder.whole()], segment.position);
  }

  #writeHere(pieces: readonly Uint8Array[], position: number): void {
    const start = performance.now();
    let at = position;
    for (const piece of pieces) {
      writeAllSync(this.#fd, piece, at);
      at += piece.length;
    }
    const now = performance.now();
    if (now - start > SLOW_MS) this.#slowUntil = now + STAY_SLOW_MS;
  }

  #slow(): boolean {
    return this.#slowUntil !== 0 && performance.now() < this.#slowUntil;
  }

  async #writeLater(): Promise<void> {
    const segment = this.#segment as Segment;
    const encoder = this.#encoder;
    const at = segment.position;
    let next = at + encoder.payloadStart;
    const isSlow = () => this.#slow();
    await encoder.writePayload(isSlow, (pieces, isCopied) => {
      const position = next;
      for (const { length } of pieces) next += length;
      // Only a copy stays as it is until another thread has written it.
      return isCopied ? writePieces(this.#fd, pieces, position) : this.#writeHere(pieces, position);
    });
    // The head, which makes it a record, comes last.
    const head = encoder.headAndTable();
    try {
      if (head.length <= AT_ONCE) writeAllSync(this.#fd, head, at);
      else await writePieces(this.#fd, [head], at);
      if (this.#fsync) await syncFile(this.#fd);
    } catch (error) {
      const [{ status }] = await Promise.allSettled([this.#void(at)]);
      throw status === "rejected" ? notKnown(segment.path, error) : error;
    }
  }

  /** Invalidates a whole record whose append is about to reject. */
  async #void(at: number): Promise<void> {
    writeAllSync(this.#fd, NO_MAGIC, at);
    if (this.#fsync) await syncFile(this.#fd);
  }

  #commit(appends: readonly Waiting[]): void {
    const segment = this.#segment as Segment;
    try {
      forEachLease(appends, (lease) => lease.confirm());
    } catch (error) {
      // The process that took the lock has recorded where our segment ends: after this record, which then
      // counts, or before it.
      this.#dataSet.sync();
      const end = segment.position + this.#encoder.byteLength;
      const counts = (segment.finished?.end ?? 0) >= end; // Also if it was compacted since.
      if (!counts) throw error;
    }
    this.#encoder.commit();
    segment.advance(segment.position + this.#encoder.byteLength);
    const isFull = segment.position >= this.#segmentSize;
    if (isFull || (segment.index as GrowingIndex).memory >= this.#indexMemory) this.#finish();
  }

  /**
   * The file is in an unknown state after the last record: ends the segment there. If the values of an
   * append were changed meanwhile, that one alone fails, and the others are written again.
   */
  async #fail(all: readonly Waiting[], cause: unknown): Promise<void> {
    const path = this.#segment?.path ?? this.#dataSet.directory;
    const segment = this.#end();
    const changes = all.map(({ batch }) => changeOf(batch));
    const isOne = changes.some((change) => change !== undefined);
    const failed = isOne ? all.filter((_, i) => changes[i]) : all;
    if (isOne) this.#waiting = [...all.filter((_, i) => !changes[i]), ...this.#waiting];
    for (const { lease } of failed) this.#dataSet.lock.leave(lease);
    if (segment) {
      // Later appends need not wait for this; the failed ones reject only once the space is free.
      await this.#dataSet.giveBack(segment);
      this.#indexer.begin(segment);
    }
    for (const { batch, reject } of failed) {
      reject(changeOf(batch) ?? systemError({ action: "write to", path }, cause));
    }
  }

  #segmentToWrite(lease: Lease): Segment {
    const segment = this.#segment;
    if (segment && (segment.sealed || segment.finished || !this.#isListed())) this.#finish();
    this.#segment ??= this.#newSegment(lease);
    return this.#segment;
  }

  /** False once a drop or a compaction has removed the segment from the list. */
  #isListed(): boolean {
    return (
      this.#dataSet.segments.at(-1) === this.#segment ||
      this.#dataSet.segments.includes(this.#segment as Segment)
    );
  }

  /**
   * @param lease verified before the segment is listed: without it, others may have removed the file.
   */
  #newSegment(lease: Lease): Segment {
    const dataSet = this.#dataSet;
    const id = randomBytes(8).toString("hex");
    const segment = new Segment(dataSet.directory, id, this.#token, { isOwn: true });
    let told = false;
    try {
      const fd = segment.create();
      if (this.#fsync) {
        fsyncSync(fd);
        syncDirectory(dataSet.directory);
      }
      dataSet.list.addOwn(segment);
      told = true;
      dataSet.announce([["segment", id, this.#token]], this.#fsync, lease);
      dataSet.reserve.make();
      this.#fd = fd;
      return segment;
    } catch (error) {
      dataSet.list.removeOwn(segment);
      segment.close();
      // Only a segment that was not announced is removed. If announcing it failed, the manifest may
      // name it nevertheless; an empty segment is harmless, while a missing one would be damage.
      if (!told) rmSync(segment.path, { force: true });
      throw systemError({ action: "begin", path: segment.path }, error);
    }
  }

  /** Ends the segment, and writes its index in the background. */
  #finish(): void {
    const segment = this.#end();
    if (segment) this.#indexer.begin(segment);
  }

  /** Ends the segment. @returns it, unless it had been dropped or compacted. */
  #end(): Segment | undefined {
    const segment = this.#segment;
    if (!segment) return undefined;
    this.#segment = undefined;
    segment.endWriting();
    this.#encoder = new RecordEncoder();
    return this.#dataSet.segments.includes(segment) ? segment : undefined;
  }
}

/**
 * Records of up to this many bytes are written in one go: a small one takes 2 µs in this thread, and 30 by
 * the pool.
 */
const AT_ONCE = 128 * 1024;
/** A write that takes this long has waited for the disk: the next ones go to the thread pool. */
const SLOW_MS = 20;
const STAY_SLOW_MS = 250;
/** A record of this many bytes or more takes no further batch. */
const RECORD_BYTES = 4 * 2 ** 20;
const NO_MAGIC = new Uint8Array(4);
/** Keys that are encoded at once, which takes some 300 µs. */
const STRETCH = 1024;

/** The error of an append whose record is whole, but may not be on the disk. */
function notKnown(path: string, cause: unknown): PartdError {
  const { message } = systemError({ action: "write to", path }, cause);
  return new PartdError(
    "ERR_PARTD_IO",
    `${message} Nor could it be undone: whether it is there is not known. Read its keys before you append it again.`,
    { path, cause },
  );
}

/**
 * Looks once at each lease. The appends of a record nearly always share one, and a look at the clocks
 * costs as much as encoding a key.
 */
function forEachLease(appends: readonly Waiting[], look: (lease: Lease) => void): void {
  let last: Lease | undefined;
  for (const { lease } of appends) {
    if (lease !== last) look(lease);
    last = lease;
  }
}

/** Whether there are so many keys that encoding them at once would block the event loop. */
function isLong(appends: readonly Waiting[]): boolean {
  let keys = 0;
  for (const { batch } of appends) keys += batch.keys.length;
  return keys > 16 * STRETCH;
}
