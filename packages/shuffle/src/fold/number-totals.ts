import type { KeyTotals } from "@partd/records";
import type { FoldedShare } from "./fold.js";

/** Whether a scanner's totals give all of these aggregates. */
export function areInTotals(names: readonly string[]): boolean {
  return names.every((name) => Object.hasOwn(STATES, name));
}

/**
 * Converts a scanner's totals to the states of aggregates.
 *
 * @param names their names in `MERGEABLE`.
 * @param fields for each aggregate, which of the scanner's values it takes.
 */
export function shareOf(
  totals: KeyTotals,
  names: readonly string[],
  fields: readonly number[],
): FoldedShare {
  const { count, keys, keyEnds, hashLow, hashHigh } = totals;
  const keyStarts = new Uint32Array(count);
  if (count > 0) keyStarts.set(keyEnds.subarray(0, count - 1), 1);
  const states = names.map((name, i) => STATES[name as keyof typeof STATES](totals, fields[i]!));
  return { keyed: { count, keys, keyStarts, keyEnds, hashLow, hashHigh }, states };
}

/** What the column of that name merges. */
const STATES = {
  count: ({ records }: KeyTotals) => records,
  sum: ({ values }: KeyTotals, field: number) => values[field]!.sums,
  mean: ({ values }: KeyTotals, field: number) => {
    const { sums, counts } = values[field]!;
    return [sums, counts] as const;
  },
  min: ({ values }: KeyTotals, field: number) => {
    const { counts, minima } = values[field]!;
    return whereCounted(counts, minima);
  },
  max: ({ values }: KeyTotals, field: number) => {
    const { counts, maxima } = values[field]!;
    return whereCounted(counts, maxima);
  },
};

/** The best numbers, with `undefined` for keys that have none. */
function whereCounted(counts: Float64Array, bests: Float64Array): ArrayLike<number | undefined> {
  if (!counts.includes(0)) return bests;
  return Array.from(bests, (best, n) => (counts[n] === 0 ? undefined : best));
}
