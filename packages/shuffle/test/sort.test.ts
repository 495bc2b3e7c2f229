import { expect, test } from "@jest/globals";
import { readCsv, readNdjson } from "@partd/records";
import { type Progress, type SortKey, sort } from "@partd/shuffle";
import fc from "fast-check";
import { LITTLE } from "./workload.js";

/** More by `PARTD_SHUFFLE_RUNS`. */
const runs = { numRuns: Number(process.env["PARTD_SHUFFLE_RUNS"] ?? 40) };

type Key = string | number | boolean | null | undefined;

interface Row {
  readonly key?: Key;
  readonly i: number;
  readonly pad: string;
}

/** Keys that share their first 8 bytes as they are encoded, and some that also share their length. */
const keys: Readonly<Record<string, fc.Arbitrary<Key>>> = {
  "small numbers": fc.integer({ min: -3, max: 3 }),
  // Beyond 2^45 they differ behind the first 8 bytes; 2^53 - 1 and its neighbours in the last bit.
  "large numbers": fc.oneof(
    fc.integer({ min: 2 ** 45 - 2, max: 2 ** 45 + 2 }),
    fc.integer({ min: 2 ** 53 - 4, max: 2 ** 53 - 1 }),
    fc.integer({ min: -(2 ** 53 - 1), max: -(2 ** 53 - 4) }),
  ),
  fractions: fc.oneof(
    fc.constantFrom(0.1, 0.1 + 2 ** -56, 0.1 + 2 ** -55, 0, -0, 1e-320),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  ),
  booleans: fc.boolean(),
  "texts of one length": fc.constantFrom("aaaaaaaaaa", "aaaaaaaaab", "aaaaaaabaa", "baaaaaaaaa"),
  "texts that begin alike": fc
    .array(fc.constantFrom("a", "\0", "ÿ"), { maxLength: 24 })
    .map((list) => `prefix${list.join("")}`),
  "texts that begin alike for long": fc
    .tuple(fc.constantFrom(37, 400), fc.constantFrom("", "\0", "\0\0\0\0\0\0\0\0\0\0", "a", "\0a"))
    .map(([times, end]) => `${"x".repeat(times)}${end}`),
  "Unicode texts": fc.constantFrom(
    "z",
    "é",
    "ｆ",
    "𝒳",
    "\u{10ffff}",
    "",
    "ab",
    "日本語の長い文字列",
  ),
  everything: fc.oneof(
    fc.constantFrom<Key>(null, undefined, true, false, "", "1", 1, "10", 10, 2),
    fc.integer({ min: 0, max: 20 }),
    fc.constantFrom("a", "b"),
  ),
};

/** The order that the documentation states. */
function compare(left: Key, right: Key): number {
  const kind = (key: Key) =>
    key === undefined ? 4 : key === null ? 3 : ["boolean", "number", "string"].indexOf(typeof key);
  if (kind(left) !== kind(right)) return kind(left) - kind(right);
  if (typeof left === "string")
    return Buffer.compare(Buffer.from(left), Buffer.from(right as string));
  return Number(left ?? 0) - Number(right ?? 0);
}

/** `null` and missing keys stay last. */
function descending(left: Key, right: Key): number {
  const isLast = (key: Key) => key === null || key === undefined;
  return isLast(left) || isLast(right) ? compare(left, right) : compare(right, left);
}

const lines = (rows: readonly Row[]) => [
  new TextEncoder().encode(rows.map((row) => `${JSON.stringify(row)}\n`).join("")),
];

test.each(Object.keys(keys))("%s, in memory and spilled, of objects and of bytes", async (name) => {
  const drawn = fc
    .array(keys[name]!, { minLength: 1, maxLength: 60 })
    .filter((some) => some.some((key) => key !== undefined)); // Else the field counts as mistyped.
  const property = fc.asyncProperty(drawn, fc.constantFrom(1, 40), async (some, times) => {
    // With padding, 40 times the keys are more than memory holds, unless they are few.
    const rows = Array.from({ length: some.length * times }, (_, i): Row => {
      const key = some[(i * 7919) % some.length];
      return { ...(key === undefined ? {} : { key }), i, pad: "p".repeat(times * 20) };
    });
    for (const order of ["asc", "desc"] as const) {
      const by = order === "asc" ? compare : descending;
      const expected = [...rows].sort((a, b) => by(a.key, b.key));
      const options = { by: { by: "key", order }, memory: LITTLE } as const;
      for (const source of [rows, readNdjson<Row>(lines(rows))]) {
        const sorted = await sort(source, options).toArray();
        expect(sorted.map(({ i }) => i).join()).toBe(expected.map(({ i }) => i).join());
      }
    }
  });
  await fc.assert(property, runs);
});

test("a batch of other keys behind many that their first bytes decide", async () => {
  const rows = Array.from({ length: 20_000 }, (_, i): Row => {
    // Whole numbers at first; then some that differ behind the first 8 bytes alone.
    const key = i < 19_000 ? i % 5 : 1 + ((i * 7) % 50) * Number.EPSILON;
    return { key, i, pad: "" };
  });
  const expected = [...rows].sort((a, b) => compare(a.key, b.key)).map(({ i }) => i);
  for (const memory of [LITTLE, 64e6]) {
    let spilled = 0;
    const onProgress = ({ bytesSpilled }: Progress) => {
      spilled = bytesSpilled;
    };
    const sorted = await sort(readNdjson<Row>(lines(rows)), {
      by: "key",
      memory,
      onProgress,
    }).toArray();
    expect(sorted.map(({ i }) => i)).toEqual(expected);
    expect(spilled > 0).toBe(memory === LITTLE);
  }
});

test("keys of megabytes that differ in their last byte, or nowhere", async () => {
  const start = "k".repeat(3_000_000);
  const rows = ["b", "a", "b", ""].map((end, i): Row => ({ key: `${start}${end}`, i, pad: "" }));
  const sorted = await sort(rows, { by: "key", memory: 64e6 }).toArray();
  expect(sorted.map(({ i }) => i)).toEqual([3, 1, 0, 2]);
});

test("fields of CSV are text, read as records or not", async () => {
  const values = ["10", "9", "99.95", "707", "x", "", "1e1", "007"];
  const csv = Buffer.from(`price\n${values.map((value) => `"${value}"\n`).join("")}`);
  const prices = async (by: SortKey<{ price: string }>) => {
    const source = () => readCsv<{ price: string }>([csv]);
    const scanned = await sort(source(), { by }).toArray();
    const records: { price: string }[] = [];
    for await (const record of source()) records.push(record);
    const parsed = await sort(records, { by }).toArray();
    const found = scanned.map(({ price }) => price);
    expect(found).toEqual(parsed.map(({ price }) => price));
    return found;
  };
  expect(await prices("price")).toEqual([...values].sort());
  const numbers = ["007", "9", "10", "1e1", "99.95", "707"];
  expect((await prices({ by: "price", as: "number" })).slice(0, 6)).toEqual(numbers);
});

test("what is no number comes behind the numbers in either order, as it came", async () => {
  const values = [null, "b", 2, true, "10", "NaN", Number.NaN, 3n, undefined, [1], "", "a", -1];
  const sorted = async (order: "asc" | "desc", more: readonly SortKey<{ value: unknown }>[]) => {
    const by = [{ by: "value", as: "number", order } as const, ...more];
    const records = values.map((value, i) => ({ value, i }));
    return (await sort(records, { by }).toArray()).map(({ value }) => value);
  };
  const others = ["b", true, "NaN", Number.NaN, [1], "", "a", null, undefined];
  expect(await sorted("asc", [])).toEqual([-1, 2, 3n, "10", ...others]);
  expect(await sorted("desc", [])).toEqual(["10", 3n, 2, -1, ...others]);
  const backwards = [...others.slice(0, 7).reverse(), null, undefined];
  expect(await sorted("desc", [{ by: "i", order: "desc" }])).toEqual([
    "10",
    3n,
    2,
    -1,
    ...backwards,
  ]);
});
