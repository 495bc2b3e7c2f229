import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { PyGlobal, PyObject, pyTuple } from "@partd/codec-pickle";
import { Pickler } from "@partd/codec-pickle/format";
import { Dict, isPartdError, type Store, tuple } from "@partd/core";
import { concatBytes, frame } from "@partd/core/author";
import { FileStore } from "@partd/file";
import { codecContract } from "@partd/testing";
import {
  Binary,
  Bool,
  Dictionary,
  Field,
  Float64,
  Int,
  Int8,
  Int32,
  makeData,
  Schema,
  Struct,
  Table,
  tableFromArrays,
  Utf8,
  Vector,
  vectorFromArray,
} from "apache-arrow";
import fc from "fast-check";
import { describeReal, realPart } from "tooling/real-part";
import { toColumn } from "../src/column.js";
import { Damage } from "../src/damage.js";
import { PandasBlocks, PandasColumns, pandasBlocksCodec } from "../src/index.js";
import { type Frequency, labelledObject, objectShown, objectText } from "../src/object-labels.js";
import { indexValues, zoneName } from "../src/pickled-array.js";
import { tableOf } from "../src/table.js";

const fixtures = JSON.parse(
  readFileSync(new URL("./fixtures/frames.json", import.meta.url), "utf8"),
) as Record<"raw" | "compressed", Record<string, string>>;

test.each([
  [{ blocs: true }, "new PandasBlocks() has no option blocs. Did you mean blosc?"],
  [{ blosc: 1 }, "blosc must be true or false, not 1."],
])("%p is refused", (options, message) => {
  expect(() => new PandasBlocks(new Dict(), options as object)).toThrow(
    expect.objectContaining({ code: "ERR_PARTD_VALUE", message }),
  );
});

test("PandasColumns takes a store, and holds values", () => {
  expect(() => new PandasColumns("shuffle" as never)).toThrow("new PandasColumns() takes a store");
  const columns = new PandasColumns(new Dict()) as Store<unknown> as Store;
  expect(() => new PandasBlocks(columns)).toThrow("PandasColumns is a store of values");
});

const plain = (value: unknown): unknown =>
  typeof value === "bigint" ? `${value}n` : value instanceof Uint8Array ? [...value] : value;

/** Columns by name and type, the raw numbers of dates included. */
function show(table: Table) {
  const index = JSON.parse(table.schema.metadata.get("pandas") ?? "{}").index_columns;
  const columns = table.schema.fields.map(({ name, type }, i) => {
    const column = table.getChildAt(i) as Vector;
    return [name, String(type), Array.from(column, plain), column.nullCount];
  });
  return { columns, index };
}

const read = async (hex: string) => {
  const lower = new Dict();
  await lower.append({ x: frame(Buffer.from(hex, "hex")) });
  return new PandasBlocks(lower).get("x");
};

describe("frames that pandas wrote", () => {
  test.each(Object.keys(fixtures.raw))(
    "%s is read, compressed or not, written and read",
    async (name) => {
      const raw = await read(fixtures.raw[name] as string);
      expect(show(await read(fixtures.compressed[name] as string))).toEqual(show(raw));
      for (const options of [{}, { blosc: true }, { blosc: true, snappy: true }]) {
        const p = new PandasBlocks(new Dict(), options);
        await p.append({ x: raw });
        // Nullable integers become floats with NaN, as Arrow's do in pandas.
        if (!["Int64", "boolean", "Float64"].includes(name))
          expect(show(await p.get("x"))).toEqual(show(raw));
        await p.append({ x: raw });
        expect((await p.get("x")).numRows).toBe(raw.numRows * 2);
        const streamed: number[] = [];
        for await (const table of p.stream("x")) streamed.push(table.numRows);
        expect(streamed).toEqual([raw.numRows, raw.numRows]);
      }
    },
  );

  test("have Arrow's types, and an index that the metadata name", async () => {
    const shown = async (name: string) => show(await read(fixtures.raw[name] as string));
    expect((await shown("numbers")).columns.map(([, type]) => type).join()).toBe(
      "Int8,Int16,Int32,Int64,Uint8,Uint16,Uint32,Uint64,Float32,Float64",
    );
    expect((await shown("datetime")).columns[0]).toEqual([
      "d",
      "Timestamp<NANOSECOND>",
      [1577836800000, null],
      1,
    ]);
    expect((await shown("zone")).columns[0]?.[1]).toBe("Timestamp<NANOSECOND, Europe/Berlin>");
    expect((await shown("text")).columns).toEqual([
      ["s", "Utf8", ["a", null, "ü😀"], 1],
      ["t", "Utf8", ["x", "y", "z"], 0],
    ]);
    expect((await shown("category")).columns[0]).toEqual([
      "c",
      "Dictionary<Int8, Utf8>",
      ["x", "y", null, "x"],
      1,
    ]);
    expect((await shown("range index")).index).toEqual([
      { kind: "range", name: "r", start: 4, stop: 8, step: 2 },
    ]);
    const named = await shown("named index");
    expect(named.index).toEqual(["k"]);
    expect(named.columns[1]).toEqual(["k", "Utf8", ["p", "q"], 0]);
    expect((await shown("multi index")).index).toEqual(["m", "__index_level_1__"]);
    expect((await shown("int columns")).columns.map(([name]) => name)).toEqual(["0", "1"]);
    expect((await shown("empty")).columns.map(([name, type]) => [name, type])).toEqual([
      ["a", "Int64"],
      ["s", "Utf8"],
    ]);
  });

  test("have an index of its own name beside a column of the same", async () => {
    const { schema, numCols } = await read(fixtures.raw["levels of columns"] as string);
    expect(schema.names).toEqual(["a", "b", "__index_level_0__", "__index_level_1__"]);
    const { columns } = JSON.parse(schema.metadata.get("pandas") as string);
    expect(columns.map(({ name }: { name: string }) => name)).toEqual(["a", "b", "a", "b"]);
    expect(numCols).toBe(4);
  });

  test("have names of columns as texts", async () => {
    const names = async (name: string) => (await read(fixtures.raw[name] as string)).schema.names;
    expect(await names("date columns")).toEqual(["2020-01-01 00:00:00", "2021-12-31 23:59:59"]);
    expect(await names("other columns")).toEqual(["None", "7", "t"]);
    expect(await names("period columns")).toEqual(["2020-12", "2021-01"]);
    expect(await names("columns of objects")).toEqual([
      "2020-01-02",
      "2019-12-31 23:00:00+00:00",
      "1960-01-01 00:00:00.500000",
      "-1 days +23:59:59",
      "2020-01-01/2020-01-07",
      "<NA>",
      "NaT",
    ]);
    expect((await names("columns of levels without times")).slice(0, 2)).toEqual([
      "('a', None, None)",
      "('b', Timestamp('2021-01-01 00:00:00'), Period('2021-01-01', 'D'))",
    ]);
  });

  test("keep the labels that their columns have in pandas, also when frames are joined", async () => {
    const text = async (name: string) => {
      const raw = await read(fixtures.raw[name] as string);
      const p = new PandasBlocks(new Dict());
      await p.append({ x: raw });
      await p.append({ x: raw });
      const { schema } = await p.get("x");
      const [first] = JSON.parse(schema.metadata.get("pandas") as string).column_indexes;
      expect(JSON.parse(raw.schema.metadata.get("pandas") as string).column_indexes[0]).toEqual(
        first,
      );
      return [
        schema.names.filter((name) => !`${String(name)}`.startsWith("__")),
        first.metadata.labels.labels,
      ];
    };
    expect(await text("other columns")).toEqual([
      ["None", "7", "t"],
      [null, 7, "t"],
    ]);
    expect(await text("float columns")).toEqual([
      ["1.5", "2"],
      [1.5, 2],
    ]);
    const tuples = [
      ["a", 1],
      ["b", 2],
      ["a", 2],
    ];
    expect(await text("columns of two levels")).toEqual([
      ["('a', 1)", "('b', 2)", "('a', 2)"],
      tuples,
    ]);
    const ticks = ["1577836800000000000", "1640995199000000000"];
    expect((await text("date columns"))[1]).toEqual(ticks);
    const part = (await read(fixtures.raw["other columns"] as string)).select(["t", "None"]);
    const p = new PandasBlocks(new Dict());
    await p.append({ x: part });
    expect((await p.get("x")).schema.names).toEqual(["t", "None"]);
  });

  test("take no label but plain data from the metadata of a table", async () => {
    const labels = { names: [null], dtype: "|O", labels: [{ type: "os.system", args: ["x"] }] };
    const described = {
      index_columns: [],
      columns: [{ name: "a", field_name: "a" }],
      column_indexes: [{ metadata: { labels } }],
    };
    const schema = new Schema(
      [new Field("a", new Int32())],
      new Map([["pandas", JSON.stringify(described)]]),
    );
    const table = new Table(schema, { a: vectorFromArray([1], new Int32()) } as never);
    await expect(new PandasBlocks(new Dict()).append({ x: table })).rejects.toThrow(
      "no known form",
    );
  });

  test.each([
    [{ categories: ["b"] }, "a label of its columns is not one of the categories"],
    [{ categories: { a: 0 } }, "categories that are no list"],
    [{ levels: [{ categories: "a" }] }, "categories that are no list"],
  ])("are none of a category that the metadata %p lack", async (part, message) => {
    const labels = {
      names: [null],
      dtype: "|O",
      labels: ["levels" in part ? ["a"] : "a"],
      ...part,
    };
    const described = {
      index_columns: [],
      columns: [{ name: "a", field_name: "a" }],
      column_indexes: [{ metadata: { labels } }],
    };
    const metadata = new Map([["pandas", JSON.stringify(described)]]);
    const schema = new Schema([new Field("a", new Int32())], metadata);
    const table = new Table(schema, { a: vectorFromArray([1], new Int32()) } as never);
    const append = new PandasBlocks(new Dict()).append({ x: table });
    await expect(append).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
      message: expect.stringContaining(message),
    });
  });

  test("of several levels are read back, or refused when they are appended", async () => {
    const columnsOf = (seconds: readonly unknown[]) => {
      const names = ["a", "b"];
      const described = {
        index_columns: [],
        columns: names.map((name) => ({ name, field_name: name })),
        column_indexes: [
          {
            metadata: {
              labels: {
                names: [null, null],
                dtype: "|O",
                labels: names.map((name, i) => [name, seconds[i]]),
              },
            },
          },
        ],
      };
      const schema = new Schema(
        names.map((name) => new Field(name, new Int32())),
        new Map([["pandas", JSON.stringify(described)]]),
      );
      const column = vectorFromArray([1], new Int32());
      return new Table(schema, { a: column, b: column } as never);
    };
    for (const seconds of [
      [1, { int: "-864691128455135231" }],
      [1, { int: "18446744073709551615" }],
      [1.5, { float: "NaN" }],
      [2, { float: "-0" }],
      [{ bytes: [1] }, { bytes: [2] }],
      [true, false],
      ["x", "y"],
    ]) {
      const p = new PandasBlocks(new Dict());
      await p.append({ x: columnsOf(seconds) });
      const { metadata } = (await p.get("x")).schema;
      const [first] = JSON.parse(metadata.get("pandas") as string).column_indexes;
      expect(first.metadata.labels.labels).toEqual([
        ["a", seconds[0]],
        ["b", seconds[1]],
      ]);
    }
    for (const seconds of [
      [1, "x"],
      [true, 1],
      [-1, { int: "18446744073709551615" }],
    ]) {
      const p = new PandasBlocks(new Dict());
      await expect(p.append({ x: columnsOf(seconds) })).rejects.toThrow("several types");
      expect(await p.count()).toBe(0);
    }
  });

  test("of periods and times are named as pandas prints them", () => {
    const periods: [Frequency, string, string, string][] = [
      [["YearEnd", 1, false, 12], "50", "2020", "Period('2020', 'A-DEC')"],
      [["YearEnd", 1, false, 3], "50", "2020", "Period('2020', 'A-MAR')"],
      [["YearEnd", 2, false, 12], "50", "2020", "Period('2020', '2A-DEC')"],
      [["QuarterEnd", 1, false, 12], "200", "2020Q1", "Period('2020Q1', 'Q-DEC')"],
      [["QuarterEnd", 1, false, 12], "-20", "1965Q1", "Period('1965Q1', 'Q-DEC')"],
      [["QuarterEnd", 1, false, 11], "200", "2020Q1", "Period('2020Q1', 'Q-NOV')"],
      [["QuarterEnd", 1, false, 11], "-19", "1965Q2", "Period('1965Q2', 'Q-NOV')"],
      [["MonthEnd", 1, false], "601", "2020-02", "Period('2020-02', 'M')"],
      [["MonthEnd", 3, false], "601", "2020-02", "Period('2020-02', '3M')"],
      [
        ["Week", 1, false, 6],
        "2618",
        "2020-02-24/2020-03-01",
        "Period('2020-02-24/2020-03-01', 'W-SUN')",
      ],
      [
        ["Week", 1, false, 6],
        "-251",
        "1965-03-01/1965-03-07",
        "Period('1965-03-01/1965-03-07', 'W-SUN')",
      ],
      [
        ["Week", 1, false, 1],
        "2618",
        "2020-02-26/2020-03-03",
        "Period('2020-02-26/2020-03-03', 'W-TUE')",
      ],
      [
        ["Week", 1, false, 1],
        "-252",
        "1965-02-24/1965-03-02",
        "Period('1965-02-24/1965-03-02', 'W-TUE')",
      ],
      [["Day", 1, false], "18321", "2020-02-29", "Period('2020-02-29', 'D')"],
      [["Day", 1, false], "-1767", "1965-03-01", "Period('1965-03-01', 'D')"],
      [["Day", 2, false], "18321", "2020-02-29", "Period('2020-02-29', '2D')"],
      [["Day", 2, false], "-1767", "1965-03-01", "Period('1965-03-01', '2D')"],
      [["Hour", 1, false], "439717", "2020-02-29 13:00", "Period('2020-02-29 13:00', 'H')"],
      [["Minute", 1, false], "26383034", "2020-02-29 13:14", "Period('2020-02-29 13:14', 'T')"],
      [
        ["Second", 1, false],
        "1582982055",
        "2020-02-29 13:14:15",
        "Period('2020-02-29 13:14:15', 'S')",
      ],
      [
        ["Milli", 1, false],
        "1582982055016",
        "2020-02-29 13:14:15.016",
        "Period('2020-02-29 13:14:15.016', 'L')",
      ],
      [
        ["Micro", 1, false],
        "1582982055016017",
        "2020-02-29 13:14:15.016017",
        "Period('2020-02-29 13:14:15.016017', 'U')",
      ],
      [
        ["Nano", 1, false],
        "1582982055016017018",
        "2020-02-29 13:14:15.016017018",
        "Period('2020-02-29 13:14:15.016017018', 'N')",
      ],
      [
        ["Nano", 1, false],
        "-152668800000000000",
        "1965-03-01 00:00:00.000000000",
        "Period('1965-03-01 00:00:00.000000000', 'N')",
      ],
    ];
    for (const [freq, period, text, shown] of periods) {
      expect([objectText({ period, freq }), objectShown({ period, freq })]).toEqual([text, shown]);
    }
    for (const [timedelta, text] of [
      ["0", "0 days 00:00:00"],
      ["-1", "-1 days +23:59:59.999999999"],
      ["-86400000005000", "-2 days +23:59:59.999995"],
      ["90061000001500", "1 days 01:01:01.000001500"],
    ] as const) {
      expect(objectText({ timedelta })).toBe(text);
    }
    for (const [timestamp, text] of [
      ["-1", "1969-12-31 23:59:59.999999999"],
      ["1500000000", "1970-01-01 00:00:01.500000"],
    ] as const) {
      expect(objectText({ timestamp })).toBe(text);
    }
  });

  test("of other forms in the metadata of a table make no other object", () => {
    const text = "1";
    for (const label of [
      { period: text, freq: ["CustomBusinessDay", 1] },
      { period: text, freq: ["YearEnd", { evil: 1 }] },
      { period: "x", freq: ["Day", 1] },
      { timestamp: "1; import os" },
      { timedelta: 5 },
      { missing: "other" },
      { date: [1, 2] },
    ]) {
      expect(labelledObject(label)).toBeUndefined();
    }
  });

  test("claim no more columns than their bytes can hold", () => {
    const type = new PyGlobal("pandas.core.indexes.range", "RangeIndex");
    const state = { name: null, start: 0, stop: 1e9, step: 1 };
    const make = new PyGlobal("pandas.core.indexes.base", "_new_Index");
    const pickler = new Pickler();
    const range = pickler.dump(new PyObject(make, pyTuple(type, state)));
    const bytes = concatBytes([pickler.dump([null, null]), range, range].map(frame));
    return expect(async () => pandasBlocksCodec().decode(bytes)).rejects.toThrow("more columns");
  });

  test("each wrong byte is an error in words of this package", async () => {
    const codec = pandasBlocksCodec();
    for (const name of ["category", "multi index"]) {
      const bytes = Buffer.from(fixtures.raw[name] as string, "hex");
      for (let at = 0; at < bytes.length; at++) {
        for (const bits of [1, 128]) {
          const damaged = Uint8Array.from(bytes);
          damaged[at] = (damaged[at] as number) ^ bits;
          const error = await Promise.resolve(damaged)
            .then(codec.decode)
            .catch((e) => e);
          if (error instanceof Table) continue;
          expect(error instanceof Damage || isPartdError(error)).toBe(true);
        }
      }
    }
  });

  test("mutated bytes are a table or a clear error", async () => {
    const seeds = Object.values(fixtures.raw).map((hex) => Buffer.from(hex, "hex"));
    const codec = pandasBlocksCodec();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        async (seed, edits) => {
          const bytes = Uint8Array.from(seed);
          for (const [at, byte] of edits) bytes[at % bytes.length] = byte;
          try {
            expect(await codec.decode(bytes)).toBeInstanceOf(Table);
          } catch (error) {
            expect((error as Error).message).not.toBe("");
          }
        },
      ),
      { numRuns: Number(process.env.PARTD_FUZZ_RUNS ?? 1500) },
    );
  });
});

const one = new Table({
  a: vectorFromArray([1, 2], new Int32()),
  s: vectorFromArray(["x", "y"], new Utf8()),
}) as unknown as Table;
const rows = (table: Table) => JSON.stringify(table.toArray().map((row) => [row.a, row.s]));

describe("the codec contract, of PandasBlocks", () => {
  for (const { name, run } of codecContract<Table>((store) => new PandasBlocks(store), [one], {
    equal: (a, b) => rows(a) === rows(b),
    join: pandasBlocksCodec().join,
    unencodable: [
      "text",
      { a: 1 },
      new Table({ d: vectorFromArray([{ a: 1 }], new Struct([new Field("a", new Int32())])) }),
    ],
    badBytes: [new Uint8Array(), Buffer.from("[1]")],
    manyFrames: 50,
    largeFrame: 50,
    numRuns: 20,
  })) {
    test(name, run);
  }
});

describe("PandasColumns", () => {
  test("a table is a key a column, read in part, appended to, popped and deleted", async () => {
    const lower = new Dict();
    const p = new PandasColumns(lower);
    await p.append({ x: one });
    await p.append({ x: one });
    expect(rows(await p.get("x"))).toBe('[[1,"x"],[2,"y"],[1,"x"],[2,"y"]]');
    const some = await p.get("x", { columns: ["s"] });
    expect(some.schema.fields.map(({ name }) => name)).toEqual(["s", "__index_level_0__"]);
    expect(Array.from(some.getChild("__index_level_0__") as Vector, Number)).toEqual([0, 1, 0, 1]);
    await expect(p.get("x", { columns: ["no"] })).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
    });
    expect((await p.get("absent")).numCols).toBe(0);
    const keys = async () => {
      const found: unknown[] = [];
      for await (const key of p.keys()) found.push(key);
      return found;
    };
    expect(await keys()).toEqual(["x"]);
    await p.iset("y", one);
    expect(rows(await p.pop("y"))).toBe('[[1,"x"],[2,"y"]]');
    await p.delete("x");
    expect(await keys()).toEqual([]);
    const left: unknown[] = [];
    for await (const key of lower.keys()) left.push(key);
    expect(left).toEqual([]);
  });

  test("close and the end of a lock wait for what was begun", async () => {
    const p = new PandasColumns(new Dict());
    const begun: Promise<void>[] = [];
    await p.withLock((held) => {
      begun.push(held.append({ x: one, y: one }));
    });
    expect(rows(await p.get("x"))).toBe('[[1,"x"],[2,"y"]]');
    begun.push(p.delete(["x", "y"]));
    await p.close();
    await Promise.all(begun);
  });

  test("what Python has not there is refused", async () => {
    const p = new PandasColumns(new Dict());
    const category = vectorFromArray(["x"], new Dictionary(new Utf8(), new Int8()));
    await expect(p.append({ x: new Table({ c: category }) })).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
    });
  });
});

test("what pandas would change is refused, naming the column", async () => {
  const p = new PandasBlocks(new Dict());
  const wide = vectorFromArray([2n ** 60n, null]);
  await expect(p.append({ x: new Table({ n: wide }) })).rejects.toThrow('the column "n"');
  const schema = new Schema(
    [new Field("a", new Int32())],
    new Map([["pandas", '{"index_columns":["gone"]}']]),
  );
  await expect(
    p.append({ x: new Table(schema, { a: vectorFromArray([1], new Int32()) } as never) }),
  ).rejects.toThrow('"gone"');
});

test("categories that are not there are refused, in what is appended and in what is read", async () => {
  const codec = pandasBlocksCodec();
  const type = new Dictionary(new Utf8(), new Int8());
  const made = (code: number) =>
    new Vector([
      makeData({
        ...{ type, length: 2, nullCount: 0, data: Int8Array.of(0, code) },
        dictionary: vectorFromArray(["x", "y"], new Utf8()),
      }),
    ]);
  await expect(codec.encode(new Table({ c: made(2) }))).rejects.toThrow(
    'the column "c" cannot be carried: the category of row 1',
  );
  const bytes = await codec.encode(new Table({ c: made(1) }));
  expect(bytes.at(-1)).toBe(1); // The code of the last row.
  bytes[bytes.length - 1] = 2;
  const lower = new Dict();
  await lower.append({ x: frame(bytes) });
  await expect(new PandasBlocks(lower).get("x")).rejects.toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    message: expect.stringContaining("a category of row 1 is not there"),
  });
});

/** A frame of a range alone, as `DataFrame(index=range(rows))`. */
function rangeAlone(rows: number): Table {
  return tableOf([], { kind: "range", name: null, start: 0, stop: rows, step: 1 });
}

test("a frame without columns keeps its rows, and is joined only if they are not too many", async () => {
  const store = new PandasBlocks(new Dict());
  await store.append({ x: rangeAlone(3), y: rangeAlone(1e15) });
  expect((await store.get("x")).numRows).toBe(3);
  expect((await store.get("y")).numRows).toBe(1e15);
  await store.append({ x: rangeAlone(2), y: rangeAlone(2) });
  const joined = await store.get("x");
  expect(Array.from(joined.getChildAt(0) as Vector)).toEqual([0n, 1n, 2n, 0n, 1n]);
  await expect(store.get("y")).rejects.toThrow("without a column is not joined to others");
});

describe("columns whose types differ from one append to the next", () => {
  const joined = async (...columns: Vector[]) => {
    const store = new PandasBlocks(new Dict());
    for (const a of columns) await store.append({ x: new Table({ a }) });
    const column = (await store.get("x")).getChild("a") as Vector;
    return [`${column.type}`, Array.from(column, plain)];
  };

  test("with nulls are joined to those without, as pandas.concat does", async () => {
    const ints = (...values: (number | null)[]) => vectorFromArray(values, new Int32());
    const floats = ["Float64", [1, Number.NaN, 2, Number.NaN]];
    expect(await joined(ints(1, null), ints(2), ints(null))).toEqual(floats);
    expect(await joined(ints(1), ints(null, 2, null))).toEqual(floats);
    for (const [type, value] of [
      [new Binary(), Uint8Array.of(1)],
      [new Bool(), true],
      [new Utf8(), "x"],
    ] as const) {
      const none = vectorFromArray([null], type);
      const one = vectorFromArray([value], type as Utf8) as Vector;
      const shown = plain(value);
      expect(await joined(none, one)).toEqual([`${type}`, [null, shown]]);
      expect(await joined(one, none, one)).toEqual([`${type}`, [shown, null, shown]]);
    }
  });

  test("of different widths get the type that holds both", async () => {
    const one = (type: Int) => {
      const value = type.bitWidth === 64 ? [1n, 2n] : [1, 2];
      return vectorFromArray(value as number[], type) as Vector;
    };
    const names = ["Int8", "Int16", "Int32", "Int64", "Uint8", "Uint16", "Uint32", "Uint64"];
    const types = names.map((name) => new Int(name.startsWith("I"), Number(/\d+/.exec(name)) as 8));
    const found = [];
    for (const a of types) {
      for (const b of types) {
        const [type, values] = await joined(one(a), one(b));
        expect((values as unknown[]).map((value) => Number.parseInt(`${value}`, 10))).toEqual([
          1, 2, 1, 2,
        ]);
        found.push(type);
      }
    }
    // NumPy's promote_types.
    expect(found.join(" ").match(/(\w+ ?){8}/g)).toEqual([
      "Int8 Int16 Int32 Int64 Int16 Int32 Int64 Float64 ",
      "Int16 Int16 Int32 Int64 Int16 Int32 Int64 Float64 ",
      "Int32 Int32 Int32 Int64 Int32 Int32 Int64 Float64 ",
      "Int64 Int64 Int64 Int64 Int64 Int64 Int64 Float64 ",
      "Int16 Int16 Int32 Int64 Uint8 Uint16 Uint32 Uint64 ",
      "Int32 Int32 Int32 Int64 Uint16 Uint16 Uint32 Uint64 ",
      "Int64 Int64 Int64 Int64 Uint32 Uint32 Uint32 Uint64 ",
      "Float64 Float64 Float64 Float64 Uint64 Uint64 Uint64 Uint64",
    ]);
  });

  test("are refused where pandas would round their integers, or has no common type", async () => {
    const wide = vectorFromArray([2n ** 60n]);
    await expect(joined(wide, vectorFromArray([1n, null]))).rejects.toThrow("would round them");
    const text = vectorFromArray(["x"], new Utf8());
    await expect(joined(wide, text)).rejects.toMatchObject({ code: "ERR_PARTD_CODEC" });
  });
});

test("values that the level of an index has not are refused", async () => {
  const level = () => vectorFromArray(["x", "y", "z"], new Utf8());
  const columns = { n: vectorFromArray([1, 2, 3], new Int32()), a: level(), b: level() };
  const plainTable = new Table(columns);
  const metadata = new Map([["pandas", JSON.stringify({ index_columns: ["a", "b"] })]]);
  const schema = new Schema(plainTable.schema.fields, metadata);
  const codec = pandasBlocksCodec();
  const bytes = await codec.encode(new Table(schema, plainTable.batches));
  const codes = Buffer.from(Int32Array.of(0, 1, 2).buffer);
  const at = Buffer.from(bytes).indexOf(codes);
  expect(at).toBeGreaterThan(0);
  bytes[at + 8] = 3;
  await expect((async () => codec.decode(bytes))()).rejects.toThrow("a level of an index");
});

test("a column of fewer values than rows is refused, also one that became so", async () => {
  const table = (length: number, memory: ArrayBuffer) =>
    new Table({
      n: new Vector([
        makeData({ type: new Float64(), length, nullCount: 0, data: new Float64Array(memory) }),
      ]),
    });
  const codec = pandasBlocksCodec();
  await expect(codec.encode(table(3, new ArrayBuffer(16)))).rejects.toThrow("fewer values than");
  const memory = new ArrayBuffer(24);
  const encoding = codec.encode(table(3, memory));
  structuredClone(memory, { transfer: [memory] });
  await expect(encoding).rejects.toThrow();
  await codec.encode(table(3, new ArrayBuffer(24)));
});

test("damaged columns are corrupt, naming the key", async () => {
  const entries = async (table: Table) => {
    const lower = new Dict();
    await new PandasColumns(lower).append({ x: table });
    return lower;
  };
  const lower = await entries(tableFromArrays({ a: Int32Array.of(1, 2), b: Int32Array.of(1, 2) }));
  const short = await entries(tableFromArrays({ a: Int32Array.of(1) }));
  await lower.delete(tuple("x", "a"));
  await lower.append([[tuple("x", "a"), await short.get(tuple("x", "a"))]]);
  const read = new PandasColumns(lower).get("x");
  await expect(read).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", key: "x" });
  for (const part of [".columns", ".index-name"]) {
    const damaged = await entries(tableFromArrays({ a: Int32Array.of(1) }));
    await damaged.append([[tuple("x", part), Uint8Array.of(1)]]);
    const error = new PandasColumns(damaged).get("x");
    await expect(error).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", key: "x" });
  }
});

test("a frame with two columns of one name is not damage, and is refused", () => {
  const column = vectorFromArray([1], new Int32());
  const range = { kind: "range", name: null, start: 0, stop: 1, step: 1 } as const;
  const read = () => tableOf([...["a", "b", "a"].map((name) => [name, column] as const)], range);
  expect(read).toThrow('the column "a" cannot be carried: another has its name');
});

test("categories that are intervals are refused by name, and not called damaged", () => {
  const make = new PyGlobal("pandas.core.indexes.base", "_new_Index");
  const type = new PyGlobal("pandas.core.indexes.interval", "IntervalIndex");
  const index = new PyObject(make, pyTuple(type, { left: null, right: null, closed: "right" }));
  expect(() => indexValues(index, "a")).toThrow(
    expect.objectContaining({
      code: "ERR_PARTD_CODEC",
      message: expect.stringContaining("a pandas.core.indexes.interval.IntervalIndex has no"),
    }),
  );
});

test.each([
  [330, "+05:30"],
  [-90, "-01:30"],
  [0, "UTC"],
])("the zone of an offset of %d minutes, as pandas reads it in a text, is %s", (minutes, zone) => {
  const tz = new PyObject(new PyGlobal("pytz", "FixedOffset"), pyTuple(minutes));
  expect(zoneName(tz, "t")).toBe(zone);
  const none = new PyObject(new PyGlobal("pytz", "FixedOffset"), pyTuple(minutes + 0.5));
  expect(() => zoneName(none, "t")).toThrow("no name");
});

test("half a surrogate pair, which Arrow cannot hold, is refused", async () => {
  const table = new Table({ "a\ud800": vectorFromArray([1], new Int32()) });
  for (const p of [new PandasBlocks(new Dict()), new PandasColumns(new Dict())]) {
    await expect(p.append({ x: table })).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
      message: expect.stringContaining(
        'the column "a\\ud800" cannot be carried: its name has half',
      ),
    });
  }
  expect(() => toColumn({ dtype: "|O", data: ["a", null, "b\ud800"] }, "s")).toThrow(
    'the column "s" cannot be carried: its text in row 2 has half',
  );
});

const python = realPart.python("partd", "pandas", "numpy", "msgpack", "snappy", "blosc");
describeReal(python, "Python's partd and pandas", () => {
  const program = fileURLToPath(new URL("./fixtures/frames.py", import.meta.url));
  const run = (...args: string[]) =>
    JSON.parse(
      execFileSync(python.command as string, [program, ...args], { encoding: "utf8" }),
    ) as Record<string, string>;
  /** pandas' nullable types become those that Arrow without an extension has. */
  const writtenAs = (difference: string) => {
    if (difference === "") return "yes";
    const [, dtype] = /\[right\]: *(\w+)/.exec(difference) ?? [];
    return dtype ? `as ${dtype}` : difference;
  };

  const copied = async (
    compression: string,
    kind: string,
    wrap: (store: Store) => Store<Table>,
  ) => {
    const folder = mkdtempSync(join(tmpdir(), "partd-pandas-"));
    try {
      run("write", join(folder, "theirs"), compression, kind);
      await using theirs = wrap(new FileStore(join(folder, "theirs")));
      await using ours = wrap(new FileStore(join(folder, "ours")));
      for await (const key of theirs.keys()) await ours.append([[key, await theirs.get(key)]]);
      await ours.flush();
      return run("read", join(folder, "ours"), compression, kind);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  test.each(["raw", "compressed"])(
    "PandasBlocks, %s: what Python wrote is read, and what is written then is the same there",
    async (compression) => {
      const options = compression === "raw" ? {} : { blosc: true, snappy: true };
      const differences = await copied(
        compression,
        "blocks",
        (store) => new PandasBlocks(store, options),
      );
      // The table in the documents says what was tried here, and nothing else.
      const document = readFileSync(new URL("../../../docs/python.md", import.meta.url), "utf8");
      const [, , ...rows] =
        document.slice(document.indexOf("| frame | read |")).split("\n\n")[0]?.split("\n") ?? [];
      expect(rows).toEqual(
        Object.entries(differences).map(
          ([name, difference]) => `| ${name} | yes | ${writtenAs(difference)} |`,
        ),
      );
    },
  );

  test("PandasColumns: the same", async () => {
    const differences = await copied("raw", "columns", (store) => new PandasColumns(store));
    expect(Object.entries(differences).filter(([, difference]) => difference !== "")).toEqual([]);
  });
});
