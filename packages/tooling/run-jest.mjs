#!/usr/bin/env node
// Runs the tests of the package in the current directory, under ESM, and leaves the
// result in .results/jest.json for the totals at the end of `npm test`. They have a temporary
// directory of their own, which goes with what a killed process left in it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const jest = createRequire(import.meta.url).resolve("jest/bin/jest");
const words = process.argv.slice(2);
const workers = words.filter((word) => word.startsWith("--maxWorkers="));
const whole = words.length === workers.length;
rmSync(".results/jest.json", { force: true });
mkdirSync(".results", { recursive: true });
// Its name is short: the path of a socket file has 107 bytes at most.
const temporary = mkdtempSync(join(tmpdir(), "t-"));
const { status } = spawnSync(
  process.execPath,
  [
    "--experimental-vm-modules",
    "--disable-warning=ExperimentalWarning",
    jest,
    // Packages are tested side by side, so that most of them have one.
    ...(workers.length > 0 ? [] : ["--maxWorkers=1"]),
    `--cacheDirectory=${join(tmpdir(), "partd-jest")}`,
    "--passWithNoTests",
    // A test that fails before it closes its server would keep CI waiting for ever.
    ...(process.env.CI ? ["--forceExit"] : []),
    ...(whole ? ["--json", "--outputFile=.results/jest.json"] : []),
    ...words,
  ],
  { stdio: "inherit", env: { ...process.env, TMPDIR: temporary } },
);
const left = readdirSync(temporary);
rmSync(temporary, { recursive: true, force: true });
if (status === 0 && whole && !existsSync(".results/jest.json")) {
  console.log("no tests yet");
}
if (status === 0 && left.length > 0) {
  console.log(`The tests left behind, among temporary files: ${left.join(", ")}`);
}
process.exit(status ?? 1);
