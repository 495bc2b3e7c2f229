import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  type CsvRow,
  encodeGroupKey,
  hashKey,
  partitionOf,
  readCsv,
  readNdjson,
} from "@partd/records";
import { split } from "@partd/shuffle";

interface Row {
  readonly user: string;
  readonly i: number;
}

const COUNT = 120_000;
const ROWS = 30_000;
const userOf = (i: number) => `u${(Math.imul(i, 0x9e3779b1) >>> 8) % 5000}`;
const lineOf = (i: number) =>
  `{"user":"${userOf(i)}","i":${i},"pad":"${"x".repeat(60 + (i % 40))}"}\n`;
const partOf = (i: number) => {
  const { low, high } = hashKey(encodeGroupKey(userOf(i)));
  return partitionOf(low, high, 16);
};

let dir: string;
let file: string;
let expected: string[];
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "partd-scatter-test-"));
  file = join(dir, "rows.ndjson");
  const lines = Array.from({ length: COUNT }, (_, i) => lineOf(i));
  writeFileSync(file, lines.join(""));
  const parts: string[][] = Array.from({ length: 16 }, () => []);
  for (const [i, line] of lines.entries()) parts[partOf(i)]?.push(line);
  expected = parts.map((part) => part.join(""));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("split into partitions", () => {
  test.each([1, 2, 5])("keeps the input's order with %d threads", async (threads) => {
    const into = join(dir, `out-${threads}`);
    let records = 0;
    const onProgress = (progress: { records: number }) => {
      records = progress.records;
    };
    const source = readNdjson<Row>(file);
    const options = { by: "user", into, partitions: 16, threads, onProgress } as const;
    const result = await split(source, options);
    expect(result).toEqual({ files: 16, bytes: readFileSync(file).length });
    expect(records).toBe(COUNT);
    for (let p = 0; p < 16; p++) {
      expect(readFileSync(join(into, `${p}.ndjson`), "utf8") === expected[p]).toBe(true);
    }
    rmSync(into, { recursive: true });
  });

  test.each([1, 3])("writes a CSV's header to each file, %d threads", async (threads) => {
    const csv = join(dir, "rows.csv");
    const rows = Array.from({ length: ROWS }, (_, i) => `${userOf(i)},${i}\n`);
    writeFileSync(csv, `user,i\n${rows.join("")}`);
    const into = join(dir, "csv");
    const options = { by: "user", into, partitions: 4, threads } as const;
    await split(readCsv<CsvRow>(csv), options);
    let found = 0;
    for (let p = 0; p < 4; p++) {
      const text = readFileSync(join(into, `${p}.csv`), "utf8");
      expect(text.startsWith("user,i\n")).toBe(true);
      let last = -1;
      for (const line of text.split("\n").slice(1, -1)) {
        const [user, i] = line.split(",");
        expect(userOf(Number(i))).toBe(user);
        if (Number(i) <= last) throw new Error(`row ${i} behind ${last}`);
        last = Number(i);
        found++;
      }
    }
    expect(found).toBe(ROWS);
    rmSync(into, { recursive: true });
  });

  test.each([1, 2])(
    "removes all files when it fails or is aborted, %d threads",
    async (threads) => {
      const bad = join(dir, "bad.ndjson");
      writeFileSync(bad, `${readFileSync(file, "utf8")}{"user":\n${lineOf(1)}`);
      const into = join(dir, "bad");
      const options = { by: "user", into, partitions: 16, threads } as const;
      await expect(split(readNdjson<Row>(bad), options)).rejects.toMatchObject({
        code: "ERR_PARTD_CORRUPT",
      });
      expect(existsSync(into)).toBe(false);
      const controller = new AbortController();
      const onProgress = () => controller.abort(new Error("enough"));
      const aborted = split(readNdjson<Row>(file), {
        ...options,
        onProgress,
        signal: controller.signal,
      });
      // Small input: aborted before it begins, if not while it runs.
      controller.abort(new Error("enough"));
      await expect(aborted).rejects.toThrow("enough");
      expect(existsSync(into)).toBe(false);
      expect(readdirSync(dir).filter((name) => name === "bad")).toEqual([]);
    },
  );
});
