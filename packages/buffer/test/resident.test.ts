import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";

const run = promisify(execFile);
const program = fileURLToPath(new URL("resident.mjs", import.meta.url));

/** 200 MB through 80 MB; PARTD_BUFFER_RECORDS=20000000 for 2 GB through 200 MB. */
const RECORDS = Number(process.env["PARTD_BUFFER_RECORDS"] ?? 2_000_000);
const BOUND = RECORDS > 10_000_000 ? 200e6 : 80e6;

/** V8 lets its young generation grow larger from Node 24 on. */
const YOUNG = Number.parseInt(process.versions.node, 10) >= 24 ? 96 * 2 ** 20 : 0;

for (const [slow, keys] of [
  ["FileStore", 2000],
  ["Sink", 10_000],
  ["Sink", 2_000_000],
] as const) {
  test(`resident memory keeps to the bound: ${keys} keys, over a ${slow}`, async () => {
    const args = [program, slow, String(RECORDS), String(keys), String(BOUND)];
    const { stdout } = await run(process.execPath, args);
    const { grown, found, most } = JSON.parse(stdout);
    expect(found).toBe(RECORDS * 100);
    expect(most).toBeGreaterThan(BOUND / 2); // The memory that is allowed is used.
    expect(grown).toBeLessThan(1.25 * BOUND + 64 * 2 ** 20 + YOUNG);
  }, 600_000);
}
