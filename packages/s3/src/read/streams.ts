import { type EntriesOptions, encodeKey, PartdError } from "@partd/core";
import { allocateBytes } from "@partd/core/author";
import type { DataSet } from "../data-set/data-set.js";
import type { Segment } from "../data-set/segment.js";
import { CHUNK } from "../format/tail.js";
import type { Requests } from "../objects/requests.js";
import { type FetchOptions, fetchAll, type Target } from "./fetch.js";
import { lengthOf, type Piece, planRead, type ReadPlan } from "./read-plan.js";

/** A key's value, piece by piece; the next piece is read ahead. */
export class ValueStream implements AsyncIterable<Uint8Array> {
  readonly #requests: Requests;
  readonly #key: string;
  readonly #pieces: readonly Piece[];
  readonly #options: FetchOptions;
  readonly #onEnd: (stream: ValueStream) => void;
  #piece = 0;
  /** Bytes of the piece that were requested. */
  #from = 0;
  #isClosed = false;

  constructor(
    requests: Requests,
    key: string,
    pieces: readonly Piece[],
    options: FetchOptions,
    onEnd: (stream: ValueStream) => void,
  ) {
    this.#requests = requests;
    this.#key = key;
    this.#pieces = pieces;
    this.#options = options;
    this.#onEnd = onEnd;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      let ahead = this.#next();
      while (ahead) {
        const bytes = await ahead;
        if (this.#isClosed) throw closed();
        ahead = this.#next();
        ahead?.catch(() => {}); // The error is thrown when its turn comes.
        yield bytes;
      }
    } catch (error) {
      throw this.#isClosed ? closed() : error;
    } finally {
      this.#onEnd(this);
    }
  }

  /** The segments that it may still read. */
  get segments(): Segment[] {
    return this.#pieces.map(({ segment }) => segment);
  }

  /** Ends the stream, because the store was closed. */
  close(): void {
    this.#isClosed = true;
  }

  /** Begins to read the next bytes. */
  #next(): Promise<Uint8Array> | undefined {
    const wanted: Wanted[] = [];
    let byteLength = 0;
    while (byteLength < STEP && this.#piece < this.#pieces.length) {
      const piece = this.#pieces[this.#piece] as Piece;
      const from = this.#from;
      const left = piece.length - from;
      const room = Math.max(CHUNK, STEP - byteLength);
      // Whole chunks, because checksums cover these, except at the end.
      const length = left <= room ? left : room - (room % CHUNK);
      wanted.push({ key: this.#key, piece, from, length });
      byteLength += length;
      this.#from += length;
      if (this.#from < piece.length) continue;
      this.#piece++;
      this.#from = 0;
    }
    return byteLength === 0 ? undefined : this.#read(wanted, byteLength);
  }

  async #read(wanted: readonly Wanted[], byteLength: number): Promise<Uint8Array> {
    const bytes = allocateBytes(byteLength);
    let at = 0;
    const targets = wanted.map(({ length, ...target }) => {
      at += length;
      return { ...target, into: bytes.subarray(at - length, at) };
    });
    await fetchAll(this.#requests, targets, this.#options);
    return bytes;
  }
}

type Wanted = Omit<Target, "into"> & { readonly length: number };

/** The approximate bytes of one step. */
const STEP = 4 * 2 ** 20;

function closed(): PartdError {
  return new PartdError("ERR_PARTD_CLOSED", "The store was closed while it was read.");
}

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
