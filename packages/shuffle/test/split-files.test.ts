import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readCsv } from "@partd/records";
import { split } from "@partd/shuffle";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-split-files-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("a file of any length has its header and all its rows, in order", async () => {
  // Short ones are written at once, long ones piece by piece: on both sides of 256 KiB.
  const counts = { a: 1, b: 2, c: 40, d: 130, e: 131, f: 132, g: 600, h: 1 };
  const pad = "x".repeat(2000);
  const expected = new Map<string, string>();
  const rows: string[] = [];
  for (let i = 0; i < 600; i++) {
    for (const [key, count] of Object.entries(counts)) {
      if (i >= count) continue;
      // One row alone is longer than what is written at once.
      const row = `${key},${i},${key === "h" ? pad.repeat(200) : pad}\n`;
      rows.push(row);
      expected.set(`${key}.csv`, (expected.get(`${key}.csv`) ?? "k,i,pad\n") + row);
    }
  }
  const path = joinPath(dir, "rows.csv");
  writeFileSync(path, `k,i,pad\n${rows.join("")}`);
  for (const memory of [undefined, 1e6]) {
    const into = joinPath(dir, `out-${memory}`);
    const { files, bytes } = await split(readCsv(path), { by: "k", into, memory });
    expect([files, bytes]).toEqual([8, [...expected.values()].join("").length]);
    const names = readdirSync(into);
    expect(names.toSorted()).toEqual([...expected.keys()].toSorted());
    for (const name of names) {
      expect(readFileSync(joinPath(into, name), "utf8") === expected.get(name)).toBe(true);
    }
  }
});
