import { decodeKey } from "@partd/core";
import { crc32, readAll, systemError } from "@partd/disk";
import type { Segment } from "../data-set/segment.js";
import type { Damage } from "../verify.js";
import type { ReadPlan, SegmentPlan } from "./read-plan.js";

/** Collects what a salvage leaves out. */
export class LeftOut {
  readonly #stretches: Damage[] = [];
  /** Groups that do not match their checksums, by file and offset. */
  readonly #groups = new Map<string, Group>();

  /** Adds a stretch whose keys are unknown. */
  addStretch(path: string, offset: number, end: number, reason: string): void {
    this.#stretches.push({ path, offset, length: end - offset, keys: undefined, reason });
  }

  addGroup(path: string, offset: number, length: number, key: string): void {
    const name = `${offset} ${path}`;
    const group = this.#groups.get(name) ?? { path, offset, length, keys: new Set() };
    this.#groups.set(name, group);
    group.keys.add(key);
  }

  /**
   * Lists the damage in the order of files and offsets; neighbours that concern the same keys are
   * merged.
   */
  list(): Damage[] {
    const damage: Damage[] = [];
    let last: Group | undefined;
    for (const group of [...this.#groups.values()].sort(byPlace)) {
      if (last && isNextOf(last, group)) {
        last.length += group.length;
        continue;
      }
      if (last) damage.push(described(last));
      last = { ...group };
    }
    if (last) damage.push(described(last));
    return [...damage, ...this.#stretches].sort(byPlace);
  }
}

interface Group {
  readonly path: string;
  readonly offset: number;
  /** In bytes. */
  length: number;
  /** The encoded keys that lose bytes. */
  readonly keys: Set<string>;
}

function described({ path, offset, length, keys }: Group): Damage {
  const reason = "bytes of values do not match their checksum";
  return { path, offset, length, keys: [...keys].map(decodeKey), reason };
}

interface Place {
  readonly path: string;
  readonly offset: number;
}

function byPlace(one: Place, other: Place): number {
  if (one.path !== other.path) return one.path < other.path ? -1 : 1;
  return one.offset - other.offset;
}

function isNextOf(last: Group, { path, offset, keys }: Group): boolean {
  if (last.path !== path || last.offset + last.length !== offset) return false;
  return last.keys.size === keys.size && [...keys].every((key) => last.keys.has(key));
}

/**
 * Yields the value in slot 0 of the plan, without the bytes of groups that do not match their
 * checksums, which are added to `leftOut`. The caller holds the segments.
 */
export async function* wholePieces(
  plan: ReadPlan,
  key: string,
  leftOut: LeftOut,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const groups = new WholeGroups(key, leftOut);
  let pieces: Uint8Array[] = [];
  let byteLength = 0;
  for (const { part, row } of rowsInOrder(plan)) {
    signal?.throwIfAborted();
    const { columns } = part.index;
    let group = columns.group[row] as number;
    let from = columns.delta[row] as number;
    for (let left = columns.length[row] as number; left > 0; group++, from = 0) {
      const length = Math.min(left, (columns.groupLength[group] as number) - from);
      left -= length;
      const bytes = await groups.read(part, group);
      if (!bytes) continue;
      pieces.push(bytes.subarray(from, from + length));
      byteLength += length;
      if (byteLength < PIECES) continue;
      yield Buffer.concat(pieces);
      pieces = [];
      byteLength = 0;
    }
  }
  if (byteLength > 0) yield Buffer.concat(pieces);
}

/** Bytes that are yielded together. */
const PIECES = 2 ** 20;

/** The ranges of the value in slot 0, in its order. */
function* rowsInOrder({ segments }: ReadPlan): Generator<{ part: SegmentPlan; row: number }> {
  const next = segments.map(() => 0);
  for (let offset = 0; ; ) {
    const i = segments.findIndex(({ count, offsets }, j) => {
      const at = next[j] as number;
      return at < count && offsets[at] === offset;
    });
    const part = segments[i];
    if (!part) return;
    const row = part.rows[next[i] as number] as number;
    (next[i] as number)++;
    offset += part.index.columns.length[row] as number;
    yield { part, row };
  }
}

/** Reads groups, and keeps the last one, because small ranges of a key often share it. */
class WholeGroups {
  readonly #key: string;
  readonly #leftOut: LeftOut;
  #segment: Segment | undefined;
  #start = 0;
  #bytes: Buffer | undefined;

  constructor(key: string, leftOut: LeftOut) {
    this.#key = key;
    this.#leftOut = leftOut;
  }

  /** `undefined` if it is damaged. */
  async read({ segment, index }: SegmentPlan, group: number): Promise<Buffer | undefined> {
    const { columns } = index;
    const start = columns.start[group] as number;
    const length = columns.groupLength[group] as number;
    if (this.#segment === segment && this.#start === start) return this.#bytes;
    const bytes = Buffer.allocUnsafeSlow(length);
    let count: number;
    try {
      count = await segment.reading((fd) => readAll(fd, bytes, start));
    } catch (cause) {
      throw systemError({ action: "read", path: segment.path }, cause);
    }
    const isWhole = count === length && crc32(bytes) === columns.crc[group];
    if (!isWhole) this.#leftOut.addGroup(segment.path, start, length, this.#key);
    this.#segment = segment;
    this.#start = start;
    this.#bytes = isWhole ? bytes : undefined;
    return this.#bytes;
  }
}
