import { cpus } from "node:os";
import { createInterface } from "node:readline";
import { loadSuite } from "../suites.js";
import type { Measure } from "./side-process.js";

/** A child of `run.ts`: does one Node side's round for each directory that it reads. */
const [suiteName = "", work = "", sideName = ""] = process.argv.slice(2);
const suite = await loadSuite(suiteName);
const side = suite.works[Number(work)]?.sides[sideName];
if (typeof side !== "function") throw new Error(`${suiteName} ${work} has no side ${sideName}`);

for await (const directory of createInterface({ input: process.stdin })) {
  const round = await side(directory);
  const [idleBefore, allBefore] = cpuTime();
  const before = process.cpuUsage();
  const start = process.hrtime.bigint();
  await round.run();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const { user, system } = process.cpuUsage(before);
  const [idle, all] = cpuTime();
  const busy = all > allBefore ? 1 - (idle - idleBefore) / (all - allBefore) : 0;
  await round.done?.();
  const cpuSeconds = round.cpuSeconds?.() ?? (user + system) / 1e6;
  const figures = round.figures?.();
  console.log(JSON.stringify({ seconds, cpuSeconds, busy, figures } satisfies Measure));
}

/** Milliseconds of all cores since the start: idle, and in all. */
function cpuTime(): [number, number] {
  let idle = 0;
  let all = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    for (const time of Object.values(times)) all += time;
  }
  return [idle, all];
}
