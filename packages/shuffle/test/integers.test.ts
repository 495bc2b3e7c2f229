import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { readCsv, readJson, readNdjson } from "@partd/records";
import {
  aggregate,
  countBy,
  distinct,
  groupBy,
  join,
  max,
  type SortKey,
  sort,
  split,
  top,
} from "@partd/shuffle";
import fc from "fast-check";

/** More by `PARTD_SHUFFLE_RUNS`. */
const runs = { numRuns: Number(process.env["PARTD_SHUFFLE_RUNS"] ?? 30) };

/** 14 to 25 digits, some with neighbours that are the same double. */
const integer = fc
  .tuple(
    fc.integer({ min: 14, max: 25 }),
    fc.bigInt({ min: 0n, max: 10n ** 25n - 1n }),
    fc.boolean(),
  )
  .map(([digits, n, isNegative]) => {
    const least = 10n ** BigInt(digits - 1);
    return (isNegative ? -1n : 1n) * (least + (n % (9n * least)));
  });
const integers = fc
  .array(fc.tuple(integer, fc.array(fc.bigInt({ min: -3n, max: 3n }), { minLength: 1 })), {
    minLength: 1,
    maxLength: 12,
  })
  .map((drawn) => drawn.flatMap(([n, near]) => near.map((offset) => n + offset)));

interface Row {
  readonly id: unknown;
  readonly i: number;
}

const lineOf = (n: bigint, i: number) => `{"id":${n}${["", ".0", "e0", "00e-2"][i % 4]},"i":${i}}`;
const bytesOf = (text: string) => [Buffer.from(text)];
const ndjson = (all: readonly bigint[]) =>
  readNdjson<Row>(bytesOf(all.map((n, i) => `${lineOf(n, i)}\n`).join("")));
const json = (all: readonly bigint[]) => readJson<Row>(bytesOf(`[${all.map(lineOf).join(",\n")}]`));

/** The integer that a key is. */
function integerOf(key: unknown): bigint {
  if (typeof key === "bigint") return key;
  const [mantissa = "", exponent = "0"] = String(key).split("e+");
  const [whole = "", fraction = ""] = mantissa.split(".");
  return BigInt(whole + fraction.padEnd(Number(exponent), "0"));
}

function countsOf(all: readonly bigint[]): Map<bigint, number> {
  const counts = new Map<bigint, number>();
  for (const n of all) counts.set(n, (counts.get(n) ?? 0) + 1);
  return counts;
}

const ordered = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);

describe("integers beyond 2^53 are keys with all their digits", () => {
  test("9007199254740993 is a bigint, and 9007199254740992 a number", async () => {
    const counts = await countBy(ndjson([9007199254740993n, 9007199254740992n]), { by: "id" });
    expect(await counts.toArray()).toEqual([
      [9007199254740993n, 1],
      [9007199254740992, 1],
    ]);
  });

  test("countBy, aggregate and groupBy", async () => {
    const property = fc.asyncProperty(integers, async (all) => {
      const expected = countsOf(all);
      for (const source of [ndjson, json]) {
        const counted = await countBy(source(all), { by: "id" }).toArray();
        expect(counted).toHaveLength(expected.size);
        for (const [key, count] of counted) expect(count).toBe(expected.get(integerOf(key)));
        const pairs = await countBy(source(all), {
          by: ["id", "none", "id"],
          missing: "keep",
        }).toArray();
        expect(pairs.map(([key]) => integerOf(key[2])).sort(ordered)).toEqual(
          [...expected.keys()].sort(ordered),
        );
        // A function takes a value of each record, which is parsed.
        const select = { last: max(({ i }: Row) => i) };
        const found = await aggregate(source(all), { by: "id", select }).toArray();
        for (const [key, { last }] of found) expect(last).toBe(all.lastIndexOf(integerOf(key)));
        expect(found).toHaveLength(expected.size);
      }
      for await (const group of groupBy(ndjson(all), { by: "id" })) {
        const members = (await group.toArray()).map(({ i }) => all[i]);
        expect(new Set(members)).toEqual(new Set([integerOf(group.key)]));
        expect(members).toHaveLength(expected.get(integerOf(group.key)) ?? 0);
      }
    });
    await fc.assert(property, runs);
  });

  test("distinct, and join by fields, and with bigints", async () => {
    const property = fc.asyncProperty(integers, integers, async (left, others) => {
      const firsts = left.flatMap((n, i) => (left.indexOf(n) === i ? [i] : []));
      expect((await distinct(ndjson(left), { by: "id" }).toArray()).map(({ i }) => i)).toEqual(
        firsts,
      );
      const right = [...others, ...left.slice(0, 2)];
      const expected = left.flatMap((n, i) => right.flatMap((m, j) => (n === m ? [[i, j]] : [])));
      const pairs = await join(ndjson(left), json(right), { by: "id" }).toArray();
      expect(pairs.map(([a, b]) => [a.i, b.i])).toEqual(expected);
      let lines = "";
      for await (const piece of join(ndjson(left), ndjson(right), { by: "id" }).bytes()) {
        lines += Buffer.from(piece).toString();
      }
      expect(lines.split("\n")).toHaveLength(expected.length + 1);
      // What no double holds is the same key as the bigint of an object.
      const keys = right.map((id, j) => ({
        id: Number.isSafeInteger(Number(id)) ? Number(id) : id,
        j,
      }));
      const matched = await join(ndjson(left), keys, { by: "id" }).toArray();
      expect(matched.map(([a, b]) => [a.i, b.j])).toEqual(
        expected.filter(([, j]) => typeof keyOf(right[j!]!) === typeof keys[j!]!.id),
      );
    });
    await fc.assert(property, runs);
  });

  test("sort and top, by one field, several, and one beside a function", async () => {
    const property = fc.asyncProperty(integers, async (all) => {
      const inOrder = all.map((n, i) => [n, i] as const).sort(([a], [b]) => ordered(a, b));
      const upwards = inOrder.map(([, i]) => i);
      const downwards = all
        .map((n, i) => [n, i] as const)
        .sort(([a], [b]) => ordered(b, a))
        .map(([, i]) => i);
      const numbersOf = async (by: SortKey<Row> | readonly SortKey<Row>[]) =>
        (await sort(ndjson(all), { by }).toArray()).map(({ i }) => i);
      expect(await numbersOf("id")).toEqual(upwards);
      expect(await numbersOf({ by: "id", as: "number" })).toEqual(upwards);
      expect(await numbersOf({ by: "id", order: "desc" })).toEqual(downwards);
      expect(await numbersOf(["id", "i"])).toEqual(upwards);
      expect(await numbersOf([() => 0, "id"])).toEqual(upwards);
      expect(await numbersOf([{ by: "id", order: "desc" }, ({ i }) => i, "i"])).toEqual(downwards);
      const few = await top(ndjson(all), { by: "id", n: 3 }).toArray();
      expect(few.map(({ i }) => i)).toEqual(upwards.slice(0, 3));
      const csv = readCsv<{ id: string; i: string }>(
        bytesOf(`id,i\n${all.map((n, i) => `${n},${i}\n`).join("")}`),
      );
      const rows = await sort(csv, { by: { by: "id", as: "number" } }).toArray();
      expect(rows.map(({ i }) => Number(i))).toEqual(upwards);
    });
    await fc.assert(property, runs);
  });

  test("split", async () => {
    const property = fc.asyncProperty(integers, async (all) => {
      const into = await mkdtemp(joinPath(tmpdir(), "partd-integers-"));
      try {
        await split(ndjson(all), { by: "id", into });
        const names = await readdir(into);
        expect(
          names
            .map((name) => integerOf(decodeURIComponent(name.replace(/\.ndjson$/, ""))))
            .sort(ordered),
        ).toEqual([...countsOf(all).keys()].sort(ordered));
      } finally {
        await rm(into, { recursive: true });
      }
    });
    await fc.assert(property, runs);
  });
});

/** The key of an integer, as a field's. */
function keyOf(n: bigint): number | bigint {
  return integerOf(Number(n)) === n ? Number(n) : n;
}
