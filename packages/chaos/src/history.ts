import { readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

export type Kind =
  | "append"
  | "iset"
  | "lock"
  | "get"
  | "entries"
  | "stream"
  | "keys"
  | "delete"
  | "pop"
  | "flush"
  | "compact";

export type Outcome = "ok" | "fail" | "unknown";

/** The ids of a key's elements as they were read, in order. */
export type Values = Readonly<Record<string, readonly string[]>>;

/** One call of a store, from its invocation to its outcome. Times are in µs of the machine's clock. */
export interface Operation {
  /** The lane that made it, whose calls follow one another: `"p0a"`. */
  readonly lane: string;
  /** Its number within the lane. */
  readonly n: number;
  readonly kind: Kind;
  /** The keys that it names; for `entries` and `keys`, all that there may be. */
  readonly keys: readonly string[];
  /** What it appends: key and id, in order. */
  readonly elements: readonly (readonly [key: string, id: string])[];
  readonly invoked: number;
  /** Infinity if its process ended first. */
  readonly completed: number;
  readonly outcome: Outcome;
  /** What was read or popped; for `keys`, an empty list for each key that was listed. */
  readonly values?: Values | undefined;
  /** Code and message of its error. */
  readonly error?: string | undefined;
}

/** The kill of a process that held what was not on the disk yet. */
export interface Crash {
  readonly began: number;
  readonly ended: number;
}

export interface History {
  readonly operations: readonly Operation[];
  readonly crashes: readonly Crash[];
}

type Line =
  | (Pick<Operation, "lane" | "n" | "kind" | "keys" | "elements"> & { readonly invoked: number })
  | {
      readonly lane: string;
      readonly n: number;
      readonly outcome: Outcome;
      readonly completed: number;
      readonly values?: Values | undefined;
      readonly error?: string | undefined;
    }
  | { readonly crash: Crash };

/** The same clock in all processes, which nothing sets. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1000;
}

/** Each line is with the system before the call goes on, so that it outlives any kill. */
export function record(file: number, line: Line): void {
  writeSync(file, `${JSON.stringify(line)}\n`);
}

/** The history that the files of a folder tell. The last line of each may be cut short. */
export function readHistory(folder: string): History {
  const operations = new Map<string, Operation>();
  const crashes: Crash[] = [];
  const names = readdirSync(folder).filter((name) => name.endsWith(".history"));
  const lines = names.flatMap((name) => {
    const text = readFileSync(join(folder, name), "utf8");
    return text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  });
  for (const text of lines) {
    if (text === "") continue;
    const line = JSON.parse(text) as Line;
    if ("crash" in line) crashes.push(line.crash);
    else if ("kind" in line) {
      const begun = { completed: Number.POSITIVE_INFINITY, outcome: "unknown" as const };
      operations.set(`${line.lane}.${line.n}`, { ...begun, ...line });
    } else {
      const id = `${line.lane}.${line.n}`;
      operations.set(id, { ...(operations.get(id) as Operation), ...line });
    }
  }
  return {
    operations: [...operations.values()].sort((a, b) => a.invoked - b.invoked),
    crashes: crashes.sort((a, b) => a.began - b.began),
  };
}
