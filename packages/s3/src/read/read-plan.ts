import { Pace } from "@partd/core/author";
import type { DataSet } from "../data-set/data-set.js";
import type { Segment } from "../data-set/segment.js";
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
  for await (const [segment, tail] of inOrder(dataSet, segments, signal)) {
    const entries = tail.entries();
    for (let i = 0; i < keys.length; i++) {
      if (!entries.seek(texts[i] as Buffer)) continue;
      const key = keys[i] as string;
      const { offset, length, checksums } = entries;
      if (length === 0 || removals.isRemoved(segment, key)) continue;
      const { partLength } = tail;
      plan.get(key)?.push({ segment, partLength, offset, length, checksums });
      if (pace.due) await pace.rest();
    }
    if (pace.due) await pace.rest();
  }
  return plan;
}

/** All keys with a value, in no order. */
export async function liveKeys(dataSet: DataSet, signal?: AbortSignal): Promise<Set<string>> {
  const { segments, removals } = dataSet;
  const keys = new Set<string>();
  const pace = new Pace();
  for await (const [segment, tail] of inOrder(dataSet, segments, signal)) {
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

/** The segments with their tails, read ahead. */
async function* inOrder(
  dataSet: DataSet,
  segments: readonly Segment[],
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly [Segment, Tail], void, undefined> {
  const { tails } = dataSet;
  await dataSet.loadIndexes(signal);
  const ahead: Promise<Tail>[] = [];
  for (let i = 0; i < segments.length; i++) {
    for (let next = i + ahead.length; ahead.length < AHEAD && next < segments.length; next++) {
      const reading = tails.of(segments[next] as Segment, signal);
      // The error is thrown when its turn comes, unless an earlier read fails.
      reading.catch(() => {});
      ahead.push(reading);
    }
    yield [segments[i] as Segment, await (ahead.shift() as Promise<Tail>)];
  }
}

/** Tails read at once. */
const AHEAD = 32;
