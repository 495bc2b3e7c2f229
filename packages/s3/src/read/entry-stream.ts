import { type EntriesOptions, encodeKey } from "@partd/core";
import { allocateBytes } from "@partd/core/author";
import type { DataSet } from "../data-set/data-set.js";
import type { Segment } from "../data-set/segment.js";
import { type FetchOptions, fetchAll, type Target } from "./fetch.js";
import { lengthOf, type Piece, planRead, type ReadPlan } from "./read-plan.js";
import { closed, ValueStream } from "./value-stream.js";

/**
 * All keys with their values, in key order, which is also the order within each segment.
 * Neighbouring values are read together, as many as fill a few requests to each segment.
 */
export class EntryStream implements AsyncIterable<readonly [string, Uint8Array]> {
  readonly #dataSet: DataSet;
  readonly #plan: ReadPlan;
  readonly #longest: number;
  readonly #options: FetchOptions;
  readonly #onEnd: (stream: EntryStream) => void;
  #isClosed = false;

  /** Plans a stream of the keys that the options select. */
  static async over(
    dataSet: DataSet,
    keys: ReadonlySet<string>,
    options: EntriesOptions,
    fetching: Omit<FetchOptions, "signal">,
    onEnd: (stream: EntryStream) => void,
  ): Promise<EntryStream> {
    const { signal } = options;
    const start = options.prefix === undefined ? "" : `${encodeKey(options.prefix)}/`;
    const wanted = [...keys].filter((key) => key.startsWith(start)).sort();
    const plan = await dataSet.reading(() => planRead(dataSet, wanted, signal), signal);
    return new EntryStream(dataSet, plan, options, fetching, onEnd);
  }

  private constructor(
    dataSet: DataSet,
    plan: ReadPlan,
    { longest = Number.POSITIVE_INFINITY, signal }: EntriesOptions,
    fetching: Omit<FetchOptions, "signal">,
    onEnd: (stream: EntryStream) => void,
  ) {
    this.#dataSet = dataSet;
    this.#plan = plan;
    this.#longest = longest;
    this.#options = { ...fetching, signal };
    this.#onEnd = onEnd;
  }

  get segments(): Segment[] {
    const segments = new Set<Segment>();
    for (const pieces of this.#plan.values())
      for (const { segment } of pieces) segments.add(segment);
    return [...segments];
  }

  close(): void {
    this.#isClosed = true;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly [string, Uint8Array], void, undefined> {
    try {
      const most = Math.min(MOST_BYTES, Math.max(LEAST_BYTES, this.segments.length * LEAST_BYTES));
      const groups = this.#groups(most);
      let ahead = this.#read(groups.next().value);
      while (ahead) {
        const values = await ahead;
        if (this.#isClosed) throw closed();
        ahead = this.#read(groups.next().value);
        ahead?.catch(() => {}); // The error is thrown when its turn comes.
        for (const entry of values) {
          if (this.#isClosed) throw closed();
          if ("value" in entry) yield [entry.key, entry.value];
          else for await (const piece of entry.stream) yield [entry.key, piece];
        }
      }
    } catch (error) {
      throw this.#isClosed ? closed() : error;
    } finally {
      this.#onEnd(this);
    }
  }

  /** Groups keys whose values are read together. */
  *#groups(most: number): Generator<string[], undefined, undefined> {
    let group: string[] = [];
    let byteLength = 0;
    for (const [key, pieces] of this.#plan) {
      const length = lengthOf(pieces);
      if (length === 0) continue;
      if (group.length > 0 && byteLength + length > most) {
        yield group;
        group = [];
        byteLength = 0;
      }
      group.push(key);
      byteLength += length > this.#longest ? 0 : length;
    }
    if (group.length > 0) yield group;
    return undefined;
  }

  #read(group: readonly string[] | undefined): Promise<Entry[]> | undefined {
    return group && this.#readGroup(group);
  }

  async #readGroup(group: readonly string[]): Promise<Entry[]> {
    const targets: Target[] = [];
    const entries = group.map((key): Entry => {
      const pieces = this.#plan.get(key) as readonly Piece[];
      const length = lengthOf(pieces);
      const { requests } = this.#dataSet;
      if (length > this.#longest) {
        return { key, stream: new ValueStream(requests, key, pieces, this.#options, () => {}) };
      }
      const value = allocateBytes(length);
      let at = 0;
      for (const piece of pieces) {
        targets.push({ key, piece, from: 0, into: value.subarray(at, at + piece.length) });
        at += piece.length;
      }
      return { key, value };
    });
    await fetchAll(this.#dataSet.requests, targets, this.#options);
    return entries;
  }
}

type Entry =
  | { readonly key: string; readonly value: Uint8Array }
  | { readonly key: string; readonly stream: ValueStream };

/** Bytes that are read at once: for each segment, enough to make a request worth its cost. */
const LEAST_BYTES = 2 * 2 ** 20;
const MOST_BYTES = 64 * 2 ** 20;
