import { decodeKey, PartdError } from "@partd/core";
import { Pace } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import { partName } from "../format/names.js";
import { CHUNK } from "../format/tail.js";
import { missing } from "../objects/failure.js";
import type { Requests } from "../objects/requests.js";
import type { Piece } from "./read-plan.js";

/**
 * A range to read: `into.length` bytes of a piece from `from` on, which is a multiple of
 * {@link CHUNK}.
 */
export interface Target {
  readonly key: string;
  readonly piece: Piece;
  readonly from: number;
  readonly into: Uint8Array;
}

export interface FetchOptions {
  readonly folder: string;
  /** The largest gap, in bytes, between ranges of an object that one request reads together. */
  readonly coalesceGap: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads all targets, neighbours together, and compares their checksums.
 *
 * @throws `ERR_PARTD_CORRUPT` if they differ, even when read again.
 */
export async function fetchAll(
  requests: Requests,
  targets: readonly Target[],
  options: FetchOptions,
): Promise<void> {
  const damaged = await fill(requests, targets, options);
  if (damaged.length === 0) return;
  const [still] = await fill(requests, damaged, options);
  if (!still) return;
  const { segment } = still.piece;
  throw new PartdError(
    "ERR_PARTD_CORRUPT",
    `The value of ${JSON.stringify(still.key)} in ${segment.key} is damaged: it differs from its checksum. Write it again, from the source.`,
    { key: decodeKey(still.key), address: segment.key },
  );
}

/** A range of an object, which is a target's or a part of it. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly into: Uint8Array;
  readonly of: Filling;
}

interface Filling {
  readonly target: Target;
  /** Its stretches that are still to be read. */
  left: number;
}

/** @returns the targets that differ from their checksums. */
async function fill(
  requests: Requests,
  targets: readonly Target[],
  { folder, coalesceGap, signal }: FetchOptions,
): Promise<Target[]> {
  const objects = new Map<string, Stretch[]>();
  for (const target of targets) {
    const filling = { target, left: 0 };
    for (const [name, stretch] of stretchesOf(filling, folder)) {
      filling.left++;
      const list = objects.get(name);
      if (list) list.push(stretch);
      else objects.set(name, [stretch]);
    }
  }
  const damaged: Target[] = [];
  const pace = new Pace();
  /** Compares what one request has completed, while others are under way. */
  const check = async (run: readonly Stretch[]) => {
    for (const { of } of run) {
      if (--of.left === 0 && (await isDamaged(of.target, pace))) damaged.push(of.target);
    }
  };
  const reads: Promise<void>[] = [];
  for (const [name, stretches] of objects) {
    for (const run of coalesce(stretches, coalesceGap)) {
      reads.push(readRun(requests, name, run, signal).then(() => check(run)));
    }
  }
  const failed = (await Promise.allSettled(reads)).find(({ status }) => status === "rejected");
  if (failed) throw (failed as PromiseRejectedResult).reason;
  return damaged;
}

function* stretchesOf(
  of: Filling,
  folder: string,
): Generator<readonly [string, Stretch], void, undefined> {
  const { piece, from, into } = of.target;
  const { segment, partLength, offset } = piece;
  for (let done = 0; done < into.length; ) {
    const at = offset + from + done;
    const part = segment.inParts ? Math.floor(at / partLength) : 0;
    const room = segment.inParts ? (part + 1) * partLength - at : into.length;
    const length = Math.min(into.length - done, room, LARGEST_GET);
    const start = segment.inParts ? at - part * partLength : at;
    const name = segment.inParts ? `${folder}${partName(segment, part)}` : segment.key;
    yield [name, { start, end: start + length, into: into.subarray(done, done + length), of }];
    done += length;
  }
}

/** Groups ranges for one request each: close to one another, and not too long together. */
function coalesce(stretches: Stretch[], gap: number): Stretch[][] {
  stretches.sort((a, b) => a.start - b.start);
  const runs: Stretch[][] = [];
  let run: Stretch[] = [];
  for (const stretch of stretches) {
    const last = run.at(-1);
    const isNear = last && stretch.start - last.end <= gap;
    if (!isNear || stretch.end - (run[0] as Stretch).start > LARGEST_GET) {
      run = [];
      runs.push(run);
    }
    run.push(stretch);
  }
  return runs;
}

async function readRun(
  requests: Requests,
  name: string,
  run: readonly Stretch[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { start } = run[0] as Stretch;
  const { end } = run.at(-1) as Stretch;
  const scatter = new Scatter(run);
  const isThere = await requests.readTo(
    name,
    start,
    end,
    (...piece) => scatter.take(...piece),
    signal,
  );
  if (!isThere) throw missing(name);
}

/** Copies what a request reads to where it belongs. */
class Scatter {
  readonly #run: readonly Stretch[];
  readonly #start: number;
  /** The first stretch that is not whole. */
  #next = 0;

  constructor(run: readonly Stretch[]) {
    this.#run = run;
    this.#start = (run[0] as Stretch).start;
  }

  /** @param distance the bytes before the piece; 0 once more if the request is repeated. */
  take(piece: Uint8Array, distance: number): void {
    const run = this.#run;
    const at = this.#start + distance;
    const pieceEnd = at + piece.byteLength;
    if (distance === 0) this.#next = 0;
    for (let i = this.#next; i < run.length; i++) {
      const { start, end, into } = run[i] as Stretch;
      if (start >= pieceEnd) break;
      if (end <= at) continue;
      const from = Math.max(start, at);
      into.set(piece.subarray(from - at, end - at), from - start);
    }
    while (this.#next < run.length && (run[this.#next] as Stretch).end <= pieceEnd) this.#next++;
  }
}

async function isDamaged({ piece, from, into }: Target, pace: Pace): Promise<boolean> {
  for (let at = 0; at < into.length; at += CHUNK) {
    const checksum = piece.checksums[(from + at) / CHUNK];
    if (crc32(into.subarray(at, at + CHUNK)) !== checksum) return true;
    if (into.length > LONG ? pace.isOver : pace.due) await pace.rest();
  }
  return false;
}

/** A length whose checksum takes longer than a look at the clock. */
const LONG = 65_536;

/** The most bytes of one request, which a client may hold beside the values. */
const LARGEST_GET = 16 * 2 ** 20;
