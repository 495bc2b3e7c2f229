import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { readNdjson } from "@partd/records";
import {
  aggregate,
  countBy,
  distinct,
  type Group,
  groupBy,
  join,
  shuffle,
  sort,
  sum,
  top,
} from "@partd/shuffle";

interface Line {
  readonly key: string;
  readonly i: number;
  readonly other: string | null;
}

/** Longer than a mebibyte, from which on frames have a digest of a key; they differ at its end. */
const LONG = "x".repeat((1 << 20) + 10);
const NAMES = ["b", "a", "é", "a", "\n", "b", '"', "\u0001", "a", "b"];
const keys = [...NAMES.map((name) => LONG + name), "short", LONG, LONG.slice(1)];
const rows: Line[] = keys.map((key, i) => ({ key, i, other: i % 4 === 0 ? null : "o" }));

let dir: string;
let path: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-long-keys-test-"));
  path = joinPath(dir, "records.ndjson");
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const source = () => readNdjson<Line>(path);
/** What tells a key apart, for messages of a readable length. */
const nameOf = (key: string) => `${key.length}${key.slice(-8)}`;
const numbers = (records: readonly Line[]) => records.map(({ i }) => i);
const groupsOf = (records: readonly Line[]) => {
  const groups = new Map<string, number[]>();
  for (const { key, i } of records) {
    groups.set(nameOf(key), [...(groups.get(nameOf(key)) ?? []), i]);
  }
  return groups;
};

// In memory, and beyond it.
describe.each([200e6, 4.5e6])("keys of a mebibyte with memory for %d bytes", (memory) => {
  const options = { by: "key", memory } as const;

  test("groupBy gives each key with its records, before and after they are read", async () => {
    const found = new Map<string, number[]>();
    for await (const group of groupBy(source(), options)) {
      const records = await group.toArray();
      found.set(nameOf(group.key), numbers(records));
      expect(new Set(records.map(({ key }) => key === group.key))).toEqual(new Set([true]));
    }
    expect(found).toEqual(groupsOf(rows));
  });

  test("a key that was asked for stays, another is gone with its group", async () => {
    const groups: Group<string, Line>[] = [];
    for await (const group of groupBy(source(), options)) {
      if (groups.length === 0) expect(group.key).toBe(group.key);
      groups.push(group);
    }
    expect(keys).toContain(groups[0]!.key);
    const [lost] = groups.slice(1).filter((group) => {
      try {
        return group.key === "";
      } catch {
        return true;
      }
    });
    expect(() => lost!.key).toThrow("until the next group is asked for");
  });

  test("the groups of partitions are the same", async () => {
    const found = new Map<string, number[]>();
    for await (const partition of shuffle(source(), { ...options, partitions: 2 })) {
      for await (const group of partition.groups()) {
        found.set(nameOf(group.key), numbers(await group.toArray()));
      }
    }
    expect(found).toEqual(groupsOf(rows));
  });

  test("by several fields", async () => {
    const found: [string, string | null, number[]][] = [];
    for await (const group of groupBy(source(), { ...options, by: ["key", "other"] })) {
      const [key, other] = group.key;
      found.push([nameOf(key), other, numbers(await group.toArray())]);
    }
    expect(found).toHaveLength(new Set(rows.map(({ key, other }) => key + other)).size);
    for (const [key, other, which] of found) {
      expect(which).toEqual(
        numbers(rows.filter((row) => nameOf(row.key) === key && row.other === other)),
      );
    }
  });

  test("countBy and aggregate give each key once", async () => {
    const counts = await countBy(source(), options).toMap();
    const expected = new Map([...groupsOf(rows)].map(([key, { length }]) => [key, length]));
    expect(new Map([...counts].map(([key, n]) => [nameOf(key), n]))).toEqual(expected);
    const encoded = new Map<string, number>();
    for await (const { keys, keyEnds, values } of countBy(source(), options).encoded()) {
      for (const [n, end] of keyEnds.entries()) {
        const key = keys.subarray(n === 0 ? 0 : keyEnds[n - 1]!, end);
        encoded.set(nameOf(JSON.parse(Buffer.from(key).toString())), values[n]!);
      }
    }
    expect(encoded).toEqual(expected);
    const select = { total: sum("i") };
    const sums = await aggregate(source(), { ...options, memory: 4 * memory, select }).toArray();
    for (const [key, { total }] of sums) {
      expect(total).toBe(
        groupsOf(rows)
          .get(nameOf(key))!
          .reduce((a, b) => a + b),
      );
    }
    expect(sums).toHaveLength(expected.size);
  });

  test("distinct gives the first record of each", async () => {
    const found = numbers(await distinct(source(), options).toArray()).sort((a, b) => a - b);
    expect(found).toEqual([...groupsOf(rows).values()].map(([first]) => first!));
  });

  test.each(["asc", "desc"] as const)("sort and top are in order and stable, %s", async (order) => {
    const inBytes = (a: Line, b: Line) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
    const expected = rows.toSorted((a, b) => (order === "asc" ? inBytes(a, b) : inBytes(b, a)));
    const by = { by: "key", order } as const;
    expect(numbers(await sort(source(), { memory, by }).toArray())).toEqual(numbers(expected));
    const five = { memory, by, n: 5 };
    expect(numbers(await top(source(), five).toArray())).toEqual(numbers(expected.slice(0, 5)));
    const store = new Dict();
    const inStore = await sort(source(), { memory, by, store }).toArray();
    expect(numbers(inStore)).toEqual(numbers(expected));
  });

  test("sort by several fields, and by text as it is", async () => {
    const inBytes = (a: Line, b: Line) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
    const expected = rows.toSorted((a, b) => inBytes(b, a) || b.i - a.i);
    const by = [
      { by: "key", order: "desc" },
      { by: "i", order: "desc" },
    ] as const;
    expect(numbers(await sort(source(), { memory, by }).toArray())).toEqual(numbers(expected));
  });
});

test("a join matches long keys, and no list with null", async () => {
  const memory = 40e6;
  const pairs = await join(source(), source(), { by: "key", memory }).toArray();
  const expected = rows.flatMap((a) => rows.filter((b) => a.key === b.key).map((b) => [a.i, b.i]));
  expect(pairs.map(([a, b]) => [a.i, b.i])).toEqual(expected);
  const both = join(source(), source(), { by: ["key", "other"], memory });
  expect((await both.toArray()).map(([a, b]) => [a.i, b.i])).toEqual(
    expected.filter(([a, b]) => rows[a!]!.other !== null && rows[b!]!.other !== null),
  );
});

test("a record that does not fit beside its sort key is refused, and says what to do", async () => {
  const sorting = sort(source(), { by: "key", memory: 2.2e6 }).toArray();
  await expect(sorting).resolves.toHaveLength(rows.length);
  const long = joinPath(dir, "long.ndjson");
  writeFileSync(long, `${JSON.stringify({ key: LONG + LONG + LONG })}\n`);
  for (const result of [
    sort(readNdjson<Line>(long), { by: "key", memory: 5e6 }),
    top(readNdjson<Line>(long), { by: "key", memory: 5e6, n: 1 }),
  ]) {
    await expect(result.toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      message: expect.stringContaining("bytes together with the key"),
    });
  }
});

test("runs of several records with long keys are merged in order", async () => {
  let spilled = 0;
  const onProgress = ({ bytesSpilled }: { readonly bytesSpilled: number }) => {
    spilled = bytesSpilled;
  };
  const sorted = sort(source(), { by: "key", memory: 22e6, onProgress });
  const inBytes = (a: Line, b: Line) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
  expect(numbers(await sorted.toArray())).toEqual(numbers(rows.toSorted(inBytes)));
  expect(spilled).toBeGreaterThan(0);
});
