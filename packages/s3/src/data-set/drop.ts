import { Cover } from "../format/cover.js";
import { INDEX } from "../format/names.js";
import type { DataSet } from "./data-set.js";
import { Segment } from "./segment.js";
import { abandonedParts, partsOf } from "./sweep.js";

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
