import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { Dict, Encode, isPartdError, type Store } from "@partd/core";
import { frame, splitFrames } from "@partd/core/author";
import { codecContract } from "@partd/testing";
import {
  Bool,
  Data,
  DataType,
  Decimal,
  Dictionary,
  Field,
  FixedSizeList,
  Float,
  Float64,
  Int,
  Int8,
  type Int16,
  Int32,
  Int64,
  LargeUtf8,
  List,
  Map_,
  makeData,
  makeVector,
  Null,
  RecordBatch,
  Schema,
  Struct,
  Table,
  TimestampMicrosecond,
  type TypeMap,
  tableFromArrays,
  tableToIPC,
  Utf8,
  type Vector,
  vectorFromArray,
} from "apache-arrow";
import fc from "fast-check";
import { Arrow, arrowCodec } from "../src/index.js";

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
const codec = arrowCodec();

/** Schema and rows as text. */
function show(table: Table): string {
  const types = table.schema.fields.map(({ name, type }) => `${name}: ${type}`);
  return [...types, ...rows(table)].join("\n");
}

function rows(table: Table): string[] {
  return table
    .toArray()
    .map((row: { toJSON(): unknown }) =>
      JSON.stringify(row.toJSON(), (_, value: unknown) =>
        typeof value === "bigint" ? `${value}n` : value,
      ),
    );
}

function column(table: Table, name: string): Vector {
  return table.getChild(name) as Vector;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error("resolved");
    },
    (error: unknown) => error,
  );
}

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const value of values) collected.push(value);
  return collected;
}

const flights = (delays: (number | null)[], airports: string[]) =>
  new Table({
    delay: vectorFromArray(delays, new Float64()),
    origin: vectorFromArray(airports, new Dictionary(new Utf8(), new Int8())),
  });

describe("the codec contract", () => {
  const value = fc.record({
    delay: fc.option(fc.double({ noNaN: true })),
    origin: fc.constantFrom("JFK", "LAX", "SFO", ""),
  });
  for (const { name, run } of codecContract<Table>(
    (store) => new Arrow(store),
    [flights([1.5], ["JFK"]), flights([null, -2], ["LAX", "JFK"])],
    {
      join: (tables) => codec.join(tables),
      equal: (a, b) => show(a) === show(b) || (rows(a).length === 0 && rows(b).length === 0),
      arbitrary: fc.array(value, { minLength: 1, maxLength: 4 }).map((list) =>
        flights(
          list.map(({ delay }) => delay),
          list.map(({ origin }) => origin),
        ),
      ),
      unencodable: [[1], { schema: 1 }, "table", null],
      badBytes: [
        Buffer.from("[1, 2]"),
        new Uint8Array(),
        new Uint8Array(8),
        Buffer.from("ffffffff00000000", "hex"),
        tableToIPC(flights([1], ["JFK"])).subarray(0, -4),
        Buffer.concat([tableToIPC(flights([1], ["JFK"])), new Uint8Array(8)]),
      ],
      manyFrames: 300,
      largeFrame: 200,
      numRuns: 20,
    },
  )) {
    test(name, run);
  }
});

/** Three rows of every kind of column, the last one null. */
function everything(): Table {
  const nested = new Struct<TypeMap>([
    new Field("a", new Int8(), true),
    new Field("b", new Utf8(), true),
  ]);
  const entries = new Struct<TypeMap>([
    new Field("key", new Utf8(), false),
    new Field("value", new Int32(), true),
  ]);
  return new Table({
    int: vectorFromArray([1, -1, null], new Int32()),
    wide: vectorFromArray([2n ** 60n, -1n, null], new Int64()),
    float: vectorFromArray([0.1, -2, null], new Float64()),
    flag: vectorFromArray([true, false, null], new Bool()),
    text: vectorFromArray(["Grüße", "", null], new Utf8()),
    large: vectorFromArray(["🌍", "", null], new LargeUtf8()),
    time: vectorFromArray([0, 979_509_300_000, null], new TimestampMicrosecond("America/New_York")),
    money: makeVector(
      makeData({
        type: new Decimal(2, 10, 128),
        length: 3,
        nullCount: 1,
        nullBitmap: Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0),
        data: Uint32Array.of(1234, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0),
      }),
    ),
    list: vectorFromArray([[1, 2], [], null], new List(new Field("item", new Int32(), true))),
    pair: vectorFromArray(
      [[1, 2], [3, 4], null],
      new FixedSizeList(2, new Field("item", new Int32(), true)),
    ),
    record: vectorFromArray([{ a: 1, b: "x" }, { a: 2, b: null }, null], nested),
    map: vectorFromArray(
      [new Map([["k", 1]]), new Map(), null],
      new Map_(new Field("entries", entries as never, false) as never),
    ),
    category: vectorFromArray(["JFK", "LAX", null], new Dictionary(new Utf8(), new Int8())),
    nothing: vectorFromArray([null, null, null], new Null()),
  } as never);
}

test("rows of every type are joined, and streamed", async () => {
  await using p = new Arrow(new Dict());
  const table = everything();
  await p.append({ x: table });
  await p.append({ x: table });
  const expected = rows(table);
  expect(expected[0]).toContain('"wide":"1152921504606846976n"');
  expect(rows(await p.get("x"))).toEqual([...expected, ...expected]);
  const streamed = await collect(p.stream("x"));
  expect(streamed.map(({ numRows }) => numRows)).toEqual([3, 3]);
  expect(streamed.flatMap(rows)).toEqual([...expected, ...expected]);
  const absent = await p.get("absent");
  expect([absent.numRows, absent.numCols]).toEqual([0, 0]);
});

test("what was joined can be appended again, and reads the same", async () => {
  await using p = new Arrow(new Dict(), { schema: "merge" });
  await p.append({ x: everything() });
  await p.append({ x: flights([1], ["ORD"]) });
  const table = await p.get("x");
  await p.append({ y: table });
  expect(show(await p.get("y"))).toBe(show(table));
});

test("columns are views of the bytes that were read", () => {
  const table = tableFromArrays({ a: Float64Array.of(1, 2, 3), b: Int32Array.of(1, 2, 3) });
  const value = frame(codec.encode(table) as Uint8Array);
  const { bytes } = splitFrames(value, "x")[0] as { bytes: Uint8Array };
  const joined = codec.join([codec.decode(bytes) as Table, codec.decode(bytes) as Table]);
  for (const name of ["a", "b"]) {
    for (const data of column(joined, name).data) {
      expect((data.values as Float64Array).buffer).toBe(value.buffer);
    }
  }
});

test("a table without rows keeps its columns", async () => {
  await using p = new Arrow(new Dict());
  const empty = new Table(flights([1], ["JFK"]).schema);
  await p.append({ x: empty });
  expect((await p.get("x")).schema.fields.map(({ name }) => name)).toEqual(["delay", "origin"]);
  await p.append({ x: flights([5], ["JFK"]) });
  expect(rows(await p.get("x"))).toEqual(['{"delay":5,"origin":"JFK"}']);
});

describe("columns", () => {
  interface Flights extends TypeMap {
    delay: Float64;
    origin: Dictionary<Utf8, Int8>;
  }

  test("can be chosen, in any order, and are typed", async () => {
    await using p = new Arrow<Flights>(new Dict());
    await p.append({ x: flights([1, null], ["JFK", "LAX"]) });
    const some = await p.get("x", { columns: ["origin"] });
    expect(rows(some)).toEqual(['{"origin":"JFK"}', '{"origin":"LAX"}']);
    const name: string | null | undefined = some.get(0)?.origin;
    expect(name).toBe("JFK");
    // @ts-expect-error the column was not read
    expect(some.get(0)?.delay).toBeUndefined();
    expect(rows(await p.get("x", { columns: ["origin", "delay"] }))[0]).toBe(
      '{"origin":"JFK","delay":1}',
    );
    const [streamed] = await collect(p.stream("x", { columns: ["delay"] }));
    expect(streamed?.numCols).toBe(1);
    expect((await p.get(["x", "absent"], { columns: ["delay"] }))[1].numRows).toBe(0);
  });

  test("that only some of the merged tables have are null in the others", async () => {
    await using p = new Arrow(new Dict(), { schema: "merge" });
    await p.append({ x: tableFromArrays({ a: Int32Array.of(1, 2) }) as never });
    await p.append({ x: tableFromArrays({ b: Int32Array.of(3), c: Int32Array.of(4) }) as never });
    const columns = ["c", "a"] as const;
    expect(rows((await p.get("x", { columns })) as Table)).toEqual([
      '{"c":null,"a":1}',
      '{"c":null,"a":2}',
      '{"c":4,"a":null}',
    ]);
    const error = await failure(p.get("x", { columns: ["d"] }));
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect(error).toMatchObject({ key: "x", message: expect.stringContaining('"d"') });
  });

  test("that are not read may be damaged", async () => {
    const store = new Dict();
    const bytes = tableToIPC(
      new Table({ a: vectorFromArray([1]), b: vectorFromArray(["text"], new Utf8()) }),
    );
    const at = Buffer.from(bytes).indexOf("text");
    bytes[at - 4] = 0xff; // An offset of the text column, wherever it stands.
    bytes.fill(0xff, at - 8, at);
    await store.append({ x: frame(bytes) });
    const p = new Arrow(store);
    expect((await p.get("x", { columns: ["a"] })).numRows).toBe(1);
    expect(isPartdError(await failure(p.get("x")), "ERR_PARTD_CORRUPT")).toBe(true);
  });

  test("that are not there are an error that names those which are", async () => {
    await using p = new Arrow(new Dict());
    await p.append({ x: flights([1], ["JFK"]) });
    const error = await failure(p.get("x", { columns: ["depay"] }));
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect(error).toMatchObject({
      key: "x",
      message: expect.stringContaining('"delay", "origin"'),
    });
  });
});

describe("schemas that are read again", () => {
  const coded = (id: number, values: string[], type = new Utf8()) =>
    vectorFromArray(values, new Dictionary(type, new Int32(), id));
  const read = (columns: Record<string, Vector>) =>
    codec.decode(codec.encode(new Table(columns)) as Uint8Array);
  const rows = async (table: Table | Promise<Table>) => (await table).toArray().map(String);

  test("belong to each table: what a program does to one reaches no other", async () => {
    const bytes = codec.encode(new Table({ a: coded(7, ["x"]) })) as Uint8Array;
    const first = await codec.decode(bytes);
    first.schema.metadata.set("seen", "yes");
    first.schema.fields[0]?.metadata.set("seen", "yes");
    const { schema } = await codec.decode(bytes);
    expect([schema.metadata.size, schema.fields[0]?.metadata.size]).toEqual([0, 0]);
  });

  test("may give their dictionaries other ids, one id to two, or change in nothing else", async () => {
    const row = (a: string, b: string) => `{"a": ${JSON.stringify(a)}, "b": ${JSON.stringify(b)}}`;
    expect(await rows(read({ a: coded(5, ["x"]), b: coded(6, ["y"]) }))).toEqual([row("x", "y")]);
    expect(await rows(read({ a: coded(6, ["z"]), b: coded(5, ["w"]) }))).toEqual([row("z", "w")]);
    const both = coded(8, ["one", "two"]);
    expect(await rows(read({ a: both, b: both }))).toEqual([row("one", "one"), row("two", "two")]);
    expect(await rows(read({ a: coded(1, ["p"]), c: coded(2, ["q"]) }))).toEqual([
      '{"a": "p", "c": "q"}',
    ]);
  });
});

describe("dictionaries", () => {
  const values = (vector: Vector) => [...vector] as unknown[];
  const dictionariesOf = (vector: Vector) => new Set(vector.data.map((data) => data.dictionary));

  test("that differ are made one", async () => {
    await using p = new Arrow(new Dict());
    const lists = [["JFK", "LAX"], ["LAX", "SFO", "LAX"], ["ORD"], ["JFK"]];
    for (const list of lists)
      await p.append({
        x: flights(
          list.map(() => 1),
          list,
        ),
      });
    const origin = column(await p.get("x"), "origin");
    expect(values(origin)).toEqual(lists.flat());
    expect(dictionariesOf(origin).size).toBe(1);
    expect(values(origin.data[0]?.dictionary as Vector)).toEqual(["JFK", "LAX", "SFO", "ORD"]);
  });

  test("get wider codes where there are more values than the old ones can count", async () => {
    await using p = new Arrow(new Dict());
    const lists = [0, 1, 2].map((n) =>
      Array.from({ length: 100 }, (_, i) => `value ${n * 100 + i}`),
    );
    for (const list of lists)
      await p.append({
        x: flights(
          list.map(() => 1),
          list,
        ),
      });
    const origin = column(await p.get("x"), "origin");
    expect(values(origin)).toEqual(lists.flat());
    expect(String(origin.type)).toBe("Dictionary<Int32, Utf8>");
  });

  test("are made one at any depth, of any values, and with nulls", async () => {
    const word = (list: (string | null)[]) =>
      vectorFromArray(list, new Dictionary(new Utf8(), new Int32()));
    const nested = (words: Vector): Vector => {
      const [data] = words.data as [Data];
      const item = new Field("item", data.type, true);
      const record = new Struct<TypeMap>([new Field("word", new List(item), true)]);
      const list = makeData({
        type: new List(item),
        length: 2,
        nullCount: 0,
        valueOffsets: Int32Array.of(0, 1, words.length),
        child: data,
      });
      return makeVector(
        makeData({ type: record, length: 2, nullCount: 0, children: [list] }),
      ) as Vector;
    };
    const times = (list: number[]) =>
      vectorFromArray(
        list,
        new Dictionary(new TimestampMicrosecond() as DataType, new Int8()) as never,
      );
    const table = (words: (string | null)[], at: number[]) =>
      new Table({ nested: nested(word(words)), time: times(at) } as never);
    await using p = new Arrow(new Dict());
    const tables = [table(["a", null, "b"], [5, 6]), table(["b", "c", null], [6, 7])];
    for (const one of tables) await p.append({ x: one });
    const joined = await p.get("x");
    expect(rows(joined)).toEqual(tables.flatMap(rows));
    const inner = column(joined, "nested").data.map(
      (data) => data.children[0]?.children[0]?.dictionary,
    );
    expect(new Set(inner).size).toBe(1);
    expect(dictionariesOf(column(joined, "time")).size).toBe(1);
    await p.append({ y: joined });
    expect(rows(await p.get("y"))).toEqual(rows(joined));
  });

  test("join to what was appended, whatever it was", async () => {
    const text = fc.option(fc.constantFrom("a", "b", "c", "d", ""));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(text, { minLength: 1 }), { minLength: 1 }),
        async (lists) => {
          await using p = new Arrow(new Dict());
          for (const list of lists) {
            const vector = vectorFromArray(list, new Dictionary(new Utf8(), new Int8()));
            await p.append({ x: new Table({ c: vector }) });
          }
          const joined = await p.get("x");
          expect(values(column(joined, "c"))).toEqual(lists.flat());
          expect(rows(codec.decode(codec.encode(joined) as Uint8Array) as Table)).toEqual(
            rows(joined),
          );
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("schemas that differ", () => {
  const a = tableFromArrays({ n: Int32Array.of(1), s: ["x"] });
  const others: [string, Table][] = [
    ["another type", tableFromArrays({ n: Float64Array.of(1), s: ["x"] })],
    ["another column", tableFromArrays({ n: Int32Array.of(1), t: ["x"] })],
    ["a column more", tableFromArrays({ n: Int32Array.of(1), s: ["x"], t: ["x"] })],
    ["another order", tableFromArrays({ s: ["x"], n: Int32Array.of(1) })],
  ];

  test.each(others)("are refused, naming both: %s", async (_, other) => {
    await using p = new Arrow(new Dict());
    await p.append({ x: a });
    await p.append({ x: other });
    for (const read of [p.get("x"), p.pop("x"), collect(p.stream("x"))]) {
      const error = await failure(read);
      expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
      expect(error).toMatchObject({ key: "x", message: expect.stringContaining("n: Int32") });
    }
  });

  test("are merged by name on demand, with nulls where a column was not", async () => {
    await using p = new Arrow(new Dict(), { schema: "merge" });
    const b = new Table({
      more: vectorFromArray([[1]], new List(new Field("item", new Int32(), true))),
      n: vectorFromArray([2], new Int32()),
      c: vectorFromArray(["cat"], new Dictionary(new Utf8(), new Int8())),
    });
    await p.append({ x: a });
    await p.append({ x: b });
    await p.append({
      x: new Table({ c: vectorFromArray(["dog"], new Dictionary(new Utf8(), new Int8())) }),
    });
    const merged = await p.get("x");
    expect(rows(merged)).toEqual([
      '{"n":1,"s":"x","more":null,"c":null}',
      '{"n":2,"s":null,"more":[1],"c":"cat"}',
      '{"n":null,"s":null,"more":null,"c":"dog"}',
    ]);
    expect((await collect(p.stream("x"))).map(({ numCols }) => numCols)).toEqual([2, 3, 1]);
    expect(rows(codec.decode(codec.encode(merged) as Uint8Array) as Table)).toEqual(rows(merged));
    await p.append({ x: tableFromArrays({ n: Float64Array.of(1) }) });
    const error = await failure(p.get("x"));
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect((error as Error).message).toContain('"n" is Float64 in append 4 and Int32 before');
  });

  test("do not include whether there are nulls", async () => {
    await using p = new Arrow(new Dict());
    await p.append({ x: new Table({ n: vectorFromArray([1], new Int32()) }) });
    await p.append({ x: new Table({ n: vectorFromArray([null], new Int32()) }) });
    expect(rows(await p.get("x"))).toEqual(['{"n":1}', '{"n":null}']);
  });
});

test("a table in several batches is streamed batch by batch", async () => {
  await using p = new Arrow(new Dict());
  const one = tableFromArrays({ n: Int32Array.of(1, 2) });
  const two = tableFromArrays({ n: Int32Array.of(3) });
  await p.append({
    x: new Table(one.schema, [...one.batches, ...two.batches] as RecordBatch[]) as never,
  });
  const streamed = await collect(p.stream("x"));
  expect(streamed.map(({ batches, numRows }) => [batches.length, numRows])).toEqual([
    [1, 2],
    [1, 1],
  ]);
});

test("withLock passes a store of tables", async () => {
  await using p = new Arrow(new Dict());
  await p.withLock(async (held) => {
    await held.append({ x: flights([1], ["JFK"]) });
    expect((await held.get("x", { columns: ["delay"] })).numCols).toBe(1);
  });
  expect((await p.get("x")).numRows).toBe(1);
});

test("what is called inside withLock and not awaited is carried out inside", async () => {
  await using p = new Arrow(new Dict());
  await p.append({ z: flights([9], ["JFK"]) });
  const inside: Promise<unknown>[] = [];
  await p.withLock((held) => {
    inside.push(held.append({ x: flights([1], ["JFK"]) }), held.iset("y", flights([2], ["LAX"])));
    inside.push(held.pop("z"), held.get("z", { columns: ["delay"] }));
  });
  expect((await Promise.allSettled(inside)).map(({ status }) => status)).toEqual(
    inside.map(() => "fulfilled"),
  );
  const read = await p.get(["x", "y", "z"]);
  expect(read.map(({ numRows }) => numRows)).toEqual([1, 1, 0]);
});

test("the codec can be used with Encode", async () => {
  await using p = new Encode(new Dict(), arrowCodec<{ delay: Int16 }>({ columns: ["delay"] }));
  await p.append({ x: flights([1], ["JFK"]) as never });
  expect((await p.get("x")).numCols).toBe(1);
});

test("a column of 2 GiB in one batch is refused, as what would be written of it cannot be read", async () => {
  await using p = new Arrow(new Dict());
  // The memory is not touched, and so none is taken.
  const type = new Float64();
  const data = makeData({ type, length: 2 ** 28, data: new Float64Array(2 ** 28) });
  const error = await failure(p.append({ x: new Table({ n: makeVector(data) }) as never }));
  expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
  expect(error).toMatchObject({ message: expect.stringContaining("2 GiB"), key: "x" });
  const offsets = BigInt64Array.of(0n, 2n ** 31n);
  const text = new LargeUtf8();
  const long = makeData({
    type: text,
    length: 1,
    valueOffsets: offsets,
    data: new Uint8Array(2 ** 31),
  });
  const other = await failure(p.append({ x: new Table({ n: makeVector(long) }) as never }));
  expect(other).toMatchObject({ message: expect.stringContaining("2 GiB"), key: "x" });
});

test("a column that is held otherwise than its type says is refused", () => {
  const held: [DataType, ArrayBufferView[]][] = [
    [new Int32(), [Int8Array.of(1, 2, 3, 4)]],
    [new Float64(), [Float32Array.of(1, 2, 3, 4)]],
    [new Utf8(), [Uint8Array.of(97, 98, 99, 100), BigInt64Array.of(0n, 1n, 2n, 3n, 4n)]],
    [new Utf8(), [Uint8Array.of(97), Int32Array.of(0, 1, 2, 3, 4)]],
    [new Dictionary(new Utf8(), new Int32()), [Int8Array.of(0, 0, 0, 0)]],
    [new Dictionary(new Utf8(), new Int8()), [Int8Array.of(0, 0, 0, 1)]],
  ];
  for (const [type, [values, offsets]] of held) {
    const dictionary = DataType.isDictionary(type) ? vectorFromArray(["a"], new Utf8()) : undefined;
    const buffers = [offsets, values] as never;
    const data = new Data(type, 0, 4, 0, buffers, [], dictionary as never);
    const table = new Table({ n: makeVector(data) });
    expect(() => codec.encode(table as never)).toThrow("could not be read");
  }
});

test("half a surrogate pair in a name or in metadata is refused, with its place", () => {
  const half = "a\ud800";
  const n = makeData({ type: new Int32(), length: 1, data: Int32Array.of(1) });
  const table = (field: Field, metadata?: Map<string, string>) => {
    const schema = new Schema([field], metadata);
    const type = new Struct(schema.fields);
    return new Table(schema, new RecordBatch(schema, makeData({ type, length: 1, children: [n] })));
  };
  const int = new Int32();
  const inner = new Struct([new Field(half, int)]);
  const nested = makeData({ type: inner, length: 1, children: [n] });
  const refused: [Table, string][] = [
    [table(new Field(half, int)), 'the name of column "a\\ud800" has'],
    [new Table({ s: makeVector(nested) }), 'the name of column "s"."a\\ud800" has'],
    [
      table(new Field("n", int, true, new Map([["k", half]]))),
      'the metadata "k" of column "n" has',
    ],
    [
      table(new Field("n", int), new Map([[half, "v"]])),
      'the metadata\'s key "a\\ud800" of the schema',
    ],
  ];
  for (const [bad, message] of refused) {
    expect(() => codec.encode(bad)).toThrow(message);
  }
  const whole = table(new Field("🌍", int), new Map([["é", "🌍"]]));
  expect(show(codec.decode(codec.encode(whole) as Uint8Array) as Table)).toBe(show(whole));
});

test.each([
  new Int(true, 7 as never),
  new Float(3 as never),
  new List(new Field("x", new Int(true, 7 as never))),
  new Dictionary(new Int(true, 7 as never), new Int8()),
])("a column of %s, a type that does not exist, is refused also without rows", async (type) => {
  const table = new Table(new Schema([new Field("x", type)]));
  const codec = arrowCodec();
  expect(() => codec.encode(table)).toThrow(/could not be read: there is no type (Int7|Float96)\./);
  expect(() => codec.decode(tableToIPC(table, "stream"))).toThrow(/there is no type/);
});

test("a table of another copy of apache-arrow is refused, as what is written of it cannot be read", async () => {
  const other = createRequire(import.meta.url)("apache-arrow") as typeof import("apache-arrow");
  const table = other.tableFromArrays({ n: Int32Array.of(1) });
  expect(table).toBeInstanceOf(Table);
  await using p = new Arrow(new Dict());
  const error = await failure(p.append({ x: table as never }));
  expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
  expect(error).toMatchObject({ message: expect.stringContaining("another copy") });
});

describe("damage", () => {
  test("each wrong byte is a table or an error in words of this package", () => {
    const words =
      /damaged|fewer|cut short|do not fit|is missing|begin with a schema|keys and values|bytes follow|no type/;
    const tables = [
      tableFromArrays({ a: [1, 2.5], b: Int32Array.of(1, 2), c: [true, false] }),
      tableFromArrays({ t: ["x", "yy"] }),
      new Table({
        s: vectorFromArray([{ x: 1 }, { x: 2 }]),
        t: vectorFromArray(["a", "b"], new Utf8()),
      }),
    ];
    for (const table of tables) {
      const bytes = codec.encode(table) as Uint8Array;
      for (let at = 0; at < bytes.length; at++) {
        for (const bits of [1, 8, 32, 128]) {
          const damaged = Uint8Array.from(bytes);
          damaged[at] = (damaged[at] as number) ^ bits;
          try {
            codec.decode(damaged);
          } catch (error) {
            if (!isPartdError(error)) expect((error as Error).message).toMatch(words);
          }
        }
      }
    }
  });

  const base = codec.encode(everything()) as Uint8Array;

  test("of any bytes is an error or other values, and never more than the bytes can hold", () => {
    const edit = fc.record({
      at: fc.nat(base.byteLength - 1),
      byte: fc.constantFrom(0, 1, 127, 128, 255),
    });
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        const bytes = base.slice();
        for (const { at, byte } of edits) bytes[at] = byte;
        try {
          const table = codec.decode(bytes) as Table;
          if (table.numCols > 1) rows(table);
        } catch (error) {
          // A RangeError of another realm is not an instance of this one's Error.
          expect((error as Error).message).toEqual(expect.any(String));
        }
      }),
      { numRuns: Number(process.env.PARTD_FUZZ_RUNS ?? 3000), seed: 6 },
    );
  });

  test("by a cut anywhere is found", () => {
    for (let end = 0; end < base.byteLength; end += 8) {
      expect(() => codec.decode(base.subarray(0, end))).toThrow();
    }
  });

  test("of lengths that metadata claim takes neither time nor memory", () => {
    const before = process.memoryUsage().rss;
    for (let at = 0; at + 4 <= base.byteLength; at += 4) {
      const bytes = base.slice();
      new DataView(bytes.buffer).setUint32(at, 0x7fffffff, true);
      try {
        codec.decode(bytes);
      } catch {
        // As it should.
      }
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(300e6);
  });

  test("in a dictionary or its codes is found", () => {
    const table = flights([1, 2], ["JFK", "LAX"]);
    const [data] = column(table, "origin").data as [Data<Dictionary<Utf8, Int8>>];
    (data.values as unknown as Int8Array)[1] = 9;
    const bytes = tableToIPC(table);
    expect(() => codec.decode(bytes)).toThrow("fewer values than its codes");
  });
});

describe("sound streams of others", () => {
  /** Streams of the column `a` of two rows, 7 and 9 in the first. */
  const streams = {
    plain:
      "/////3AAAAAQAAAAAAAKAAwACgAJAAQACgAAABAAAAAAAQQACAAIAAAABAAIAAAABAAAAAEAAAAQAAAADAAQAAwACwAKAAQADAAAABQAAAAAAAIBGAAAAAgADAAIAAcACAAAAAAAAAEgAAAAAQAAAGEAAAAAAAAA/////4gAAAAUAAAAAAAAAAwAFgAUABMADAAEAAwAAAAIAAAAAAAAABQAAAAAAAADBAAKABgADAAIAAQACgAAABQAAAA4AAAAAgAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAEAAAACAAAAAAAAAAAAAAAAAAAABwAAAAkAAAD/////AAAAAA==",
    bigEndian:
      "/////3AAAAAQAAAAAAAKAAwACgAJAAQACgAAABAAAAAAAQQACAAMAAoABAAIAAAACAAAAAAAAQABAAAAEAAAAAwAEAAMAAsACgAEAAwAAAAUAAAAAAACARgAAAAIAAwACAAHAAgAAAAAAAABIAAAAAEAAABhAAAA/////4gAAAAUAAAAAAAAAAwAFgAUABMADAAEAAwAAAAIAAAAAAAAABQAAAAAAAADBAAKABgADAAIAAQACgAAABQAAAA4AAAAAgAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAEAAAACAAAAAAAAAAAAAAAAAAAABwAAAAkAAAD/////AAAAAA==",
    version3:
      "/////3AAAAAQAAAAAAAKAAwACgAJAAQACgAAABAAAAAAAQIACAAIAAAABAAIAAAABAAAAAEAAAAQAAAADAAQAAwACwAKAAQADAAAABQAAAAAAAIBGAAAAAgADAAIAAcACAAAAAAAAAEgAAAAAQAAAGEAAAAAAAAA/////4gAAAAUAAAAAAAAAAwAFgAUABMADAAEAAwAAAAIAAAAAAAAABQAAAAAAAADAgAKABgADAAIAAQACgAAABQAAAA4AAAAAgAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAEAAAACAAAAAAAAAAAAAAAAAAAABwAAAAkAAAD/////AAAAAA==",
    decimal64:
      "/////3gAAAAQAAAAAAAKAAwACgAJAAQACgAAABAAAAAAAQQACAAIAAAABAAIAAAABAAAAAEAAAAQAAAADAASAAwACwAKAAQADAAAABgAAAAAAAcBIAAAAAAACgAQAAwACAAEAAoAAABAAAAAAgAAAAkAAAABAAAAYQAAAAAAAAD/////iAAAABQAAAAAAAAADAAWABQAEwAMAAQADAAAABAAAAAAAAAAFAAAAAAAAAMEAAoAGAAMAAgABAAKAAAAFAAAADgAAAACAAAAAAAAAAAAAAACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEAAAAAAAAAAAAAAAAQAAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/////wAAAAA=",
    tensor:
      "/////3AAAAAQAAAAAAAKAAwACgAJAAQACgAAABAAAAAAAQQACAAIAAAABAAIAAAABAAAAAEAAAAQAAAADAAQAAwACwAKAAQADAAAABQAAAAAAAIBGAAAAAgADAAIAAcACAAAAAAAAAEgAAAAAQAAAGEAAAAAAAAA/////4gAAAAUAAAAAAAAAAwAFgAUABMADAAEAAwAAAAIAAAAAAAAABQAAAAAAAAEBAAKABgADAAIAAQACgAAABQAAAA4AAAAAgAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAEAAAACAAAAAAAAAAAAAAAAAAAABwAAAAkAAAD/////AAAAAA==",
  };
  const bytesOf = (name: keyof typeof streams) => Buffer.from(streams[name], "base64");

  test.each([
    ["bigEndian", "big-endian"],
    ["version3", "before Arrow 0.8"],
    ["decimal64", "decimals of 64 bits"],
    ["tensor", "a tensor"],
  ] as const)("that apache-arrow would misread are refused by name: %s", (name, reason) => {
    expect(() => codec.decode(bytesOf(name))).toThrow(
      expect.objectContaining({
        code: "ERR_PARTD_CODEC",
        message: expect.stringContaining(reason),
      }),
    );
  });

  test("without an end mark are not called damaged", () => {
    const plain = bytesOf("plain");
    expect([...column(codec.decode(plain) as Table, "a")]).toEqual([7, 9]);
    expect(() => codec.decode(plain.subarray(0, -8))).toThrow(
      expect.objectContaining({
        code: "ERR_PARTD_CODEC",
        message: expect.stringContaining("end mark is missing"),
      }),
    );
  });
});

describe("pyarrow", () => {
  test("streams that it wrote are read", async () => {
    const store: Store = new Dict();
    await store.append({ x: readFileSync(fixture("pyarrow.partd")) });
    const table = await new Arrow(store).get("x");
    const expected = readFileSync(fixture("pyarrow.txt"), "utf8");
    expect(`${show(table)}\n`).toBe(expected);
    expect(column(table, "d").get(0)?.toString()).toContain("1234");
    expect(column(table, "t").get(0)).toBe(Date.UTC(2001, 0, 14, 21, 55));
  });

  // Debian 12 has no python3-pyarrow, so the Python that has it is to be named.
  const python = process.env.PARTD_PYARROW_PYTHON;
  const live = python ? test : test.skip;
  if (!python) {
    console.log(
      "skipped: pyarrow reads our streams: set PARTD_PYARROW_PYTHON to a python with pyarrow (pip install pyarrow)",
    );
  }
  live("reads what was joined, with every check it has", async () => {
    const folder = mkdtempSync(joinPath(tmpdir(), "partd-arrow-"));
    try {
      const store = new Dict();
      const p = new Arrow(store, { schema: "merge" });
      for (const one of [everything(), flights([1], ["ORD"])]) await p.append({ x: one });
      await p.append({ y: await p.get("x") });
      const path = joinPath(folder, "x");
      writeFileSync(path, Buffer.concat(await store.get(["x", "y"])));
      const { stdout, stderr } = spawnSync(python as string, [fixture("read.py"), path], {
        encoding: "utf8",
      });
      expect(stderr).toBe("");
      const tables = JSON.parse(stdout) as Record<string, unknown>[][];
      expect(tables.map((table) => table.length)).toEqual([3, 1, 4]);
      expect(tables[2]?.map((row) => row.category)).toEqual(["JFK", "LAX", null, null]);
      expect(tables[2]?.map((row) => row.origin)).toEqual([null, null, null, "ORD"]);
      expect(tables[2]?.[0]).toMatchObject({
        wide: 2 ** 60,
        money: "12.34",
        list: [1, 2],
        text: "Grüße",
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test("a schema without columns holds rows", () => {
  const schema = new Schema([]);
  const data = makeData({ type: new Struct<TypeMap>([]), length: 0, nullCount: 0, children: [] });
  const table = new Table(schema, [new RecordBatch(schema, data)]);
  expect((codec.decode(codec.encode(table) as Uint8Array) as Table).numCols).toBe(0);
});

test("a table in the metadata whose size is odd has no field that is not checked", () => {
  // A reader goes through a number of entries that is nowhere in these bytes.
  const bytes = Buffer.from(
    "//////AAAAAQAAAAAAAKABAADgAHAAgACgAAAAAAAAEQAAAAAAAEAAkACAAAAAQACAAAAAQAAAACAAAAlAAAABQAAAAQABgABAALABMAFAAAAAwAEAAAABQAAAAAAAABFAAAAAAAABBQAAAAAQAAAGYAAAABAAAABAAAALz///8QAAAAFAAAAAAAAAIYAAAAAQAAAGkAAAAAAAAACAAOAAgABwAIAAAAAAAAAQgAAAAAAAYACAAEAAYAAAACAAAAEAAUAAQAAAAPABAAAAAIABAAAAAQAAAAFAAAAAAAAAEUAAAAAQAAAG4AAAAAAAAABAAEAAQAAAD/////uAAAABQAAAAAAAAADAAWABQADwAQAAQADAAAAAgAAAAAAAAAAAAAAxAAAAAEAAoAGAAMAAgABAAKAAAAFAAAAEgAAAACAAAAAAAAAAAAAAADAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgAAAAAAAAAAAAAAAMAAAACAAAAAAAAAAIAAAAAAAAAAgAAAAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAABAgMEAAAAAP////8AAAAA",
    "base64",
  );
  expect(() => arrowCodec().decode(new Uint8Array(bytes))).toThrow("its metadata are damaged");
});

test("merged: a column of nothing becomes one of the other type, as a whole", () => {
  const merge = arrowCodec({ schema: "merge" });
  const nothing = new Table({ a: makeVector(makeData({ type: new Null(), length: 2 })) });
  const joined = merge.join([nothing, new Table({ a: vectorFromArray([7], new Int32()) })]);
  expect(joined.getChildAt(0)?.data.map(({ type }) => String(type))).toEqual(["Int32", "Int32"]);
  expect([...(joined.getChildAt(0) ?? [])]).toEqual([null, null, 7]);
});

test("merged: two columns of one name in a table are refused", () => {
  const merge = arrowCodec({ schema: "merge" });
  const one = new Table({ a: vectorFromArray([7], new Int32()) });
  const schema = new Schema(["a", "a"].map((name) => new Field(name, new Int32())));
  const children = [one, one].map((table) => table.batches[0]?.data.children[0] as Data);
  const data = makeData({ type: new Struct(schema.fields), length: 1, nullCount: 0, children });
  const twice = new Table(schema, [new RecordBatch(schema, data)]);
  expect(() => merge.join([one, twice] as never)).toThrow('append 2 has two columns named "a"');
});
