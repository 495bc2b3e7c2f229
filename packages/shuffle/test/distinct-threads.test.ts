import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readCsv, readNdjson } from "@partd/records";
import { distinct } from "@partd/shuffle";
import { LITTLE } from "./workload.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-distinct-threads-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Row {
  readonly user?: string;
  readonly i: number;
}

function rowsOf(rows: number, users: number): Row[] {
  return Array.from({ length: rows }, (_, i) => {
    const user = `u${(Math.imul(i, 0x9e3779b1) >>> 8) % users}\n"`;
    return { ...(i % 97 === 50 ? {} : { user }), i };
  });
}

/** The numbers of the first records, in the order of the source. */
function expected(rows: readonly Row[]): number[] {
  const seen = new Set<string | undefined>();
  return rows.filter(({ user }) => !seen.has(user) && seen.add(user)).map(({ i }) => i);
}

const text = (rows: readonly Row[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

test("threads find the same first records as one, in the same order", async () => {
  const paths = [joinPath(dir, "a.ndjson"), joinPath(dir, "b.ndjson")];
  for (const [count, users, memory] of [
    [9000, 3, undefined],
    [9000, 700, undefined],
    [9000, 1e9, undefined],
    // Too many keys for a thread, and then for all memory.
    [9000, 3000, LITTLE],
    [30_000, 1e9, LITTLE],
  ] as const) {
    const all = rowsOf(count, users);
    writeFileSync(paths[0]!, text(all.slice(0, 3456)));
    writeFileSync(paths[1]!, text(all.slice(3456)));
    const wanted = expected(all);
    for (const threads of [1, 2, 3]) {
      const options = { by: "user", threads, memory } as const;
      const found = await distinct(readNdjson<Row>(paths), options).toArray();
      const numbers = found.map(({ i }) => i);
      // Beyond memory they come in parts.
      if (memory !== undefined) numbers.sort((a, b) => a - b);
      expect(numbers).toEqual(wanted);
      const pieces: Uint8Array[] = [];
      for await (const piece of distinct(readNdjson<Row>(paths), options).bytes())
        pieces.push(piece);
      expect(Buffer.concat(pieces).length).toBe(text(found).length);
      const skipped = await distinct(readNdjson<Row>(paths), {
        ...options,
        missing: "skip",
      }).toArray();
      expect(skipped.length).toBe(found.length - 1);
    }
  }
});

test("a thread whose scanner no longer tells which keys are new knows those that it has found", async () => {
  const path = joinPath(dir, "long.ndjson");
  // Several batches for each thread; the last one has a record that is left out.
  const lines = Array.from({ length: 1000 }, (_, i) => {
    return { ...(i === 999 ? {} : { user: `u${i % 990}` }), i, text: "x".repeat(6000) };
  });
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  for (const threads of [2, 3]) {
    const options = { by: "user", threads, missing: "skip" } as const;
    const found = await distinct(readNdjson<Row>(path), options).toArray();
    expect(found.map(({ i }) => i)).toEqual(Array.from({ length: 990 }, (_, i) => i));
  }
});

test("of CSV they are rows with its columns", async () => {
  const path = joinPath(dir, "rows.csv");
  const lines = Array.from({ length: 5000 }, (_, i) => `"u ${(i * 7) % 3001}",${i}\n`);
  writeFileSync(path, `user,i\n${lines.join("")}`);
  for (const threads of [1, 3]) {
    const found = await distinct(readCsv(path), { by: "user", threads }).toArray();
    expect(found.map(({ i }) => Number(i))).toEqual(Array.from({ length: 3001 }, (_, i) => i));
    expect(found[2]).toEqual({ user: "u 14", i: "2" });
  }
});

test("a malformed or missing record ends it, the first of the input, and so does a signal", async () => {
  const path = joinPath(dir, "bad.ndjson");
  const lines = rowsOf(30_000, 100).map((row) => `${JSON.stringify({ user: "", ...row })}\n`);
  lines[22_000] = '{"user":"u1"\n';
  lines[29_000] = '{"user":\n';
  writeFileSync(path, lines.join(""));
  for (const threads of [1, 2, 4]) {
    const run = (options: object) =>
      distinct(readNdjson<Row>(path), { by: "user", threads, ...options }).toArray();
    await expect(run({})).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", line: 22_001 });
    await expect(run({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
    await expect(run({ threads: 0 })).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
  }
  lines[22_000] = '{"i":22000}\n';
  lines[29_000] = '{"i":29000}\n';
  writeFileSync(path, lines.join(""));
  for (const threads of [1, 2, 4]) {
    const options = { by: "user", threads, missing: "error" } as const;
    await expect(distinct(readNdjson<Row>(path), options).toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      line: 22_001,
    });
  }
});
