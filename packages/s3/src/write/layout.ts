import { Pace } from "@partd/core/author";
import { crc32 } from "@partd/disk";
import { CHUNK, TailWriter } from "../format/tail.js";

/** A commit's change to a key. */
export interface Change {
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

export function bodyLengthOf(changes: Changes): number {
  let length = 0;
  for (const [, { values }] of changes) for (const value of values) length += value.length;
  return length;
}

/** The most bytes of a commit's tail, unless it removes something. */
export function mostTailBytes(changes: Changes): number {
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
export async function layOut(
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
