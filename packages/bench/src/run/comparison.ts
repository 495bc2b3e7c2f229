import { readFile } from "node:fs/promises";
import type { SideResult } from "./run.js";

/** A run as `--json` writes it, so that another one can be compared with it. */
export interface SavedRun {
  readonly machine: string;
  readonly date: string;
  readonly works: readonly SavedWork[];
}

export interface SavedWork {
  readonly suite: string;
  readonly work: string;
  readonly unit: string;
  readonly count: number;
  readonly results: readonly SideResult[];
}

/**
 * What changed between two runs beyond the noise, a line for each of our sides, as Markdown. The
 * machine may have been slower on one day than on the other, so the ratio to each peer of the same
 * run is compared; without a peer it is the CPU.
 */
export async function changesSince(path: string, works: readonly SavedWork[]): Promise<string> {
  const before = JSON.parse(await readFile(path, "utf8")) as SavedRun;
  const rows: string[] = [];
  for (const now of works) {
    const then = before.works.find(
      // A quick run does less of some works.
      ({ suite, work, count }) => suite === now.suite && work === now.work && count === now.count,
    )?.results;
    if (!then) continue;
    for (const { name, was, is, noise } of pairs(then, now.results)) {
      const change = is / was;
      if (Math.abs(Math.log(change)) <= Math.log(1 + noise)) continue;
      rows.push(
        `| ${now.suite}: ${now.work} | ${name} | ${was.toFixed(2)} | ${is.toFixed(2)} | ${percent(change - 1)} | ${percent(noise)} |`,
      );
    }
  }
  if (rows.length === 0) return `Nothing changed beyond the noise since ${before.date}.`;
  return [
    `Changed beyond the noise since ${before.date} (${before.machine}):`,
    "",
    "| work | against | then | now | change | noise |",
    "| --- | --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

interface Pair {
  readonly name: string;
  readonly was: number;
  readonly is: number;
  /** How far two runs of the same code may be apart: the spread of the rounds of both. */
  readonly noise: number;
}

function pairs(then: readonly SideResult[], now: readonly SideResult[]): Pair[] {
  const [oursThen, oursNow] = [then[0], now[0]];
  if (!oursThen || !oursNow) return [];
  if (now.length === 1) {
    const noise = Math.max(spread(oursThen), spread(oursNow));
    return [{ name: "itself (CPU)", was: oursThen.cpuSeconds, is: oursNow.cpuSeconds, noise }];
  }
  return now.slice(1).flatMap((peer) => {
    const earlier = then.find(({ name }) => name === peer.name);
    if (!earlier) return [];
    const noise = Math.max(...[oursThen, oursNow, earlier, peer].map(spread));
    return [{ name: peer.name, was: earlier.ratio, is: peer.ratio, noise }];
  });
}

/** The middle half of the rounds, as a part of the median. */
function spread({ seconds, medianSeconds }: SideResult): number {
  if (seconds.length === 1) return 0.3; // One round shows no spread: such is common on a busy machine.
  const sorted = seconds.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.round(part * (sorted.length - 1))] as number;
  return Math.max(0.03, (at(0.75) - at(0.25)) / medianSeconds);
}

function percent(part: number): string {
  return `${part > 0 ? "+" : ""}${(100 * part).toFixed(0)} %`;
}
