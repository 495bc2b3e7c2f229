import { stateOf } from "@partd/disk";

/**
 * Whether the process that a token names may still run. One of another process namespace (another
 * container) cannot be seen from here and counts as running; one of another boot is gone, since a
 * data set is for one machine at a time.
 */
export function mayRun(token: string): boolean {
  const state = stateOf(token);
  return state === "running" || state === "hidden";
}
