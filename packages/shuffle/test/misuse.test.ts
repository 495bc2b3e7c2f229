import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { readCsv, readNdjson } from "@partd/records";
import {
  aggregate,
  type By,
  count,
  countBy,
  distinct,
  first,
  groupBy,
  join,
  last,
  max,
  mean,
  min,
  reduceBy,
  Shuffle,
  type Source,
  shuffle,
  sort,
  split,
  sum,
  top,
} from "@partd/shuffle";

interface Event {
  readonly user: string;
  readonly ms: number;
}
const events: readonly Event[] = [
  { user: "ann", ms: 12 },
  { user: "bob", ms: 7 },
];
const lines = (records: readonly unknown[]) =>
  records.map((record) => `${JSON.stringify(record)}\n`).join("");

let dir: string;
let file: string;
beforeAll(() => {
  dir = mkdtempSync(joinPath(tmpdir(), "partd-misuse-test-"));
  file = joinPath(dir, "events.ndjson");
  writeFileSync(file, lines(Array.from({ length: 2000 }, () => events).flat()));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

type Given = Record<string, unknown>;
/** What a caller without types may write. */
const untyped = (call: unknown) => call as (...given: unknown[]) => { toArray(): Promise<unknown> };

describe("an option that does not exist", () => {
  const select = { n: count() };
  const calls: Record<string, readonly [call: unknown, options: Given]> = {
    aggregate: [aggregate, { by: "user", select }],
    countBy: [countBy, { by: "user" }],
    distinct: [distinct, { by: "user" }],
    groupBy: [groupBy, { by: "user" }],
    reduceBy: [reduceBy, { by: "user", initial: () => 0, reduce: () => 0 }],
    shuffle: [shuffle, { by: "user" }],
    sort: [sort, { by: "ms" }],
    top: [top, { by: "ms", n: 1 }],
  };
  test.each(Object.entries(calls))("%s says so, and the nearest", async (name, [call, options]) => {
    const from = (more: Given) => () => untyped(call)(events, { ...options, ...more });
    const code = "ERR_PARTD_VALUE";
    const message = `${name}() has no option memroy. Did you mean memory?`;
    expect(from({ memroy: 1e9 })).toThrow(expect.objectContaining({ code, message }));
    expect(from({ zzz: 1 })).toThrow(/has no option zzz. Its options: .*by.*memory/);
    for (const given of [undefined, null, "user", ["user"]]) {
      if (name === "distinct" && given === undefined) continue;
      expect(() => untyped(call)(events, given)).toThrow(`${name}() takes an object of options`);
    }
    // An option that is undefined is none.
    await from({ memroy: undefined, memory: 1e6 })().toArray();
  });

  test("of a join, a split, a Shuffle, its writer and a key to sort by", async () => {
    expect(() => untyped(join)(events, events, { by: "user", rigthBy: "user" })).toThrow(
      "join() has no option rigthBy. Did you mean rightBy?",
    );
    expect(() => untyped(join)(events, events)).toThrow("join() takes an object of options");
    const into = joinPath(dir, "never");
    await expect(split(events, { by: "user", into, extention: ".x" } as never)).rejects.toThrow(
      "split() has no option extention. Did you mean extension?",
    );
    for (const extension of [".ndjson.gz", ".parquet"]) {
      await expect(split(events, { by: "user", into, extension })).rejects.toThrow(
        `extension ${extension} does not fit: the files are ndjson`,
      );
    }
    expect(readdirSync(dir)).not.toContain("never");
    const options = { by: "user", partitons: 2 } as never;
    expect(() => new Shuffle(new Dict(), options)).toThrow("Did you mean partitions?");
    const tasks = new Shuffle<Event>(new Dict(), { by: "user" });
    expect(() => tasks.writer({ tsak: "a" } as never)).toThrow("Did you mean task?");
    expect(() => tasks.groups(0, { memmory: 1e6 } as never)).toThrow("Did you mean memory?");
    expect(() => sort(events, { by: { by: "ms", oder: "desc" } as never })).toThrow(
      "sort() has no option oder. Did you mean order?",
    );
    const form = '{ by, order: "asc" or "desc"';
    expect(() => sort(events, { by: "ms", order: "desc" } as never)).toThrow(form);
    expect(() => top(events, { n: 1, by: { by: "ms", desc: true } } as never)).toThrow(form);
  });
});

test("an async function that adds to a state is refused", async () => {
  const reduce = async (sum: unknown, { ms }: Event) => Number(sum) + ms;
  const initial = (): unknown => 0;
  const refused = { code: "ERR_PARTD_VALUE", message: expect.stringMatching("not async") };
  await expect(reduceBy(events, { by: "user", initial, reduce }).toArray()).rejects.toMatchObject(
    refused,
  );
  const select = { own: { initial, add: reduce } };
  await expect(aggregate(events, { by: "user", select }).toArray()).rejects.toMatchObject(refused);
});

describe("a field that no record has", () => {
  type Read = (source: Source<Event>, by: string) => Promise<unknown>;
  const calls: Record<string, Read> = {
    aggregate: (source, by) => aggregate(source, { by, select: { n: count() } }).toArray(),
    "aggregate by a function": (source, by) =>
      aggregate(source, {
        by,
        select: { n: { initial: () => 0, add: (n: number) => n } },
      }).toArray(),
    countBy: (source, by) => countBy(source, { by }).toArray(),
    "countBy with threads": (source, by) => countBy(source, { by, threads: 2 }).toArray(),
    distinct: (source, by) => distinct(source, { by }).toArray(),
    "distinct with threads": (source, by) => distinct(source, { by, threads: 2 }).toArray(),
    groupBy: (source, by) => groupBy(source, { by }).toArray(),
    "join, left": (source, by) => join(source, events, { by, rightBy: "user" }).toArray(),
    "join, right": (source, by) => join(events, source, { by: "user", rightBy: by }).toArray(),
    shuffle: (source, by) => shuffle(source, { by }).toArray(),
    sort: (source, by) => sort(source, { by }).toArray(),
    "sort by two": (source, by) => sort(source, { by: [by, "ms"] }).toArray(),
    top: (source, by) => top(source, { by, n: 2 }).toArray(),
    split: (source, by) => split(source, { by, into: joinPath(dir, "split") }),
    "split into partitions": (source, by) =>
      split(source, { by, partitions: 2, into: joinPath(dir, "split") }),
    "split by threads": (source, by) =>
      split(source, { by, partitions: 2, threads: 2, into: joinPath(dir, "split") }),
  };
  const sources: Record<string, () => Source<Event>> = {
    objects: () => events,
    "a stream of lines": () => readNdjson<Event>([Buffer.from(lines(events))]),
    "a file of lines": () => readNdjson<Event>(file),
    "a CSV": () => readCsv<never>([Buffer.from("user,ms\nann,12\nbob,7\n")]),
  };
  const cases = Object.keys(calls).flatMap((call) =>
    Object.keys(sources).map((source) => [call, source] as const),
  );
  test.each(cases)("%s of %s: names the nearest", async (call, source) => {
    const side = call.startsWith("join") ? ` on the ${call.slice(6)}` : "";
    const failure = expect.objectContaining({
      code: "ERR_PARTD_VALUE",
      message: expect.stringContaining(`No record${side} has the field "usr". Did you mean user? `),
    });
    await expect(calls[call]!(sources[source]!(), "usr")).rejects.toEqual(failure);
    expect(readdirSync(dir)).toEqual(["events.ndjson"]);
  });

  test("a file of another shape: what reads it", async () => {
    const semicolons = readCsv<Given>([Buffer.from("user;ms\nann;12\n")]);
    await expect(countBy(semicolons, { by: "user" }).toArray()).rejects.toThrow(
      'They have one, user;ms: if the delimiter is no comma, read them with { delimiter: ";" }.',
    );
    const array = readNdjson<Given>([Buffer.from('[{"user":"ann"}]\n')]);
    await expect(countBy(array, { by: "user" }).toArray()).rejects.toThrow(
      "They are lists: readJson reads a file that is one JSON array.",
    );
  });

  test("a path in place of records: what opens it", () => {
    expect(() => countBy("events.ndjson", { by: "user" })).toThrow(
      "with readNdjson(path), readCsv(path)",
    );
  });

  test("lines joined as bytes: the side that lacks it", async () => {
    const read = async (by: string, rightBy: string) => {
      const [left, right] = [readNdjson<Event>(file), readNdjson<Event>(file)];
      for await (const _ of join(left, right, { by, rightBy, kind: "semi" }).bytes());
    };
    await read("user", "user");
    await expect(read("usr", "user")).rejects.toThrow('No record on the left has the field "usr"');
    await expect(read("user", "zzz")).rejects.toThrow(
      'No record on the right has the field "zzz". They have user, ms. The fields of the right side are rightBy',
    );
  });

  test("is a key where that is asked for, or where a function says so", async () => {
    for (const source of Object.values(sources)) {
      expect(await countBy(source(), { by: "usr", missing: "keep" }).toMap()).toHaveProperty(
        "size",
        1,
      );
      expect(await countBy(source(), { by: "usr", missing: "skip" }).toArray()).toEqual([]);
      const byFunction = countBy(source(), { by: (event) => (event as { usr?: string }).usr });
      expect((await byFunction.toArray())[0]![0]).toBeUndefined();
    }
    const none = readNdjson<Event>([Buffer.from("\n")]);
    expect(await groupBy(none, { by: "usr" }).toArray()).toEqual([]);
  });

  test("is none if only the last record has it, or each of several is in some record", async () => {
    const rare = [...Array.from({ length: 5000 }, () => events[0]), { extra: 1 }];
    const apart = [{ user: "ann" }, { extra: 1 }];
    const path = joinPath(dir, "rare.ndjson");
    writeFileSync(path, lines(rare));
    try {
      for (const source of [() => rare, () => readNdjson<unknown>(path)]) {
        const counts = await countBy(source(), { by: "extra", threads: 2 }).toArray();
        expect(counts.map(([, n]) => n)).toEqual([5000, 1]);
        expect(await distinct(source(), { by: "extra", threads: 2 }).toArray()).toHaveLength(2);
        expect(await join(source(), [{ extra: 1 }], { by: "extra" }).toArray()).toHaveLength(1);
      }
    } finally {
      rmSync(path);
    }
    for (const source of [() => apart, () => readNdjson<unknown>([Buffer.from(lines(apart))])]) {
      expect(await countBy(source(), { by: ["user", "extra"] }).toArray()).toHaveLength(2);
      await expect(countBy(source(), { by: ["user", "extar"] }).toArray()).rejects.toThrow(
        'No record has the field "extar". Did you mean extra?',
      );
    }
  });

  const aggregates = { sum, mean, min, max, first, last };
  const ofValues = Object.keys(aggregates).flatMap((name) =>
    Object.keys(sources).map((source) => [name, source] as const),
  );
  test.each(ofValues)("that %s takes, of %s: names the nearest", async (name, source) => {
    const of = aggregates[name as keyof typeof aggregates] as typeof sum;
    const read = (by: By<Event>, field: string, more: object = {}) =>
      aggregate(sources[source]!(), {
        by,
        select: { n: count(), of: of(field) },
        ...more,
      }).toArray();
    const told = 'No record has the field "mss". Did you mean ms? If all may lack it, aggregate a';
    const missing = source === "a CSV" ? "skip" : "error";
    for (const more of [{}, { threads: 2 }, { missing }]) {
      await expect(read("user", "mss", more)).rejects.toThrow(told);
    }
    await expect(read(({ user }) => user, "mss")).rejects.toThrow(told);
    expect(await read("user", "mss", { missing: "keep" })).toHaveLength(2);
    expect(await read("user", "ms")).toHaveLength(2);
    const byFunction = { of: of(() => undefined) };
    const results = aggregate(sources[source]!(), { by: "user", select: byFunction });
    expect(await results.toArray()).toHaveLength(2);
  });

  test("that an aggregate takes is none if one record has it, or an object is its value", async () => {
    const rare = [
      ...Array.from({ length: 5000 }, () => events[0]),
      { user: "ann", deep: { ms: 3 } },
    ];
    const path = joinPath(dir, "rare-value.ndjson");
    writeFileSync(path, lines(rare));
    try {
      for (const source of [() => rare, () => readNdjson<unknown>(path)]) {
        const select = { ms: sum<unknown>("deep.ms"), deep: last("deep") };
        const options = { by: "user", threads: 2, select } as const;
        const results = await aggregate(source(), options).toArray();
        expect(results).toEqual([["ann", { ms: 3, deep: { ms: 3 } }]]);
      }
    } finally {
      rmSync(path);
    }
    const none = readNdjson<Event>([Buffer.from("\n")]);
    expect(await aggregate(none, { by: "usr", select: { ms: sum("mss") } }).toArray()).toEqual([]);
  });

  test("of a CSV ends the reading at its first rows", async () => {
    let pieces = 0;
    const endless = (function* () {
      yield Buffer.from("user,ms\n");
      for (; pieces < 100; pieces++) yield Buffer.from("ann,12\n".repeat(200_000));
    })();
    await expect(countBy(readCsv(endless), { by: "usr" }).toArray()).rejects.toThrow(
      "Did you mean user?",
    );
    expect(pieces).toBeLessThan(10);
  });
});
