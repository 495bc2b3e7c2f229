import { Pace } from "@partd/core/author";
import type { Segment } from "../data-set/segment.js";
import { PIECE } from "../format/layout.js";
import { grown, grownSize, NONE } from "../index/key-dictionary.js";
import { type GrowingIndex, NEVER, type RangeChains } from "../index/range-chains.js";
import { StoredIndex } from "../index/stored-index.js";

/** The ranges of one segment that have to be read, and where each goes. */
export class SegmentPlan {
  readonly segment: Segment;
  readonly index: RangeChains;
  count = 0;
  /** Rows of the index. */
  rows: Uint32Array;
  /** The value that each range is part of, and its position in it. */
  slots: Uint32Array;
  offsets: Float64Array;

  /** @param room ranges for which memory is allocated at first. */
  constructor(segment: Segment, index: RangeChains, room = 8) {
    this.segment = segment;
    this.index = index;
    this.rows = new Uint32Array(room);
    this.slots = new Uint32Array(room);
    this.offsets = new Float64Array(room);
  }

  add(row: number, slot: number, offset: number): void {
    const at = this.count++;
    if (at === this.rows.length) this.#grow();
    this.rows[at] = row;
    this.slots[at] = slot;
    this.offsets[at] = offset;
  }

  #grow(): void {
    const size = grownSize(this.rows.length, this.count);
    this.rows = grown(this.rows, size);
    this.slots = grown(this.slots, size);
    this.offsets = grown(this.offsets, size);
  }
}

export interface ReadPlan {
  readonly segments: readonly SegmentPlan[];
  /** If there are sweeps, they read all ranges shorter than `DIRECT`, and `segments` lists longer ones. */
  readonly sweeps: readonly SweepPlan[];
  /** Length of each value. */
  readonly lengths: Float64Array;
}

/** What a segment holds of the wanted keys, as of the beginning of the plan. */
interface Part {
  readonly segment: Segment;
  readonly index: RangeChains;
  /** The index's number of the key of each slot, or `NONE`. */
  readonly keys: Int32Array;
  /** The rows that count; later ones were added since. */
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Finds the ranges of `keys`, which are distinct. `segments` have caught up.
 *
 * @param maySweep whether the plan may have sweeps; otherwise all ranges are listed.
 */
export async function planRead(
  segments: readonly Segment[],
  keys: readonly string[],
  signal?: AbortSignal,
  { maySweep = false } = {},
): Promise<ReadPlan> {
  // A segment's index may be replaced by a stored one at any time, and rows are added to a growing one:
  // of the next record, one key's rows must not count without another's.
  const indexes = segments.map(({ index }) => index);
  const ends = indexes.map((index) => (index instanceof StoredIndex ? 0 : index?.columns.count));
  const parts: Part[] = [];
  const pace = new Pace();
  for (const [i, segment] of segments.entries()) {
    const index = indexes[i];
    if (!index) continue;
    signal?.throwIfAborted();
    const found = await find(index, keys);
    if (!found) continue;
    const part = { segment, ...found };
    const { firstStamp: first, lastStamp: last } = index;
    parts.push({
      ...part,
      end: index instanceof StoredIndex ? part.index.columns.count : (ends[i] as number),
      first: segment.isBase ? -1 : first,
      last: segment.isBase ? -1 : last,
    });
    if (pace.due) await pace.rest();
  }
  signal?.throwIfAborted();
  const cuts = deletions(parts, keys.length);
  // Base segments stay in front, in their order.
  parts.sort((a, b) => a.first - b.first);
  const inTurn = parts.every(
    (part, i) => i === 0 || (parts[i - 1] as Part).last < part.first || part.segment.isBase,
  );
  if (!inTurn) return planMerged(parts, segments, keys.length, cuts, pace);
  const plan = maySweep && isWorthSweeping(parts, keys.length) ? planSweeps : planInTurn;
  return plan(parts, keys.length, cuts, pace);
}

/** Bytes of each key's value, in the order of `keys`, which may repeat. */
export async function sizesOf(
  segments: readonly Segment[],
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const unique = [...new Set(keys)];
  const { lengths } = await planRead(segments, unique, signal, { maySweep: true });
  const sizes = new Map(unique.map((key, slot) => [key, lengths[slot] as number]));
  return keys.map((key) => sizes.get(key) as number);
}

async function find(
  index: GrowingIndex | StoredIndex,
  keys: readonly string[],
): Promise<Pick<Part, "index" | "keys"> | undefined> {
  if (!(index instanceof StoredIndex))
    return { index, keys: Int32Array.from(keys, (key) => index.find(key)) };
  const loaded = await index.load(keys);
  if (!loaded) return undefined;
  return {
    index: loaded,
    keys: Int32Array.from(keys, (_, slot) => (slot < loaded.keyEnd ? slot : NONE)),
  };
}

/** The stamp up to which each key was deleted. */
function deletions(parts: readonly Part[], slots: number): Float64Array {
  const cuts = new Float64Array(slots).fill(NEVER);
  for (const { index, keys } of parts) {
    if (!index.hasDeletions) continue;
    for (let slot = 0; slot < slots; slot++) {
      const key = keys[slot] as number;
      if (key !== NONE) cuts[slot] = Math.max(cuts[slot] as number, index.deleted(key));
    }
  }
  return cuts;
}

/** For segments that follow one another in time: a value is the concatenation of what each holds. */
async function planInTurn(
  parts: readonly Part[],
  slots: number,
  cuts: Float64Array,
  pace: Pace,
): Promise<ReadPlan> {
  const lengths = new Float64Array(slots);
  const plans: SegmentPlan[] = [];
  for (const { segment, index, end, keys } of parts) {
    const plan = new SegmentPlan(segment, index);
    plans.push(plan);
    for (let slot = 0; slot < slots; slot++) {
      const key = keys[slot] as number;
      if (key === NONE) continue;
      let row = index.firstSince(key, cuts[slot] as number);
      for (; row !== NONE && row < end; row = index.next(row)) {
        plan.add(row, slot, lengths[slot] as number);
        (lengths[slot] as number) += index.columns.length[row] as number;
        if (pace.due) await pace.rest();
      }
    }
  }
  return { segments: plans, sweeps: [], lengths };
}

/**
 * Whether most rows are wanted: then visiting all rows in order is faster than following chains through
 * memory.
 */
function isWorthSweeping(parts: readonly Part[], slots: number): boolean {
  const rows = parts.reduce((sum, { end }) => sum + end, 0);
  return rows > 1024 && parts.every(({ index, end }) => slots > index.keyEnd / 4 || end <= 1024);
}

/** The same as `planInTurn`, and lists long ranges only. */
async function planSweeps(
  parts: readonly Part[],
  slots: number,
  cuts: Float64Array,
  pace: Pace,
): Promise<ReadPlan> {
  const lengths = new Float64Array(slots);
  const sweeps = parts.map((part) => new SweepPlan(part, cuts));
  const segments: SegmentPlan[] = [];
  for (const sweep of sweeps) {
    const wanted = await sweep.wanted(pace);
    const long = new SegmentPlan(sweep.segment, sweep.index);
    segments.push(long);
    for (let row = 0; row < sweep.end; row += SOME_ROWS) {
      addLengths(sweep, wanted, row, lengths, long);
      if (pace.isOver) await pace.rest();
    }
  }
  return { segments, sweeps, lengths };
}

/** A function of its own: V8 compiles such a loop better than one in an async function. */
function addLengths(
  { index, end }: SweepPlan,
  { slotOf, firsts }: WantedRows,
  from: number,
  lengths: Float64Array,
  long: SegmentPlan,
): void {
  const { key: keys, length: rowLengths } = index.columns; // The arrays may be replaced as they grow.
  const to = Math.min(end, from + SOME_ROWS);
  for (let row = from; row < to; row++) {
    const key = keys[row] as number;
    if (row < (firsts[key] as number)) continue;
    const slot = slotOf[key] as number;
    const length = rowLengths[row] as number;
    if (length >= DIRECT) long.add(row, slot, lengths[slot] as number);
    lengths[slot] = (lengths[slot] as number) + length;
  }
}

const SOME_ROWS = 4096;

/**
 * A segment of which most rows are read, one after the other as they lie in the file. They are not
 * listed, and segments are swept in the order of the plan: a value goes on where it ended before.
 */
export class SweepPlan {
  readonly segment: Segment;
  readonly index: RangeChains;
  /** The rows that count are before this one. */
  readonly end: number;
  readonly #keys: Int32Array;
  readonly #cuts: Float64Array;

  constructor({ segment, index, end, keys }: Part, cuts: Float64Array) {
    this.segment = segment;
    this.index = index;
    this.end = end;
    this.#keys = keys;
    this.#cuts = cuts;
  }

  async wanted(pace: Pace): Promise<WantedRows> {
    const { index } = this;
    const slotOf = new Uint32Array(index.keyEnd);
    const firsts = new Uint32Array(index.keyEnd).fill(NO_ROW);
    for (const [slot, key] of this.#keys.entries()) {
      if (key === NONE) continue;
      const first = index.firstSince(key, this.#cuts[slot] as number);
      if (first === NONE) continue;
      slotOf[key] = slot;
      firsts[key] = first;
      if (pace.due) await pace.rest();
    }
    return { slotOf, firsts };
  }
}

/** By the index's numbers of keys. */
export interface WantedRows {
  /** The value that the key belongs to, if any of its rows is wanted. */
  readonly slotOf: Uint32Array;
  /** The first row of the key that is wanted, or `NO_ROW`. */
  readonly firsts: Uint32Array;
}

/** Above the number of every row. */
const NO_ROW = 2 ** 32 - 1;
/** Ranges of this length or more are read directly into the values. */
export const DIRECT = PIECE;

/** For segments written at the same time: sorts a value's ranges by their stamps. */
async function planMerged(
  parts: readonly Part[],
  segments: readonly Segment[],
  slots: number,
  cuts: Float64Array,
  pace: Pace,
): Promise<ReadPlan> {
  const lengths = new Float64Array(slots);
  const plans = parts.map(({ segment, index }) => new SegmentPlan(segment, index));
  const order = parts.map(({ segment }) => segments.indexOf(segment));
  const next = new Int32Array(parts.length);
  const stamps = new Float64Array(parts.length);
  const look = (i: number, row: number) => {
    const { index, end, segment } = parts[i] as Part;
    const there = row !== NONE && row < end;
    next[i] = there ? row : NONE;
    stamps[i] = there
      ? segment.isBase
        ? -1
        : index.columns.stampOf(row)
      : Number.POSITIVE_INFINITY;
  };
  for (let slot = 0; slot < slots; slot++) {
    for (let i = 0; i < parts.length; i++) {
      const { index, keys } = parts[i] as Part;
      const key = keys[slot] as number;
      look(i, key === NONE ? NONE : index.firstSince(key, cuts[slot] as number));
    }
    for (;;) {
      let first = 0;
      for (let i = 1; i < parts.length; i++) {
        const earlier = (stamps[i] as number) - (stamps[first] as number);
        // If two writers have taken the same stamp, every process has to decide alike.
        if (earlier < 0 || (earlier === 0 && (order[i] as number) < (order[first] as number))) {
          first = i;
        }
      }
      const row = next[first] as number;
      if (row === NONE || parts.length === 0) break;
      const { index } = parts[first] as Part;
      (plans[first] as SegmentPlan).add(row, slot, lengths[slot] as number);
      (lengths[slot] as number) += index.columns.length[row] as number;
      look(first, index.next(row));
      if (pace.due) await pace.rest();
    }
  }
  return { segments: plans, sweeps: [], lengths };
}
