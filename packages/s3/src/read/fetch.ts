import { decodeKey, PartdError } from "@partd/core";
import { Pace } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import { partName } from "../format/names.js";
import { CHUNK } from "../format/tail.js";
import { missing } from "../objects/missing.js";
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
  await fill(requests, targets, options);
  const damaged = await findDamaged(targets);
  if (damaged.length === 0) return;
  await fill(
    requests,
    damaged.map(({ target }) => target),
    options,
  );
  const [still] = await findDamaged(damaged.map(({ target }) => target));
  if (!still) return;
  const { segment } = still.target.piece;
  throw new PartdError(
    "ERR_PARTD_CORRUPT",
    `The value of ${JSON.stringify(still.target.key)} in ${segment.key} is damaged: it differs from its checksum. Write it again, from the source.`,
    { key: decodeKey(still.target.key), address: segment.key },
  );
}

/** A range of an object. */
interface Stretch {
  readonly start: number;
  readonly end: number;
  readonly into: Uint8Array;
}

async function fill(
  requests: Requests,
  targets: readonly Target[],
  { folder, coalesceGap, signal }: FetchOptions,
): Promise<void> {
  const objects = new Map<string, Stretch[]>();
  for (const target of targets) {
    for (const [name, stretch] of stretchesOf(target, folder)) {
      const list = objects.get(name);
      if (list) list.push(stretch);
      else objects.set(name, [stretch]);
    }
  }
  const reads: Promise<void>[] = [];
  for (const [name, stretches] of objects) {
    for (const run of coalesce(stretches, coalesceGap)) {
      reads.push(readRun(requests, name, run, signal));
    }
  }
  const failed = (await Promise.allSettled(reads)).find(({ status }) => status === "rejected");
  if (failed) throw (failed as PromiseRejectedResult).reason;
}

function* stretchesOf(
  { piece, from, into }: Target,
  folder: string,
): Generator<readonly [string, Stretch], void, undefined> {
  const { segment, partLength, offset } = piece;
  for (let done = 0; done < into.length; ) {
    const at = offset + from + done;
    const part = segment.inParts ? Math.floor(at / partLength) : 0;
    const room = segment.inParts ? (part + 1) * partLength - at : into.length;
    const length = Math.min(into.length - done, room, LARGEST_GET);
    const start = segment.inParts ? at - part * partLength : at;
    const name = segment.inParts ? `${folder}${partName(segment, part)}` : segment.key;
    yield [name, { start, end: start + length, into: into.subarray(done, done + length) }];
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
  const bytes = await requests.read(name, start, (run.at(-1) as Stretch).end, signal);
  if (!bytes) throw missing(name);
  for (const stretch of run) {
    stretch.into.set(bytes.subarray(stretch.start - start, stretch.end - start));
  }
}

async function findDamaged(targets: readonly Target[]): Promise<{ target: Target }[]> {
  const damaged: { target: Target }[] = [];
  const pace = new Pace();
  for (const target of targets) {
    const { piece, from, into } = target;
    for (let at = 0; at < into.length; at += CHUNK) {
      const checksum = piece.checksums[(from + at) / CHUNK];
      if (crc32(into.subarray(at, at + CHUNK)) !== checksum) {
        damaged.push({ target });
        break;
      }
      if (pace.due) await pace.rest();
    }
    if (pace.isOver) await pace.rest();
  }
  return damaged;
}

/** The most bytes of one request: times `readConcurrency`, this is the memory beside the values. */
const LARGEST_GET = 16 * 2 ** 20;
