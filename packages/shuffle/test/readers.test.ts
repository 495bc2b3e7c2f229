import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type CsvRow, type Records, readCsv, readNdjson } from "@partd/records";
import {
  aggregate,
  count,
  countBy,
  distinct,
  groupBy,
  join,
  max,
  type Progress,
  shuffle,
  sort,
  split,
  sum,
  top,
} from "@partd/shuffle";
import { LITTLE } from "./workload.js";

interface Row {
  readonly user: string | number;
  readonly i: number;
  readonly ms: number;
  readonly pad: string;
}

const COUNT = 12_000;
const rows: Row[] = Array.from({ length: COUNT }, (_, i) => {
  const number = (Math.imul(i, 0x9e3779b1) >>> 8) % 700;
  const user = number % 3 === 0 ? number : number % 3 === 1 ? `u${number}` : `é "${number}"\n`;
  return { user, i, ms: (i * 7919) % 1000, pad: "x".repeat(i % 150) };
});

let dir: string;
let ndjson: string;
let csv: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-readers-test-"));
  ndjson = joinPath(dir, "rows.ndjson");
  csv = joinPath(dir, "rows.csv");
  writeFileSync(ndjson, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const lines = rows.map(({ user, i, ms, pad }) => `${quoted(String(user))},${i},${ms},${pad}\n`);
  writeFileSync(csv, `user,i,ms,pad\n${lines.join("")}`);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function groupsOf<T>(keyOf: (row: Row) => T): Map<T, number[]> {
  const groups = new Map<T, number[]>();
  for (const row of rows) {
    const group = groups.get(keyOf(row));
    if (group) group.push(row.i);
    else groups.set(keyOf(row), [row.i]);
  }
  return groups;
}

describe("a reader's records", () => {
  test("are grouped without being parsed, by field, function and several fields", async () => {
    const expected = groupsOf(({ user }) => user);
    let last: Progress | undefined;
    const onProgress = (progress: Progress) => {
      last = progress;
    };
    const source = readNdjson<Row>(ndjson);
    for await (const group of groupBy(source, { by: "user", memory: LITTLE, onProgress })) {
      const numbers: number[] = [];
      for await (const { i } of group) numbers.push(i);
      expect(numbers).toEqual(expected.get(group.key));
      expected.delete(group.key);
    }
    expect(expected.size).toBe(0);
    const { length } = readFileSync(ndjson);
    expect(last).toMatchObject({
      phase: "done",
      records: COUNT,
      bytes: length,
      totalBytes: length,
    });
    expect(last?.bytesSpilled).toBeGreaterThan(0);

    const byFunction = groupsOf(({ ms }) => ms % 10);
    for await (const group of groupBy(source, { by: ({ ms }) => ms % 10, memory: LITTLE })) {
      const numbers = (await group.toArray()).map(({ i }) => i);
      expect(numbers).toEqual(byFunction.get(group.key));
    }
    const several = groupsOf(({ user, ms }) => JSON.stringify([user, ms]));
    const counts = await countBy(source, { by: ["user", "ms"], memory: LITTLE }).toArray();
    expect(counts.map(([key, n]) => `${JSON.stringify(key)} ${n}`).toSorted()).toEqual(
      [...several].map(([key, group]) => `${key} ${group.length}`).toSorted(),
    );
  });

  test("are aggregated, sorted, joined, made distinct", async () => {
    const source = readNdjson<Row>(ndjson);
    const select = { n: count(), total: sum("ms"), most: max("ms") };
    const expected = groupsOf(({ user }) => user);
    for await (const [user, row] of aggregate(source, { by: "user", select, memory: LITTLE })) {
      const values = (expected.get(user) as number[]).map((i) => (rows[i] as Row).ms);
      const total = values.reduce((a, b) => a + b, 0);
      expect(row).toEqual({ n: values.length, total, most: Math.max(...values) });
    }
    const order = rows.toSorted((a, b) => b.ms - a.ms || a.pad.length - b.pad.length);
    const by = [{ by: "ms", order: "desc" } as const, "pad"];
    const sorted = await sort(source, { by, memory: LITTLE }).toArray();
    expect(sorted.map(({ i }) => i).join()).toEqual(order.map(({ i }) => i).join());
    const few = await top(source, { by, n: 10, memory: LITTLE }).toArray();
    expect(few).toEqual(order.slice(0, 10));
    const users = await distinct(source, { by: "user", memory: LITTLE }).toArray();
    expect(users.map(({ i }) => i)).toEqual([...expected.values()].map(([i]) => i));
    const all = await distinct(readNdjson<Row>([ndjson, ndjson]), { memory: LITTLE }).toArray();
    expect(all.map(({ i }) => i).toSorted((a, b) => a - b)).toEqual(rows.map(({ i }) => i));
    const names = [{ name: "u1" }, { name: "u4" }, { name: "nobody" }];
    const pairs = await join(source, names, { by: "user", rightBy: "name" }).toArray();
    expect(pairs.map(([{ i }]) => i)).toEqual(
      rows.filter(({ user }) => user === "u1" || user === "u4").map(({ i }) => i),
    );
  });

  test("are what their reader says, also where it reads lines of JSON", async () => {
    const reader = readNdjson<string>(ndjson);
    const texts: Records<string> = {
      batches: (options) => reader.batches(options),
      byteLength: () => reader.byteLength(),
      split: async () => undefined,
      [Symbol.asyncIterator]: () => reader[Symbol.asyncIterator](),
      format: {
        name: "ndjson",
        header: undefined,
        parse: (bytes, start, end) => Buffer.from(bytes.subarray(start, end)).toString(),
        serialize: (text) => Buffer.from(text),
        scanner: (...asked) => reader.format.scanner(...asked),
      },
    };
    const lines = await sort(texts, { by: "i", memory: LITTLE }).toArray();
    expect(lines.join("")).toBe(readFileSync(ndjson, "utf8"));
  });

  test("come back byte for byte", async () => {
    const text = readFileSync(ndjson, "utf8");
    const pieces: Uint8Array[] = [];
    for await (const piece of sort(readNdjson<Row>(ndjson), { by: "i", memory: LITTLE }).bytes()) {
      pieces.push(piece);
    }
    expect(Buffer.concat(pieces).toString()).toBe(text);
    const lines: string[] = [];
    for await (const part of shuffle(readNdjson<Row>(ndjson), { by: "user", memory: LITTLE })) {
      const bytes: Uint8Array[] = [];
      for await (const piece of part.bytes()) bytes.push(piece);
      lines.push(...Buffer.concat(bytes).toString().split("\n").slice(0, -1));
    }
    expect(lines.toSorted().join("\n")).toBe(text.split("\n").slice(0, -1).toSorted().join("\n"));
  });

  test("of CSV have text as keys, and a header for each file", async () => {
    const source = readCsv<CsvRow>(csv);
    const expected = groupsOf(({ user }) => String(user));
    const counts = await countBy(source, { by: "user", memory: LITTLE }).toMap();
    expect(counts.size).toBe(expected.size);
    for (const [user, group] of expected) expect(counts.get(user)).toBe(group.length);
    const sorted = await sort(source, {
      by: { by: "ms", as: "number" },
      memory: LITTLE,
    }).toArray();
    expect(sorted.map(({ i }) => Number(i))).toEqual(
      rows.toSorted((a, b) => a.ms - b.ms).map(({ i }) => i),
    );
    const into = joinPath(dir, "split");
    const result = await split(source, { by: "user", into, memory: LITTLE });
    expect(result.files).toBe(expected.size);
    const files = readdirSync(into);
    expect(files.every((name) => name.endsWith(".csv"))).toBe(true);
    let total = 0;
    for (const name of files) {
      const numbers: number[] = [];
      let user: string | undefined;
      for await (const row of readCsv<CsvRow>(joinPath(into, name))) {
        user = row.user;
        numbers.push(Number(row.i));
      }
      expect(numbers).toEqual(expected.get(user as string));
      total += numbers.length;
    }
    expect(total).toBe(COUNT);
  });

  test("that are malformed end the run, and leave nothing", async () => {
    const bad = joinPath(dir, "bad.ndjson");
    writeFileSync(bad, `${readFileSync(ndjson, "utf8")}{"user":\n`);
    const spill = joinPath(dir, "spill");
    const options = { by: "user", memory: LITTLE, dir: spill } as const;
    await expect(groupBy(readNdjson<Row>(bad), options).toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      line: COUNT + 1,
    });
    expect(readdirSync(spill)).toEqual([]);
  });
});
