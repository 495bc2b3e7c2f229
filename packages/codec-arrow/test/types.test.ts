import { describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import * as arrow from "apache-arrow";
import { type DataType, Field, makeData, Table, Vector, vectorFromArray } from "apache-arrow";
import { Arrow } from "../src/index.js";

/** Seven values of each type that apache-arrow can build, with a null. */
const bytes = (texts: (string | null)[]) => texts.map((text) => text && Buffer.from(text));
const numbers = [1, null, 3, 4, 5, 6, 7];
const bigints = numbers.map((n) => n && BigInt(n));
const texts = ["a", null, "", "Grüße", "one of more than twelve bytes", "another such one", "f"];
const leaves: [DataType, unknown[]][] = [
  [new arrow.Null(), numbers.map(() => null)],
  ...[new arrow.Int8(), new arrow.Int16(), new arrow.Int32()].map((t) => [t, numbers] as never),
  ...[new arrow.Uint8(), new arrow.Uint16(), new arrow.Uint32()].map((t) => [t, numbers] as never),
  ...[new arrow.Int64(), new arrow.Uint64()].map((t) => [t, bigints] as never),
  ...[new arrow.Float16(), new arrow.Float32(), new arrow.Float64()].map(
    (t) => [t, numbers] as never,
  ),
  ...[new arrow.Utf8(), new arrow.LargeUtf8(), new arrow.Utf8View()].map(
    (t) => [t, texts] as never,
  ),
  ...[new arrow.Binary(), new arrow.LargeBinary(), new arrow.BinaryView()].map(
    (t) => [t, bytes(texts)] as never,
  ),
  [new arrow.FixedSizeBinary(3), numbers.map((n) => n && Uint8Array.of(n, n, n))],
  [new arrow.Bool(), [true, null, false, true, true, false, true]],
  [new arrow.Decimal(2, 10, 128), numbers.map((n) => n && Uint32Array.of(n, 0, 0, 0))],
  ...[new arrow.DateDay(), new arrow.DateMillisecond()].map(
    (t) => [t, numbers.map((n) => n && new Date(n * 864e5))] as never,
  ),
  ...[new arrow.TimeSecond(), new arrow.TimeMillisecond()].map((t) => [t, numbers] as never),
  ...[new arrow.TimeMicrosecond(), new arrow.TimeNanosecond()].map((t) => [t, bigints] as never),
  ...[new arrow.TimestampSecond("UTC"), new arrow.TimestampMillisecond()].map(
    (t) => [t, numbers.map((n) => n && n * 1000)] as never,
  ),
  ...[new arrow.TimestampMicrosecond(), new arrow.TimestampNanosecond("UTC")].map(
    (t) => [t, numbers.map((n) => n && n * 1000)] as never,
  ),
  ...[new arrow.DurationSecond(), new arrow.DurationNanosecond()].map((t) => [t, bigints] as never),
  [new arrow.IntervalYearMonth(), numbers.map((n) => n && Int32Array.of(n))],
  [new arrow.IntervalDayTime(), numbers.map((n) => n && Int32Array.of(n, n))],
  [new arrow.IntervalMonthDayNano(), numbers.map((n) => n && Int32Array.of(n, n, n, 0))],
];

const field = (name: string, type: DataType, nullable = true) => new Field(name, type, nullable);

/** Columns in which a type stands: by itself, and within each nested type. */
function columnsOf(type: DataType, v: unknown[]): [string, Vector][] {
  const lists = [[v[0], v[1]], null, [], [v[2]], [v[3], v[4], v[5]], [v[6]], []];
  const pairs = [0, 1, 2, 3, 4, 5, 6].map((i) => (i === 1 ? null : [v[i], v[(i + 1) % 7]]));
  const entries = field(
    "entries",
    new arrow.Struct([field("key", new arrow.Utf8(), false), field("value", type)]),
    false,
  );
  const build = (t: DataType, values: unknown[]) => vectorFromArray(values as never, t) as Vector;
  const union = (mode: "Sparse" | "Dense") => {
    const fields = [field("a", type), field("b", new arrow.Int32())];
    const children = [
      build(type, v).data[0],
      build(new arrow.Int32(), [0, 1, 2, 3, 4, 5, 6]).data[0],
    ];
    const typeIds = Int8Array.from(v, (_, i) => i % 2);
    const valueOffsets = Int32Array.from(v, (_, i) => i);
    return mode === "Sparse"
      ? { type: new arrow.SparseUnion([0, 1], fields), length: 7, typeIds, children }
      : { type: new arrow.DenseUnion([0, 1], fields), length: 7, typeIds, valueOffsets, children };
  };
  const columns: [string, Vector][] = [
    ["itself", build(type, v)],
    ["List", build(new arrow.List(field("item", type)), lists)],
    ["LargeList", build(new arrow.LargeList(field("item", type)), lists)],
    ["FixedSizeList", build(new arrow.FixedSizeList(2, field("item", type)), pairs)],
    [
      "Struct",
      build(
        new arrow.Struct([field("s", type), field("i", new arrow.Int32())]),
        v.map((s, i) => (i === 2 ? null : { s, i })),
      ),
    ],
    [
      "Map",
      build(
        new arrow.Map_(entries as never),
        v.map((x, i) =>
          i === 2
            ? null
            : new Map(
                i === 3
                  ? []
                  : [
                      ["k", x],
                      ["l", v[0]],
                    ],
              ),
        ),
      ),
    ],
    ["SparseUnion", new Vector([makeData(union("Sparse") as never)])],
    ["DenseUnion", new Vector([makeData(union("Dense") as never)])],
  ];
  if (!arrow.DataType.isNull(type)) {
    columns.push(["Dictionary", build(new arrow.Dictionary(type, new arrow.Int16()), v)]);
  }
  return columns;
}

const variants: [string, (column: Vector) => Vector][] = [
  ["whole", (v) => v],
  ["from 1 to 4", (v) => v.slice(1, 4)],
  ["from 3", (v) => v.slice(3)],
  ["empty", (v) => v.slice(3, 3)],
  ["a slice of a slice", (v) => v.slice(1, 6).slice(1, 4)],
  ["in chunks", (v) => v.slice(0, 3).concat(v.slice(3))],
  ["a slice of chunks", (v) => v.slice(0, 3).concat(v.slice(3)).slice(2, 5)],
];

const plain = (value: unknown): unknown => {
  if (typeof value === "bigint") return `${value}n`;
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array, String);
  if (value instanceof Date) return value.toISOString();
  if (typeof value !== "object" || value === null) return value === undefined ? "undefined" : value;
  if (value instanceof Vector) return [...value].map(plain);
  if (Symbol.iterator in value) return [...(value as Iterable<unknown>)].map(plain);
  return Object.entries(value).map(plain);
};

function rowsOf(table: Table): unknown[] {
  const columns = table.schema.fields.map((_, c) => table.getChildAt(c) as Vector);
  return Array.from({ length: table.numRows }, (_, i) =>
    columns.map((column) => plain(column.get(i))),
  );
}

const beside = (column: Vector) =>
  new Table({ column, i: vectorFromArray([...Array(column.length).keys()], new arrow.Int32()) });

async function expectKept(table: Table): Promise<void> {
  const rows = rowsOf(table);
  const store = new Arrow(new Dict());
  await store.append({ x: table as never });
  const once = (await store.get("x")) as unknown as Table;
  expect(once.schema.fields.map(({ name }) => name)).toEqual(
    table.schema.fields.map(({ name }) => name),
  );
  expect(rowsOf(once)).toEqual(rows);
  await store.append({ x: table as never });
  expect(rowsOf((await store.get("x")) as unknown as Table)).toEqual([...rows, ...rows]);
  const streamed: unknown[] = [];
  for await (const part of store.stream("x")) streamed.push(...rowsOf(part as unknown as Table));
  expect(streamed).toEqual([...rows, ...rows]);
}

describe.each(leaves.map(([type, values]) => [String(type), type, values] as const))(
  "%s reads back as it was",
  (_, type, values) => {
    for (const [nesting, column] of columnsOf(type, values)) {
      test(`within ${nesting}, sliced and chunked`, async () => {
        for (const [, variant] of variants) await expectKept(beside(variant(column)));
        await expectKept(new Table({ only: column.slice(2, 5) }));
        await expectKept(beside(variants[2]?.[1](column) as Vector).slice(1, 3));
      });
    }
    test("within a list of structs of each", async () => {
      for (const [, column] of columnsOf(type, values)) {
        const [data] = column.data;
        const struct = new arrow.Struct([field("s", column.type)]);
        const items = makeData({
          type: struct,
          length: 7,
          nullCount: 0,
          children: [data],
        } as never);
        const list = new Vector([
          makeData({
            type: new arrow.List(field("item", struct)),
            length: 3,
            nullCount: 0,
            valueOffsets: Int32Array.of(0, 2, 2, 7),
            child: items,
          } as never),
        ]);
        for (const part of [list, list.slice(1, 3), list.slice(2)]) await expectKept(beside(part));
      }
    });
  },
);

describe("tables of little", () => {
  const nothing = new arrow.Struct([]);
  test.each<[string, () => Table]>([
    ["no rows, from arrays", () => arrow.tableFromArrays({ x: new Float64Array(0) }) as never],
    ["no rows, of text", () => new Table({ x: vectorFromArray([], new arrow.Utf8()) })],
    ["no rows, sliced", () => arrow.tableFromArrays({ x: [1, 2] }).slice(1, 1) as never],
    [
      "no rows, a dictionary",
      () =>
        new Table({
          x: vectorFromArray([], new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8())),
        }),
    ],
    [
      "a column without a name",
      () => new Table({ "": vectorFromArray([1, 2], new arrow.Int32()) }),
    ],
    ["nulls alone", () => new Table({ x: vectorFromArray([null, null, null], new arrow.Null()) })],
    [
      "a struct of a struct of nulls",
      () => new Table({ x: vectorFromArray([{ a: { b: null } }]) }),
    ],
    [
      "empty structs",
      () =>
        new Table({
          x: new Vector([
            makeData({ type: nothing, length: 3, nullCount: 0, children: [] } as never),
          ]),
        }),
    ],
    [
      "lists of size 0",
      () =>
        new Table({
          x: new Vector([
            makeData({
              type: new arrow.FixedSizeList(0, field("i", new arrow.Int8())),
              length: 3,
              nullCount: 0,
              child: vectorFromArray([], new arrow.Int8()).data[0],
            } as never),
          ]),
        }),
    ],
    [
      "many nulls",
      () =>
        new Table({ x: new Vector([makeData({ type: new arrow.Null(), length: 100_000 })]) }).slice(
          7,
        ) as never,
    ],
  ])("%s", async (_, table) => expectKept(table()));

  test("uneven columns are filled with nulls, or refused for their length", async () => {
    for (const column of [
      vectorFromArray([1, 2], new arrow.Int32()),
      vectorFromArray(["x", "y"], new arrow.Utf8()),
      vectorFromArray(["x", "y"], new arrow.Dictionary(new arrow.Utf8(), new arrow.Int8())),
      vectorFromArray([true], new arrow.Bool()),
      vectorFromArray(["x", "y"], new arrow.Utf8View()),
      vectorFromArray([[1]], new arrow.List(field("i", new arrow.Int32()))),
    ]) {
      const table = new Table({
        a: vectorFromArray([...Array(99).keys()], new arrow.Int32()),
        b: column,
      });
      const store = new Arrow(new Dict());
      const appended = await store.append({ x: table as never }).catch((error: unknown) => error);
      if (appended === undefined) {
        expect(rowsOf((await store.get("x")) as unknown as Table)).toEqual(rowsOf(table));
        continue;
      }
      expect(appended).toMatchObject({
        code: "ERR_PARTD_CODEC",
        message: expect.stringContaining("one length"),
      });
      expect((await store.get("x")).numRows).toBe(0);
    }
  });
});

describe('{ schema: "merge" }', () => {
  const merged = async (...tables: Table[]) => {
    const store = new Arrow(new Dict(), { schema: "merge" });
    for (const table of tables) await store.append({ x: table as never });
    return (await store.get("x")) as unknown as Table;
  };
  const number = new Table({ n: vectorFromArray([1], new arrow.Int32()) });

  test.each(leaves.map(([type, values]) => [String(type), type, values] as const))(
    "a column of %s, or of any type around it, is null where a table has none",
    async (_, type, values) => {
      for (const [, column] of columnsOf(type, values)) {
        const all = await merged(number, new Table({ c: column }), number);
        const c = all.getChild("c") as Vector;
        expect([c.get(0), c.get(8)]).toEqual([null, null]);
        expect(Array.from({ length: 7 }, (_, i) => plain(c.get(i + 1)))).toEqual(
          Array.from({ length: 7 }, (_, i) => plain(column.get(i))),
        );
      }
    },
  );

  test("nulls of no type become nulls of the other tables' type", async () => {
    const none = new Table({ c: vectorFromArray([null, null], new arrow.Null()) });
    const text = new Table({ c: vectorFromArray(["a"], new arrow.Utf8()) });
    for (const [tables, expected] of [
      [
        [none, text],
        [null, null, "a"],
      ],
      [
        [text, none],
        ["a", null, null],
      ],
      [
        [none, none],
        [null, null, null, null],
      ],
      [
        [none, text, none],
        [null, null, "a", null, null],
      ],
    ] as const) {
      const c = (await merged(...tables)).getChild("c") as Vector;
      expect([...c]).toEqual(expected);
    }
  });
});
