import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readArrow, readNdjson, readParquet } from "@partd/records";
import {
  aggregate,
  countBy,
  distinct,
  groupBy,
  join,
  last,
  mean,
  sort,
  split,
  sum,
} from "@partd/shuffle";
import { LITTLE } from "./workload.js";

interface Row {
  readonly user: string | null;
  readonly ms: number;
  readonly id: bigint;
  readonly at: Date;
}

/** What `fixtures/rows.arrow` (two record batches) and `rows.parquet` (row groups of 100) hold. */
const rows: readonly Row[] = Array.from({ length: 240 }, (_, i) => ({
  user: i % 9 === 8 ? null : `u${i % 7}`,
  ms: (i * 37) % 101,
  id: BigInt(i) * 1000000007n,
  at: new Date(Date.UTC(2026, 0, 1 + (i % 3))),
}));

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
const sources = {
  Arrow: () => readArrow<Row>(fixture("rows.arrow")),
  Parquet: () => readParquet<Row>(fixture("rows.parquet")),
};

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-columns-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function groupsOf<K>(keyOf: (row: Row) => K): Map<K, Row[]> {
  const groups = new Map<K, Row[]>();
  for (const row of rows) groups.set(keyOf(row), [...(groups.get(keyOf(row)) ?? []), row]);
  return groups;
}

test.each([LITTLE, 64e6])(
  "sums and means of bigints are exact, in memory of %d",
  async (memory) => {
    const keys = 20_000;
    const sizeOf = (i: number) => {
      if (i % keys === 0) return null;
      if (i % keys === 1 && i > 2 * keys) return 0.5;
      return BigInt(i) * 4611686018427387903n - 2n ** 75n;
    };
    const records = Array.from({ length: 3 * keys }, (_, i) => ({ k: i % keys, size: sizeOf(i) }));
    const select = { total: sum("size"), mean: mean("size") };
    const found = await aggregate(records, { by: "k", select, memory }).toMap();
    const whole = (i: number) => sizeOf(i) as bigint;
    for (let k = 2; k < keys; k++) {
      const total = whole(k) + whole(k + keys) + whole(k + 2 * keys);
      if (found.get(k)?.total !== total) expect([k, found.get(k)]).toEqual([k, { total }]);
      if (k < 99) expect(found.get(k)?.mean).toBe(Number(total) / 3);
    }
    expect(found.size).toBe(keys);
    expect(found.get(0)).toEqual({ total: 0, mean: undefined });
    const mixed = Number(whole(1) + whole(1 + keys)) + 0.5;
    expect(found.get(1)).toEqual({ total: mixed, mean: mixed / 3 });
  },
);

describe.each(Object.entries(sources))("rows of %s", (name, source) => {
  test("are grouped with their types", async () => {
    const groups = new Map<string | null, Row[]>();
    for await (const group of groupBy(source(), { by: "user", memory: LITTLE })) {
      groups.set(group.key, await group.toArray());
    }
    expect(groups).toEqual(groupsOf(({ user }) => user));
    const days = new Map<number, number>();
    for await (const [day, n] of countBy(source(), { by: "at" })) days.set(day.getTime(), n);
    expect([...days]).toEqual(
      [...groupsOf(({ at }) => at.getTime())].map(([day, list]) => [day, list.length]),
    );
  });

  test("are aggregated, sorted, joined, made distinct, split", async () => {
    const select = { total: sum<Row>("ms"), latest: last<Row, bigint>("id") };
    const found = await aggregate(source(), { by: "user", select }).toMap();
    for (const [user, group] of groupsOf((row) => row.user)) {
      const total = group.reduce((all, { ms }) => all + ms, 0);
      expect(found.get(user)).toEqual({ total, latest: group.at(-1)?.id });
    }
    const by = [{ by: "at", order: "desc" } as const, "ms"];
    const sorted = await sort(source(), { by, memory: LITTLE }).toArray();
    expect(sorted).toEqual(rows.toSorted((a, b) => b.at.getTime() - a.at.getTime() || a.ms - b.ms));
    const ids = await distinct(source(), { by: "id" }).toArray();
    expect(ids).toEqual(rows);
    const pairs = await join(source(), [{ user: "u3", city: "Bonn" }], { by: "user" }).toArray();
    expect(pairs.map(([{ id }]) => id)).toEqual(
      rows.filter(({ user }) => user === "u3").map(({ id }) => id),
    );
    // A line of JSON has room for plain data: bigints and dates become text first.
    const plain = async function* () {
      for await (const row of source()) yield { user: row.user, id: String(row.id) };
    };
    const into = joinPath(dir, name);
    await split(plain(), { by: "user", into });
    expect(readdirSync(into).length).toBe(8);
    const ofUser: unknown[] = [];
    for await (const row of readNdjson(joinPath(into, "u3.ndjson"))) ofUser.push(row);
    expect(ofUser).toEqual(
      rows.filter(({ user }) => user === "u3").map(({ id }) => ({ user: "u3", id: String(id) })),
    );
  });
});
