import { mkdirSync, openSync, readdirSync } from "node:fs";
import { check, type Promises, type Violation } from "./check.js";
import { type History, type Operation, readHistory } from "./history.js";
import { isPossible, recordCall, type Tried } from "./lane.js";
import { act, deedsOf, type Fault, faultsOf } from "./nemesis.js";
import { ALL_KEYS, type Step } from "./plan.js";
import { Random } from "./random.js";
import { mayBeApart, Scene } from "./scene.js";
import { Packages, type Tower } from "./tower.js";

interface RoundOptions {
  readonly tower: Tower;
  readonly seed: string;
  /** How long the nemesis acts. */
  readonly milliseconds: number;
  /** An absent folder for all that the round leaves. */
  readonly folder: string;
  readonly packages?: string | undefined;
  /** Only these. Default: up to three of those that the tower can meet, as the seed decides. */
  readonly faults?: readonly Fault[] | undefined;
}

interface RoundReport {
  readonly faults: readonly Fault[];
  /** Faults that were left out: they need a small file system, or a namespace, and there may be none. */
  readonly leftOut: readonly Fault[];
  readonly history: History;
  readonly violations: readonly Violation[];
}

/** Runs one tower under faults, and checks what its processes wrote down. */
export async function runRound(options: RoundOptions): Promise<RoundReport> {
  const { tower, seed, milliseconds, folder, packages } = options;
  const random = new Random(`${seed} ${tower.name}`);
  const possible = faultsOf(tower);
  const some = random.some(possible, random.integer(1, 4));
  const wanted = options.faults?.filter((fault) => possible.includes(fault)) ?? some;
  mkdirSync(folder, { recursive: true });
  const diskMegabytes = wanted.includes("disk") ? 64 : undefined;
  const isApart = wanted.includes("namespace") && mayBeApart();
  const scene = new Scene({ tower, seed, folder, packages, diskMegabytes, isApart });
  const faults = wanted.filter(
    (fault) => (fault !== "disk" || scene.disk) && (fault !== "namespace" || isApart),
  );
  const leftOut = wanted.filter((fault) => !faults.includes(fault));
  const deeds = faults.length > 0 ? deedsOf(faults, random, milliseconds) : [];
  try {
    await scene.begin();
    await act(scene, deeds);
    scene.heal();
    const stuck = await scene.end(STUCK_MS);
    await readAll(scene, packages);
    const left = await leftBehind(scene, packages, faults);
    const history = readHistory(folder);
    const violations = [
      ...stuckOf(history, stuck),
      ...left.map((what): Violation => ({ rule: "left behind", what, witnesses: [] })),
      ...scene.deaths.map((what): Violation => ({ rule: "odd error", what, witnesses: [] })),
      ...check(history, promisesOf(tower, faults)),
    ];
    return { faults, leftOut, history, violations };
  } finally {
    await scene.leave();
  }
}

/** Far longer than any wait for a lock, on any machine. */
const STUCK_MS = 150_000;

/** What is there in the end, read in every way, by two stores one after the other. */
async function readAll({ tower, directory, histories }: Scene, packages: string | undefined) {
  const file = openSync(`${histories}/final.history`, "a");
  const steps: Step[] = [
    ...(["get", "entries", "keys"] as const).map((kind) => ({
      kind,
      keys: ALL_KEYS,
      elements: [],
    })),
    ...ALL_KEYS.map((key): Step => ({ kind: "stream", keys: [key], elements: [] })),
  ];
  let n = 0;
  for (let round = 0; round < 2; round++) {
    const store = await new Packages(packages).open(tower, directory);
    for (const step of steps.filter((one) => isPossible(store, one)))
      await recordCall(store as Tried, step, { lane: "final", n: n++, file });
    await store.close();
  }
}

/** Temporary stores whose processes have ended. Those of killed ones go with the next of their kind. */
async function leftBehind(
  { tower, temporary }: Scene,
  packages: string | undefined,
  faults: readonly Fault[],
): Promise<readonly string[]> {
  if (faults.includes("kill") || faults.includes("namespace")) {
    const next = await new Packages(packages).openTemporary(tower, temporary);
    await next.flush();
    await next.close();
  }
  return readdirSync(temporary);
}

function stuckOf({ operations }: History, names: readonly string[]): Violation[] {
  return names.map((name) => {
    const waiting = operations.filter(
      ({ lane, completed }) => lane.startsWith(name) && completed === Number.POSITIVE_INFINITY,
    );
    const kinds = waiting.map(({ kind, keys }) => `${kind} of ${keys.join()}`).join(", ");
    return { rule: "stuck", what: `${name} did not end: ${kinds}`, witnesses: waiting };
  });
}

/** Which errors a call may end with under which fault. */
function promisesOf(tower: Tower, faults: readonly Fault[]): Promises {
  const isExpected = ({ kind, error = "" }: Operation): boolean => {
    const [code = ""] = error.split(":");
    switch (code) {
      case "ERR_PARTD_LOCK":
        // A machine under load stops processes, too. But a wait ends.
        return !/could not be had/.test(error);
      case "ERR_PARTD_CONNECTION":
        if (faults.includes("restart")) return true;
        return (
          faults.some((fault) => fault === "cut" || fault === "storm") &&
          ["lock", "stream", "entries", "keys"].includes(kind)
        );
      case "ERR_PARTD_IO":
        return faults.includes("disk") && /ENOSPC|no space/.test(error);
      default:
        return false;
    }
  };
  return { isExpected, isAtomic: !tower.served && !tower.buffered };
}

/** The shortest history that breaks each rule, as lines of text. */
export function reportOf(violations: readonly Violation[]): string[] {
  const byRule = new Map<string, Violation[]>();
  for (const one of violations) byRule.set(one.rule, [...(byRule.get(one.rule) ?? []), one]);
  return [...byRule].flatMap(([rule, [shortest, ...more]]) => {
    const { what, witnesses } = shortest as Violation;
    const byTime = [...witnesses].sort((a, b) => a.invoked - b.invoked);
    const start = byTime[0]?.invoked ?? 0;
    const count = more.length > 0 ? ` (and ${more.length} more)` : "";
    return [`${rule}: ${what}${count}`, ...byTime.map((one) => `  ${lineOf(one, start, what)}`)];
  });
}

/** One call as a line: of the values it read, only those of the keys that the finding names. */
function lineOf(operation: Operation, start: number, what: string): string {
  const { lane, n, kind, keys, elements, invoked, completed, outcome, values, error } = operation;
  const at = (time: number) =>
    time === Number.POSITIVE_INFINITY ? "…" : ((time - start) / 1000).toFixed(2);
  const subject = elements.length > 0 ? elements.map((one) => one.join(" ")) : keys;
  const all = Object.entries(values ?? {});
  const named = all.filter(([key]) => what.split(/[ ,]/).includes(key));
  const shown = (named.length > 0 ? named : all).map(([key, ids]) => `${key}: ${ids.join(" ")}`);
  const answer = values ? ` → ${shown.join("; ")}` : "";
  const failure = error ? ` (${error})` : "";
  return `${at(invoked)}–${at(completed)} ms ${lane}.${n} ${kind} ${subject.join(", ")}: ${outcome}${failure}${answer}`;
}
