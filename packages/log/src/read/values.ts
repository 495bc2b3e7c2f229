import { allocateBytes } from "@partd/core/author";
import type { Segment } from "../data-set/segment.js";
import { DivideMemory } from "./divider.js";
import { DIRECT, planRead, type ReadPlan, type SweepPlan, type WantedRows } from "./read-plan.js";
import {
  AT_A_TIME,
  BY_WORDS,
  checkGroups,
  GAP,
  pace,
  RangeCopier,
  readInto,
  readRanges,
  STRETCH,
} from "./read-ranges.js";

/** Reads one value a key, in the order of `keys`, which may repeat. Each has memory of its own. */
export async function valuesOf(
  segments: readonly Segment[],
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array[]> {
  const slots = new Map<string, number>();
  for (const key of keys) if (!slots.has(key)) slots.set(key, slots.size);
  const texts = [...slots.keys()];
  const plan = await planRead(segments, texts, signal, { maySweep: true });
  const values = await plannedValues(plan, texts, signal);
  if (texts.length === keys.length) return values;
  const given = new Set<number>();
  return keys.map((key) => {
    const slot = slots.get(key) as number;
    const value = values[slot] as Uint8Array;
    if (given.has(slot)) return value.slice();
    given.add(slot);
    return value;
  });
}

/** Reads the values of `keys`, which the plan is for. */
export async function plannedValues(
  plan: ReadPlan,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array[]> {
  const values = keys.map((_, slot) => allocateBytes(plan.lengths[slot] as number));
  for (const part of plan.segments) await readRanges(part, values, keys, signal);
  if (plan.sweeps.length === 0) return values;
  const sweep = new Sweep(plan, values, keys);
  for (const part of plan.sweeps) await sweep.read(part, signal);
  return values;
}

/** One piece of the file. It has the wanted rows among `from` to `to`. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly position: number;
  readonly length: number;
  /** Rows of long ranges before `from`, which are read by themselves. */
  readonly passed: readonly number[];
}

/**
 * Reads ranges shorter than `DIRECT` into values, segment by segment, in the order of the file. Every
 * byte is checked.
 */
class Sweep {
  readonly #values: readonly Uint8Array[];
  readonly #keys: readonly string[];
  /** Where each value goes on. */
  readonly #offsets: Float64Array;
  readonly #copier: RangeCopier;
  readonly #gathering: Gathering | undefined;
  /** Memory for stretches. */
  readonly #windows: Buffer[];

  /** @param keys the encoded keys of the slots, for messages. */
  constructor(
    { sweeps, lengths }: ReadPlan,
    values: readonly Uint8Array[],
    keys: readonly string[],
  ) {
    const ranges = sweeps.reduce((sum, { end }) => sum + end, 0);
    const bytes = lengths.reduce((sum, length) => sum + length, 0);
    this.#values = values;
    this.#keys = keys;
    this.#offsets = new Float64Array(values.length);
    this.#copier = new RangeCopier(values, ranges);
    if (isWorthGathering(ranges, bytes, values.length)) {
      this.#gathering = Gathering.open(values.length);
    }
    this.#windows =
      this.#gathering?.windows ??
      Array.from({ length: AT_A_TIME }, () => Buffer.allocUnsafeSlow(STRETCH));
  }

  /** Reads what the next segment has. */
  async read(plan: SweepPlan, signal: AbortSignal | undefined): Promise<void> {
    const { segment } = plan;
    const reads: { stretch: Stretch; window: Buffer; reading: Promise<void> }[] = [];
    segment.hold();
    try {
      const stretches = new Stretches(plan, await plan.wanted(pace));
      for (;;) {
        signal?.throwIfAborted();
        for (let window = this.#windows.at(-1); window; window = this.#windows.at(-1)) {
          const stretch = stretches.next(window.length);
          if (!stretch) break;
          this.#windows.pop();
          const reading = readInto(segment, [window.subarray(0, stretch.length)], stretch.position);
          reading.catch(() => {}); // It is thrown below, unless an earlier one has failed.
          reads.push({ stretch, window, reading });
        }
        const next = reads.shift();
        if (!next) return;
        await next.reading;
        this.#scatter(stretches, next.stretch, next.window);
        this.#windows.push(next.window);
        if (pace.isOver) await pace.rest();
      }
    } finally {
      await Promise.allSettled(reads.map(({ reading }) => reading));
      segment.unhold();
    }
  }

  /** Checks the groups of a stretch and copies its ranges to where their values go on. */
  #scatter({ plan, wanted }: Stretches, stretch: Stretch, bytes: Buffer): void {
    // In local variables, because the loop runs once for every append that was made.
    const { from, to, position, passed } = stretch;
    const { firsts, slotOf } = wanted;
    const { key: keys, group: groups, delta, length, start, groupLength } = plan.index.columns;
    const values = this.#values;
    const offsets = this.#offsets;
    const gathering = this.#gathering;
    const copier = this.#copier;
    const source = new DataView(bytes.buffer);
    const base = bytes.byteOffset - position;
    for (const row of passed) {
      const slot = slotOf[keys[row] as number] as number;
      offsets[slot] = (offsets[slot] as number) + (length[row] as number);
    }
    let checked = -1;
    for (let row = from; row < to; row++) {
      const key = keys[row] as number;
      if (row < (firsts[key] as number)) continue;
      const slot = slotOf[key] as number;
      const group = groups[row] as number;
      const groupStart = base + (start[group] as number);
      if (group !== checked) {
        checked = group;
        const there = new Uint8Array(bytes.buffer, groupStart, groupLength[group]);
        checkGroups(plan, group, there, this.#keys[slot] as string);
      }
      const at = groupStart + (delta[row] as number);
      const rowLength = length[row] as number;
      if (gathering) gathering.add(slot, at, rowLength);
      else {
        const offset = offsets[slot] as number;
        copier.copy(source, at, slot, offset, rowLength);
        offsets[slot] = offset + rowLength;
      }
    }
    gathering?.handOut(values, offsets);
  }
}

/** Divides the rows of a segment into stretches. */
class Stretches {
  readonly plan: SweepPlan;
  readonly wanted: WantedRows;
  /** The first row of the next stretch. */
  #next = 0;

  constructor(plan: SweepPlan, wanted: WantedRows) {
    this.plan = plan;
    this.wanted = wanted;
  }

  /** @param longest the most bytes of a stretch. @returns `undefined` at the end of the segment. */
  next(longest: number): Stretch | undefined {
    const { firsts } = this.wanted;
    const { end: endRow, index } = this.plan;
    const { key: keys, group: groups, length, start, groupLength } = index.columns;
    const passed: number[] = [];
    let from = -1;
    let position = 0;
    let end = 0;
    let last = -1;
    let row = this.#next;
    for (; row < endRow; row++) {
      const group = groups[row] as number;
      if (row < (firsts[keys[row] as number] as number)) continue;
      const isLong = (length[row] as number) >= DIRECT;
      if (from < 0) {
        if (isLong) passed.push(row);
        else {
          from = row;
          position = start[group] as number;
        }
      } else if (isLong || row - from === MOST_RANGES) break;
      if (isLong || group === last) continue;
      const groupStart = start[group] as number;
      const groupEnd = groupStart + (groupLength[group] as number);
      if (last >= 0 && (groupEnd - position > longest || groupStart - end > GAP)) break;
      end = groupEnd;
      last = group;
    }
    this.#next = row;
    if (from < 0 && passed.length === 0) return undefined;
    return { from: from < 0 ? row : from, to: row, position, length: end - position, passed };
  }
}

/** Whether most stretches have several short ranges of each value, and there are many of them. */
function isWorthGathering(ranges: number, bytes: number, slots: number): boolean {
  const mean = bytes / ranges;
  const inStretch = Math.min(MOST_RANGES, WINDOW_BYTES / mean);
  return ranges > MANY_RANGES && mean <= BY_WORDS && inStretch >= 2 * slots;
}

/** With fewer, an instance of `divide.c` costs more than it gains. */
const MANY_RANGES = 2 ** 16;

/**
 * Lays short ranges of a stretch of a segment together by their values, so that each value is copied to
 * once. A range of 100 bytes takes half the time of a copy of its own in JavaScript.
 */
export class Gathering {
  /** Memory for stretches. */
  readonly windows: Buffer[];
  readonly #memory: DivideMemory;
  readonly #ranges: Uint32Array;
  readonly #runs: Uint32Array;
  readonly #target: number;
  readonly #ends: number;
  #count = 0;

  /**
   * @param slots how many values there are.
   * @returns `undefined` if the runtime has no WebAssembly with SIMD, or no room for its memory.
   */
  static open(slots: number): Gathering | undefined {
    try {
      const memory = DivideMemory.open();
      return memory && new Gathering(memory, slots);
    } catch {
      return undefined;
    }
  }

  private constructor(memory: DivideMemory, slots: number) {
    const length = (WINDOWS + 1) * WINDOW_BYTES + 20 * MOST_RANGES + 4 * slots;
    const start = memory.exports.area(GATHER, length) >>> 0;
    this.#memory = memory;
    this.windows = Array.from({ length: WINDOWS }, (_, i) =>
      memory.slice(start + i * WINDOW_BYTES, start + (i + 1) * WINDOW_BYTES),
    );
    this.#target = start + WINDOWS * WINDOW_BYTES;
    const ranges = this.#target + WINDOW_BYTES;
    this.#ranges = memory.words(ranges, 3 * MOST_RANGES);
    this.#runs = memory.words(ranges + 12 * MOST_RANGES, 2 * MOST_RANGES);
    this.#ends = ranges + 20 * MOST_RANGES;
    memory.words(this.#ends, slots).fill(0);
  }

  /** Adds a range, at most {@link MOST_RANGES}. @param at its place in memory. */
  add(slot: number, at: number, length: number): void {
    const ranges = this.#ranges;
    const i = 3 * this.#count++;
    ranges[i] = slot;
    ranges[i + 1] = at;
    ranges[i + 2] = length;
  }

  /** Copies what was added to the values, and advances their offsets. */
  handOut(values: readonly Uint8Array[], offsets: Float64Array): void {
    const ranges = this.#ranges.byteOffset;
    const { buffer } = this.#runs;
    const runs = this.#runs;
    const { exports } = this.#memory;
    const target = this.#target;
    const count = exports.gather(ranges, this.#count, this.#ends, runs.byteOffset, target);
    this.#count = 0;
    for (let i = 0, at = target; i < count; i++) {
      const slot = runs[2 * i] as number;
      const end = runs[2 * i + 1] as number;
      const offset = offsets[slot] as number;
      (values[slot] as Uint8Array).set(new Uint8Array(buffer, at, end - at), offset);
      offsets[slot] = offset + end - at;
      at = end;
    }
  }
}

/** The area of memory. */
const GATHER = 2;
const WINDOWS = 2;
/** The longer a stretch is, the more of its ranges belong to one value. */
const WINDOW_BYTES = 4 * 2 ** 20;
const MOST_RANGES = 2 ** 16;
