import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { BufferStore } from "@partd/buffer";
import { Dict, isPartdError, type Store } from "@partd/core";
import { FileStore } from "@partd/file";
import { LogStore } from "@partd/log";
import {
  aggregate,
  count,
  countBy,
  distinct,
  groupBy,
  join,
  reduceBy,
  shuffle,
  sort,
  split,
  sum,
  top,
} from "@partd/shuffle";
import { events, LITTLE, model, nameOf, StreamCounter } from "./workload.js";

const much = { count: 8000, keys: 1000, skew: 0, padding: 300, seed: 1 };

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-shuffle-test-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function expectExact(options: { dir?: string; store?: Store; signal?: AbortSignal }) {
  const expected = model(events(much));
  for await (const group of groupBy(events(much), { by: "key", memory: LITTLE, ...options })) {
    const numbers: number[] = [];
    for await (const { i } of group) numbers.push(i);
    expect(numbers).toEqual(expected.get(nameOf(group.key)));
    expected.delete(nameOf(group.key));
  }
  expect(expected.size).toBe(0);
}

describe("a run", () => {
  test("leaves nothing behind: at its end, when it is left, aborted, or fails", async () => {
    const options = { by: "key", memory: LITTLE, dir } as const;
    await expectExact({ dir });
    expect(readdirSync(dir)).toEqual([]);
    for await (const _ of groupBy(events(much), options)) {
      expect(readdirSync(dir)).toHaveLength(1);
      break;
    }
    expect(readdirSync(dir)).toEqual([]);

    const controller = new AbortController();
    const sorted = sort(events(much), { ...options, signal: controller.signal });
    await expect(async () => {
      for await (const _ of sorted) controller.abort(new Error("enough"));
    }).rejects.toThrow("enough");
    expect(readdirSync(dir)).toEqual([]);

    function* failing() {
      yield* events(much);
      throw new Error("the source fails");
    }
    await expect(countBy(failing(), options).toArray()).rejects.toThrow("the source fails");
    await expect(groupBy(failing(), options).toArray()).rejects.toThrow("the source fails");
    await expect(join(failing(), failing(), options).toArray()).rejects.toThrow("the source fails");
    expect(readdirSync(dir)).toEqual([]);
  });

  test("ends when it is aborted, also if all it has left is in memory", async () => {
    const few = () => events({ ...much, count: 500 });
    type Make = (signal: AbortSignal) => AsyncIterable<unknown>;
    const runs: Record<string, Make> = {
      aggregate: (signal) => aggregate(few(), { by: "key", select: { n: count() }, signal }),
      countBy: (signal) => countBy(few(), { by: "key", signal }),
      distinct: (signal) => distinct(few(), { by: "key", signal }),
      groupBy: (signal) => groupBy(few(), { by: "key", signal }),
      join: (signal) => join(few(), few(), { by: "key", signal }),
      shuffle: (signal) => shuffle(few(), { by: "key", partitions: 20, signal }),
      sort: (signal) => sort(few(), { by: "i", signal }),
      "sort as bytes": (signal) =>
        sort(
          Array.from(few(), ({ i }) => ({ i })),
          { by: "i", signal },
        ).bytes(),
      "groups in arrays": (signal) => groupBy(few(), { by: "key", signal }).batches(),
      top: (signal) => top(few(), { n: 100, by: "i", signal }),
    };
    for (const [name, run] of Object.entries(runs)) {
      const abort = new AbortController();
      let items = 0;
      const reading = async () => {
        for await (const _ of run(abort.signal)) {
          if (++items === 1) abort.abort(new Error(`${name}: enough`));
        }
      };
      await expect(reading()).rejects.toThrow(`${name}: enough`);
      expect([name, items]).toEqual([name, 1]);
    }
  });

  test.each(["records", "batches", "bytes"] as const)(
    "a timer can abort a join of many pairs in memory, read as %s",
    async (way) => {
      const abort = new AbortController();
      const rows = Array.from({ length: 3000 }, (_, i) => ({ key: 1, i }));
      const output = join(rows, rows, { by: "key", signal: abort.signal });
      let isTimed = false;
      const reading = async () => {
        for await (const _ of way === "records" ? output : output[way]()) {
          if (!isTimed) setTimeout(() => abort.abort(new Error("enough")), 1);
          isTimed = true;
        }
      };
      await expect(reading()).rejects.toThrow("enough");
    },
  );

  test.each(["records", "batches", "bytes", "toArray"] as const)(
    "a group in memory ends as well, read as %s",
    async (way) => {
      const abort = new AbortController();
      const options = { by: "key", memory: 64e6, dir, signal: abort.signal } as const;
      const one = { ...much, count: 3000, keys: 1 };
      const enough = new Error("enough");
      const reading = async () => {
        for await (const group of groupBy(events(one), options)) {
          if (way === "toArray") {
            abort.abort(enough);
            await group.toArray();
            throw new Error("all of them");
          } else {
            const items = way === "records" ? group : group[way]();
            for await (const _ of items) {
              if (abort.signal.aborted) throw new Error("an item more");
              abort.abort(enough);
            }
          }
        }
      };
      await expect(reading()).rejects.toBe(enough);
    },
  );

  test("touches no disk while all fits", async () => {
    const few = { ...much, count: 500 };
    const options = { by: "key", memory: LITTLE, dir: joinPath(dir, "never", "made") } as const;
    expect(await countBy(events(few), options).toArray()).not.toEqual([]);
    for await (const group of groupBy(events(few), options)) await group.toArray();
    await sort(events(few), options).toArray();
    expect(readdirSync(dir)).toEqual([]);
  });

  test("spreads in memory what no cache holds, and touches no disk", async () => {
    const many = { ...much, count: 60_000, padding: 700 }; // Over 32 MiB.
    const expected = model(events(many));
    let spilled = -1;
    const grouped = groupBy(events(many), {
      by: "key",
      memory: 400e6,
      dir: joinPath(dir, "never", "made"),
      onProgress: ({ bytesSpilled }) => {
        spilled = bytesSpilled;
      },
    });
    for await (const group of grouped) {
      const name = nameOf(group.key);
      expect((await group.toArray()).map(({ i }) => i)).toEqual(expected.get(name));
      expected.delete(name);
    }
    expect([expected.size, spilled]).toEqual([0, 0]);
    expect(readdirSync(dir)).toEqual([]);
  });

  test("spills to any store, and leaves it as it was", async () => {
    const stores: Store[] = [
      new Dict(),
      new FileStore(),
      new LogStore(),
      new BufferStore(new Dict(), new FileStore(), { availableMemory: 100_000 }),
    ];
    for (const store of stores) {
      await store.append({ mine: new Uint8Array([1]) });
      await expectExact({ store });
      const keys: unknown[] = [];
      for await (const key of store.keys()) keys.push(key);
      expect(keys).toEqual(["mine"]);
      await store.close();
    }
  });

  test("a reader who leaves leaves no stream of the store open", async () => {
    const store = new StreamCounter();
    const list = [...events(much)];
    for await (const _ of join(list, list, { by: "key", memory: LITTLE, store })) break;
    expect([store.open, await store.count()]).toEqual([0, 0]);
  });

  test("can be read once", async () => {
    const counts = countBy(events(much), { by: "key" });
    await counts.toArray();
    await expect(counts.toArray()).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
    await using closed = countBy(events(much), { by: "key" });
    await closed.close();
    await expect(closed.toArray()).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
  });

  test("an array of groups says how to read them", async () => {
    const [group] = await groupBy([{ key: 1 }], { by: "key" }).toArray();
    await expect(group?.toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_CLOSED",
      message: expect.stringMatching(/^A group.*inside the loop.*group\.toArray\(\)/),
    });
  });

  test("a folder below a file is ERR_PARTD_IO, whatever its removal says", async () => {
    const file = joinPath(dir, "a-file");
    writeFileSync(file, "");
    const options = { by: "key", memory: LITTLE, dir: joinPath(file, "below") };
    await expect(sort(events(much), options).toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      message: expect.stringContaining("a part of the path is a file"),
    });
  });

  test.each([
    [{ memory: "256MB" }, /memory.*"256MB"/],
    [{ dir: 1 }, /dir must be .* not 1/],
    [{ store: "path" }, /store must be a store.* not path/],
    [{ signal: {} }, /signal must be an AbortSignal/],
    [{ onProgress: 1 }, /onProgress must be a function, not 1/],
  ])("refuses the options %j", async (options, message) => {
    const given = { by: "key", ...(options as object) };
    const refused = { code: "ERR_PARTD_VALUE", message: expect.stringMatching(message) };
    await expect(countBy([{ key: 1 }], given).toArray()).rejects.toMatchObject(refused);
    await expect(sort([{ key: 1 }], given).toArray()).rejects.toMatchObject(refused);
  });

  test("refuses at the call what is not a function or no selection", () => {
    const records = [{ key: 1 }];
    const by = "key";
    expect(() => reduceBy(records, { by, initial: 0 as never, reduce: () => 0 })).toThrow(
      "initial must be a function",
    );
    expect(() => reduceBy(records, { by, initial: () => 0 } as never)).toThrow(
      "reduce must be a function",
    );
    expect(() => aggregate(records, { by } as never)).toThrow("select must be an object");
  });

  test("an aggregate may be an instance of a class", async () => {
    class Total {
      readonly from = 5;
      initial() {
        return this.from;
      }
      add(state: number, { ms }: { ms: number }) {
        return state + ms * (this.from - 4);
      }
      finish(state: number) {
        return `${state - this.from}`;
      }
    }
    const select = { total: new Total() };
    const records = [
      { key: 1, ms: 2 },
      { key: 1, ms: 3 },
    ];
    expect(await aggregate(records, { by: "key", select }).toArray()).toEqual([
      [1, { total: "5" }],
    ]);
  });

  test("a group can be read once, until the next one is asked for", async () => {
    const kept: { toArray(): Promise<unknown[]> }[] = [];
    for await (const group of groupBy(events(much), { by: "key" })) {
      if (kept.length === 0) {
        await group.toArray();
        await expect(group.toArray()).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
      }
      kept.push(group);
    }
    await expect(kept[5]?.toArray()).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
  });

  test("refuses what it cannot do", async () => {
    const codeOf = (attempt: () => unknown) => {
      try {
        attempt();
        return undefined;
      } catch (error) {
        return isPartdError(error) ? error.code : error;
      }
    };
    expect(codeOf(() => groupBy(5 as never, { by: "x" }))).toBe("ERR_PARTD_VALUE");
    expect(codeOf(() => groupBy([], { by: [] }))).toBe("ERR_PARTD_VALUE");
    expect(codeOf(() => sort([], { by: { by: "x", order: "up" as never } }))).toBe(
      "ERR_PARTD_VALUE",
    );
    const key = { by: "x" };
    await expect(groupBy([{ x: {} }], key).toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_KEY",
    });
    await expect(groupBy([{ x: 1, f() {} }], key).toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
    });
    await expect(countBy([], { by: "x", memory: 5 }).toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
    });
  });
});

describe("records", () => {
  test("come back with all that structured clones carry", async () => {
    const records = [
      { k: "a", date: new Date(5), map: new Map([[1, new Set([2n])]]), none: undefined, zero: -0 },
      {
        k: "b",
        nan: Number.NaN,
        list: Object.assign([1], { 2: 3 }),
        bytes: new Uint8Array([1, 2]),
      },
      { k: "c", plain: { deep: [1, "two", null, true] }, text: "\ud800 é 😀", "": 1 },
      JSON.parse('{"k":"d","__proto__":{"x":1}}'),
    ];
    const seen: unknown[] = [];
    for await (const group of groupBy(records, { by: "k" })) seen.push(...(await group.toArray()));
    expect(seen).toEqual(records);
    expect(Object.is((seen[0] as { zero: number }).zero, -0)).toBe(true);
  });

  test("of keys that differ in type alone are apart", async () => {
    const keys = [
      1,
      "1",
      1n,
      true,
      "true",
      null,
      "null",
      undefined,
      new Date(1),
      [1],
      ["1"],
      "[1]",
    ];
    const bytes = new Uint8Array([49]);
    const all = [...keys, bytes, Number.NaN, "NaN", [1n, undefined], 0.1, -1];
    const counts = await countBy([...all, ...all, 0, -0], { by: (key) => key }).toArray();
    expect(counts).toEqual([...all.map((key) => [key, 2]), [0, 2]]);
  });

  test("have results of any name", async () => {
    for (const name of ["__proto__", "constructor", "n"]) {
      const select = { [name]: count(), total: sum<{ k: string; ms: number }>("ms") };
      const found = aggregate([{ k: "a", ms: 5 }], { by: "k", select });
      const rows = (await found.toArray()).map(([key, row]) => [key, Object.entries(row)] as const);
      expect(rows).toEqual([
        [
          "a",
          [
            [name, 1],
            ["total", 5],
          ],
        ],
      ]);
    }
  });

  test("that are larger than memory pass through", async () => {
    const text = "x".repeat(3e6);
    const records = [1, 2, 1, 3].map((key, i) => ({ key, i, text }));
    const seen: number[][] = [];
    for await (const group of groupBy(records, { by: "key", memory: LITTLE })) {
      seen.push((await group.toArray()).map(({ i }) => i));
    }
    expect(seen.toSorted()).toEqual([[0, 2], [1], [3]]);
    const sorted = await sort(records, { by: "key", memory: LITTLE }).toArray();
    expect(sorted.map(({ i }) => i)).toEqual([0, 2, 1, 3]);
    expect(sorted.every((record) => record.text === text)).toBe(true);
  });
});

describe("shuffle", () => {
  test("gives N partitions, in order, each with whole groups", async () => {
    const expected = model(events(much));
    const indices: number[] = [];
    const options = { by: "key", partitions: 7, memory: LITTLE } as const;
    for await (const partition of shuffle(events(much), options)) {
      indices.push(partition.index);
      for await (const group of partition.groups()) {
        const numbers = (await group.toArray()).map(({ i }) => i);
        expect(numbers).toEqual(expected.get(nameOf(group.key)));
        expected.delete(nameOf(group.key));
      }
    }
    expect(indices).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(expected.size).toBe(0);
  });

  test("by range and by a function", async () => {
    const { range } = await import("@partd/shuffle");
    const records = [5, 1, 10, 20, 15, 3].map((n) => ({ n }));
    const byRange = shuffle(records, { by: "n", partitioner: range([5, 15]) });
    const ranges: number[][] = [];
    for await (const part of byRange) ranges.push((await part.toArray()).map(({ n }) => n));
    expect(ranges).toEqual([
      [1, 3],
      [5, 10],
      [20, 15],
    ]);
    const odd: number[][] = [];
    const byFunction = shuffle(records, { by: "n", partitions: 2, partitioner: (n) => n % 2 });
    for await (const part of byFunction) odd.push((await part.toArray()).map(({ n }) => n));
    expect(odd).toEqual([
      [10, 20],
      [5, 1, 15, 3],
    ]);
  });
});

describe("split", () => {
  test("writes one file a key, whatever the keys", async () => {
    const into = joinPath(dir, "split");
    const keys = ["ann", "../up", "", "a/b", 1, "1", null, undefined, "x".repeat(300), true];
    const records = [...keys, ...keys].map((key, i) => ({ key, i }));
    const json = records.map((record) => (record.key === undefined ? { i: record.i } : record));
    const result = await split(json as typeof records, { by: "key", into });
    expect(result.files).toBe(keys.length);
    const contents = readdirSync(into).map((name) => readFileSync(joinPath(into, name), "utf8"));
    expect(contents.toSorted()).toEqual(
      keys
        .map((_, i) => [i, i + keys.length].map((n) => `${JSON.stringify(json[n])}\n`).join(""))
        .toSorted(),
    );
    expect(readdirSync(into)).toContain("ann.ndjson");
    rmSync(into, { recursive: true });
  });

  test("removes what it made when it fails, and overwrites nothing", async () => {
    const into = joinPath(dir, "split");
    const records = [{ key: "a" }, { key: "b" }, { key: "c" }];
    const named = { by: "key", into, name: (key: string) => `deep/${key}` } as const;
    await split(records, named);
    rmSync(joinPath(into, "deep", "a.ndjson"));
    writeFileSync(joinPath(into, "deep", "c.ndjson"), "mine");
    rmSync(joinPath(into, "deep", "b.ndjson"));
    await expect(split(records, named)).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
    expect(readdirSync(joinPath(into, "deep"))).toEqual(["c.ndjson"]);
    expect(readFileSync(joinPath(into, "deep", "c.ndjson"), "utf8")).toBe("mine");
    await expect(split(records, { by: "key", into, name: () => "../x" })).rejects.toMatchObject({
      code: "ERR_PARTD_KEY",
    });
    rmSync(into, { recursive: true });
  });
});
