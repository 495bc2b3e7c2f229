import { decodeKey, PartdError } from "@partd/core";
import { describeKey, Pace } from "@partd/core/author";
import { crc32, systemError } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";
import { PIECE } from "../format/layout.js";
import { type RangeColumns, radixOrder } from "../index/range-chains.js";
import { readAtOnce, readPieces } from "../open-files.js";
import { DIRECT, type SegmentPlan, type SweepPlan } from "./read-plan.js";

/** One read of a stretch of the file. */
interface Task {
  readonly position: number;
  readonly length: number;
  /** The rows `from` to `to` of the plan's order get their bytes from the stretch. */
  readonly from: number;
  readonly to: number;
  /** Where the bytes go directly; `undefined` if they are copied from a buffer. */
  readonly targets: Uint8Array[] | undefined;
}

/**
 * Reads what `plan` lists into `values`, in the order of the file: neighbours in one read, several
 * reads at a time, and large ranges without a copy. Every byte is checked.
 *
 * @param keys the encoded keys of the slots, for messages.
 */
export async function readRanges(
  plan: SegmentPlan,
  values: readonly Uint8Array[],
  keys: readonly string[],
  signal?: AbortSignal,
): Promise<void> {
  if (plan.count === 0) return;
  plan.segment.hold();
  try {
    await readHeldRanges(plan, values, keys, signal);
  } finally {
    plan.segment.unhold();
  }
}

async function readHeldRanges(
  plan: SegmentPlan,
  values: readonly Uint8Array[],
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const tasks = new Tasks(plan, values);
  const failed: { error: unknown }[] = [];
  const worker = async () => {
    const memory = new StretchMemory();
    for (let task = tasks.next(); task && failed.length === 0; task = tasks.next()) {
      signal?.throwIfAborted();
      if (task.targets) {
        await readInto(plan.segment, task.targets, task.position);
        tasks.checkTargets(task, keys);
      } else {
        const bytes = memory.of(task.length);
        await readInto(plan.segment, [bytes], task.position);
        tasks.scatter(task, bytes, keys);
      }
      if (pace.due) await pace.rest();
    }
    memory.release();
  };
  await Promise.all(
    Array.from({ length: Math.min(AT_A_TIME, plan.count) }, () =>
      worker().catch((error) => {
        failed.push({ error });
      }),
    ),
  );
  if (failed[0]) throw failed[0].error;
}

/** Fills `piece` from byte `from` of a large range on. Both are whole checksummed stretches. */
export async function readPart(
  plan: SegmentPlan,
  row: number,
  from: number,
  piece: Uint8Array,
  key: string,
): Promise<void> {
  const { columns } = plan.index;
  const group = (columns.group[row] as number) + Math.floor(from / PIECE);
  await readInto(plan.segment, [piece], columns.start[group] as number);
  checkGroups(plan, group, piece, key);
}

/** One pace for all gets: a loop of gets in this thread must not block the event loop. */
export const pace = new Pace();

/** Stretches of a file that are read at a time. */
export const AT_A_TIME = 4;
/** The most bytes of small ranges that are read together. */
export const STRETCH = 2 ** 20;
/** Enough for a get of one key. */
const SHORT = 64 * 1024;
/** Ranges with a gap of up to this length are read together: a second read would cost more. */
export const GAP = 64 * 1024;
const LONGEST_READ = 4 * 2 ** 20;

/**
 * Memory for one stretch after another. A short one is reused by later reads: a get of one key reads a
 * few groups of 4 KiB, and allocating memory for each took a third of its time.
 */
class StretchMemory {
  static readonly #spare: Buffer[] = [];
  #short: Buffer | undefined;
  #long: Buffer | undefined;

  of(length: number): Buffer {
    if (length <= SHORT) {
      this.#short ??= StretchMemory.#spare.pop() ?? Buffer.allocUnsafeSlow(SHORT);
      return this.#short.subarray(0, length);
    }
    if (!this.#long || this.#long.length < length) {
      this.#long = Buffer.allocUnsafeSlow(Math.max(STRETCH, length));
    }
    return this.#long.subarray(0, length);
  }

  release(): void {
    const spare = StretchMemory.#spare;
    if (this.#short && spare.length < AT_A_TIME) spare.push(this.#short);
    this.#short = undefined;
  }
}

class Tasks {
  readonly #plan: SegmentPlan;
  readonly #columns: RangeColumns;
  readonly #values: readonly Uint8Array[];
  /** Places in the plan, in the order of the file. */
  readonly #order: Uint32Array;
  #next = 0;
  /** Bytes of the next, very large range that earlier tasks cover. */
  #part = 0;
  readonly #copier: RangeCopier;

  constructor(plan: SegmentPlan, values: readonly Uint8Array[]) {
    this.#plan = plan;
    this.#columns = plan.index.columns;
    this.#values = values;
    this.#order = radixOrder(positions(plan), plan.count);
    this.#copier = new RangeCopier(values, plan.count);
  }

  next(): Task | undefined {
    if (this.#next >= this.#plan.count) return undefined;
    return this.#isDirect(this.#next) ? this.#directTask() : this.#stretchTask();
  }

  /** Checks the groups of a stretch and copies its ranges to their places. */
  scatter(task: Task, bytes: Buffer, keys: readonly string[]): void {
    // In local variables, because the loop runs once for every append that was made.
    const { rows, slots, offsets } = this.#plan;
    const { group: groups, delta, length, start } = this.#columns;
    const order = this.#order;
    const copier = this.#copier;
    const { buffer } = bytes;
    const source = new DataView(buffer);
    const base = bytes.byteOffset - task.position;
    let checked = -1;
    for (let i = task.from; i < task.to; i++) {
      const place = order[i] as number;
      const row = rows[place] as number;
      const group = groups[row] as number;
      const groupStart = base + (start[group] as number);
      // Compared by position: a stored index has a row for each group of every key.
      if (groupStart !== checked) {
        checked = groupStart;
        this.#check(group, buffer, groupStart, keys[slots[place] as number] as string);
      }
      const at = groupStart + (delta[row] as number);
      copier.copy(
        source,
        at,
        slots[place] as number,
        offsets[place] as number,
        length[row] as number,
      );
    }
  }

  checkTargets(task: Task, keys: readonly string[]): void {
    let position = task.position;
    for (let i = 0; i < (task.targets as Uint8Array[]).length; i++) {
      const place = this.#order[task.from + i] as number;
      const target = (task.targets as Uint8Array[])[i] as Uint8Array;
      const row = this.#plan.rows[place] as number;
      const start = this.#columns.start[this.#columns.group[row] as number] as number;
      const group = (this.#columns.group[row] as number) + Math.round((position - start) / PIECE);
      checkGroups(this.#plan, group, target, keys[this.#plan.slots[place] as number] as string);
      position += target.length;
    }
  }

  #isDirect(i: number): boolean {
    const row = this.#plan.rows[this.#order[i] as number] as number;
    return (this.#columns.length[row] as number) >= DIRECT && this.#columns.ownsGroups(row);
  }

  /** Large ranges that follow one another in the file, or a part of a very large one. */
  #directTask(): Task {
    const from = this.#next;
    const first = this.#rangeAt(from);
    let position = first.start + this.#part;
    const begin = position;
    const targets: Uint8Array[] = [];
    let i = from;
    for (; i < this.#plan.count && this.#isDirect(i) && targets.length < 512; i++) {
      const { start, length, value, offset } = this.#rangeAt(i);
      const part = i === from ? this.#part : 0;
      if (start + part !== position || position - begin >= LONGEST_READ) break;
      const taken = Math.min(length - part, LONGEST_READ);
      targets.push(value.subarray(offset + part, offset + part + taken));
      position += taken;
      if (part + taken < length) {
        this.#part = part + taken;
        break;
      }
      this.#part = 0;
    }
    this.#next = i;
    return { position: begin, length: position - begin, from, to: i, targets };
  }

  #stretchTask(): Task {
    const { rows } = this.#plan;
    const columns = this.#columns;
    const from = this.#next;
    const position = columns.start[
      columns.group[rows[this.#order[from] as number] as number] as number
    ] as number;
    let end = position;
    let i = from;
    let last = -1;
    for (; i < this.#plan.count; i++) {
      const row = rows[this.#order[i] as number] as number;
      const group = columns.group[row] as number;
      if (group === last) continue;
      if (this.#isDirect(i)) break;
      const start = columns.start[group] as number;
      // A range shorter than a piece has one checksum.
      const groupEnd = start + (columns.groupLength[group] as number);
      if (i > from && (groupEnd - position > STRETCH || start - end > GAP)) break;
      end = groupEnd;
      last = group;
    }
    this.#next = i;
    return { position, length: end - position, from, to: i, targets: undefined };
  }

  #rangeAt(i: number): { start: number; length: number; value: Uint8Array; offset: number } {
    const place = this.#order[i] as number;
    const row = this.#plan.rows[place] as number;
    return {
      start: this.#columns.start[this.#columns.group[row] as number] as number,
      length: this.#columns.length[row] as number,
      value: this.#values[this.#plan.slots[place] as number] as Uint8Array,
      offset: this.#plan.offsets[place] as number,
    };
  }

  #check(group: number, buffer: ArrayBufferLike, at: number, key: string): void {
    const length = this.#columns.groupLength[group] as number;
    checkGroups(this.#plan, group, new Uint8Array(buffer, at, length), key);
  }
}

/** Copies ranges of a stretch into values. */
export class RangeCopier {
  readonly #values: readonly Uint8Array[];
  /** Views of values that many ranges are copied into, by slot, created at their first use. */
  readonly #views: DataView[] | undefined;

  /** @param count how many ranges will be copied. */
  constructor(values: readonly Uint8Array[], count: number) {
    this.#values = values;
    if (count >= MANY_A_VALUE * values.length) this.#views = new Array(values.length);
  }

  copy(source: DataView, from: number, slot: number, offset: number, length: number): void {
    const value = this.#values[slot] as Uint8Array;
    const views = this.#views;
    if (views && length <= BY_WORDS) {
      const target = views[slot] ?? new DataView(value.buffer, value.byteOffset);
      views[slot] = target;
      copyByWords(source, from, target, offset, length);
    } else {
      value.set(new Uint8Array(source.buffer, from, length), offset);
    }
  }
}

/**
 * From this many ranges a value on, a DataView pays off: `copyByWords` takes half the time of `set`,
 * which needs a view of each range.
 */
const MANY_A_VALUE = 8;
/** `set` is faster for longer ranges. */
export const BY_WORDS = 256;

function copyByWords(
  source: DataView,
  from: number,
  target: DataView,
  offset: number,
  length: number,
): void {
  const end = from + length;
  let at = from;
  let to = offset;
  for (; at + 8 <= end; at += 8, to += 8) {
    target.setUint32(to, source.getUint32(at, true), true);
    target.setUint32(to + 4, source.getUint32(at + 4, true), true);
  }
  for (; at < end; at++, to++) target.setUint8(to, source.getUint8(at));
}

/** Checks `bytes`, which are whole groups from `group` on. */
export function checkGroups(
  plan: SegmentPlan | SweepPlan,
  group: number,
  bytes: Uint8Array,
  key: string,
): void {
  const { groupLength, crc, start } = plan.index.columns;
  for (let at = 0; at < bytes.length; group++) {
    const length = groupLength[group] as number;
    const whole = at === 0 && length === bytes.length;
    if (crc32(whole ? bytes : bytes.subarray(at, at + length)) !== crc[group]) {
      throw damagedRange(plan.segment, start[group] as number, length, key);
    }
    at += length;
  }
}

/** Where the ranges of a plan lie. In an index that was read in one go, rows are in file order. */
function positions(plan: SegmentPlan): Float64Array {
  const { start, group, delta } = plan.index.columns;
  const places = new Float64Array(plan.count);
  for (let i = 0; i < plan.count; i++) {
    const row = plan.rows[i] as number;
    places[i] = (start[group[row] as number] as number) + (delta[row] as number);
  }
  return places;
}

export function damagedRange(
  segment: Segment,
  offset: number,
  length: number,
  key: string,
): PartdError {
  const decoded = decodeKey(key);
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `Bytes of key ${describeKey(decoded)} are damaged: ${length} bytes at ${offset} of ${segment.path} do not match their checksum. verify() lists all damage.`,
    { key: decoded, path: segment.path, offset },
  );
}

/** Fills the targets, one after the other, from `position` on. */
export async function readInto(
  segment: Segment,
  targets: Uint8Array[],
  position: number,
): Promise<void> {
  let byteLength = 0;
  for (const target of targets) byteLength += target.length;
  let done: number;
  try {
    done = await segment.reading(async (fd) => {
      const [piece] = targets;
      // A short read that stops early is repeated as a whole.
      if (targets.length === 1 && readAtOnce(fd, piece as Uint8Array, position) === byteLength) {
        return byteLength;
      }
      return readPieces(fd, targets, position);
    });
  } catch (cause) {
    throw systemError({ action: "read", path: segment.path }, cause);
  }
  if (done < byteLength) throw cutShort(segment, position + done);
}

export function cutShort({ path }: Segment, offset: number): PartdError {
  return new PartdError(
    "ERR_PARTD_CORRUPT",
    `${path} was cut short; verify() lists what is missing.`,
    { path, offset },
  );
}
