import { type BatchOptions, type ByteBatch, RecordError, type Scan } from "@partd/records";

/** The limit for the records of a reader, as plain data, so that it can be sent to a thread. */
export interface RecordLimit {
  readonly memory: number;
  /** How many times its length a record takes in memory, besides what is spilled. */
  readonly copies: number;
}

/** How to read the records of a source. */
export interface Reading {
  readonly signal?: AbortSignal | undefined;
  /** `undefined` if records come from elsewhere than a reader. */
  readonly limit?: RecordLimit | undefined;
  /** Makes room for a long record that is about to be read, in place of the previous one's. */
  readonly makeRoom?: ((bytes: number) => Promise<void> | void) | undefined;
}

/**
 * Copies of a record in memory, measured with the longest records that this allows. `distinct` cannot
 * spill the keys that it knows, which take up to half of the memory; a `join` has both records of a
 * pair, their line, and the previous line.
 */
const COPIES = {
  groupBy: 1,
  shuffle: 1,
  split: 1,
  sort: 1,
  countBy: 1,
  top: 1.25,
  distinct: 1.25,
  aggregate: 4,
  reduceBy: 4,
  join: 16,
} as const;

/** An operation with a limit of its own: see {@link longestRecord}. */
export type Operation = keyof typeof COPIES;

/** Its bytes, its text and its values, if a function gives the key. */
const PARSED_COPIES = 4;

export function limitOf(operation: Operation, memory: number): RecordLimit {
  return { memory, copies: COPIES[operation] };
}

/** The same reading with a lower limit, if each record is parsed. */
export function whereParsed(reading: Reading): Reading {
  const { limit } = reading;
  if (!limit) return reading;
  return { ...reading, limit: { ...limit, copies: Math.max(limit.copies, PARSED_COPIES) } };
}

/**
 * The longest record, in bytes, that an operation reads from a file or a stream of bytes. A longer one
 * is an error while it is read, since a pipe may have no line endings at all.
 *
 * @param memory the option of that name.
 */
export function longestRecord(operation: Operation, memory: number): number {
  return longestIn(limitOf(operation, memory));
}

function longestIn({ memory, copies }: RecordLimit): number {
  return Math.min(Math.max(Math.floor(memory / copies), LEAST), MOST);
}

export function batchOptions({ signal, limit, makeRoom }: Reading): BatchOptions {
  if (!limit) return { signal };
  const { memory, copies } = limit;
  const longest = longestIn(limit);
  const enough = copies === 1 ? "its length" : `${copies} times its length`;
  return {
    signal,
    longestRecord: longest,
    onGrow: makeRoom && ((bytes) => makeRoom(copies * bytes)),
    longestRecordAdvice:
      longest === MOST ? undefined : `If not, set memory (${memory} bytes) to ${enough} or more.`,
  };
}

/**
 * Checks records that are held together with their keys, as they are in a sort.
 *
 * @param keyCopies of a key.
 * @throws `RecordError` with `ERR_PARTD_CORRUPT` for the first one that is too long for that.
 */
export function checkKeyLengths(
  scan: Scan,
  batch: ByteBatch,
  keyCopies: number,
  { limit }: Reading,
): void {
  if (!limit) return;
  const most = Math.max(limit.memory, (1 + keyCopies) * LEAST);
  if ((1 + keyCopies) * batch.bytes.length <= most) return;
  for (let i = 0, start = 0; i < scan.count; i++) {
    const key = scan.keyEnds[i]! - scan.keyStarts[i]!;
    const length = scan.ends[i]! - start + keyCopies * key;
    start = scan.ends[i]!;
    if (length <= most || key < SHORT_KEY) continue;
    const what = `has ${length} bytes together with the key that it is sorted by, more than fit in memory`;
    const advice = `Set memory (${limit.memory} bytes) to that or more.`;
    throw RecordError.ofRecord(batch, scan, i, { what, advice });
  }
}

/** Bytes of a key for which there is room beside any record. */
const SHORT_KEY = 64 << 10;
/** The lowest limit in bytes: several records of that length fit beside any memory. */
const LEAST = 2 ** 20;
/** The highest limit in bytes: that of the readers. */
const MOST = 2 ** 30;
