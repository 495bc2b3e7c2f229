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

test("into is the path of a folder", async () => {
  const rows = readCsv([Buffer.from("k,i\na,1\n")]);
  for (const into of [undefined, "", 5, new URL("file:///tmp/x")] as never[]) {
    const refused = { code: "ERR_PARTD_VALUE", message: expect.stringContaining("into must be") };
    await expect(split(rows, { by: "k", into })).rejects.toMatchObject(refused);
  }
  const file = joinPath(dir, "file");
  writeFileSync(file, "kept");
  for (const into of [file, joinPath(file, "below")]) {
    for (const partitions of [undefined, 2]) {
      const isFile = { code: "ERR_PARTD_IO", message: expect.stringContaining("a file is where") };
      const source = readCsv([Buffer.from("k,i\na,1\n")]);
      await expect(split(source, { by: "k", into, partitions })).rejects.toMatchObject(isFile);
    }
  }
  expect(readFileSync(file, "utf8")).toBe("kept");
});

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
