import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import {
  decodeGroupKey,
  decodeGroupKeys,
  encodeGroupKey,
  type GroupKey,
  hashKey,
  parseFieldPath,
  partitionOf,
  valueAt,
} from "@partd/records";
import fc from "fast-check";
import { describeReal, realPart } from "tooling/real-part";
import { exact } from "./exact-numbers.js";

function hexHash(bytes: Uint8Array, seed = 0): string {
  const { low, high } = hashKey(bytes, 0, bytes.length, seed);
  return high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");
}

/** The vectors of xxhash.com's specification and of its sanity check. */
test.each([
  ["", 0, "ef46db3751d8e999"],
  ["a", 0, "d24ec4f1a98c6e5b"],
  ["abc", 0, "44bc2cf5ad770999"],
  ["Nobody inspects the spammish repetition", 0, "fbcea83c8a378bf1"],
  ["", 1, "d5afba1336a3be4b"],
])("XXH64 of %j with seed %i", (text, seed, expected) => {
  expect(hexHash(Buffer.from(text), seed)).toBe(expected);
});

const scalar: fc.Arbitrary<GroupKey> = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 50 }),
  fc.double(),
  fc.integer(),
  fc.bigInt(),
  fc.boolean(),
  fc.constant(null),
  fc.constant(undefined),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 40 }),
);
const { key: anyKey } = fc.letrec<{ key: GroupKey }>((tie) => ({
  key: fc.oneof({ weight: 4, arbitrary: scalar }, fc.array(tie("key"), { maxLength: 4 })),
}));

test.each(["é", '"', "\\", "\n", "\ud800", "\ufeff"])(
  "a long text with %j is what it was",
  (part) => {
    const key = part + "x".repeat(1e5) + part;
    expect(decodeGroupKey(encodeGroupKey(key))).toBe(key);
  },
);

test("a key is what it was after its bytes, and two keys have the same bytes if they are equal", () => {
  const seen = new Map<string, GroupKey>();
  fc.assert(
    fc.property(anyKey, (key) => {
      const bytes = encodeGroupKey(key);
      expect(decodeGroupKey(bytes)).toEqual(withoutMinusZero(key));
      const before = seen.get(Buffer.from(bytes).toString("latin1"));
      if (before !== undefined) expect(withoutMinusZero(before)).toEqual(withoutMinusZero(key));
      seen.set(Buffer.from(bytes).toString("latin1"), key);
    }),
    { numRuns: 3000 },
  );
});

test("keys decoded together are those decoded one by one", () => {
  const jsonKey = anyKey.filter((key) => encodeGroupKey(key)[0]! >= 0x20);
  const lists = fc.oneof(fc.array(jsonKey), fc.array(anyKey));
  fc.assert(
    fc.property(lists, fc.nat(), fc.nat(), (keys, a, b) => {
      const encoded = keys.map(encodeGroupKey);
      const ends = encoded.map((_, n) => Buffer.concat(encoded.slice(0, n + 1)).length);
      const [first = 0, behind = 0] = [a, b]
        .map((n) => n % (keys.length + 1))
        .toSorted((x, y) => x - y);
      const decoded = decodeGroupKeys(Buffer.concat(encoded), ends, first, behind);
      expect(decoded).toEqual(keys.slice(first, behind).map(withoutMinusZero));
    }),
    { numRuns: 1000 },
  );
});

function withoutMinusZero(key: GroupKey): GroupKey {
  if (Array.isArray(key)) return key.map(withoutMinusZero);
  return Object.is(key, -0) ? 0 : key;
}

test.each([{}, new Map(), () => 1, Symbol("x"), [{}]])("%p is not a key", (key) => {
  expect(() => encodeGroupKey(key)).toThrow(expect.objectContaining({ code: "ERR_PARTD_KEY" }));
});

test("paths of fields", () => {
  expect(parseFieldPath("a.b\\.c.")).toEqual(["a", "b.c", ""]);
  expect(valueAt({ a: { "b.c": { "": 1 } } }, "a.b\\.c.")).toBe(1);
  expect(valueAt({ a: [1] }, "a.0")).toBe(undefined);
  expect(valueAt({}, "constructor")).toBe(undefined);
  expect(valueAt(null, "a")).toBe(undefined);
});

const BIG = [9007199254740993n, 1212092628029698048n, -(10n ** 24n) - 1n, [1, [2n ** 70n]]];

describeReal(realPart.python(), "Python", () => {
  test("encodes, hashes and partitions the same keys in the same way", () => {
    const keys = [
      ...fc.sample(anyKey, 2000),
      "",
      "ann",
      1,
      "1",
      1e21,
      1e-7,
      0.1,
      [],
      ["ann", 1],
      ...BIG,
    ];
    const cases = keys.map((key, i) => ({ key, partitions: 1 + (i % 3000) }));
    const program = fileURLToPath(new URL("keys.py", import.meta.url));
    const { stdout, stderr } = spawnSync("/usr/bin/python3", [program], {
      input: cases.map(({ key, partitions }) => `${plain(key, partitions)}\n`).join(""),
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    expect(stderr).toBe("");
    const answers = stdout.trimEnd().split("\n");
    expect(answers).toHaveLength(cases.length);
    for (const [i, { key, partitions }] of cases.entries()) {
      const bytes = encodeGroupKey(key);
      const { low, high } = hashKey(bytes);
      expect(JSON.parse(answers[i]!)).toEqual({
        bytes: Buffer.from(bytes).toString("hex"),
        hash: hexHash(bytes),
        partition: partitionOf(low, high, partitions),
      });
    }
    console.log(`${cases.length} keys, the same in Python`);
  });
});

function plain(key: GroupKey, partitions: number): string {
  const text = JSON.stringify({ key: tagged(key), partitions });
  return text.replaceAll(/"digits:(-?\d+)"/g, "$1");
}

function tagged(key: GroupKey): unknown {
  if (Array.isArray(key)) return key.map(tagged);
  if (key === undefined) return { $: "undefined" };
  // One that no number is written as can stand in JSON.
  if (typeof key === "bigint" && typeof exact(String(key)) === "bigint") return `digits:${key}`;
  if (typeof key === "bigint") return { $: "bigint", of: String(key) };
  if (key instanceof Date) return { $: "date", of: key.getTime() };
  if (key instanceof Uint8Array) return { $: "bytes", of: Buffer.from(key).toString("hex") };
  if (typeof key === "number" && !Number.isFinite(key)) return { $: "number", of: String(key) };
  return key;
}
