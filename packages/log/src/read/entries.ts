import { join } from "node:path";
import { isPartdError, PartdError } from "@partd/core";
import { allocateBytes } from "@partd/core/author";
import type { DataSet } from "../data-set/data-set.js";
import type { Segment } from "../data-set/segment.js";
import { PIECE } from "../format/layout.js";
import { liveKeys } from "../index/key-listing.js";
import { DivideMemory } from "./divider.js";
import { type EntryBatch, HELD_BYTES, LongEntry } from "./entry-batch.js";
import { ValueStream } from "./held-stream.js";
import { Partitions } from "./partitions.js";
import { planRead, type ReadPlan } from "./read-plan.js";
import { type Extent, UnreadableTable } from "./record-cursor.js";
import { type LeftOut, wholePieces } from "./salvage.js";
import { plannedValues } from "./values.js";

export interface EntriesOptions {
  /** What the keys begin with. Default: nothing. */
  readonly start?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
  /** Collects damage, which is then left out. Without it damage is an error. */
  readonly leftOut?: LeftOut | undefined;
}

/**
 * Yields every key with its value, each once: by reading the segments in long runs or, if damage
 * prevents that, by their indexes. It holds the segments while it runs.
 */
export async function* entriesOf(
  dataSet: DataSet,
  extents: readonly Extent[],
  { start = "", signal, onBytes, leftOut }: EntriesOptions = {},
): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
  const total = 2 * extents.reduce((sum, { end }) => sum + end, 0);
  let done = 0;
  const count = (bytes: number) => {
    done = Math.min(total, done + bytes);
    onBytes?.(done, total);
  };
  const folder = join(dataSet.directory, ".partd-log");
  const memory = DivideMemory.open();
  const options = { start, signal, onBytes: count, passesLone: !leftOut };
  const partitions = memory && new Partitions(folder, extents, memory, options);
  for (const { segment } of extents) segment.hold();
  try {
    const isDone = partitions ? yield* throughPartitions(partitions, !!leftOut) : false;
    if (!isDone) {
      const segments = extents.map(({ segment }) => segment);
      for await (const some of liveKeys(segments, signal, start)) {
        yield* readSome(segments, some, signal, leftOut);
      }
    }
  } finally {
    for (const { segment } of extents) segment.unhold();
    await partitions?.close();
  }
  onBytes?.(total, total);
}

/**
 * Reads the segments. @returns false, with nothing yielded, if that is impossible: a table is damaged,
 * in a salvage also a value, or `divide.c` finds no memory.
 */
async function* throughPartitions(
  partitions: Partitions,
  salvages: boolean,
): AsyncGenerator<EntryBatch | LongEntry, boolean, undefined> {
  let hasBegun = false;
  try {
    for await (const some of partitions.fill()) {
      hasBegun = true;
      yield some;
    }
  } catch (error) {
    if (hasBegun) throw ifOutOfMemory(error);
    if (error instanceof UnreadableTable || error instanceof WebAssembly.RuntimeError) return false;
    if (salvages && isPartdError(error, "ERR_PARTD_CORRUPT")) return false;
    throw error;
  }
  yield* partitions.entries();
  return true;
}

function ifOutOfMemory(error: unknown): unknown {
  if (!(error instanceof WebAssembly.RuntimeError)) return error;
  return new PartdError(
    "ERR_PARTD_IO",
    "There is no address space left to group the values in; give the process more (ulimit -v).",
    { cause: error },
  );
}

/**
 * Yields what {@link entriesOf} yields, for a store: a value longer than `longest` comes in pieces. With
 * `start`, everything that needs the indexes is done before the first batch, which may be empty, because
 * they may be removed later.
 */
export async function* pairsOf(
  dataSet: DataSet,
  extents: readonly Extent[],
  options: Pick<EntriesOptions, "start" | "signal"> & { readonly longest: number },
): AsyncGenerator<EntryBatch, void, undefined> {
  const { longest, start, signal } = options;
  if (start !== undefined) {
    const segments = extents.map(({ segment }) => segment);
    const few = await fewEntries(segments, start, signal);
    yield few?.flatMap(([key, value]) => cut(key, value, longest)) ?? [];
    if (few) return;
  }
  for await (const some of entriesOf(dataSet, extents, { start, signal })) {
    if (some instanceof LongEntry) {
      const { key } = some;
      if (some.length > longest) for await (const piece of some.pieces()) yield [[key, piece]];
      else yield [[key, await whole(some)]];
    } else if (some.every(([, { length }]) => length <= longest)) yield some;
    else yield some.flatMap(([key, value]) => cut(key, value, longest));
  }
}

/**
 * The entries that begin with `start`, unless there are so many that reading the segments through is
 * better.
 */
async function fewEntries(
  segments: readonly Segment[],
  start: string,
  signal: AbortSignal | undefined,
): Promise<EntryBatch | undefined> {
  const keys: string[] = [];
  for await (const some of liveKeys(segments, signal, start)) {
    keys.push(...some);
    if (keys.length > FEW_KEYS) return undefined;
  }
  const plan = await planRead(segments, keys, signal, { maySweep: true });
  return bytesOf(plan) <= HELD_BYTES ? readPlan(plan, keys, signal) : undefined;
}

/** Each append to these keys may take a read of its own. */
const FEW_KEYS = 8192;

function bytesOf({ lengths }: ReadPlan): number {
  return lengths.reduce((sum, length) => sum + length, 0);
}

async function readPlan(
  plan: ReadPlan,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<EntryBatch> {
  const values = await plannedValues(plan, keys, signal);
  return keys.map((key, slot) => [key, values[slot] as Uint8Array] as const);
}

/** A value in one piece, or in several if it is longer than `longest`. */
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

async function* readSome(
  segments: readonly Segment[],
  keys: readonly string[],
  signal: AbortSignal | undefined,
  leftOut: LeftOut | undefined,
): AsyncGenerator<EntryBatch | LongEntry, void, undefined> {
  // A single value may be streamed, for which its ranges have to be listed.
  const plan = await planRead(segments, keys, signal, { maySweep: keys.length > 1 });
  const total = bytesOf(plan);
  const batch = total <= HELD_BYTES ? await readIfWhole(plan, keys, signal, leftOut) : undefined;
  if (batch) yield batch;
  else if (keys.length > 1) {
    const half = keys.length >> 1;
    yield* readSome(segments, keys.slice(0, half), signal, leftOut);
    yield* readSome(segments, keys.slice(half), signal, leftOut);
  } else if (keys[0] !== undefined) {
    const [key] = keys;
    yield new LongEntry(key, total, () =>
      leftOut ? wholePieces(plan, key, leftOut, signal) : new ValueStream(plan, key, () => {}),
    );
  }
}

/** `undefined` if a value is damaged, so that a salvage has to read it piece by piece. */
async function readIfWhole(
  plan: ReadPlan,
  keys: readonly string[],
  signal: AbortSignal | undefined,
  leftOut: LeftOut | undefined,
): Promise<EntryBatch | undefined> {
  try {
    return await readPlan(plan, keys, signal);
  } catch (error) {
    if (leftOut && isPartdError(error, "ERR_PARTD_CORRUPT")) return undefined;
    throw error;
  }
}
