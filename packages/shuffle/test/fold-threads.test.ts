import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Records, readCsv, readNdjson } from "@partd/records";
import {
  aggregate,
  count,
  countBy,
  first,
  last,
  max,
  mean,
  min,
  type Progress,
  sum,
} from "@partd/shuffle";
import { LITTLE } from "./workload.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-fold-threads-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Row {
  readonly user: string;
  readonly ms?: number | null;
  readonly word: string;
}

const select = {
  n: count(),
  total: sum<Row>("ms"),
  middle: mean<Row>("ms"),
  least: min<Row>("ms"),
  most: max<Row>("ms"),
  shortest: min<Row, string>("word"),
  opening: first<Row, string>("word"),
  closing: last<Row>("ms"),
};

/** Users of any number; some values are missing, `null` or fractions, some texts have escapes. */
function rowsOf(rows: number, users: number): Row[] {
  return Array.from({ length: rows }, (_, i) => {
    const ms = i % 11 === 0 ? {} : { ms: i % 13 === 0 ? null : (i % 1000) - 500 + (i % 4) / 4 };
    const user = `u${(Math.imul(i, 0x9e3779b1) >>> 8) % users}`;
    return { user, ...ms, word: `${i % 31}\n"` };
  });
}

function expected(rows: readonly Row[]): Map<string, object> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.user);
    if (group) group.push(row);
    else groups.set(row.user, [row]);
  }
  return new Map(
    [...groups].map(([user, group]) => {
      const values = group.map(({ ms }) => ms).filter((ms) => typeof ms === "number");
      const total = values.reduce((a, b) => a + b, 0);
      const result = {
        n: group.length,
        total,
        middle: values.length === 0 ? undefined : total / values.length,
        least: values.length === 0 ? undefined : Math.min(...values),
        most: values.length === 0 ? undefined : Math.max(...values),
        shortest: group.map(({ word }) => word).toSorted()[0],
        opening: group[0]?.word,
        closing: group.at(-1)?.ms,
      };
      return [user, result] as const;
    }),
  );
}

/** Text is quicker to compare than a Map is. */
function textOf(results: ReadonlyMap<string, object>): string {
  return [...results]
    .map((entry) => JSON.stringify(entry))
    .toSorted()
    .join("\n");
}

describe("aggregates by threads", () => {
  test("are those of one, in memory and out of it", async () => {
    for (const [rows, users, memory] of [
      [8000, 300, undefined],
      [8000, 3, undefined],
      // Too many keys for a thread, and then for all memory.
      [8000, 5000, LITTLE],
      [8000, 600, LITTLE],
    ] as const) {
      const all = rowsOf(rows, users);
      const paths = [joinPath(dir, "a.ndjson"), joinPath(dir, "b.ndjson")];
      const lines = all.map((row) => `${JSON.stringify(row)}\n`);
      writeFileSync(paths[0] as string, lines.slice(0, 3456).join(""));
      writeFileSync(paths[1] as string, lines.slice(3456).join(""));
      const wanted = textOf(expected(all));
      for (const threads of [1, 2, 3]) {
        let told: Progress | undefined;
        const options = { by: "user", select, threads, memory } as const;
        const output = aggregate(readNdjson<Row>(paths), {
          ...options,
          onProgress: (progress) => {
            told = progress;
          },
        });
        const found = await output.toMap();
        expect(textOf(found)).toBe(wanted);
        // A share that was read again is counted again.
        expect(told?.records).toBeGreaterThanOrEqual(rows);
        if (users === 5000) expect(told?.bytesSpilled).toBeGreaterThan(0);
      }
    }
  });

  test("of numbers go on when a value is none, a key is missing, or memory ends", async () => {
    const path = joinPath(dir, "numbers.ndjson");
    const numbers = {
      n: count(),
      total: sum<Row>("ms"),
      middle: mean<Row>("ms"),
      least: min<Row>("ms"),
      most: max<Row>("ms"),
    };
    // The first batches, 1 MiB each, are all numbers.
    const pad = "x".repeat(300);
    const rows = Array.from({ length: 14_000 }, (_, i) => {
      return { user: `u${i % 700}`, ...(i % 11 ? { ms: i % 13 ? (i % 999) - 500 : null } : {}) };
    });
    const lines = rows.map((row) => `${JSON.stringify({ ...row, pad })}\n`);
    lines.splice(9000, 0, `{"ms":7}\n`, `\n`, `{"user":"u1","ms":1e2}\n`);
    writeFileSync(path, lines.join(""));
    const all = [...rows, { user: "u1", ms: 100 }];
    const wanted = expected(all.map((row) => ({ ...row, word: "" })));
    const pick = ([user, row]: readonly [string, object]) => {
      const { n, total, middle, least, most } = row as Record<string, number>;
      return JSON.stringify([user, n, total, middle, least, most]);
    };
    for (const threads of [1, 2, 3]) {
      for (const memory of [undefined, LITTLE]) {
        const options = { by: "user", missing: "skip", threads, memory } as const;
        const found = aggregate(readNdjson<Row>(path), { ...options, select: numbers }).toMap();
        expect([...(await found)].map(pick).toSorted()).toEqual([...wanted].map(pick).toSorted());
      }
      const extremes = { least: min<Row, string>("ms"), most: max<Row, string>("ms") };
      const texts = joinPath(dir, "texts.ndjson");
      const nulls = Array.from({ length: 5000 }, (_, i) => ({ user: `u${i % 9}`, ms: null, pad }));
      const words = ["b", "a", "c"].map((ms) => ({ user: "u4", ms }));
      writeFileSync(texts, [...nulls, ...words].map((row) => `${JSON.stringify(row)}\n`).join(""));
      const options = { by: "user", select: extremes, threads } as const;
      const found = await aggregate(readNdjson<Row>(texts), options).toMap();
      expect(found.get("u4")).toEqual({ least: "a", most: "c" });
      expect(found.get("u5")).toEqual({ least: undefined, most: undefined });
    }
  });

  test("of CSV have its columns", async () => {
    const path = joinPath(dir, "rows.csv");
    const lines = Array.from({ length: 5000 }, (_, i) => `"u ${i % 17}",${i}\n`);
    writeFileSync(path, `user,ms\n${lines.join("")}`);
    for (const threads of [1, 3]) {
      const counts = await countBy(readCsv(path), { by: "user", threads }).toMap();
      expect(counts.size).toBe(17);
      expect(counts.get("u 3")).toBe(294);
    }
  });

  test("fail with the first malformed record of the input, and end when they are aborted", async () => {
    const path = joinPath(dir, "bad.ndjson");
    const lines = rowsOf(30_000, 100).map((row) => `${JSON.stringify(row)}\n`);
    lines[12_000] = '{"user":"u1"\n';
    lines[15_001] = '{"user":\n';
    lines[29_000] = '{"user":"u1","ms":[}\n';
    writeFileSync(path, lines.join(""));
    const source = (): Records<Row> => readNdjson<Row>(path);
    for (const threads of [1, 2, 4]) {
      const failed = countBy(source(), { by: "user", threads }).toMap();
      await expect(failed).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", line: 12_001 });
      const signal = AbortSignal.abort(new Error("enough"));
      const aborted = countBy(source(), { by: "user", threads, signal }).toMap();
      await expect(aborted).rejects.toThrow("enough");
    }
    lines[12_000] = '{"user":"u1","ms":"text"}\n';
    lines[15_001] = lines[29_000] = "\n";
    writeFileSync(path, lines.join(""));
    const texts = aggregate(source(), { by: "user", select: { total: sum("ms") }, threads: 2 });
    await expect(texts.toMap()).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
  });
});
