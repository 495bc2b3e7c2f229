import { PartdError } from "@partd/core";
import type { DataSet } from "../data-set/data-set.js";
import { Segment } from "../data-set/segment.js";
import type { Cover } from "../format/cover.js";
import { type CommitId, partName, segmentName } from "../format/names.js";
import { Tail } from "../format/tail.js";
import { Slots } from "../objects/slots.js";
import { bodyLengthOf, type Changes, layOut, mostTailBytes } from "./layout.js";
import type { SpareBuffers } from "./spare-buffers.js";

export interface CommitOptions {
  readonly cover?: Cover | undefined;
  /** Bytes of a part, if the values are cut into parts. */
  readonly partLength: number;
  /** Parts written at once. */
  readonly concurrency: number;
  /** Where commits wait for one another while their objects are laid out. */
  readonly layingOut: Slots;
  /** The memory of objects. */
  readonly spares: SpareBuffers;
  /** Aborts the commit until its object is being written. */
  readonly signal?: AbortSignal | undefined;
  /** Called when all values are copied, before they count; throws if some are not as they were. */
  readonly check: () => void;
}

/**
 * Makes the object that holds the changes, exactly once: a PUT whose outcome is unknown is repeated,
 * and where an object of that name is there by then it has to be the same.
 *
 * @returns what describes its values.
 */
export async function commit(
  dataSet: DataSet,
  id: CommitId,
  changes: Changes,
  options: CommitOptions,
): Promise<Tail> {
  const { partLength, layingOut, spares, signal } = options;
  const bodyLength = bodyLengthOf(changes);
  if (bodyLength > partLength + partLength / 4) return commitInParts(dataSet, id, changes, options);
  // One after the other: the first is on its way while the next is laid out. Side by side, all of
  // four would be done as late as the last, and the server would have nothing to do meanwhile.
  const { memory, writer } = await layingOut.run(async () => {
    const memory = spares.take(bodyLength + mostTailBytes(changes)); // The tail goes into it, too.
    const body = (length: number) => memory.subarray(0, length);
    try {
      return { memory, writer: await layOut(changes, bodyLength, body, async () => {}) };
    } finally {
      options.check();
    }
  });
  const tail = writer.end(id, 0, options.cover);
  signal?.throwIfAborted();
  const object = joined(memory, bodyLength, tail);
  const described = await putSegment(dataSet, id, object, tail, tail.length);
  if (!dataSet.requests.isAbandoned(memory)) spares.giveBack(memory);
  return described;
}

function joined(memory: Buffer, bodyLength: number, tail: Buffer): Buffer {
  const length = bodyLength + tail.length;
  if (length > memory.length) return Buffer.concat([memory.subarray(0, bodyLength), tail]);
  memory.set(tail, bodyLength);
  return memory.subarray(0, length);
}

/**
 * Writes the values as objects of their own. The small object that points at them, written last, is
 * the commit.
 */
async function commitInParts(
  dataSet: DataSet,
  id: CommitId,
  changes: Changes,
  { partLength, concurrency, cover, signal, check }: CommitOptions,
): Promise<Tail> {
  const { requests, folder } = dataSet;
  const slots = new Slots(concurrency);
  const writes: Promise<unknown>[] = [];
  const names: string[] = [];
  let failure: { readonly error: unknown } | undefined;
  try {
    const newBlock = (length: number) => Buffer.allocUnsafeSlow(length);
    const writer = await layOut(changes, partLength, newBlock, async (block) => {
      const name = `${folder}${partName(id, names.length)}`;
      names.push(name);
      // Wait for a slot, so that at most `concurrency` blocks are in memory.
      await new Promise<void>((begun) => {
        const write = slots.run(() => {
          begun();
          return requests.create(name, block);
        });
        writes.push(write);
        write.catch((error: unknown) => {
          failure ??= { error };
        });
      });
      signal?.throwIfAborted();
      if (failure) throw failure.error;
    });
    await Promise.all(writes);
    signal?.throwIfAborted();
    check();
    const tail = writer.end(id, partLength, cover);
    return await putSegment(dataSet, id, tail, tail, 0);
  } catch (error) {
    await Promise.allSettled(writes);
    // Keep the parts if the commit may exist all the same.
    // If that fails, `sweep` removes them.
    if (isUnknown(error)) throw error;
    await requests.delete(names).catch(() => {});
    check();
    throw error;
  }
}

async function putSegment(
  dataSet: DataSet,
  id: CommitId,
  object: Buffer,
  tail: Buffer,
  tailLength: number,
): Promise<Tail> {
  const key = `${dataSet.folder}${segmentName(id, tailLength)}`;
  if (!(await dataSet.requests.create(key, object))) await compare(dataSet, key, object, tail);
  const segment = Segment.parse(dataSet.folder, key, object.length) as Segment;
  await dataSet.afterCommit(segment);
  const described = new Tail(tail, id, key);
  dataSet.add(segment, described);
  return described;
}

/**
 * Checks that the object under a commit's name is that commit: its tail holds the writer, the
 * sequence, and the checksums of all values.
 */
async function compare(dataSet: DataSet, key: string, object: Buffer, tail: Buffer): Promise<void> {
  const { requests } = dataSet;
  const { objects } = await requests.list(key);
  const isAsLong = objects.some((one) => one.key === key && one.size === object.length);
  const start = object.length - tail.length;
  const there = isAsLong ? await requests.read(key, start, object.length) : undefined;
  if (there && tail.equals(there)) return;
  throw new PartdError(
    "ERR_PARTD_IO",
    `Another object lies at ${key}: the commit was swept because it took too long, or another process is a copy of this one. What was to be appended is not there; append it through a new store.`,
    { address: key },
  );
}

function isUnknown(error: unknown): boolean {
  return error instanceof PartdError && error.code === "ERR_PARTD_CONNECTION";
}
