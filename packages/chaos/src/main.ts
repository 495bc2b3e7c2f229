import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Fault } from "./nemesis.js";
import { PythonStore } from "./python-store.js";
import { reportOf, runRound } from "./round.js";
import { towers } from "./tower.js";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    rounds: { type: "string", default: "Infinity" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    seconds: { type: "string", default: "6" },
    store: { type: "string", multiple: true },
    fault: { type: "string", multiple: true },
    packages: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});

const wanted = towers.filter(({ name, turns }) => {
  if (turns && !PythonStore.isThere) console.log(`without ${name}: python3-partd is not installed`);
  return (values.store?.includes(name) ?? true) && (!turns || PythonStore.isThere);
});
if (wanted.length === 0) {
  console.error(`--store is one or more of ${towers.map(({ name }) => name).join(", ")}`);
  process.exit(1);
}
const scratch = mkdtempSync(join(tmpdir(), "partd-chaos-"));
const end = performance.now() + Number(values.minutes) * 60_000;
let rounds = 0;
let operations = 0;
let found = 0;
for (
  let seed = Number(values.seed);
  performance.now() < end && rounds < Number(values.rounds);
  seed++
) {
  for (const tower of wanted) {
    if (performance.now() >= end || rounds >= Number(values.rounds)) break;
    const folder = join(scratch, String(rounds++));
    const report = await runRound({
      ...{ tower, folder, seed: String(seed), milliseconds: Number(values.seconds) * 1000 },
      ...{ packages: values.packages, faults: values.fault as Fault[] | undefined },
    });
    const { faults, leftOut, history, violations } = report;
    operations += history.operations.length;
    const skipped = leftOut.length > 0 ? `, without ${leftOut}, which cannot be here` : "";
    const outcome = violations.length === 0 ? "ok" : `${violations.length} VIOLATIONS`;
    console.log(
      `--seed ${seed} --store ${tower.name}: ${history.operations.length} calls under ${faults}${skipped}: ${outcome}`,
    );
    if (violations.length > 0) {
      found++;
      for (const line of reportOf(violations)) console.log(`  ${line}`);
    }
    if (violations.length > 0 && values.keep) console.log(`  kept in ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}
if (!values.keep) rmSync(scratch, { recursive: true, force: true });
console.log(`${rounds} rounds, ${operations} calls, ${found} rounds with violations`);
process.exitCode = found > 0 ? 1 : 0;
