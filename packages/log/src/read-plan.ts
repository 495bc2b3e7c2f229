import { Pace } from "@partd/core/author";
import { type GrowingIndex, NEVER, NONE } from "./growing-index.js";
import { grown, grownSize } from "./range-columns.js";
import type { Segment } from "./segment.js";
import { StoredIndex } from "./stored-index.js";

/** Which ranges of one segment are to be read, and where each goes. */
export class SegmentPlan {
  readonly segment: Segment;
  readonly index: GrowingIndex;
  count = 0;
  /** Rows of the index. */
  rows: Uint32Array;
  /** Which value the range is part of, and where it stands in it. */
  slots: Uint32Array;
  offsets: Float64Array;

  /** @param room for how many ranges memory is taken at first. */
  constructor(segment: Segment, index: GrowingIndex, room = 64) {
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
    const size = grownSize(Math.max(64, this.rows.length), this.count);
    this.rows = grown(this.rows, size);
    this.slots = grown(this.slots, size);
    this.offsets = grown(this.offsets, size);
  }
}

export interface ReadPlan {
  readonly segments: readonly SegmentPlan[];
  /** Length of each value. */
  readonly lengths: Float64Array;
}

/** What a segment holds of the wanted keys, as it stood when the plan was begun. */
interface Part {
  readonly segment: Segment;
  readonly index: GrowingIndex;
  /** The index's number of the key of a slot. */
  readonly keyOf: (slot: number) => number;
  /** Rows that were added later do not count. */
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

/**
 * Finds the ranges of `keys`, numbers of the store's key table of which none comes twice; `NONE`
 * stands for a key that was never written. `segments` have caught up.
 */
export async function planRead(
  segments: readonly Segment[],
  keys: readonly number[],
  signal?: AbortSignal,
): Promise<ReadPlan> {
  const cuts = deletions(segments, keys);
  // A segment's index may be exchanged for a stored one at any time.
  const indexes = segments.map(({ index }) => index);
  const loaded: (GrowingIndex | undefined)[] = [];
  for (let from = 0; from < indexes.length; from += AT_A_TIME) {
    signal?.throwIfAborted();
    const some = indexes.slice(from, from + AT_A_TIME);
    loaded.push(...(await Promise.all(some.map((index) => loadStored(index, keys, cuts)))));
  }
  signal?.throwIfAborted();
  const parts: Part[] = [];
  segments.forEach((segment, i) => {
    const stored = loaded[i];
    const index = stored ?? indexes[i];
    if (!index || index instanceof StoredIndex || index.columns.count === 0) return;
    const { firstStamp: first, lastStamp: last } = indexes[i] as GrowingIndex | StoredIndex;
    parts.push({
      segment,
      index,
      keyOf: stored ? (slot) => slot : (slot) => keys[slot] as number,
      end: index.columns.count,
      first: segment.isBase ? -1 : first,
      last: segment.isBase ? -1 : last,
    });
  });
  // Base segments stay in front in their order.
  parts.sort((a, b) => a.first - b.first);
  const pace = new Pace();
  const inTurn = parts.every(
    (part, i) => i === 0 || (parts[i - 1] as Part).last < part.first || part.segment.isBase,
  );
  return inTurn
    ? planInTurn(parts, keys, cuts, pace)
    : planMerged(parts, segments, keys, cuts, pace);
}

/** Indexes that are read at a time, each through a descriptor. */
const AT_A_TIME = 16;

/** The stamp up to which each key was deleted. */
function deletions(segments: readonly Segment[], keys: readonly number[]): Float64Array {
  const cuts = new Float64Array(keys.length).fill(NEVER);
  for (const { index } of segments) {
    if (!index?.hasDeletions) continue;
    for (let slot = 0; slot < keys.length; slot++) {
      const deleted = index.deleted(keys[slot] as number);
      if (deleted > (cuts[slot] as number)) cuts[slot] = deleted;
    }
  }
  return cuts;
}

async function loadStored(
  index: GrowingIndex | StoredIndex | undefined,
  keys: readonly number[],
  cuts: Float64Array,
): Promise<GrowingIndex | undefined> {
  if (!(index instanceof StoredIndex)) return undefined;
  return index.load(
    keys.map((key, slot) => (index.last(key) >= (cuts[slot] as number) ? key : NONE)),
  );
}

/** The segments follow one another in time, so a value is what each holds of it, end to end. */
async function planInTurn(
  parts: readonly Part[],
  keys: readonly number[],
  cuts: Float64Array,
  pace: Pace,
): Promise<ReadPlan> {
  const lengths = new Float64Array(keys.length);
  const plans: SegmentPlan[] = [];
  for (const part of parts) {
    const { index, end, keyOf } = part;
    let wanted = 0;
    for (let slot = 0; slot < keys.length; slot++) {
      const key = keyOf(slot);
      if (key !== NONE) wanted += index.ranges(key);
    }
    const plan = new SegmentPlan(part.segment, index, wanted + 1);
    plans.push(plan);
    // A walk through all rows beats following chains, which jump about in memory.
    if (wanted > end / 4 && wanted > 1024) {
      await planWalk(part, plan, keys.length, cuts, lengths, pace);
      continue;
    }
    const { columns } = index;
    for (let slot = 0; slot < keys.length; slot++) {
      const key = keyOf(slot);
      if (key === NONE) continue;
      let row = index.firstSince(key, cuts[slot] as number);
      for (; row !== NONE && row < end; row = index.next(row)) {
        plan.add(row, slot, lengths[slot] as number);
        (lengths[slot] as number) += columns.length[row] as number;
        if (pace.due) await pace.rest();
      }
    }
  }
  return { segments: plans, lengths };
}

async function planWalk(
  { index, end, keyOf }: Part,
  plan: SegmentPlan,
  slots: number,
  cuts: Float64Array,
  lengths: Float64Array,
  pace: Pace,
): Promise<void> {
  const slotOf = new Int32Array(index.keyEnd).fill(NONE);
  const from = new Float64Array(slots);
  for (let slot = 0; slot < slots; slot++) {
    const key = keyOf(slot);
    if (key === NONE) continue;
    const first = index.firstSince(key, cuts[slot] as number);
    if (first === NONE) continue;
    slotOf[key] = slot;
    from[slot] = first;
    if (pace.due) await pace.rest();
  }
  for (let row = 0; row < end; ) {
    const { key: keys, length: rowLengths } = index.columns; // They may be replaced as they grow.
    for (const stop = Math.min(end, row + 4096); row < stop; row++) {
      const slot = slotOf[keys[row] as number] as number;
      if (slot === NONE || row < (from[slot] as number)) continue;
      plan.add(row, slot, lengths[slot] as number);
      (lengths[slot] as number) += rowLengths[row] as number;
    }
    for (let i = 0; i < 32; i++) if (pace.due) await pace.rest();
  }
}

/** Several wrote at the same time: a value's ranges are put in the order of their stamps. */
async function planMerged(
  parts: readonly Part[],
  segments: readonly Segment[],
  keys: readonly number[],
  cuts: Float64Array,
  pace: Pace,
): Promise<ReadPlan> {
  const lengths = new Float64Array(keys.length);
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
  for (let slot = 0; slot < keys.length; slot++) {
    if (keys[slot] === NONE) continue;
    for (let i = 0; i < parts.length; i++) {
      const { index, keyOf } = parts[i] as Part;
      look(i, index.firstSince(keyOf(slot), cuts[slot] as number));
    }
    for (;;) {
      let first = 0;
      for (let i = 1; i < parts.length; i++) {
        const earlier = (stamps[i] as number) - (stamps[first] as number);
        // Two writers may have taken the same stamp; then every process has to decide alike.
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
  return { segments: plans, lengths };
}
