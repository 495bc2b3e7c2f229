import type { OperationOptions } from "@partd/core";
import type { OptionNames } from "@partd/core/author";
import type { ListedObject } from "../client.js";
import { Cover } from "../format/cover.js";
import {
  type CommitId,
  INDEX,
  PART,
  parsePartName,
  segmentName,
  strangeObject,
} from "../format/names.js";
import { TailWriter } from "../format/tail.js";
import type { DataSet } from "./data-set.js";
import { Segment } from "./segment.js";

export interface SweepOptions extends OperationOptions {
  /**
   * Milliseconds, by the server's clock, by which a value's last part must be older than the newest
   * object. Default a day.
   */
  readonly olderThanMs?: number | undefined;
}

export const SWEEP_OPTIONS: OptionNames<SweepOptions> = { signal: true, olderThanMs: true };

/** Removes parts without a commit. */
export async function sweep(
  dataSet: DataSet,
  { olderThanMs = DAY, signal }: SweepOptions,
): Promise<number> {
  const objects = await dataSet.listAll(signal);
  const parts = partsOf(dataSet.folder, objects);
  let newest = 0;
  for (const { modified } of objects) newest = Math.max(newest, modified);
  const abandoned = await abandonedParts(dataSet, objects, parts, newest - olderThanMs);
  const names = [...abandoned].flatMap((id) => parts.get(id) as string[]);
  await dataSet.requests.delete(names, signal);
  return names.length;
}

/** The names of all parts, by writer and sequence of their commit. */
function partsOf(folder: string, objects: readonly ListedObject[]): Map<string, string[]> {
  const parts = new Map<string, string[]>();
  for (const { key } of objects) {
    if (!key.startsWith(PART, folder.length)) continue;
    const { writer, sequence } = commitOf(folder, key);
    const id = `${writer}-${sequence}`;
    const list = parts.get(id);
    if (list) list.push(key);
    else parts.set(id, [key]);
  }
  return parts;
}

/**
 * Finds commits whose parts exist but that will never be made. An empty commit takes each name
 * first, so that its writer fails if it still lives.
 *
 * @param before the parts must be older than this, in milliseconds since 1970.
 */
async function abandonedParts(
  { requests, folder }: DataSet,
  objects: readonly ListedObject[],
  parts: ReadonlyMap<string, readonly string[]>,
  before: number,
): Promise<Set<string>> {
  const names = new Map(objects.map((object) => [object.key, object]));
  const abandoned = new Set<string>();
  for (const [id, keys] of parts) {
    const commit = commitOf(folder, keys[0] as string);
    const name = `${folder}${segmentName(commit, 0)}`;
    if (names.has(name)) continue;
    if (keys.some((key) => (names.get(key) as ListedObject).modified > before)) continue;
    const nothing = new TailWriter().end(commit, 0, new Cover());
    if (await requests.create(name, nothing)) abandoned.add(id);
    // An earlier sweep made it.
    else if (await isNothing(requests, name, nothing)) abandoned.add(id);
  }
  return abandoned;
}

async function isNothing(
  requests: DataSet["requests"],
  name: string,
  nothing: Buffer,
): Promise<boolean> {
  const there = await requests.read(name, 0, nothing.length).catch(() => undefined);
  return there !== undefined && nothing.equals(there);
}

function commitOf(folder: string, key: string): CommitId {
  const parsed = parsePartName(key.slice(folder.length));
  if (!parsed) throw strangeObject(key);
  return parsed.id;
}

const DAY = 86_400_000;

/**
 * Removes all objects of a data set, under its lock. First a commit removes everything, so that
 * nothing comes back if this is interrupted; that commit's own object is removed last.
 *
 * @param clear makes that commit.
 * @param needed objects that are still being read: they stay for now.
 * @returns the names of the objects that stay, to be removed in this order.
 */
export async function dropAll(
  dataSet: DataSet,
  clear: (cover: Cover) => Promise<void>,
  needed: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const { folder, requests } = dataSet;
  const before = await dataSet.listAll(signal);
  const segments = before.flatMap(({ key, size }) => Segment.parse(folder, key, size) ?? []);
  const parts = partsOf(folder, before);
  if (segments.length > 0) await clear(Cover.of(segments));
  // Objects that appeared since are not ours to remove, except that commit.
  const clears = dataSet.segments.filter((one) => one.kind === "clear");
  const removed = new Set(segments.map(({ writer, sequence }) => `${writer}-${sequence}`));
  const abandoned = await abandonedParts(dataSet, before, parts, Number.POSITIVE_INFINITY);
  const isKept = (segment: Segment) => needed.has(segment.key);
  const kept = segments.filter(isKept);
  const keptIds = new Set(kept.map(({ writer, sequence }) => `${writer}-${sequence}`));
  const names: string[] = [];
  const stays: string[] = [];
  for (const { key } of before) {
    if (key.startsWith(INDEX, folder.length)) names.push(key);
  }
  for (const [id, keys] of parts) {
    if (keptIds.has(id)) stays.push(...keys);
    else if (removed.has(id) || abandoned.has(id)) names.push(...keys);
  }
  for (const segment of segments) (isKept(segment) ? stays : names).push(segment.key);
  const last = clears.filter((one) => !segments.includes(one)).map(({ key }) => key);
  await requests.delete(names);
  if (stays.length === 0) await requests.delete(last);
  else stays.push(...last);
  await dataSet.reloadUnderLock();
  return stays;
}
