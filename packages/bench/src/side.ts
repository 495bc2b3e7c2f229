import { createInterface } from "node:readline";
import type { Measure } from "./side-process.js";
import { loadSuite } from "./suites.js";

/** A child of `run.ts`: does one Node side's round for each directory that it reads. */
const [suiteName = "", work = "", sideName = ""] = process.argv.slice(2);
const suite = await loadSuite(suiteName);
const side = suite.works[Number(work)]?.sides[sideName];
if (typeof side !== "function") throw new Error(`${suiteName} ${work} has no side ${sideName}`);

for await (const directory of createInterface({ input: process.stdin })) {
  const round = await side(directory);
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const start = process.hrtime.bigint();
  await round.run();
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const grown = process.memoryUsage.rss() - before;
  await round.done?.();
  console.log(JSON.stringify({ seconds, grown } satisfies Measure));
}
