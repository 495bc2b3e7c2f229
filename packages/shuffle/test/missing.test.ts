import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { RecordError, readCsv, readNdjson } from "@partd/records";
import {
  aggregate,
  countBy,
  distinct,
  groupBy,
  join,
  type Missing,
  type Source,
  split,
  sum,
} from "@partd/shuffle";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-missing-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Row {
  readonly user?: string | null;
  readonly n: number;
}

const LINES = [
  '{"user":"a","n":1}\n',
  "\n",
  '{"n":2}\r\n',
  '{"user":null,"n":4}\n',
  '{"x":1,"n":8}\n',
];
const reader = () => readNdjson<Row>([Buffer.from(LINES.join(""))]);
const objects = [{ user: "a", n: 1 }, { n: 2 }, { user: null, n: 4 }, { n: 8 }];

test("a field that is undefined is there", async () => {
  const rows = [{ a: { "b.c": undefined }, n: undefined }];
  const keys = async (by: string) => [...(await countBy(rows, { by }).toMap()).keys()];
  expect(await keys("a.b\\.c")).toEqual([undefined]);
  expect(await keys("n")).toEqual([undefined]);
  const select = { total: sum("n") };
  expect(await aggregate(rows, { by: "n", select }).toArray()).toEqual([[undefined, { total: 0 }]]);
  await expect(keys("a.b")).rejects.toThrow("No record has the field");
  await expect(countBy([[1]], { by: "length" }).toArray()).rejects.toThrow(
    "No record has the field",
  );
});

describe("records without their key", () => {
  test("are kept, left out, handed over, or an error", async () => {
    for (const source of [reader, () => objects]) {
      const counts = (missing?: Missing) => countBy(source(), { by: "user", missing }).toMap();
      expect(await counts()).toEqual(
        new Map<unknown, number>([
          ["a", 1],
          [undefined, 2],
          [null, 1],
        ]),
      );
      expect(await counts("keep")).toEqual(await counts());
      const without = new Map<unknown, number>([
        ["a", 1],
        [null, 1],
      ]);
      expect(await counts("skip")).toEqual(without);
      const handed: string[] = [];
      expect(await counts((bytes) => handed.push(Buffer.from(bytes).toString()))).toEqual(without);
      expect(handed.map((line) => JSON.parse(line).n)).toEqual([2, 8]);
      await expect(counts("error")).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
    }
  });

  test("are left out of each operation, and of their values", async () => {
    const missing = "skip";
    const users: unknown[] = [];
    for await (const group of groupBy(reader(), { by: "user", missing })) users.push(group.key);
    expect(users).toEqual(["a", null]);
    const sums = aggregate(reader(), { by: "user", missing, select: { n: sum("n") } });
    expect(await sums.toMap()).toEqual(
      new Map<unknown, object>([
        ["a", { n: 1 }],
        [null, { n: 4 }],
      ]),
    );
    const texts = aggregate(reader(), { by: "user", missing, select: { n: sum((row) => row.n) } });
    expect(await texts.toMap()).toEqual(
      new Map<unknown, object>([
        ["a", { n: 1 }],
        [null, { n: 4 }],
      ]),
    );
    const firsts = await distinct(reader(), { by: "user", missing }).toArray();
    expect(firsts.map(({ n }) => n)).toEqual([1, 4]);
    const byFunction = await countBy(reader(), { by: ({ user }) => user, missing }).toMap();
    expect(byFunction).toEqual(
      new Map<unknown, number>([
        ["a", 1],
        [null, 1],
      ]),
    );
    const several = await countBy(reader(), { by: ["user", "x"], missing }).toMap();
    expect(several.size).toBe(0);
  });

  test("of a join: those of both sides, of lines and of objects", async () => {
    const path = joinPath(dir, "join.ndjson");
    writeFileSync(path, LINES.join(""));
    const joined = async (missing: Missing, records: () => Source<Row>) => {
      const options = { by: "user", kind: "full", missing } as const;
      const pairs = await join(records(), records(), options).toArray();
      return pairs.map((pair) => pair.map((row) => row?.n));
    };
    const lines = async (missing: Missing) => {
      const options = { by: "user", kind: "left", missing } as const;
      const pieces: Uint8Array[] = [];
      const output = join(readNdjson<Row>(path), readNdjson<Row>(path), options);
      for await (const piece of output.bytes()) pieces.push(piece);
      return Buffer.concat(pieces).toString().split("\n").length - 1;
    };
    for (const records of [reader, () => objects]) {
      const handed: string[] = [];
      const pairs = await joined((bytes) => handed.push(Buffer.from(bytes).toString()), records);
      expect(pairs).toContainEqual([1, 1]);
      expect(pairs.flat()).not.toContain(2);
      expect(pairs).toEqual(await joined("skip", records));
      expect(handed.map((line) => JSON.parse(line).n).sort()).toEqual([2, 2, 8, 8]);
      expect((await joined("keep", records)).length).toBe(pairs.length + 4);
      await expect(joined("error", records)).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
    }
    expect(await lines("skip")).toBe((await lines("keep")) - 2);
  });

  test("are told of with their place", async () => {
    const path = joinPath(dir, "rows.ndjson");
    writeFileSync(path, LINES.join(""));
    const error = await countBy(readNdjson<Row>(path), { by: "user", missing: "error" })
      .toMap()
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    expect(error).toBeInstanceOf(RecordError);
    expect(error).toMatchObject({ source: path, line: 3, column: 1, what: 'has no field "user"' });
    expect((error as Error).message).toContain('set missing to "skip"');
    const csv = joinPath(dir, "rows.csv");
    writeFileSync(csv, "user,n\na,1\n");
    const lacking = countBy(readCsv(csv), { by: "nobody", missing: "error" }).toMap();
    await expect(lacking).rejects.toMatchObject({ line: 2, what: 'has no field "nobody"' });
  });

  test("of a split, the first in the input also where threads read it", async () => {
    const path = joinPath(dir, "large.ndjson");
    const count = 200_000;
    // At the end of the third of four parts, and early in the fourth, which is scanned at the same time.
    const lacking = new Set([149_000, 155_000, 190_000]);
    const line = (i: number) => {
      const user = lacking.has(i) ? "" : `"user":"u${i % 1000}",`;
      return `{${user}"i":${i},"pad":"${"x".repeat(60)}"}\n`;
    };
    const lines = Array.from({ length: count }, (_, i) => line(i));
    writeFileSync(path, lines.join(""));
    for (const threads of [1, 2, 4]) {
      const into = joinPath(dir, `split-${threads}`);
      const options = { by: "user", into, partitions: 8, threads } as const;
      const failed = split(readNdjson(path), { ...options, missing: "error" });
      await expect(failed).rejects.toMatchObject({
        code: "ERR_PARTD_VALUE",
        source: path,
        line: 149_001,
        column: 1,
        what: 'has no field "user"',
      });
      await expect(failed).rejects.toBeInstanceOf(RecordError);
      expect(readdirSync(dir)).not.toContain(`split-${threads}`);
      const handed: number[] = [];
      const missing =
        threads === 2
          ? "skip"
          : (bytes: Uint8Array) => {
              handed.push(JSON.parse(Buffer.from(bytes).toString()).i);
            };
      await split(readNdjson(path), { ...options, missing });
      expect(handed).toEqual(threads === 2 ? [] : [...lacking]);
      const written = readdirSync(into).flatMap((name) => {
        return readFileSync(joinPath(into, name), "utf8").split("\n").slice(0, -1);
      });
      const expected = lines.filter((_, i) => !lacking.has(i)).map((text) => text.trimEnd());
      expect(written.toSorted().join("\n")).toBe(expected.toSorted().join("\n"));
    }
  });
});
