import { describe, expect, test } from "@jest/globals";
import { decodeGroupKeys } from "@partd/records";
import {
  aggregate,
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
  type Progress,
  reduceBy,
  sort,
  sum,
  top,
} from "@partd/shuffle";
import fc from "fast-check";
import { type Event, events, LITTLE, model, nameOf, workloads } from "./workload.js";

/** More by `PARTD_SHUFFLE_RUNS`. */
const runs = { numRuns: Number(process.env.PARTD_SHUFFLE_RUNS ?? 12) };

/** More keys than the least memory has room for, each of them several times. */
const manyKeys = { count: 40_000, keys: 20_000, skew: 0, padding: 0, seed: 5 };

/** More than the least memory holds. */
const muchData = { count: 4000, keys: 1000, skew: 0, padding: 300, seed: 6 };

/** Bytes that the last run spilled. */
let spilled = 0;

/** Options of little memory that note how much is spilled. */
function little() {
  spilled = 0;
  const onProgress = ({ bytesSpilled }: Progress) => {
    spilled = bytesSpilled;
  };
  return { memory: LITTLE, onProgress };
}

/** How many of the runs of a property spilled: one that never does proves little. */
let spills = 0;

test("min and max are the first and last of sort, whatever the order of the records", async () => {
  const numbers = fc.constantFrom(3, 1, -0.5, Number.NaN, Number.POSITIVE_INFINITY);
  const dates = fc.constantFrom(0, 5, -7, Number.NaN).map((ms) => new Date(ms));
  const texts = fc.constantFrom("", "a", "b", "\ud7ff", "\ue000", "\uffff", "😀", "a😀", "a\uffff");
  const integers = fc.constantFrom(
    1,
    2n,
    2.5,
    -3n,
    9007199254740993n,
    9007199254740992,
    10n ** 400n,
  );
  const values = fc.oneof(
    fc.array(numbers, { minLength: 1, maxLength: 6 }),
    fc.array(texts, { minLength: 1, maxLength: 6 }),
    fc.array(integers, { minLength: 1, maxLength: 6 }),
    fc.array(dates, { minLength: 1, maxLength: 6 }),
  );
  const property = fc.asyncProperty(values, async (list) => {
    const rows = (list as unknown[]).map((value) => ({ key: 1, value }));
    const select = { low: min("value"), high: max("value") };
    const [[, { low, high }]] = (await aggregate(rows, { by: "key", select }).toArray()) as [
      [number, { low: unknown; high: unknown }],
    ];
    const sorted = await sort(rows, { by: "value" }).toArray();
    const ends = [sorted[0]?.value, sorted.at(-1)?.value];
    const shown = (one: unknown) => (typeof one === "object" ? Number(one) : String(one));
    expect([low, high].map(shown)).toEqual(ends.map(shown));
  });
  await fc.assert(property, { numRuns: 100 });
});

describe("with models in memory", () => {
  test("groupBy", async () => {
    spills = 0;
    const property = fc.asyncProperty(workloads, async (workload) => {
      const options = little();
      const expected = model(events(workload));
      for await (const group of groupBy(events(workload), { by: "key", ...options })) {
        const numbers = (await group.toArray()).map(({ i }) => i);
        const name = nameOf(group.key);
        expect(numbers.join()).toBe(expected.get(name)?.join());
        expected.delete(name);
      }
      expect(expected.size).toBe(0);
      if (spilled > 0) spills++;
    });
    await fc.assert(property, { ...runs, examples: [[muchData]] });
    expect(spills).toBeGreaterThan(0);
  });

  test("countBy, reduceBy and aggregate", async () => {
    // More keys than have room: their states take 60 bytes and more.
    const larger = workloads.map((workload) => ({ ...workload, count: 3 * workload.count }));
    const property = fc.asyncProperty(larger, async (workload) => {
      const all = [...events(workload)];
      const expected = model(all);
      const options = little();
      const counts = await countBy(all, { by: "key", ...options }).toArray();
      expect(sorted(counts.map(([key, n]) => `${nameOf(key)} ${n}`))).toEqual(
        sorted([...expected].map(([name, group]) => `${name} ${group.length}`)),
      );
      const encoded: string[] = [];
      const tables = countBy(all, { by: "key", memory: LITTLE }).encoded();
      for await (const { keys, keyEnds, values } of tables) {
        for (const [n, key] of decodeGroupKeys(keys, keyEnds, 0, values.length).entries()) {
          encoded.push(`${nameOf(key)} ${values[n]}`);
        }
      }
      expect(sorted(encoded)).toEqual(sorted(counts.map(([key, n]) => `${nameOf(key)} ${n}`)));
      // A state that tells the order and does not grow, as those that grow have to fit in memory.
      const next = (hash: number, i: number) => (Math.imul(hash, 31) + i) | 0;
      const hashes = await reduceBy(all, {
        by: "key",
        initial: (key) => ({ name: nameOf(key), hash: 7 }),
        reduce: ({ name, hash }, { i }) => ({ name, hash: next(hash, i) }),
        memory: LITTLE,
      }).toArray();
      expect(sorted(hashes.map(([, { name, hash }]) => `${name} ${hash}`))).toEqual(
        sorted([...expected].map(([name, group]) => `${name} ${group.reduce(next, 7)}`)),
      );
      const select = {
        n: count(),
        total: sum("ms"),
        low: min("ms"),
        high: max("ms"),
        mean: mean("ms"),
        head: first("i"),
        tail: last("i"),
        own: { initial: () => 0, add: (a: number, e: Event) => Math.max(a, e.i) },
      };
      for await (const [key, row] of aggregate(all, { by: "key", select, memory: LITTLE })) {
        const group = expected.get(nameOf(key)) as number[];
        const values = group.map((i) => (all[i] as Event).ms);
        const total = values.reduce((a, b) => a + b, 0);
        expect(row).toEqual({
          n: group.length,
          total,
          low: Math.min(...values),
          high: Math.max(...values),
          mean: total / group.length,
          head: group[0],
          tail: group.at(-1),
          own: group.at(-1),
        });
        expected.delete(nameOf(key));
      }
      expect(expected.size).toBe(0);
    });
    await fc.assert(property, { ...runs, examples: [[manyKeys]] });
  });

  test("sort and top", async () => {
    spills = 0;
    const property = fc.asyncProperty(
      workloads,
      fc.integer({ min: 0, max: 50 }),
      async (workload, n) => {
        const options = little();
        const all = [...events(workload)];
        const expected = all.toSorted((a, b) => b.ms - a.ms);
        const by = { by: "ms", order: "desc" } as const;
        const records = await sort(all, { by, ...options }).toArray();
        expect(records.map(({ i }) => i).join()).toBe(expected.map(({ i }) => i).join());
        const few = await top(all, { n, by, memory: LITTLE }).toArray();
        expect(few.map(({ i }) => i)).toEqual(expected.slice(0, n).map(({ i }) => i));
        if (spilled > 0) spills++;
      },
    );
    await fc.assert(property, { ...runs, examples: [[muchData, 10]] });
    expect(spills).toBeGreaterThan(0);
  });

  test("distinct", async () => {
    const larger = workloads.map((workload) => ({ ...workload, count: 3 * workload.count }));
    const property = fc.asyncProperty(larger, async (workload) => {
      const options = little();
      const expected = [...model(events(workload)).values()].map(([i]) => i as number);
      const records = await distinct(events(workload), { by: "key", ...options }).toArray();
      expect(records.map(({ i }) => i).toSorted((a, b) => a - b)).toEqual(expected);
    });
    await fc.assert(property, { ...runs, examples: [[manyKeys]] });
  });

  test("join of every kind", async () => {
    spills = 0;
    const sides = fc.tuple(workloads, workloads).filter(([a, b]) => {
      // A product of all records with one key would be too much for a test.
      return (a.count / a.keys) * b.count < 5_000 && a.skew < 6 && b.skew < 6;
    });
    const property = fc.asyncProperty(sides, async ([a, b]) => {
      const left = [...events({ ...a, skew: 0 })];
      const right = [...events(b)];
      // Sides that have no kind of key in common are refused.
      const kinds = new Set(left.map(({ key }) => key !== null && typeof key));
      fc.pre(right.some(({ key }) => key !== null && kinds.has(typeof key)));
      const name = (e: Event | undefined) => (e ? e.i : "-");
      const rightBy = model(right);
      const leftBy = model(left);
      const pairs: string[] = [];
      const lonelyLeft: string[] = [];
      for (const { key, i } of left) {
        const partners = key === null ? undefined : rightBy.get(nameOf(key));
        if (partners) for (const j of partners) pairs.push(`${i} ${j}`);
        else lonelyLeft.push(`${i}`);
      }
      const lonelyRight = right
        .filter(({ key }) => key === null || !leftBy.has(nameOf(key)))
        .map(({ i }) => `- ${i}`);
      const alone = lonelyLeft.map((i) => `${i} -`);
      const expected = {
        inner: pairs,
        left: [...pairs, ...alone],
        right: [...pairs, ...lonelyRight],
        full: [...pairs, ...alone, ...lonelyRight],
      };
      for (const kind of ["inner", "left", "right", "full"] as const) {
        const options = little();
        const joined = await join(left, right, { by: "key", kind, ...options }).toArray();
        expect(sorted(joined.map(([l, r]) => `${name(l)} ${name(r)}`)).join()).toBe(
          sorted(expected[kind]).join(),
        );
        if (spilled > 0) spills++;
      }
      const anti = await join(left, right, { by: "key", kind: "anti", memory: LITTLE }).toArray();
      expect(sorted(anti.map(({ i }) => `${i}`))).toEqual(sorted(lonelyLeft));
      const semi = await join(left, right, { by: "key", kind: "semi", memory: LITTLE }).toArray();
      const matched = new Set(pairs.map((pair) => pair.split(" ")[0] as string));
      expect(sorted(semi.map(({ i }) => `${i}`))).toEqual(sorted([...matched]));
    });
    await fc.assert(property, { ...runs, examples: [[[muchData, muchData]]] });
    expect(spills).toBeGreaterThan(0);
  });
});

function sorted(list: readonly string[]): string[] {
  return list.toSorted();
}
