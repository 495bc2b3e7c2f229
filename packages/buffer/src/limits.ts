import { checkIntegerOption } from "@partd/core/author";
import { memoryLimit } from "#memory-limit";

/** The limits of a buffer. All but `concurrency` are in bytes. */
export interface Limits {
  /** The user's limit. */
  readonly availableMemory: number;
  /** Memory for values; the rest is for batches in flight. */
  readonly bound: number;
  /** At this much memory in use, the spiller begins to write the largest values to the slow store. */
  readonly high: number;
  /** At this much memory in use, the spiller stops. */
  readonly low: number;
  /** The size of a batch for the slow store. */
  readonly batch: number;
  /** An append that costs more and does not fit at once is written straight to the slow store. */
  readonly big: number;
  /** The most batches in flight at once. */
  readonly concurrency: number;
}

/** The share of the process's memory that a buffer takes by default. */
const DEFAULT_SHARE = 1 / 4;

/** @param batchBytes the size of a batch that the slow store prefers. */
export function limitsFor(
  availableMemory?: number,
  parallel?: number,
  batchBytes: number = MOST_BATCH,
): Limits {
  const available = bytesOf(availableMemory ?? memoryLimit() * DEFAULT_SHARE);
  const concurrency = checkIntegerOption("concurrency", parallel ?? 2, 1, 1024);
  const batch = Math.max(1, Math.min(batchBytes, Math.floor(available / (8 * concurrency))));
  const bound = Math.max(0, available - batch * concurrency);
  return {
    availableMemory: available,
    bound,
    high: bound * 0.8,
    low: bound * 0.7,
    batch,
    big: bound / 2,
    concurrency,
  };
}

/** A fraction of all memory, as in `0.3 * totalmem()`, need not be a whole number. */
function bytesOf(available: number): number {
  const bytes = typeof available === "number" ? Math.floor(available) : available;
  return checkIntegerOption("availableMemory", bytes, 1, Number.MAX_SAFE_INTEGER);
}

/** Enough for a slow store to work at full speed, and small enough to hand over in milliseconds. */
const MOST_BATCH = 2 << 20;
