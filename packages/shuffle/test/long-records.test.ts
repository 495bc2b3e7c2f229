import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type Records, readCsv, readNdjson } from "@partd/records";
import {
  aggregate,
  count,
  countBy,
  distinct,
  groupBy,
  join,
  longestRecord,
  type Operation,
  reduceBy,
  shuffle,
  sort,
  split,
  top,
} from "@partd/shuffle";

interface Line {
  readonly key: string;
  readonly pad: string;
}

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-long-records-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const memory = 6e6;
const options = { by: "key", memory } as const;

const drained = async (pieces: AsyncIterable<Uint8Array>) => {
  let length = 0;
  for await (const piece of pieces) length += piece.length;
  return length;
};

type Work = (source: Records<Line>) => Promise<unknown>;

const works: [Operation, string, Work][] = [
  ["groupBy", "groupBy", async (s) => groupBy(s, options).toArray()],
  ["shuffle", "shuffle", async (s) => shuffle(s, options).toArray()],
  ["split", "split", (s) => split(s, { ...options, into: joinPath(dir, "split") })],
  [
    "split",
    "split into partitions",
    (s) => split(s, { ...options, into: joinPath(dir, "split"), partitions: 3 }),
  ],
  [
    "split",
    "split by threads",
    (s) => split(s, { ...options, into: joinPath(dir, "split"), partitions: 3, threads: 2 }),
  ],
  ["sort", "sort", (s) => drained(sort(s, options).bytes())],
  ["top", "top", (s) => drained(top(s, { ...options, n: 3 }).bytes())],
  ["countBy", "countBy", (s) => countBy(s, options).toArray()],
  ["countBy", "countBy by threads", (s) => countBy(s, { ...options, threads: 2 }).toArray()],
  ["distinct", "distinct", (s) => drained(distinct(s, options).bytes())],
  ["distinct", "distinct by threads", (s) => distinct(s, { ...options, threads: 2 }).toArray()],
  ["distinct", "distinct of whole records", (s) => drained(distinct(s, { memory }).bytes())],
  ["aggregate", "aggregate", (s) => aggregate(s, { ...options, select: { n: count() } }).toArray()],
  [
    "reduceBy",
    "reduceBy",
    (s) => reduceBy(s, { ...options, initial: () => 0, reduce: (n) => n + 1 }).toArray(),
  ],
  ["join", "join", (s) => join(s, [{ key: "a" }], options).toArray()],
  ["join", "the right side of a join", (s) => join([{ key: "a" }], s, options).toArray()],
  ["join", "join of lines", (s) => drained(join(s, s, { ...options, threads: 2 }).bytes())],
];

const line = (length: number) => `{"key":"b","pad":"${"x".repeat(length - 21)}"}\n`;

describe.each(works)("%s", (operation, name, work) => {
  const longest = longestRecord(operation, memory);
  const path = () => joinPath(dir, "records.ndjson");
  const write = (length: number) => {
    const few = '{"key":"a","pad":""}\n'.repeat(100);
    writeFileSync(path(), few + line(length) + few);
  };

  test(`${name} takes a record of that length`, async () => {
    write(longest);
    await work(readNdjson<Line>(path()));
    rmSync(joinPath(dir, "split"), { recursive: true, force: true });
  });

  test(`${name} refuses a longer one, and says what memory would do`, async () => {
    // Threads read into memory of 4 MiB, which a record may fill.
    write(longest + 5e6);
    const reading = work(readNdjson<Line>(path()));
    await expect(reading).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", path: path() });
    await expect(reading).rejects.toThrow(
      new RegExp(
        `The record of .* is longer than ${longest} bytes.*If not, set memory \\(6000000 bytes\\) to (\\S+ times )?its length or more\\.$`,
      ),
    );
    expect(readdirSync(dir)).toEqual(["records.ndjson"]);
  });
});

test("a function as the key has each record parsed, which takes more", async () => {
  const path = joinPath(dir, "parsed.ndjson");
  writeFileSync(path, line(memory / 4 + 100));
  const by = ({ key }: Line) => key;
  await expect(groupBy(readNdjson<Line>(path), { by, memory }).toArray()).rejects.toThrow(
    "set memory (6000000 bytes) to 4 times its length or more.",
  );
  rmSync(path);
});

test("a pipe without line endings is refused before it ends", async () => {
  let read = 0;
  async function* endless() {
    for (;;) {
      read += 1e5;
      yield new Uint8Array(1e5).fill(0x61);
    }
  }
  for (const source of [readNdjson(endless()), readCsv(endless())]) {
    read = 0;
    await expect(sort(source, { by: "key", memory }).toArray()).rejects.toThrow("set memory");
    expect(read).toBeLessThan(2 * memory);
  }
});

test("a little memory takes records of a mebibyte", () => {
  expect(longestRecord("join", 1e6)).toBe(2 ** 20);
  expect(longestRecord("sort", 1e12)).toBe(2 ** 30);
});

test("distinct lets many keys go for a long record, and still knows them", async () => {
  const path = joinPath(dir, "known.ndjson");
  const lines = (from: number, count: number, n: number) =>
    Array.from({ length: count }, (_, i) => `{"key":"k${from + i}","n":${n}}\n`).join("");
  writeFileSync(path, lines(0, 15_000, 1) + line(3e6) + lines(14_000, 2_000, 2) + lines(0, 500, 3));
  let spilled = 0;
  const found = await distinct(readNdjson<{ key: string; n?: number }>(path), {
    by: "key",
    memory: 4e6,
    threads: 1,
    onProgress: ({ bytesSpilled }) => {
      spilled = bytesSpilled;
    },
  }).toArray();
  const numbers = found.map(({ key, n }) => [key, n] as const);
  const firsts = Array.from({ length: 15_000 }, (_, i) => [`k${i}`, 1] as const);
  expect(numbers.slice(0, 15_000)).toEqual(firsts);
  const later = Array.from({ length: 1_000 }, (_, i) => [`k${15_000 + i}`, 2] as const);
  expect(new Map(numbers.slice(15_000))).toEqual(new Map([["b", undefined], ...later]));
  expect(found).toHaveLength(16_001);
  expect(spilled).toBeGreaterThan(0);
  rmSync(path);
});

test("long records that differ in a byte are distinct", async () => {
  const path = joinPath(dir, "whole.ndjson");
  const records = ["a", "b", "a", "c", "b"].map((end) => `{"pad":"${"x".repeat(1e5)}${end}"}\n`);
  writeFileSync(path, records.join(""));
  const found: string[] = [];
  for await (const { pad } of distinct(readNdjson<Line>(path), { memory })) {
    found.push(pad.slice(-1));
  }
  expect(found).toEqual(["a", "b", "c"]);
  const objects = ["a", "b", "a"].map((end) => ({ pad: "x".repeat(1e5) + end }));
  expect(await distinct(objects, { memory }).toArray()).toEqual(objects.slice(0, 2));
  rmSync(path);
});
