import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { describeReal, realPart } from "tooling/real-part";
import type { Fault } from "../src/nemesis.js";
import { reportOf, runRound } from "../src/round.js";
import { towers } from "../src/tower.js";

const scratch = mkdtempSync(join(tmpdir(), "partd-chaos-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const python = realPart.python("partd");
const rounds: Record<string, Fault[]> = {
  file: ["kill", "stop", "thread", "clock"],
  log: ["kill", "stop", "thread", "clock", "namespace"],
  "buffer-log": ["clock", "temporary"],
  "cluster-file": ["kill", "rival"],
  "client-file": ["kill", "storm", "restart"],
  "client-buffer-log": ["cut", "clock"],
};
function keepsPromises(name: string, faults: readonly Fault[]): void {
  test(`${name} keeps its promises under ${faults.join(", ")}`, async () => {
    const tower = towers.find((one) => one.name === name)!;
    const folder = join(scratch, name);
    const report = await runRound({ tower, seed: "1", milliseconds: 3_000, folder, faults });
    const { history, violations, leftOut } = report;
    if (leftOut.length > 0) console.log(`without ${leftOut}, which cannot be here`);
    expect(reportOf(violations).join("\n")).toBe("");
    // It has to have been a round: something was written, and read in the end.
    const done = history.operations.filter(({ outcome }) => outcome === "ok");
    expect(done.filter(({ kind }) => kind === "append").length).toBeGreaterThan(0);
    expect(done.filter(({ lane }) => lane === "final").length).toBeGreaterThan(20);
  }, 600_000);
}

for (const [name, faults] of Object.entries(rounds)) keepsPromises(name, faults);

describeReal(python, "Python's partd, in turn", () => {
  keepsPromises("python-file", ["clock", "python"]);
});
