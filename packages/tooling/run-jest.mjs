#!/usr/bin/env node
// Runs the tests of the package in the current directory, under ESM, and leaves the
// result in .results/jest.json for the totals at the end of `npm test`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";

const jest = createRequire(import.meta.url).resolve("jest/bin/jest");
const words = process.argv.slice(2);
const workers = words.filter((word) => word.startsWith("--maxWorkers="));
const whole = words.length === workers.length;
rmSync(".results/jest.json", { force: true });
mkdirSync(".results", { recursive: true });
const { status } = spawnSync(
  process.execPath,
  [
    "--experimental-vm-modules",
    "--disable-warning=ExperimentalWarning",
    jest,
    // Packages are tested side by side, so that most of them have one.
    ...(workers.length > 0 ? [] : ["--maxWorkers=1"]),
    "--passWithNoTests",
    // A test that fails before it closes its server would keep CI waiting for ever.
    ...(process.env.CI ? ["--forceExit"] : []),
    ...(whole ? ["--json", "--outputFile=.results/jest.json"] : []),
    ...words,
  ],
  { stdio: "inherit" },
);
if (status === 0 && whole && !existsSync(".results/jest.json")) {
  console.log("no tests yet");
}
process.exit(status ?? 1);
