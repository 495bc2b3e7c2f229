import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { readCsv, readNdjson } from "@partd/records";
import { type SortKey, sort, top } from "@partd/shuffle";
import { LITTLE } from "./workload.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "partd-sort-threads-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Row {
  readonly user?: string | null;
  readonly ms: number | string;
  readonly i: number;
}

/** With ties, several types, and records without the field. */
function rowsOf(count: number): Row[] {
  return Array.from({ length: count }, (_, i) => {
    const mixed = Math.imul(i + 1, 0x9e3779b1) >>> 8;
    const user = mixed % 31 === 0 ? null : `u${mixed % 700}\n"é`;
    const ms = mixed % 17 === 0 ? `${mixed % 100}` : (mixed % 5000) / 4 - 300;
    return { ...(i % 97 === 50 ? {} : { user }), ms, i };
  });
}

const text = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

async function bytesOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all).toString();
}

test("a thread that reads makes the same order, of files one after another", async () => {
  const paths = [join(dir, "a.ndjson"), join(dir, "b.ndjson"), join(dir, "c.ndjson")];
  const rows = rowsOf(20_000);
  writeFileSync(paths[0]!, text(rows.slice(0, 7_654)));
  writeFileSync(paths[1]!, "");
  writeFileSync(paths[2]!, text(rows.slice(7_654)).trimEnd());
  const cases: readonly [SortKey<Row> | readonly SortKey<Row>[], number | undefined][] = [
    ["user", undefined],
    ["ms", LITTLE],
    [{ by: "ms", order: "desc" }, undefined],
    [
      [
        { by: "user", order: "desc" },
        { by: "ms", as: "number" },
      ],
      LITTLE,
    ],
  ];
  for (const [by, memory] of cases) {
    const results: string[] = [];
    for (const threads of [1, 2]) {
      const options = { by, memory, threads };
      results.push(await bytesOf(sort(readNdjson<Row>(paths), options).bytes()));
      const first = await top(readNdjson<Row>(paths), { ...options, n: 500 }).toArray();
      expect(text(first)).toBe(`${results[0]!.split("\n", 500).join("\n")}\n`);
    }
    expect(results[0]!.length).toBe(text(rows).length);
    // Not compared by Jest, which would show the difference of megabytes.
    expect(results[1] === results[0]).toBe(true);
  }
});

test("of CSV it reads rows with its columns", async () => {
  const path = join(dir, "rows.csv");
  const lines = Array.from({ length: 9000 }, (_, i) => `"u\n${(i * 7) % 3001}",${i}\r\n`);
  writeFileSync(path, `user,i\r\n${lines.join("")}`);
  const [one, two] = await Promise.all(
    [1, 2].map((threads) =>
      sort(readCsv<{ user: string; i: string }>(path), { by: "user", threads }).toArray(),
    ),
  );
  expect(one![0]).toEqual({ user: "u\n0", i: "0" });
  expect(two).toEqual(one);
});

test("it is started if it is asked for, and ends", () => {
  const path = join(dir, "few.ndjson");
  const bad = join(dir, "bad-start.ndjson");
  writeFileSync(path, text(rowsOf(10)));
  writeFileSync(bad, '{"ms":1\n');
  // A process of its own, because Jest's `process` gets no such events.
  const program = `
    import { readNdjson } from ${JSON.stringify(import.meta.resolve("@partd/records"))};
    import { sort } from ${JSON.stringify(import.meta.resolve("@partd/shuffle"))};
    let started = 0;
    process.on("worker", () => started++);
    for (const threads of [undefined, 1, 2]) {
      const rows = await sort(readNdjson(${JSON.stringify(path)}), { by: "ms", threads }).toArray();
      console.log(rows.length, started);
    }
    const bad = readNdjson(${JSON.stringify(bad)});
    await sort(bad, { by: "ms", threads: 2 }).toArray().catch(({ code }) => console.log(code));`;
  const words = ["--input-type=module", "--eval", program];
  // A thread that goes on would keep the process.
  const options = { encoding: "utf8", timeout: 200_000 } as const;
  const { stdout, stderr, status } = spawnSync(process.execPath, words, options);
  expect(stderr).toBe("");
  expect(stdout).toBe("10 0\n10 0\n10 1\nERR_PARTD_CORRUPT\n");
  expect(status).toBe(0);
});

test("none is started where permissions forbid it", () => {
  const path = join(dir, "permitted.ndjson");
  writeFileSync(path, text(rowsOf(10)));
  const program = `
    import { readNdjson } from ${JSON.stringify(import.meta.resolve("@partd/records"))};
    import { countBy, sort } from ${JSON.stringify(import.meta.resolve("@partd/shuffle"))};
    for (const threads of [undefined, 2]) {
      for (const operation of [countBy, sort]) {
        const result = operation(readNdjson(${JSON.stringify(path)}), { by: "ms", threads });
        await result.toArray().then(({ length }) => console.log(length > 0), ({ code }) => console.log(code));
      }
    }`;
  const [major = 0] = process.versions.node.split(".").map(Number);
  const flag = major < 23 ? "--experimental-permission" : "--permission";
  const words = [flag, "--allow-fs-read=*", "--input-type=module", "--eval", program];
  const { stdout } = spawnSync(process.execPath, words, { encoding: "utf8" });
  expect(stdout).toBe("true\ntrue\nERR_PARTD_VALUE\nERR_PARTD_VALUE\n");
});

test("it leaves what begins with a long record to the other thread", async () => {
  const paths = [join(dir, "short.ndjson"), join(dir, "long.ndjson"), join(dir, "last.ndjson")];
  const rows = rowsOf(30_000);
  const long = { user: "long", ms: 1, i: -1, text: "x".repeat(20 << 20) };
  writeFileSync(paths[0]!, text(rows.slice(0, 5000)));
  writeFileSync(
    paths[1]!,
    text([...rows.slice(5000, 15_000), long, ...rows.slice(15_000, 20_000)]),
  );
  writeFileSync(paths[2]!, text(rows.slice(20_000)));
  let read = 0;
  const options = {
    by: "ms",
    memory: 64e6,
    onProgress: ({ records }: { records: number }) => (read = records),
  };
  const [one, two] = [
    await bytesOf(sort(readNdjson(paths), { ...options, threads: 1 }).bytes()),
    await bytesOf(sort(readNdjson(paths), { ...options, threads: 2 }).bytes()),
  ];
  expect(one === two).toBe(true);
  expect(one.length).toBe(text([...rows, long]).length);
  expect(read).toBe(30_001);
});

test("a malformed record and a signal end it, and so does who leaves", async () => {
  const path = join(dir, "bad.ndjson");
  const lines = rowsOf(30_000).map((row) => `${JSON.stringify(row)}\n`);
  lines[22_000] = '{"user":"u1"\n';
  writeFileSync(path, lines.join(""));
  const run = (options: object) =>
    sort(readNdjson<Row>(path), { by: "user", threads: 2, ...options });
  await expect(run({}).toArray()).rejects.toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    path,
    line: 22_001,
  });
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(run({ signal }).toArray()).rejects.toThrow("enough");
  for (const threads of [0, 1.5, 1000]) {
    await expect(run({ threads }).toArray()).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
  }

  writeFileSync(path, lines.toSpliced(22_000, 1).join(""));
  await expect(run({ by: "uesr" }).toArray()).rejects.toThrow("Did you mean user?");
  const controller = new AbortController();
  const onProgress = () => controller.abort(new Error("now"));
  await expect(run({ onProgress, signal: controller.signal }).toArray()).rejects.toThrow("now");
  for await (const row of run({})) {
    expect(row.user).toBeDefined();
    break;
  }
  // Once more, so that a thread that was left has had time to do harm.
  expect(await run({}).toArray()).toHaveLength(29_999);
});
