import { PartdError } from "@partd/core";
import { Pace, Semaphore } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import type { DataSet } from "../data-set/data-set.js";
import { Segment } from "../data-set/segment.js";
import type { Cover } from "../format/cover.js";
import { type CommitId, partName, segmentName } from "../format/names.js";
import { CHUNK, Tail, TailWriter } from "../format/tail.js";

export interface CommitOptions {
  readonly cover?: Cover | undefined;
  /** Bytes of a part, if the values are cut into parts. */
  readonly partLength: number;
  /** Parts written at once. */
  readonly concurrency: number;
  /** Where commits wait for one another while their objects are laid out. */
  readonly layingOut: Semaphore;
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
  // One at a time: the first object is sent while the next is laid out. Side by side, all four would be
  // ready only when the last is, and the server would idle until then.
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
  const writing = new Semaphore(concurrency);
  const writes: Promise<unknown>[] = [];
  const names: string[] = [];
  let failure: { readonly error: unknown } | undefined;
  try {
    const newBlock = (length: number) => Buffer.allocUnsafeSlow(length);
    const writer = await layOut(changes, partLength, newBlock, async (block) => {
      const name = `${folder}${partName(id, names.length)}`;
      names.push(name);
      // Wait until it may be written, so that at most `concurrency` blocks are in memory.
      await new Promise<void>((begun) => {
        const write = writing.run(() => {
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

/** A commit's change to a key. */
interface Change {
  /** Whether the key's earlier value is removed. */
  readonly removes: boolean;
  readonly values: readonly Uint8Array[];
}

/** A commit's changes, in key order. */
export type Changes = readonly (readonly [key: string, change: Change])[];

/** Merges batches and sorts their keys. */
export async function inKeyOrder(
  batches: readonly { readonly keys: readonly string[]; readonly values: readonly Uint8Array[] }[],
): Promise<Changes> {
  const byKey = new Map<string, Uint8Array[]>();
  const pace = new Pace();
  for (const { keys, values } of batches) {
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string;
      const value = values[i] as Uint8Array;
      const list = byKey.get(key);
      if (list) list.push(value);
      else byKey.set(key, [value]);
      if (pace.due) await pace.rest();
    }
  }
  const order = await sorted([...byKey.keys()], pace);
  return order.map((key) => {
    return [key, { removes: false, values: byKey.get(key) as Uint8Array[] }] as const;
  });
}

function bodyLengthOf(changes: Changes): number {
  let length = 0;
  for (const [, { values }] of changes) for (const value of values) length += value.length;
  return length;
}

/** The most bytes of a commit's tail, unless it removes something. */
function mostTailBytes(changes: Changes): number {
  let bytes = 128;
  for (const [key] of changes) bytes += key.length + 24;
  return bytes + 4 * Math.ceil(bodyLengthOf(changes) / CHUNK);
}

/**
 * Copies all values end to end into blocks of `blockLength` bytes, and passes each to `emit` when
 * it is full.
 *
 * @param memoryFor gives the memory of a block.
 * @returns the writer of the commit's tail.
 */
async function layOut(
  changes: Changes,
  blockLength: number,
  memoryFor: (length: number) => Buffer,
  emit: (block: Buffer) => Promise<void>,
): Promise<TailWriter> {
  const tail = new TailWriter();
  const pace = new Pace();
  let left = bodyLengthOf(changes);
  let block = memoryFor(Math.min(blockLength, left));
  let filled = 0;
  for (const [key, { values, removes }] of changes) {
    const checksums: number[] = [];
    let length = 0;
    let checksum = 0;
    for (const value of values) {
      for (let at = 0; at < value.length; ) {
        const room = Math.min(block.length - filled, CHUNK - (length % CHUNK));
        const some = value.subarray(at, Math.min(value.length, at + room));
        block.set(some, filled);
        // From the copy: the caller may change the original later.
        checksum = crc32(block.subarray(filled, filled + some.length), checksum);
        at += some.length;
        filled += some.length;
        length += some.length;
        left -= some.length;
        if (length % CHUNK === 0) {
          checksums.push(checksum);
          checksum = 0;
        }
        if (filled === block.length) {
          await emit(block);
          block = memoryFor(Math.min(blockLength, left));
          filled = 0;
        }
        if (pace.due || (some.length > LONG && pace.isOver)) await pace.rest();
      }
    }
    if (length % CHUNK !== 0) checksums.push(checksum);
    tail.add(key, length, removes, checksums);
  }
  return tail;
}

/** A length whose checksum takes as long as hundreds of rounds of the loop. */
const LONG = 65_536;

/** Sorts texts by UTF-16 units, with pauses: sorts runs, then merges them. */
async function sorted(texts: string[], pace: Pace): Promise<string[]> {
  let runs: string[][] = [];
  for (let from = 0; from < texts.length; from += STRETCH) {
    runs.push(texts.slice(from, from + STRETCH).sort());
    if (pace.isOver) await pace.rest();
  }
  while (runs.length > 1) {
    const merged: string[][] = [];
    for (let i = 0; i < runs.length; i += 2) {
      merged.push(await merge(runs[i] as string[], runs[i + 1] ?? [], pace));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

async function merge(a: string[], b: string[], pace: Pace): Promise<string[]> {
  const merged = new Array<string>(a.length + b.length);
  let i = 0;
  let j = 0;
  for (let at = 0; at < merged.length; at++) {
    const takesFirst = j === b.length || (i < a.length && (a[i] as string) <= (b[j] as string));
    merged[at] = (takesFirst ? a[i++] : b[j++]) as string;
    if (pace.due) await pace.rest();
  }
  return merged;
}

/** Texts sorted in one go, which takes some 10 ms. */
const STRETCH = 16_384;

/**
 * Memory of objects, used again for later ones: the system gives new memory page by page, which takes
 * 0.65 ms a MiB, three times as long as copying into it and the checksum.
 */
export class SpareBuffers {
  readonly #spares: Buffer[] = [];
  readonly #most: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param most blocks that are kept. */
  constructor(most: number) {
    this.#most = most;
  }

  /** @returns memory of at least `length` bytes. */
  take(length: number): Buffer {
    const at = this.#spares.findIndex((spare) => spare.length >= length);
    if (at >= 0) return this.#spares.splice(at, 1)[0] as Buffer;
    this.#spares.shift(); // All are too short: keep larger ones instead.
    return Buffer.allocUnsafeSlow(length < KEPT_FROM ? length : Math.ceil(length * 1.125));
  }

  /** Takes memory that nothing reads any more, and keeps it for {@link KEPT_MS}. */
  giveBack(block: Buffer): void {
    if (block.length < KEPT_FROM || this.#spares.length >= this.#most) return;
    this.#spares.push(block);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.clear(), KEPT_MS).unref();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#spares.length = 0;
  }
}

/** In bytes: what is shorter does not take long. */
const KEPT_FROM = 2 ** 20;
/** Milliseconds without a commit: a buffer that is filled with 32 MiB a second gives its next 64 MiB sooner. */
const KEPT_MS = 2_000;
