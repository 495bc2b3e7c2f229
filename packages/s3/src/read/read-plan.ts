import { Pace } from "@partd/core/author";
import type { DataSet } from "../data-set/data-set.js";
import type { Index } from "../data-set/indexes.js";
import type { Segment } from "../data-set/segment.js";
import { keysOf } from "../format/index-object.js";
import type { Tail } from "../format/tail.js";

/** A segment's value of a key. */
export interface Piece {
  readonly segment: Segment;
  /** Bytes of each of the segment's parts; 0 if it has none. */
  readonly partLength: number;
  /** Its position among the segment's values, and its length. */
  readonly offset: number;
  readonly length: number;
  readonly checksums: readonly number[];
}

/** The pieces of each key's value, in order. */
export type ReadPlan = ReadonlyMap<string, readonly Piece[]>;

/** @param keys distinct, in byte order. */
export async function planRead(
  dataSet: DataSet,
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<ReadPlan> {
  const { segments, removals } = dataSet;
  const plan = new Map<string, Piece[]>(keys.map((key) => [key, []]));
  const texts = keys.map((key) => Buffer.from(key, "latin1"));
  const pace = new Pace();
  const add = (key: string, piece: Piece) => {
    if (piece.length > 0 && !removals.isRemoved(piece.segment, key)) plan.get(key)?.push(piece);
  };
  for await (const described of descriptions(dataSet, keys, signal)) {
    if ("index" in described) {
      const { index, block } = described;
      const isWhole = await visit(index, block, pace, (key) => plan.has(key), add);
      if (isWhole) continue;
      dataSet.indexes.passOver(index.key);
      return planRead(dataSet, keys, signal);
    }
    const { segment, tail } = described;
    const { partLength } = tail;
    const entries = tail.entries();
    for (let i = 0; i < keys.length; i++) {
      if (!entries.seek(texts[i] as Buffer)) continue;
      const { offset, length, checksums } = entries;
      add(keys[i] as string, { segment, partLength, offset, length, checksums });
      if (pace.due) await pace.rest();
    }
    if (pace.due) await pace.rest();
  }
  await putInOrder(plan, segments, pace);
  return plan;
}

/** All keys with a value, in no order. */
export async function liveKeys(dataSet: DataSet, signal?: AbortSignal): Promise<Set<string>> {
  const { removals } = dataSet;
  const keys = new Set<string>();
  const pace = new Pace();
  for await (const described of descriptions(dataSet, undefined, signal)) {
    if ("index" in described) {
      const { index, block } = described;
      const add = (key: string, { segment }: Piece) => {
        if (!removals.isRemoved(segment, key)) keys.add(key);
      };
      const isWhole = await visit(index, block, pace, (key) => !keys.has(key), add);
      if (isWhole) continue;
      dataSet.indexes.passOver(index.key);
      return liveKeys(dataSet, signal);
    }
    const { segment, tail } = described;
    for (const entries = tail.entries(); entries.advance(); ) {
      const { key } = entries;
      if (entries.length > 0 && !removals.isRemoved(segment, key)) keys.add(key);
      if (pace.due) await pace.rest();
    }
  }
  return keys;
}

export function lengthOf(pieces: readonly Piece[]): number {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  return length;
}

/** Describes values: a block of an index, or the tail of a segment that no index describes. */
type Description =
  | { readonly index: Index; readonly block: Buffer }
  | { readonly segment: Segment; readonly tail: Tail };

/**
 * Yields what may describe values of the keys, or of all keys: first blocks of indexes, then tails,
 * each read ahead. A segment whose tail is in memory needs no index.
 */
async function* descriptions(
  dataSet: DataSet,
  keys: readonly string[] | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Description, void, undefined> {
  const { tails, indexes } = dataSet;
  const segments = dataSet.segments.filter((segment) => !segment.isWithoutValues);
  const unknown = segments.filter((segment) => !tails.has(segment));
  const found = await indexes.of(unknown, signal);
  const indexed = new Set<Segment>();
  const reads = ahead(found, (index) => indexes.blocks(index, keys, signal));
  for await (const [index, blocks] of reads) {
    if (!blocks) continue; // Its segments have their tails.
    for (const segment of index.segments) if (segment) indexed.add(segment);
    for (const block of blocks) yield { index, block };
  }
  const others = segments.filter((segment) => !indexed.has(segment));
  for await (const [segment, tail] of ahead(others, (one) => tails.of(one, signal))) {
    yield { segment, tail };
  }
}

/** Reads for each item of a list, some of them ahead. */
async function* ahead<S, T>(
  list: readonly S[],
  read: (one: S) => Promise<T>,
): AsyncGenerator<readonly [S, T], void, undefined> {
  const reads: Promise<T>[] = [];
  for (let i = 0; i < list.length; i++) {
    for (let next = i + reads.length; reads.length < AHEAD && next < list.length; next++) {
      const reading = read(list[next] as S);
      reading.catch(() => {}); // Told when its turn comes, unless an earlier one fails.
      reads.push(reading);
    }
    yield [list[i] as S, await (reads.shift() as Promise<T>)];
  }
}

/** Goes through the wanted keys of a block. @returns whether the block is one that a writer writes. */
async function visit(
  { footer, segments }: Index,
  block: Buffer,
  pace: Pace,
  isWanted: (key: string) => boolean,
  add: (key: string, piece: Piece) => void,
): Promise<boolean> {
  try {
    for (const [key, pieces] of keysOf(block)) {
      if (pace.due) await pace.rest();
      if (!isWanted(key)) continue;
      for (const { place, offset, length, checksums } of pieces()) {
        const described = footer.segments[place];
        if (!described || offset + length > described.bodyLength) return false;
        const segment = segments[place];
        const { partLength } = described;
        if (segment) add(key, { segment, partLength, offset, length, checksums });
      }
    }
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** Puts the pieces of each key in the order of their segments. */
async function putInOrder(
  plan: ReadonlyMap<string, Piece[]>,
  segments: readonly Segment[],
  pace: Pace,
): Promise<void> {
  const places = new Map(segments.map((segment, place) => [segment, place]));
  const placeOf = ({ segment }: Piece) => places.get(segment) as number;
  for (const pieces of plan.values()) {
    pieces.sort((a, b) => placeOf(a) - placeOf(b));
    if (pace.due) await pace.rest();
  }
}

/** Indexes or tails that are read at a time. */
const AHEAD = 32;
