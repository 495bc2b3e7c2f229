import { type Batch, checkIntegerOption } from "@partd/core/author";
import { memoryLimit } from "#memory-limit";

/** What a buffer keeps to. All but `concurrency` are bytes. */
export interface Limits {
  /** What the user allows. */
  readonly availableMemory: number;
  /** Memory for values; the rest is for batches on their way. */
  readonly bound: number;
  /** Memory in use at which the largest values begin to be written to the slow store. */
  readonly high: number;
  /** Memory in use at which that ends. */
  readonly low: number;
  /** A batch for the slow store. */
  readonly batch: number;
  /** An append that costs more and does not fit at once is written straight to the slow store. */
  readonly big: number;
  /** How many batches are on their way at once. */
  readonly concurrency: number;
}

/** The share of the memory that the process may use which a buffer takes unless told otherwise. */
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

/** A part of all memory, as `0.3 * totalmem()`, need not be a whole number. */
function bytesOf(available: number): number {
  const bytes = typeof available === "number" ? Math.floor(available) : available;
  return checkIntegerOption("availableMemory", bytes, 1, Number.MAX_SAFE_INTEGER);
}

/** Enough for a slow store to work at full speed, and little enough to hand over in milliseconds. */
const MOST_BATCH = 2 << 20;

/** What a batch costs at the very most, unless its keys are very long, without looking them up. */
export function roughCost(batch: Batch): number {
  return batch.byteLength + 1024 * batch.keys.length;
}
