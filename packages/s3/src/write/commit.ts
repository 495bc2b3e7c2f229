import { PartdError } from "@partd/core";
import type { DataSet } from "../data-set/data-set.js";
import { Segment } from "../data-set/segment.js";
import type { Cover } from "../format/cover.js";
import { type CommitId, partName, segmentName } from "../format/names.js";
import { Tail } from "../format/tail.js";
import { Slots } from "../objects/slots.js";
import { bodyLengthOf, type Changes, layOut, mostTailBytes } from "./layout.js";

export interface CommitOptions {
  readonly cover?: Cover | undefined;
  /** Bytes of a part, where the values are cut into some. */
  readonly partLength: number;
  /** How many parts are written at once. */
  readonly concurrency: number;
  /** Gives the commit up as long as its object is not being written. */
  readonly signal?: AbortSignal | undefined;
}

/** A commit that is there, with what describes its values. */
export interface Committed {
  /** In the data set. */
  readonly name: string;
  readonly tail: Buffer;
}

/**
 * Makes the object that holds the changes, exactly once: a PUT whose outcome is unknown is repeated,
 * and where an object of that name is there by then it has to be the same.
 */
export async function commit(
  dataSet: DataSet,
  id: CommitId,
  changes: Changes,
  options: CommitOptions,
): Promise<Committed> {
  const { partLength, signal } = options;
  const bodyLength = bodyLengthOf(changes);
  if (bodyLength > partLength + partLength / 4) return commitInParts(dataSet, id, changes, options);
  let body: Buffer = Buffer.alloc(0);
  // The tail follows in the same memory: to copy 64 MiB once more takes as long as to check them.
  const room = mostTailBytes(changes);
  const writer = await layOut(changes, bodyLength, room, async (block) => {
    body = block;
  });
  const tail = writer.end(id, 0, options.cover);
  signal?.throwIfAborted();
  return putSegment(dataSet, id, joined(body, tail), tail, tail.length);
}

function joined(body: Buffer, tail: Buffer): Buffer {
  const length = body.length + tail.length;
  if (body.length === 0 || body.byteOffset + length > body.buffer.byteLength) {
    return Buffer.concat([body, tail]);
  }
  const whole = Buffer.from(body.buffer, body.byteOffset, length);
  whole.set(tail, body.length);
  return whole;
}

/** The values as objects of their own; the small one that points at them, in the end, is the commit. */
async function commitInParts(
  dataSet: DataSet,
  id: CommitId,
  changes: Changes,
  { partLength, concurrency, cover, signal }: CommitOptions,
): Promise<Committed> {
  const { requests, folder } = dataSet;
  const slots = new Slots(concurrency);
  const writes: Promise<unknown>[] = [];
  const names: string[] = [];
  let failure: { readonly error: unknown } | undefined;
  try {
    const writer = await layOut(changes, partLength, 0, async (block) => {
      const name = `${folder}${partName(id, names.length)}`;
      names.push(name);
      // Waits for a slot, so that no more than `concurrency` blocks are in memory.
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
    const tail = writer.end(id, partLength, cover);
    return await putSegment(dataSet, id, tail, tail, 0);
  } catch (error) {
    await Promise.allSettled(writes);
    // Unless the commit may be there for all that.
    if (!isUnknown(error)) await requests.delete(names).catch(() => {}); // Else `sweep` does it.
    throw error;
  }
}

async function putSegment(
  dataSet: DataSet,
  id: CommitId,
  object: Buffer,
  tail: Buffer,
  tailLength: number,
): Promise<Committed> {
  const key = `${dataSet.folder}${segmentName(id, tailLength)}`;
  if (!(await dataSet.requests.create(key, object))) await compare(dataSet, key, object, tail);
  const segment = Segment.parse(dataSet.folder, key, object.length) as Segment;
  await dataSet.afterCommit(segment);
  dataSet.add(segment, new Tail(tail, id, key));
  return { name: key.slice(dataSet.folder.length), tail };
}

/**
 * What lies under the name of a commit has to be that commit: its tail says the writer, the number of
 * the commit, and the checksums of all values.
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
