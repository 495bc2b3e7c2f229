import type { Damage } from "@partd/log";
import { jsonKey } from "./key-text.js";

/** Damage of a data set, as `verify` and `compact --salvage` print it. */
export interface Fault {
  /** The keys concerned; `undefined` if unknown. */
  readonly keys?: readonly (string | readonly string[])[] | undefined;
  readonly path?: string | undefined;
  readonly offset?: number | undefined;
  /** In bytes. */
  readonly length?: number | undefined;
  readonly reason: string;
}

/** Converts the damage that a LogStore reports. */
export function faultOf({ path, offset, length, keys, reason }: Damage): Fault {
  return { keys: keys?.map(jsonKey), path, offset, length, reason };
}

/** A line of text: `PATH:OFFSET: LENGTH bytes: REASON (of KEYS)`. */
export function describeFault({ keys = [], path, offset = 0, length, reason }: Fault): string {
  if (path === undefined) return reason;
  const named = keys.slice(0, NAMED).map((key) => JSON.stringify(key));
  const more = keys.length > NAMED ? ` and ${keys.length - NAMED} more keys` : "";
  const whose = keys.length > 0 ? ` (of ${named.join(", ")}${more})` : "";
  return `${path}:${offset}: ${length ? `${length} bytes: ` : ""}${reason}${whose}`;
}

/** How many keys a line names; JSON has all of them. */
const NAMED = 10;
