import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { scratch } from "./partd.js";
import { Runner } from "./runner.js";

const cwd = scratch();
const runner = new Runner(cwd);
const out = async (...words: string[]) => {
  const { code, out, err } = await runner.run(words);
  expect({ code, err: err.replace(/^partd: .* records? in .*\n$/, "") }).toEqual({
    code: 0,
    err: "",
  });
  return out;
};
const write = (name: string, content: string) => writeFileSync(join(cwd, name), content);

/** Of 16 to 20 digits, with neighbours that are the same double. */
const integers = fc
  .array(
    fc.tuple(
      fc.bigInt({ min: 2n ** 53n, max: 10n ** 20n }),
      fc.array(fc.bigInt({ min: -3n, max: 3n }), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(1n, -1n),
    ),
    { minLength: 1, maxLength: 8 },
  )
  .map((drawn) => drawn.flatMap(([n, near, sign]) => near.map((offset) => sign * (n + offset))));

const sorted = (all: Iterable<bigint>) => [...all].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));

/** The digits behind `"id":` in each line. */
const idsOf = (lines: string) =>
  [...lines.matchAll(/"id":"?(-?\d+)/g)].map(([, digits]) => BigInt(digits as string));

const idOf = (file: string) => BigInt(decodeURIComponent(file.replace(/\.ndjson$/, "")));

test("integers beyond 2^53 go in and out with all their digits", async () => {
  const property = fc.asyncProperty(integers, async (all) => {
    write("a.ndjson", all.map((id, i) => `{"id":${id}${i % 2 ? ".0" : ""},"i":${i}}\n`).join(""));
    write("a.json", `[${all.map((id, i) => `{"id":${id},"j":${i}}`)}]`);
    write("a.csv", `id,k\n${all.map((id, i) => `${id},${i}\n`).join("")}`);
    const unique = sorted(new Set(all));
    const counts = await out("count", "a.ndjson", "--by", "id");
    expect(sorted(idsOf(counts))).toEqual(unique);
    const pairsOf = await out("count", "a.json", "--by", "j,id");
    expect(sorted(idsOf(pairsOf))).toEqual(sorted(all));
    const rows = (await out("group", "a.json", "--by", "id", "--count", "--to", "csv")).split("\n");
    expect(sorted(rows.slice(1, -1).map((row) => BigInt(row.split(",")[0] as string)))).toEqual(
      unique,
    );
    for (const format of ["parquet", "arrow"]) {
      await out("count", "a.ndjson", "--by", "id", "--out", `counts.${format}`, "--force");
      expect(sorted(idsOf(await out("distinct", `counts.${format}`)))).toEqual(unique);
    }
    expect(idsOf(await out("distinct", "a.json", "--by", "id"))).toEqual([...new Set(all)]);
    expect(idsOf(await out("sort", "a.ndjson", "--by", "id"))).toEqual(sorted(all));
    expect(idsOf(await out("sort", "a.ndjson", "--by", "id:desc,i"))).toEqual(
      sorted(all).reverse(),
    );
    const rowsInOrder = (await out("sort", "a.csv", "--by", "id:numeric")).trimEnd().split("\n");
    expect(rowsInOrder.slice(1).map((row) => BigInt(row.split(",")[0] as string))).toEqual(
      sorted(all),
    );
    const pairs = all.flatMap((id) => all.filter((other) => other === id)).length;
    for (const [left, right] of [
      ["a.ndjson", "a.json"],
      ["a.ndjson", "a.csv"],
      ["a.csv", "a.json"],
    ] as const) {
      const joined = idsOf(await out("join", left, right, "--on", "id"));
      expect(joined).toHaveLength(pairs);
      expect(sorted(new Set(joined))).toEqual(unique);
    }
    rmSync(join(cwd, "parts"), { recursive: true, force: true });
    await out("split", "a.ndjson", "--by", "id", "--out", "parts");
    const files = readdirSync(join(cwd, "parts")).filter((name) => name !== "_names.ndjson");
    expect(sorted(files.map((name) => idOf(name)))).toEqual(unique);
    for (const name of files) {
      const ids = idsOf(readFileSync(join(cwd, "parts", name), "utf8"));
      expect(new Set(ids)).toEqual(new Set([idOf(name)]));
    }
  });
  await fc.assert(property, { numRuns: 15 });
});

test("integers in lists, as keys that are printed and that name files", async () => {
  write("l.ndjson", '{"id":[9007199254740993,"x"]}\n{"id":[9007199254740992,"x"]}\n');
  const counts = await out("count", "l.ndjson", "--by", "id");
  expect(counts.split("\n").sort().join("\n")).toBe(
    '\n{"id":[9007199254740992,"x"],"count":1}\n{"id":[9007199254740993,"x"],"count":1}',
  );
  await out("split", "l.ndjson", "--by", "id", "--out", "lists");
  const table = readFileSync(join(cwd, "lists/_names.ndjson"), "utf8");
  expect(table).toContain('"key":[{"number":"9007199254740993"},"x"]');
  expect(table).toContain('"key":[9007199254740992,"x"]');
});

test("a number beyond all doubles is no key", async () => {
  write("i.ndjson", '{"id":1e400}\n{"id":null}\n');
  const { code, err } = await runner.run(["count", "i.ndjson", "--by", "id"]);
  expect(code).not.toBe(0);
  expect(err).toContain(
    "i.ndjson:1:7: the record has a number beyond 1.8e308 where its key should be",
  );
});
