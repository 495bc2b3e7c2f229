import type { Scratch } from "./scratch.js";
import { type Measure, SideProcess } from "./side-process.js";
import type { Suite, Target, Work } from "./suite.js";

export interface WorkOptions {
  /** Timed rounds of each work; default what the work says. */
  readonly rounds?: number | undefined;
  /** At most three rounds unless `rounds` says more, none begun after a second; the same for those before them, after 0.3. */
  readonly quick?: boolean | undefined;
  /** Names of those that run; default all. */
  readonly sides?: readonly string[] | undefined;
}

export interface SideResult {
  readonly name: string;
  readonly seconds: readonly number[];
  /** Of the timed part. */
  readonly medianSeconds: number;
  /** Of CPU, the median: it holds on a noisy machine, where time does not. */
  readonly cpuSeconds: number;
  /** Units a second, of the median. */
  readonly rate: number;
  /** How many times this side's rate the first side's is: the median over the rounds. */
  readonly ratio: number;
  /** What this side's target says, if there is one. */
  readonly target: Target | undefined;
  /** How busy the machine was, from 0 to 1: the median. */
  readonly busy: number;
  /** What else the side said of its last round. */
  readonly figures: Readonly<Record<string, string>>;
}

/**
 * Runs the sides in turn, A B C A B C …, each in a process of its own, so that a machine that
 * slows down slows all alike; the first rounds warm up and are not counted. Ratios are taken round by
 * round.
 */
export async function runWork(
  suite: Suite,
  index: number,
  scratch: Scratch,
  options: WorkOptions = {},
): Promise<SideResult[]> {
  const work = suite.works[index] as Work;
  const { quick = false } = options;
  const rounds = options.rounds ?? Math.min(work.rounds ?? 5, quick ? 3 : Number.POSITIVE_INFINITY);
  const sides = Object.entries(work.sides)
    .filter(([name]) => options.sides?.includes(name) ?? true)
    .map(([name, side]) => ({
      name,
      measures: [] as Measure[],
      process:
        typeof side === "function"
          ? SideProcess.node(suite.name, index, name)
          : SideProcess.python(side),
    }));
  try {
    await turns(work.warmups ?? 1, quick ? 0.3 : Number.POSITIVE_INFINITY);
    for (const side of sides) side.measures = [];
    await turns(rounds, quick && !options.rounds ? 1 : Number.POSITIVE_INFINITY);
  } finally {
    await Promise.all(sides.map((side) => side.process.end()));
    await scratch.empty();
  }

  /** So many rounds of all sides, none of which but the first begins after so many seconds. */
  async function turns(count: number, seconds: number): Promise<void> {
    const start = performance.now();
    for (let round = 0; round < count; round++) {
      if (round > 0 && performance.now() - start > seconds * 1000) break;
      for (const side of sides) {
        side.measures.push(await side.process.round(await scratch.directory()));
      }
    }
  }
  const ours = sides[0]?.measures ?? [];
  return sides.map(({ name, measures }) => {
    const seconds = measures.map((measure) => measure.seconds);
    return {
      name,
      seconds,
      medianSeconds: median(seconds),
      cpuSeconds: median(measures.map((measure) => measure.cpuSeconds)),
      rate: work.count / median(seconds),
      ratio: median(seconds.map((theirs, i) => theirs / (ours[i] as Measure).seconds)),
      target: work.targets?.find((target) => target.against === name),
      busy: median(measures.map((measure) => measure.busy)),
      figures: measures.at(-1)?.figures ?? {},
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
