import { decodeGroupKey } from "@partd/records";

/** Whether a join matches a key with nothing: one that is missing or `null`, or a list with such an item. */
export function matchesNothing(keys: Uint8Array, start: number, end: number): boolean {
  const first = keys[start];
  if (first === QUOTE) return false;
  const key = decodeGroupKey(keys, start, end);
  return isNothing(key) || (Array.isArray(key) && key.some(isNothing));
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined;
}

/** Text, as nearly all keys are. */
const QUOTE = 0x22;
