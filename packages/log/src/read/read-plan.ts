import { Pace } from "@partd/core/author";
import type { Segment } from "../data-set/segment.js";
import { NONE } from "../index/key-dictionary.js";
import { type GrowingIndex, NEVER, type RangeChains } from "../index/range-chains.js";
import { grown, grownSize } from "../index/range-columns.js";
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

/** Finds the ranges of `keys`, which are distinct. `segments` have caught up. */
export async function planRead(
  segments: readonly Segment[],
  keys: readonly string[],
  signal?: AbortSignal,
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
  return inTurn
    ? planInTurn(parts, keys.length, cuts, pace)
    : planMerged(parts, segments, keys.length, cuts, pace);
}

/** Bytes of each key's value, in the order of `keys`, which may repeat. */
export async function sizesOf(
  segments: readonly Segment[],
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const unique = [...new Set(keys)];
  const { lengths } = await planRead(segments, unique, signal);
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
  for (const part of parts) {
    const { index, end, keys } = part;
    const plan = new SegmentPlan(part.segment, index);
    plans.push(plan);
    // A walk through all rows beats following chains, which jump about in memory.
    if (slots > index.keyEnd / 4 && end > 1024) {
      await planWalk(part, plan, slots, cuts, lengths, pace);
      continue;
    }
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
  return { segments: plans, lengths };
}

async function planWalk(
  { index, end, keys: keyOf }: Part,
  plan: SegmentPlan,
  slots: number,
  cuts: Float64Array,
  lengths: Float64Array,
  pace: Pace,
): Promise<void> {
  const slotOf = new Int32Array(index.keyEnd).fill(NONE);
  const from = new Float64Array(slots);
  for (let slot = 0; slot < slots; slot++) {
    const key = keyOf[slot] as number;
    if (key === NONE) continue;
    const first = index.firstSince(key, cuts[slot] as number);
    if (first === NONE) continue;
    slotOf[key] = slot;
    from[slot] = first;
    if (pace.due) await pace.rest();
  }
  for (let row = 0; row < end; ) {
    const { key: keys, length: rowLengths } = index.columns; // The arrays may be replaced as they grow.
    for (const stop = Math.min(end, row + 4096); row < stop; row++) {
      const slot = slotOf[keys[row] as number] as number;
      if (slot === NONE || row < (from[slot] as number)) continue;
      plan.add(row, slot, lengths[slot] as number);
      (lengths[slot] as number) += rowLengths[row] as number;
    }
    for (let i = 0; i < 32; i++) if (pace.due) await pace.rest();
  }
}

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
  return { segments: plans, lengths };
}
