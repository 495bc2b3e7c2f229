import { describe, expect, test } from "@jest/globals";
import { groupBy } from "@partd/shuffle";
import fc from "fast-check";

const SMALL = 1e6;

/** Records of about 120 bytes with a running number. */
function* events(count: number, keyOf: (i: number) => unknown, padding = 80) {
  const pad = "x".repeat(padding);
  for (let i = 0; i < count; i++) yield { key: keyOf(i), i, pad };
}

async function expectExact(count: number, keyOf: (i: number) => string | number, padding?: number) {
  const expected = new Map<string | number, number[]>();
  for (let i = 0; i < count; i++) {
    const key = keyOf(i);
    if (!expected.has(key)) expected.set(key, []);
    expected.get(key)?.push(i);
  }
  let spilled = 0;
  const groups = groupBy(events(count, keyOf, padding), {
    by: "key",
    memory: SMALL,
    onProgress: (p) => {
      spilled = p.bytesSpilled;
    },
  });
  for await (const group of groups) {
    const numbers: number[] = [];
    for await (const batch of group.batches()) for (const { i } of batch) numbers.push(i);
    const key = group.key as string | number;
    expect(numbers).toEqual(expected.get(key));
    expected.delete(key);
  }
  expect(expected.size).toBe(0);
  return spilled;
}

describe("groupBy", () => {
  test("gives each key's records in the order of the source", async () => {
    const groups = groupBy([{ u: "ann", ms: 1 }, { u: "bob", ms: 2 }, { u: "ann", ms: 3 }], { by: "u" });
    const seen = new Map<string, number[]>();
    for await (const group of groups) {
      const list: number[] = [];
      for await (const record of group) list.push(record.ms);
      seen.set(group.key, list);
    }
    expect([...seen]).toEqual([["ann", [1, 3]], ["bob", [2]]]);
  });

  test("spills nothing while all fits", async () => {
    expect(await expectExact(1000, (i) => i % 7)).toBe(0);
  });

  test("is exact out of memory: many keys, few, one, a giant among many", async () => {
    const random = (i: number) => Math.imul(i ^ 0x5bd1e995, 0x9e3779b1) >>> 0;
    expect(await expectExact(40_000, (i) => random(i) % 1000)).toBeGreaterThan(0);
    expect(await expectExact(40_000, (i) => `k${random(i) % 30_000}`)).toBeGreaterThan(0);
    expect(await expectExact(40_000, (i) => i, 0)).toBeGreaterThan(0);
    expect(await expectExact(40_000, (i) => i % 3)).toBeGreaterThan(0);
    expect(await expectExact(40_000, () => "one")).toBeGreaterThan(0);
    expect(await expectExact(40_000, (i) => (i % 3 ? "giant" : random(i)))).toBeGreaterThan(0);
  });
});
void fc;
