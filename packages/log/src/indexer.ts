import { fstatSync } from "node:fs";
import type { DataSet } from "./data-set/data-set.js";
import type { Segment } from "./data-set/segment.js";
import { writeIndex } from "./index/index-file.js";
import { GrowingIndex } from "./index/range-chains.js";

/** Writes the indexes of our ended segments, in the background. */
export class Indexer {
  readonly #dataSet: DataSet;
  readonly #fsync: boolean;
  readonly #mostMemory: number;
  /** Memory of the indexes that are being written, in bytes. */
  #memory = 0;
  readonly #running = new Set<Promise<void>>();
  #closing = false;

  /** @param mostMemory of indexes that are being written, in bytes. */
  constructor(dataSet: DataSet, fsync: boolean, mostMemory: number) {
    this.#dataSet = dataSet;
    this.#fsync = fsync;
    this.#mostMemory = mostMemory;
  }

  /** Whether no segment is to be ended for now: each index holds memory and an open file. */
  get isFull(): boolean {
    return this.#running.size >= MOST_RUNNING || this.#memory >= this.#mostMemory;
  }

  get isRunning(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when one of the running indexes is written. */
  next(): Promise<void> {
    return Promise.race(this.#running);
  }

  /** Begins the index of an ended segment, and then lists the segment as finished. */
  begin(segment: Segment): void {
    const { memory } = segment.index as GrowingIndex;
    this.#memory += memory;
    const work = this.#write(segment).finally(() => {
      this.#memory -= memory;
      this.#running.delete(work);
    });
    this.#running.add(work);
  }

  /** Writes the index of the last segment, if there is one, and waits for all. */
  async close(last: Segment | undefined): Promise<void> {
    this.#closing = true;
    if (last) this.begin(last);
    await Promise.all(this.#running);
  }

  async #write(segment: Segment): Promise<void> {
    const dataSet = this.#dataSet;
    const end = segment.position;
    let indexed = false;
    try {
      const index = segment.index as GrowingIndex;
      await writeIndex(segment.indexPath, segment.id, end, index, this.#fsync);
      indexed = true;
    } catch {
      // The next process to open the data set then reads the segment instead.
    }
    try {
      dataSet.sync();
      if (!dataSet.segments.includes(segment)) return dataSet.removeFiles([segment]);
      if (!segment.finished) {
        const { size } = fstatSync(segment.fd);
        dataSet.announce([["finished", segment.id, String(end), String(size)]], false);
      }
      // The ranges can now be read from the file: free their memory.
      if (indexed && !this.#closing) await segment.useStoredIndex();
    } catch {
      // The segment stays unfinished on the list, and is read like one that is still written.
    }
    segment.closeIfIdle();
  }
}

/**
 * Writes the indexes of segments whose writers were killed before they could. The next process to open
 * the data set then need not read these segments through, as this one did.
 */
export async function indexOthers(dataSet: DataSet): Promise<void> {
  for (const segment of dataSet.segments) {
    const { index, finished, unreadable } = segment;
    if (segment.isOwn || !segment.complete || !finished || unreadable.length > 0) continue;
    if (!(index instanceof GrowingIndex)) continue;
    try {
      await writeIndex(segment.indexPath, segment.id, finished.end, index);
      dataSet.sync();
      if (!dataSet.segments.includes(segment)) dataSet.removeFiles([segment]);
      else if (dataSet.list.growing.has(segment)) {
        const { end, size } = finished;
        dataSet.announce([["finished", segment.id, String(end), String(size)]], false);
      }
    } catch {
      return; // The disk is full or read-only: an index only saves time.
    }
  }
}

/** The most indexes that are written at a time. */
const MOST_RUNNING = 8;
