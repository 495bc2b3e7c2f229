import { PartdError } from "@partd/core";
import { allocateBytes } from "@partd/core/author";
import { ifSystemError } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";
import { type ReadPlan, SegmentPlan } from "./read-plan.js";
import { readPart, readRanges } from "./read-ranges.js";

/** A read of segments, which it holds until its end. */
export class HeldStream<T> implements AsyncIterable<T> {
  readonly #path: string;
  readonly #segments: readonly Segment[];
  readonly #items: AsyncGenerator<T, void, undefined>;
  readonly #done: () => void;
  readonly #closing = new AbortController();
  #step: Promise<IteratorResult<T, void>> | undefined;
  #over = false;

  constructor(
    segments: readonly Segment[],
    options: {
      /** The data set, for messages. */
      readonly path: string;
      /** Makes the items. Its signal is aborted at the end, or with `signal`. */
      readonly read: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>;
      readonly signal: AbortSignal | undefined;
      /** Called when reading has ended. */
      readonly done: () => void;
    },
  ) {
    const { path, read, signal, done } = options;
    this.#path = path;
    this.#segments = segments;
    this.#done = done;
    for (const segment of segments) segment.hold();
    const closing = this.#closing.signal;
    this.#items = read(signal ? AbortSignal.any([signal, closing]) : closing);
  }

  /** Reads the first item, which opens the files: they may soon be removed. */
  async begin(): Promise<this> {
    this.#step = this.#items.next();
    try {
      await this.#step;
    } catch (error) {
      await this.end();
      throw error;
    }
    return this;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (let step = this.#step; ; step = undefined) {
        if (this.#over) throw closedWhile("it was listed");
        step ??= this.#items.next();
        this.#step = step;
        const { done, value } = await step.catch((error: unknown) => {
          throw ifSystemError({ action: "read", path: this.#path }, error);
        });
        if (done) return;
        yield value;
      }
    } finally {
      await this.end();
    }
  }

  /** Ends reading. Afterwards the segments may be closed. */
  async end(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#closing.abort(closedWhile("it was listed"));
    await this.#step?.catch(() => {}); // The caller of `next` gets it.
    await this.#items.return();
    for (const segment of this.#segments) segment.unhold();
    this.#done();
  }
}

/** Yields the pieces of one value, and reads the next piece while one is used. */
export class ValueStream implements AsyncIterable<Uint8Array> {
  readonly #plan: ReadPlan;
  readonly #key: string;
  readonly #done: () => void;
  readonly #cursors: number[];
  #offset = 0;
  /** Bytes of the next, very large range that were read. */
  #part = 0;
  #reading: Promise<Uint8Array | undefined> | undefined;
  #over = false;

  /**
   * @param plan its slot 0 is the value.
   * @param done called when reading has ended.
   */
  constructor(plan: ReadPlan, key: string, done: () => void) {
    this.#plan = plan;
    this.#key = key;
    this.#done = done;
    this.#cursors = plan.segments.map(() => 0);
    for (const { segment } of plan.segments) segment.hold();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      this.#readOn();
      for (;;) {
        if (this.#over) throw closedWhile("the value was streamed");
        const piece = await this.#reading;
        if (!piece) return;
        this.#readOn();
        yield piece;
      }
    } finally {
      await this.end();
    }
  }

  /** Ends reading. */
  async end(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#reading?.catch(() => {});
    for (const { segment } of this.#plan.segments) segment.unhold();
    this.#done();
  }

  #readOn(): void {
    this.#reading = this.#next();
    this.#reading.catch(() => {}); // The consumer gets it with the next piece.
  }

  async #next(): Promise<Uint8Array | undefined> {
    const total = this.#plan.lengths[0] as number;
    if (this.#offset >= total) return undefined;
    const start = this.#offset;
    const parts = new Map<SegmentPlan, SegmentPlan>();
    for (;;) {
      const i = this.#earliest();
      const plan = this.#plan.segments[i];
      if (!plan) break;
      const cursor = this.#cursors[i] as number;
      const row = plan.rows[cursor] as number;
      const length = plan.index.columns.length[row] as number;
      if (length > LARGEST_PIECE) {
        if (this.#offset > start) break;
        return this.#nextPart(plan, i, row, length);
      }
      if (this.#offset > start && this.#offset - start + length > LARGEST_PIECE) break;
      const part = parts.get(plan) ?? new SegmentPlan(plan.segment, plan.index);
      parts.set(plan, part);
      part.add(row, 0, this.#offset - start);
      this.#offset += length;
      this.#cursors[i] = cursor + 1;
    }
    const piece = allocateBytes(this.#offset - start);
    for (const part of parts.values()) await readRanges(part, [piece], [this.#key]);
    return piece;
  }

  async #nextPart(plan: SegmentPlan, i: number, row: number, length: number): Promise<Uint8Array> {
    const from = this.#part;
    const piece = allocateBytes(Math.min(LARGEST_PIECE, length - from));
    await readPart(plan, row, from, piece, this.#key);
    this.#part += piece.length;
    this.#offset += piece.length;
    if (this.#part === length) {
      this.#part = 0;
      (this.#cursors[i] as number)++;
    }
    return piece;
  }

  /** Which segment holds the range at the present offset. */
  #earliest(): number {
    return this.#plan.segments.findIndex(
      ({ count, offsets }, i) =>
        (this.#cursors[i] as number) < count &&
        (offsets[this.#cursors[i] as number] as number) + this.#part === this.#offset,
    );
  }
}

/** In bytes: sixteen stretches of one checksum each. */
const LARGEST_PIECE = 2 ** 20;

function closedWhile(what: string): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", `The store was closed while ${what}.`);
}
