import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type CsvRow, type RecordsPart, readCsv } from "@partd/records";
import { countBy, distinct, split } from "@partd/shuffle";
import { limitOf } from "../src/run/record-limit.js";
import { PartTurns } from "../src/split/part-turns.js";
import { Scatter } from "../src/split/scatter.js";

// Where a part of a CSV begins is guessed, since a newline may be inside quotes. These files mislead the guess.

let dir: string;
let file: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-guessed-test-"));
  file = joinPath(dir, "rows.csv");
  const rows = Array.from({ length: 40 }, (_, i) => {
    // Most of the file is a few fields that look like rows, longer than a guess looks at.
    const note = i % 13 === 7 ? `${"decoy,1,x\n".repeat(3000)}"` : `n${i}`;
    return `u${i % 5},${i},"${note.replaceAll('"', '""')}"\n`;
  });
  writeFileSync(file, `user,i,note\n${rows.join("")}`);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test.each([1, 2, 3, 5])("threads count and find as one, %d", async (threads) => {
  const parts = (await readCsv(file).split(threads, { guess: true })) ?? [];
  expect(parts.length).toBe(threads);
  const counts = await countBy(readCsv<CsvRow>(file), { by: "user", threads }).toMap();
  expect(Object.fromEntries(counts)).toEqual({ u0: 8, u1: 8, u2: 8, u3: 8, u4: 8 });
  const found = await distinct(readCsv<CsvRow>(file), { by: "i", threads }).toArray();
  expect(found.map(({ i }) => Number(i))).toEqual(Array.from({ length: 40 }, (_, i) => i));
  const into = joinPath(dir, `out-${threads}`);
  await split(readCsv<CsvRow>(file), { by: "user", into, partitions: 3, threads });
  const texts = [0, 1, 2].map((p) => readFileSync(joinPath(into, `${p}.csv`), "latin1"));
  const bytes = texts.reduce((sum, text) => sum + text.length, 0);
  expect(bytes).toBe(readFileSync(file).length + 2 * "user,i,note\n".length);
});

test("small parts are scattered as the whole is", async () => {
  const outputs: string[][] = [];
  for (const pieces of [1, 2, 30]) {
    const parts = (await readCsv(file).split(pieces, { guess: true })) as RecordsPart[];
    expect(parts.length).toBeGreaterThanOrEqual(pieces / 2);
    const into = joinPath(dir, `parts-${pieces}`);
    mkdirSync(into);
    const paths = [0, 1, 2].map((p) => joinPath(into, `${p}`));
    const files = paths.map((path) => openSync(path, "wx"));
    const positions = new Float64Array(new SharedArrayBuffer(8 * paths.length));
    const turns = PartTurns.state();
    let wake = () => {};
    const news = () => new Promise<void>((resolve) => (wake = resolve));
    const limit = limitOf("split", 1e9);
    const scatters = [0, 1].map(() => new Scatter(["user"], "keep", files, positions, limit));
    let records = 0;
    const onBatch = (count: number) => {
      records += count;
      wake();
    };
    await Promise.all(
      scatters.map((scatter) => scatter.parts(parts, new PartTurns(turns, news), onBatch)),
    );
    for (const opened of files) closeSync(opened);
    expect(records).toBe(40);
    outputs.push(paths.map((path) => readFileSync(path, "latin1")));
  }
  expect(outputs[1]).toEqual(outputs[0]);
  expect(outputs[2]).toEqual(outputs[0]);
});

test("empty files and headers alone among others", async () => {
  const texts = ["", "user,i\n", "user,i\na,1\nb,2\n", "", "user,i\na,3"];
  const paths = texts.map((text, i) => {
    const path = joinPath(dir, `some-${i}.csv`);
    writeFileSync(path, text);
    return path;
  });
  for (const threads of [1, 3]) {
    const counts = await countBy(readCsv<CsvRow>(paths), { by: "user", threads }).toMap();
    expect(Object.fromEntries(counts)).toEqual({ a: 2, b: 1 });
    const into = joinPath(dir, `some-${threads}`);
    await split(readCsv<CsvRow>(paths), { by: "user", into, partitions: 1, threads });
    expect(readFileSync(joinPath(into, "0.csv"), "utf8")).toBe("user,i\na,1\nb,2\na,3\n");
  }
});

test("a fault that only a wrong guess sees is none, and one in a later part is told of", async () => {
  const path = joinPath(dir, "faults.csv");
  const decoy = "too,many,fields,here\n".repeat(3000);
  writeFileSync(path, `user,i\na,1\n"${decoy}",2\nb,3\n`);
  for (const threads of [1, 3]) {
    const counts = await countBy(readCsv<CsvRow>(path), { by: "i", threads }).toMap();
    expect(Object.fromEntries(counts)).toEqual({ 1: 1, 2: 1, 3: 1 });
    const into = joinPath(dir, `faults-${threads}`);
    await split(readCsv<CsvRow>(path), { by: "i", into, partitions: 2, threads });
  }
  writeFileSync(path, `user,i\na,1\n"${decoy}",2\nb,3,4\nc,5,6\n`);
  for (const threads of [1, 3]) {
    const options = { by: "i", threads } as const;
    const fault = { code: "ERR_PARTD_CORRUPT", line: 3004 };
    await expect(countBy(readCsv<CsvRow>(path), options).toMap()).rejects.toMatchObject(fault);
    await expect(distinct(readCsv<CsvRow>(path), options).toArray()).rejects.toMatchObject(fault);
    const into = joinPath(dir, "none");
    const failing = split(readCsv<CsvRow>(path), { ...options, into, partitions: 2 });
    await expect(failing).rejects.toMatchObject(fault);
  }
});
