import { join } from "node:path";
import { allocateBytes } from "@partd/core/author";
import type { DataSet } from "../data-set/data-set.js";
import type { Segment } from "../data-set/segment.js";
import { PIECE } from "../format/layout.js";
import { liveKeys } from "../index/live-keys.js";
import { gather } from "./gather.js";
import { type EntryBatch, LongEntry } from "./grouping.js";
import { Partitions } from "./partitions.js";
import { planRead } from "./read-plan.js";
import { type Extent, UnreadableTable } from "./record-cursor.js";
import { ValueStream } from "./value-stream.js";

export interface EntriesOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
}

/**
 * Every key with its value, each once: by reading the segments in long runs, or by their indexes
 * where a damaged table leaves no other way. It holds the segments while it runs.
 */
export async function* entriesOf(
  dataSet: DataSet,
  extents: readonly Extent[],
  { signal, onBytes }: EntriesOptions = {},
): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
  const total = 2 * extents.reduce((sum, { end }) => sum + end, 0);
  let done = 0;
  const count = (bytes: number) => {
    done = Math.min(total, done + bytes);
    onBytes?.(done, total);
  };
  const folder = join(dataSet.directory, ".partd-log");
  const partitions = new Partitions(folder, extents, count, signal);
  for (const { segment } of extents) segment.hold();
  try {
    await partitions.fill();
    for await (const some of partitions.entries()) yield some;
  } catch (error) {
    if (!(error instanceof UnreadableTable)) throw error;
    yield* byIndex(
      extents.map(({ segment }) => segment),
      signal,
    );
  } finally {
    for (const { segment } of extents) segment.unhold();
    await partitions.close();
  }
  onBytes?.(total, total);
}

/** The same for a store: a value that is longer than `longest` comes in pieces. */
export async function* pairsOf(
  dataSet: DataSet,
  extents: readonly Extent[],
  { longest, signal }: { readonly longest: number; readonly signal: AbortSignal },
): AsyncGenerator<EntryBatch, void, undefined> {
  for await (const some of entriesOf(dataSet, extents, { signal })) {
    if (some instanceof LongEntry) {
      const { key } = some;
      if (some.length > longest) for await (const piece of some.pieces()) yield [[key, piece]];
      else yield [[key, await whole(some)]];
    } else if (some.every(([, { length }]) => length <= longest)) yield some;
    else yield some.flatMap(([key, value]) => cut(key, value, longest));
  }
}

/** A value in one piece, or if it is longer than `longest` in several. */
function cut(key: string, value: Uint8Array, longest: number): EntryBatch {
  if (value.length <= longest) return [[key, value]];
  const size = Math.max(longest, PIECE);
  const pieces: (readonly [string, Uint8Array])[] = [];
  for (let at = 0; at < value.length; at += size) {
    pieces.push([key, value.subarray(at, at + size)]);
  }
  return pieces;
}

async function whole({ length, pieces }: LongEntry): Promise<Uint8Array> {
  const value = allocateBytes(length);
  let at = 0;
  for await (const piece of pieces()) {
    value.set(piece, at);
    at += piece.length;
  }
  return value;
}

async function* byIndex(
  segments: readonly Segment[],
  signal: AbortSignal | undefined,
): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
  for await (const some of liveKeys(segments, signal)) {
    yield* readSome(segments, some, signal);
  }
}

async function* readSome(
  segments: readonly Segment[],
  keys: readonly string[],
  signal: AbortSignal | undefined,
): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
  const plan = await planRead(segments, keys, signal);
  const total = plan.lengths.reduce((sum, length) => sum + length, 0);
  if (total <= HELD_BYTES) {
    const values = keys.map((_, slot) => allocateBytes(plan.lengths[slot] as number));
    for (const part of plan.segments) await gather(part, values, keys, signal);
    yield keys.map((key, slot) => [key, values[slot] as Uint8Array] as const);
  } else if (keys.length > 1) {
    const half = keys.length >> 1;
    yield* readSome(segments, keys.slice(0, half), signal);
    yield* readSome(segments, keys.slice(half), signal);
  } else if (keys[0] !== undefined) {
    const [key] = keys;
    yield new LongEntry(key, total, () => new ValueStream(plan, key, () => {}));
  }
}

/** Values that are read together. */
const HELD_BYTES = 32 * 2 ** 20;
