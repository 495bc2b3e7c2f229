import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "@jest/globals";
import { readArrow, readParquet } from "@partd/records";
import { Table, tableToIPC, vectorFromArray } from "apache-arrow";
import { lz4Frame } from "../src/source/lz4.js";

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

const at = new Date("2024-01-02T03:04:05.678Z");
const longAgo = new Date("1960-01-01");
const columns: readonly (readonly [name: string, first: unknown, last: unknown])[] = [
  ["int64", 1n, 9007199254740993n],
  ["half", 1.5, -2],
  ["none", null, null],
  ["bytes", Uint8Array.of(255, 0), new Uint8Array(0)],
  ["date", new Date("2024-01-02"), longAgo],
  ["micros", at, longAgo],
  ["cents", 0.3, -7.5],
  ["big", 9007199254740993n, -5],
  ["wide", 1.25, -0.01],
  ["word", "x", "y"],
  ["day", at, at],
  ["list", [1, null], []],
  ["dates", [at, null], []],
  ["prices", [0.3], []],
  ["pair", [1, 2], [3, 4]],
  ["struct", { d: at, n: { p: 0.3 } }, { d: null, n: null }],
  ["structs", [{ a: 1 }, null], []],
  ["map", { k: 0.3 }, {}],
  ["__proto__", "a", "b"],
];

const sources = {
  Arrow: () => readArrow(fixture("types.arrow")),
  "Parquet of every codec": () => readParquet(fixture("types.parquet")),
};

test.each(Object.entries(sources))("%s gives plain data of each type", async (_, source) => {
  const rows = await all<{ [column: string]: unknown }>(source());
  expect(rows.length).toBe(3);
  expect(rows.map((row) => Object.keys(row))).toEqual(Array(3).fill(columns.map(([name]) => name)));
  for (const [name, first, last] of columns) {
    const values = rows.map((row) => Object.getOwnPropertyDescriptor(row, name)?.value);
    expect([name, values]).toEqual([name, [first, null, last]]);
    // What a spill does to a record.
    expect(structuredClone(values)).toEqual(values);
  }
});

test("Arrow: what its package rounds or refuses", async () => {
  const far = "Invalid Date";
  const expected = [
    { long: 1n, word: "y", list: ["y", null], nanos: new Date(1704164645123), far, union: at },
    { long: null, word: null, list: null, nanos: null, far: null, union: 0.3 },
    { long: 2n ** 53n + 1n, word: "x", list: ["x"], nanos: new Date(-1), far, union: null },
  ];
  const found = await all<{ far: Date | null }>(readArrow(fixture("edges.arrows")));
  expect(found.map((row) => ({ ...row, far: row.far && String(row.far) }))).toEqual(expected);
});

const many = Array.from({ length: 40_000 }, (_, i) => ({ i: (i * i) % 1009 }));

test.each(["lz4", "zstd"])("data compressed by %s", async (codec) => {
  expect(await all(readArrow(fixture(`many.${codec}.arrows`)))).toEqual(many);
  expect(await all(readParquet(fixture(`many.${codec}.parquet`)))).toEqual(many);
});

test("a damaged frame of LZ4 is an error, or other bytes", async () => {
  const stream = await readFile(fixture("many.lz4.arrows"));
  const frame = stream.subarray(stream.indexOf(Uint8Array.of(0x04, 0x22, 0x4d, 0x18)));
  const whole = lz4Frame(frame).length;
  expect(whole).toBe(4 * many.length);
  let errors = 0;
  for (let i = 0; i < 1500; i += 5) {
    const damaged = new Uint8Array(frame);
    damaged[i]! ^= 1 << (i % 8);
    try {
      expect(lz4Frame(damaged).length).toBeLessThan(1 << 24);
    } catch (error) {
      expect((error as Error).message).toBe("LZ4 data is damaged.");
      errors++;
    }
  }
  expect(errors).toBeGreaterThan(0);
  for (let end = 0; end < 1500; end += 7) {
    expect(() => lz4Frame(frame.subarray(0, end))).toThrow("LZ4 data is damaged.");
  }
});

test("what cannot be told apart is refused: two columns of a name, and names of none", async () => {
  await expect(all(readParquet(fixture("doubled.parquet")))).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
    message: expect.stringContaining('two columns named "a"'),
  });
  const doubled = tableToIPC(new Table({ a: vectorFromArray([1]), b: vectorFromArray([2]) }));
  // The name of the second column is in the schema.
  doubled[doubled.indexOf("b".charCodeAt(0))] = "a".charCodeAt(0);
  await expect(all(readArrow([doubled]))).rejects.toMatchObject({
    code: "ERR_PARTD_VALUE",
    message: expect.stringContaining('two columns named "a"'),
  });
  for (const read of [readArrow, readParquet]) {
    const ofText = async () => await all(read("none", { columns: "a" as never }));
    await expect(ofText).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: 'columns must be a list of strings, not "a".',
    });
    const source = fixture(read === readArrow ? "types.arrow" : "types.parquet");
    await expect(all(read(source, { columns: ["cents", "cent"] }))).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: expect.stringContaining('no column "cent". Did you mean cents?'),
    });
  }
});
