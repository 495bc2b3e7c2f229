import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { isPartdError } from "@partd/core";
import {
  type ColumnType,
  readArrow,
  readCsv,
  readNdjson,
  readParquet,
  type WriteTableOptions,
  writeArrow,
  writeParquet,
} from "@partd/records";
import { tableFromIPC } from "apache-arrow";
import fc from "fast-check";
import { asyncBufferFromFile, parquetMetadataAsync } from "hyparquet";

let folder = "";
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-records-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

const FORMATS = {
  Parquet: { write: writeParquet, read: readParquet, path: "t.parquet" },
  "an Arrow file": { write: writeArrow, read: readArrow, path: "t.arrow" },
  "an Arrow stream": { write: writeArrow, read: readArrow, path: "t.arrows" },
} as const;

describe.each(Object.entries(FORMATS))("%s", (_, { write, read, path }) => {
  const isArrow = path !== "t.parquet";
  const back = (name = path) => all<Record<string, unknown>>(read(at(name)));
  const refused = (records: Iterable<object>, options?: WriteTableOptions) =>
    write(records, at(path), options).then(
      () => "",
      (error: unknown) => (isPartdError(error, "ERR_PARTD_VALUE") ? error.message : error),
    );

  test("gives back every type of value", async () => {
    const records = [
      {
        i: 1,
        d: 0.5,
        t: "é",
        b: true,
        at: new Date(1),
        big: 2n ** 62n,
        raw: Uint8Array.of(0, 255),
      },
      { i: null, d: 2, b: false, at: new Date(-1), big: -1n, raw: Uint8Array.of(), late: "x" },
      {},
    ];
    const written = await write(records, at(path));
    expect(written).toEqual({ records: 3, bytes: statSync(at(path)).size });
    const all = { i: null, d: null, t: null, b: null, at: null, big: null, raw: null, late: null };
    expect(await back()).toEqual(
      records.map((record) => ({
        ...all,
        ...record,
        ...("i" in record && { i: record.i === null ? null : BigInt(record.i) }),
        ...("raw" in record && { raw: expect.objectContaining({ length: record.raw?.length }) }),
      })),
    );
  });

  test("takes lists and objects as JSON, and columns of several types as text", async () => {
    const records = [
      { json: { a: [1, "x"] }, mixed: 1, wide: 2n ** 70n, "": "empty", __proto__x: 1 },
      { json: [null], mixed: "two", wide: 1n },
      { json: "t", mixed: true },
    ];
    await write(records, at(path));
    const json = (value: unknown) => (isArrow ? JSON.stringify(value) : value);
    const rows = await back();
    expect(rows.map((row) => row["json"])).toEqual(records.map((record) => json(record.json)));
    expect(rows.map((row) => row["mixed"])).toEqual(["1", "two", "true"]);
    expect(rows[0]![""]).toBe("empty");
    if (isArrow) expect(rows[0]!["wide"]).toBe(String(2n ** 70n));
  });

  test("keeps all digits of lines of JSON", async () => {
    await writeFile(
      at("in.ndjson"),
      '{"id":9007199254740993,"x":[1.10]}\n{"id":-9223372036854775808,"x":{"b":1e2}}\n',
    );
    await write(readNdjson<object>(at("in.ndjson")), at(path));
    expect((await back()).map(({ id }) => id)).toEqual([9007199254740993n, -(2n ** 63n)]);
    if (isArrow) expect((await back()).map(({ x }) => x)).toEqual(["[1.10]", '{"b":1e2}']);
  });

  test("beside fractions, integers that a double would round stay exact, as text", async () => {
    await write([{ n: 2n ** 53n + 1n }, { n: 0.5 }], at(path));
    expect(await back()).toEqual([{ n: "9007199254740993" }, { n: "0.5" }]);
    await write([{ n: 2n ** 53n }, { n: 0.5 }, { n: -0 }], at(path));
    expect(await back()).toEqual([{ n: 2 ** 53 }, { n: 0.5 }, { n: -0 }]);
  });

  test("converts the text of CSV to stated types", async () => {
    const csv =
      "id,km,at,day,ok,note\n7,1.5,2001-02-03T04:05:06.7+01:00,2001-02-03,TRUE,a\n,,,,,\n";
    await writeFile(at("in.csv"), csv);
    await write(readCsv(at("in.csv")), at(path), {
      columns: {
        id: "integer",
        at: "timestamp",
        km: "double",
        day: "date",
        ok: "boolean",
        note: "text",
      },
    });
    const none = { id: null, at: null, km: null, day: null, ok: null, note: "" };
    const rows = await back();
    expect(Object.keys(rows[0]!)).toEqual(["id", "at", "km", "day", "ok", "note"]);
    expect(rows).toEqual([
      {
        ...{ id: 7n, km: 1.5, ok: true, note: "a" },
        ...{ at: new Date("2001-02-03T03:05:06.700Z"), day: new Date("2001-02-03") },
      },
      none,
    ]);
  });

  test("writes chosen columns, and none of nothing", async () => {
    await write([{ a: 1, b: 2, c: 3 }], at(path), { columns: ["c", "a", "none"] });
    expect(await back()).toEqual([{ c: 3n, a: 1n, none: null }]);
    await write([], at(path), { columns: { a: "double" } });
    expect(await back()).toEqual([]);
    await write([], at(path));
    expect(await back()).toEqual([]);
  });

  test("more records than fit in memory wait in a temporary file, and go with it", async () => {
    const dir = at(`wait-${path}`);
    await mkdir(dir);
    const text = "x".repeat(1000);
    let left: readonly string[] = [];
    const records = (function* () {
      for (let i = 0; i < 20_000; i++) yield { i, text, at: new Date(i), json: [i] };
      left = readdirSync(dir);
      yield { i: 0.5 };
    })();
    const written = await write(records, at(path), { dir });
    expect(written.records).toBe(20_001);
    expect(left).toHaveLength(1);
    expect(readdirSync(dir)).toEqual([]);
    let i = 0;
    for await (const row of read<Record<string, unknown>>(at(path))) {
      if (i < 20_000) expect(row["i"]).toBe(i);
      i++;
    }
    expect(i).toBe(20_001);
  });

  test("a waiting file that another program cuts or removes is an error", async () => {
    const dir = at(`cut-${path}`);
    await mkdir(dir);
    const text = "x".repeat(1000);
    const records = (spoil: (file: string) => void) =>
      (function* () {
        for (let i = 0; i < 5_000; i++) yield { i, text };
        spoil(join(dir, readdirSync(dir)[0]!, "batches"));
      })();
    const cut = write(
      records((file) => truncateSync(file, statSync(file).size - 1)),
      at(path),
      { dir },
    );
    await expect(cut).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT" });
    const removed = write(
      records((file) => rmSync(file)),
      at(path),
      { dir },
    );
    await expect(removed).rejects.toMatchObject({ code: "ERR_PARTD_IO" });
    expect(readdirSync(dir)).toEqual([]);
  });

  test("refuses what it cannot hold, and leaves the file that is there", async () => {
    await write([{ a: 1 }], at(path));
    expect(await refused([{ a: [1n] }])).toMatch(/\.a\[0\] is a bigint/);
    expect(await refused([{ f: () => 1 }])).toMatch(/\.f is a function/);
    expect(await refused([{ at: new Date(Number.NaN) }])).toMatch(/\.at is an invalid Date/);
    expect(await refused([{ a: new Map() }])).toMatch(/\.a is of the class Map/);
    expect(await refused([[1]])).toMatch(/records that are objects/);
    expect(await refused([{ a: Uint8Array.of(1) }, { a: 1 }])).toMatch(/"a" has bytes in some/);
    expect(await refused([{ a: "\ud800" }])).toMatch(/half a character/);
    const stated = (a: unknown, type: "integer") => refused([{ a }], { columns: { a: type } });
    expect(await stated(1.5, "integer")).toMatch(
      /"a" is of the type integer, and a record has 1.5/,
    );
    expect(await stated(2n ** 63n, "integer")).toMatch(/has 9223372036854775808/);
    expect(await stated("x", "integer")).toMatch(/has "x"/);
    expect(await stated(1, "int" as "integer")).toMatch(/is one of boolean, integer, .*, not int/);
    expect(await refused([{}], { columns: ["a", "a"] })).toMatch(/not two columns named "a"/);
    expect(await back()).toEqual([{ a: 1n }]);
  });

  test("copies bytes, so that a source may reuse its buffer", async () => {
    const reused = Buffer.alloc(1);
    const records = (function* () {
      for (reused[0] = 0; reused[0] < 3; reused[0]++) yield { b: reused };
    })();
    await write(records, at(path));
    expect((await back()).map(({ b }) => (b as Uint8Array)[0])).toEqual([0, 1, 2]);
    // Jest's own Uint8Array is of another realm than hyparquet-writer's.
    await write([runInNewContext("({ b: Uint8Array.of(7) })")], at(path));
    expect((await back()).map(({ b }) => (b as Uint8Array)[0])).toEqual([7]);
  });

  test("of duplicate names in a line the last counts, with all its digits", async () => {
    const lines = '{"a":1,"a":9007199254740993}\n{"a":9007199254740993,"a":1}\n';
    await writeFile(at("twice.ndjson"), lines);
    await write(readNdjson<object>(at("twice.ndjson")), at(path));
    expect(await back()).toEqual([{ a: 9007199254740993n }, { a: 1n }]);
  });

  test("text that only looks like a stated type is refused", async () => {
    const stated = (x: unknown, type: ColumnType) => refused([{ x }], { columns: { x: type } });
    expect(await stated("2001-02-30", "date")).toMatch(/has "2001-02-30"/);
    expect(await stated("2001-02-30T00:00:00Z", "timestamp")).toMatch(/has "2001-02-30T/);
    expect(await stated("constructor", "boolean")).toMatch(/has "constructor"/);
    const infinities = ["infinity", "-INFINITY", "nan"].map((x) => ({ x }));
    await write(infinities, at(path), { columns: { x: "double" } });
    expect((await back()).map(({ x }) => x)).toEqual([Infinity, -Infinity, Number.NaN]);
  });

  test("objects whose content is not in properties are no records", async () => {
    const message = (given: object) => refused([given]);
    expect(await message(new Map([["a", 1]]))).toMatch(/objects, not Map/);
    expect(await message(new Date(0))).toMatch(/objects, not Date/);
    expect(await message(Buffer.from("a stream's bytes"))).toMatch(/objects, not Uint8Array/);
    expect(await message(["key", { a: 1 }])).toMatch(/not Array. Make an object of each/);
    class Trip {
      readonly km = 1.5;
    }
    await write([new Trip()], at(path));
    expect(await back()).toEqual([{ km: 1.5 }]);
  });

  test("columns and dir that are none are refused", async () => {
    const wrong = [new Map([["a", "text"]]), new Set(["a"]), null, 5, {}, [], [1], [Symbol("x")]];
    for (const columns of [...wrong, new Array(1)]) {
      expect(await refused([{ a: 1 }], { columns: columns as never })).toMatch(
        /^columns are different names/,
      );
    }
    expect(await refused([{ a: 1 }], { dir: 5 as never })).toMatch(/^dir must be a string, not 5/);
    expect(await refused([{ "\ud800": 1 }])).toMatch(/name of the column "\\ud800" holds half/);
    expect(await refused([], { columns: ["\ud800"] })).toMatch(/name of the column "\\ud800"/);
  });

  test("an abort ends records that are gathered and give no time", async () => {
    const controller = new AbortController();
    let given = 0;
    const records = (function* () {
      for (; given < 100; given++) {
        if (given === 2) controller.abort(new Error("enough"));
        yield { given };
      }
    })();
    const written = write(records, at(`gathered-${path}`), { signal: controller.signal });
    await expect(written).rejects.toThrow("enough");
    expect(given).toBeLessThan(5);
  });

  test("an abort, and an error of the source, leave nothing", async () => {
    const name = `new-${path}`;
    const controller = new AbortController();
    const endless = (async function* () {
      for (let i = 0; ; i++) {
        if (i === 100_000) controller.abort(new Error("enough"));
        yield { i };
      }
    })();
    const aborted = write(endless, at(name), { signal: controller.signal, dir: folder });
    await expect(aborted).rejects.toThrow("enough");
    const failing = (function* () {
      yield { a: 1 };
      throw new Error("the source");
    })();
    await expect(write(failing, at(name), { columns: { a: "double" } })).rejects.toThrow(
      "the source",
    );
    expect(existsSync(at(name))).toBe(false);
    expect(readdirSync(folder).filter((name) => name.startsWith("partd-records-"))).toEqual([]);
  });
});

test("a column's type is that of all its values", async () => {
  const typeOf = async (...values: readonly unknown[]) => {
    await writeArrow(
      values.map((x) => ({ x })),
      at("types.arrow"),
    );
    return String(tableFromIPC(readFileSync(at("types.arrow"))).schema.fields[0]?.type);
  };
  expect(await typeOf(1, null, 2)).toBe("Int64");
  expect(await typeOf(1, 2.5)).toBe("Float64");
  expect(await typeOf(1e300, Number.NaN)).toBe("Float64");
  expect(await typeOf(true, false)).toBe("Bool");
  expect(await typeOf(true, 1)).toBe("Utf8");
  expect(await typeOf("a", 1)).toBe("Utf8");
  expect(await typeOf(new Date(0))).toBe("Timestamp<MILLISECOND, UTC>");
  expect(await typeOf(Uint8Array.of(1))).toBe("Binary");
  expect(await typeOf(null)).toBe("Utf8");
  // Text is text, whatever it looks like, unless a table has said otherwise.
  expect(await typeOf("2001-01-01")).toBe("Utf8");
});

test("a name that promises something else is refused", async () => {
  for (const name of ["a.csv", "a.parquet.gz", "a.arrow.zst", "a.arrow"]) {
    await expect(writeParquet([{ a: 1 }], at(name))).rejects.toThrow(/must not end in/);
  }
  await expect(writeArrow([{ a: 1 }], at("a.parquet"))).rejects.toThrow(/must not end in/);
});

test("Parquet keeps no long value for its index, which would stay in memory and be written again", async () => {
  const text = "x".repeat(100_000);
  const records = [1, 2].map((i) => {
    return { i, short: String(i), text: text + i, json: [text], bytes: Buffer.from(text) };
  });
  await writeParquet(records, at("long.parquet"));
  const file = await asyncBufferFromFile(at("long.parquet"));
  const { row_groups, metadata_length } = await parquetMetadataAsync(file);
  const greatest = row_groups[0]!.columns.map(({ meta_data }) => meta_data?.statistics?.max_value);
  expect(greatest).toEqual([2n, "2", undefined, undefined, undefined]);
  expect(metadata_length).toBeLessThan(1000);
});

test("row groups of many columns have enough records, and batches not too many cells", async () => {
  const names = Array.from({ length: 4096 }, (_, i) => `c${i}`);
  const wide = Object.fromEntries(names.slice(0, 1000).map((name) => [name, 1]));
  await writeParquet(Array(150).fill(wide), at("wide.parquet"));
  const { row_groups } = await parquetMetadataAsync(await asyncBufferFromFile(at("wide.parquet")));
  expect(row_groups).toHaveLength(1);

  const columns = Object.fromEntries(names.map((name) => [name, "double"] as const));
  await writeArrow(Array(1100).fill({ c1: 1 }), at("sparse.arrow"), { columns });
  const { batches } = tableFromIPC(readFileSync(at("sparse.arrow")));
  expect(batches.map(({ numRows }) => numRows)).toEqual([1024, 76]);
});

test("a stream gets the stream format, batch by batch", async () => {
  const pipe = new PassThrough();
  const bytes = buffer(pipe);
  await writeArrow(
    Array.from({ length: 40_000 }, (_, i) => ({ i })),
    pipe,
  );
  const table = tableFromIPC(await bytes);
  expect(table.numRows).toBe(40_000);
  expect(table.batches).toHaveLength(3);
  expect(String(table.schema.fields[0]!.type)).toBe("Int64");
});

test("what one format gives, the other takes", async () => {
  const cell = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.string({ unit: "binary" }),
    fc.date({ noInvalidDate: true, min: new Date("1700-01-01"), max: new Date("2200-01-01") }),
  );
  const column = fc.oneof(
    ...[fc.boolean(), fc.double(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })].map(
      (of) => fc.array(fc.option(of as fc.Arbitrary<unknown>), { minLength: 3, maxLength: 3 }),
    ),
    fc.array(cell, { minLength: 3, maxLength: 3 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(column, { minLength: 1, maxLength: 4 }), async (columns) => {
      const records = [0, 1, 2].map((row) =>
        Object.fromEntries(columns.map((values, i) => [`c${i}`, values[row]])),
      );
      await writeParquet(records, at("p.parquet"));
      await writeArrow(readParquet(at("p.parquet")), at("p.arrow"));
      await writeArrow(records, at("d.arrow"));
      const [first, second] = [
        await all(readArrow(at("p.arrow"))),
        await all(readArrow(at("d.arrow"))),
      ];
      const isPlain = columns.map(
        (values) =>
          new Set(
            values.filter((v) => v !== null).map((v) => (v instanceof Date ? "date" : typeof v)),
          ).size < 2,
      );
      for (let row = 0; row < 3; row++) {
        for (let i = 0; i < columns.length; i++) {
          if (isPlain[i]) expect(first[row]![`c${i}`]).toEqual(second[row]![`c${i}`]);
        }
      }
    }),
    { numRuns: 60 },
  );
});
