import { Pace } from "@partd/core/author";
import { NEVER } from "./growing-index.js";
import type { Segment } from "./segment.js";

/** Whether a key holds at least one byte. */
export function isLive(segments: readonly Segment[], key: number): boolean {
  let deleted = NEVER;
  let last = NEVER;
  for (const { index } of segments) {
    if (!index) continue;
    deleted = Math.max(deleted, index.deleted(key));
    last = Math.max(last, index.last(key));
  }
  // A record that deletes a key and sets it anew has one stamp for both.
  return last !== NEVER && last >= deleted;
}

/** The numbers of all keys that hold at least one byte. */
export async function liveKeys(segments: readonly Segment[]): Promise<number[]> {
  const pace = new Pace();
  const seen = new Set<number>();
  const live: number[] = [];
  for (const { index } of segments) {
    if (!index) continue;
    for (const key of index.keys()) {
      if (segments.length > 1) {
        if (seen.has(key)) continue;
        seen.add(key);
      }
      if (isLive(segments, key)) live.push(key);
      if (pace.due) await pace.rest();
    }
  }
  return live;
}
