import { once } from "node:events";
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
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
import { limitOf } from "../src/run/record-limit.js";
import { PartTurns } from "../src/split/part-turns.js";
import { Scatter } from "../src/split/scatter.js";

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
        // Not by expect, which takes a second for 5,000 calls.
        if (userOf(Number(i)) !== user) throw new Error(`row ${i} has the user ${user}`);
        if (Number(i) <= last) throw new Error(`row ${i} behind ${last}`);
        last = Number(i);
        found++;
      }
    }
    expect(found).toBe(ROWS);
    rmSync(into, { recursive: true });
  });

  test.each(["an event loop", "a worker"])("a part waits for its turn, in %s", async (thread) => {
    const into = join(dir, "turns");
    mkdirSync(into);
    const paths = expected.map((_, p) => join(into, String(p)));
    const files = paths.map((path) => openSync(path, "wx"));
    const parts = (await readNdjson(file).split(3)) ?? [];
    const positions = new Float64Array(new SharedArrayBuffer(8 * paths.length));
    const scatter = new Scatter(["user"], "keep", files, positions, limitOf("split", 1e9));
    const state = PartTurns.state();
    let wake = () => {};
    let others: Promise<unknown>;
    const held = new PartTurns(state).take(); // The others begin with part 1.
    if (thread === "a worker") {
      const job = { fields: ["user"], missing: "keep", files, parts, positions, turns: state };
      const program = new URL("../dist/scatter-worker.js", import.meta.url);
      const worker = new Worker(program);
      worker.postMessage(job);
      others = once(worker, "exit");
      await once(worker, "online");
    } else {
      await new Promise<void>((resolve) => {
        const news = () => {
          resolve();
          return new Promise<void>((woken) => (wake = woken));
        };
        others = scatter.parts(parts, new PartTurns(state, news), () => {}).then(resolve);
      });
    }
    await scatter.parts(parts.slice(0, 1), new PartTurns(PartTurns.state()), () => {});
    new PartTurns(state).pass(held, 0);
    wake();
    await others!;
    for (const opened of files) closeSync(opened);
    expect(paths.map((path, p) => readFileSync(path, "utf8") === expected[p])).not.toContain(false);
    rmSync(into, { recursive: true });
  });

  test.each([1, 2, 3])("keeps records longer than a part in order, %d threads", async (threads) => {
    const long = join(dir, "long.ndjson");
    const lengths = [10, 5 << 20, 20, 30, 9 << 20, 3 << 20, 40];
    const lines = lengths.map((n, i) => `{"user":"u","i":${i},"pad":"${"x".repeat(n)}"}\n`);
    writeFileSync(long, lines.join(""));
    const into = join(dir, "long");
    await split(readNdjson<Row>(long), { by: "user", into, partitions: 2, threads });
    const all = [0, 1].map((p) => readFileSync(join(into, `${p}.ndjson`), "utf8")).join("");
    expect(all === lines.join("")).toBe(true);
    rmSync(into, { recursive: true });
  });

  test.each([1, 2, 3])("names the first malformed record, %d threads", async (threads) => {
    const bad = join(dir, "several.ndjson");
    const lines = Array.from({ length: COUNT }, (_, i) => lineOf(i));
    for (const i of [50_000, 50_001, 90_000, COUNT - 1]) lines[i] = `{"user":${i}\n`;
    writeFileSync(bad, lines.join(""));
    const into = join(dir, "several");
    await expect(
      split(readNdjson<Row>(bad), { by: "user", into, partitions: 16, threads }),
    ).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", line: 50_001 });
    expect(existsSync(into)).toBe(false);
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
