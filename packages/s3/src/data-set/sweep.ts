import type { OperationOptions } from "@partd/core";
import type { ListedObject } from "../client.js";
import { Cover } from "../format/cover.js";
import { type CommitId, PART, parsePartName, segmentName, strangeObject } from "../format/names.js";
import { TailWriter } from "../format/tail.js";
import type { DataSet } from "./data-set.js";

export interface SweepOptions extends OperationOptions {
  /**
   * Milliseconds, by the server's clock, by which a value's last part must be older than the newest
   * object. Default a day.
   */
  readonly olderThanMs?: number | undefined;
}

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
export function partsOf(folder: string, objects: readonly ListedObject[]): Map<string, string[]> {
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
export async function abandonedParts(
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
