import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { Dict, isPartdError } from "@partd/core";
import { frame } from "@partd/core/author";
import { codecContract } from "@partd/testing";
import fc from "fast-check";
import { describeReal, realPart } from "tooling/real-part";
import { equalKeys, unhashableKey } from "../src/dict-keys.js";
import {
  Pickle,
  PyArray,
  PyByteArray,
  PyComplex,
  PyCounter,
  PyDate,
  PyDateTime,
  PyDecimal,
  PyDefaultDict,
  PyDeque,
  PyDtype,
  PyFraction,
  PyFrozenSet,
  PyGlobal,
  PyNdArray,
  PyObject,
  PyOrderedDict,
  PyPath,
  PyRange,
  PyScalar,
  PySlice,
  PyTime,
  PyTimeDelta,
  PyTimeZone,
  PyTuple,
  PyUuid,
  pickleCodec,
  pyTuple,
} from "../src/index.js";

type ByProtocol = Record<string, Record<number, string>>;
const cpython = JSON.parse(
  readFileSync(new URL("./fixtures/cpython.json", import.meta.url), "utf8"),
) as { plain: ByProtocol; typed: ByProtocol; refused: ByProtocol };

const codec = pickleCodec();
const protocols = [2, 3, 4, 5] as const;
const allProtocols = [0, 1, ...protocols];
const byteArray = (hex: string) => {
  const bytes = bytesOf(hex);
  return new PyByteArray(bytes.slice().buffer as ArrayBuffer);
};
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));
const ascii = (text: string) => Buffer.from(text, "latin1");

const shared = { shared: true };
const cycle: unknown[] = [1];
cycle.push(cycle);
const knot: PyTuple<unknown[]> = pyTuple([]);
knot[0]?.push(knot);
const loop = new Map<unknown, unknown>([[1, "a Map"]]);
loop.set("self", loop);

const expected: Record<string, unknown[]> = {
  scalars: [
    ...[null, true, false, 0, -1, 255, 256, 65_535, 65_536, -129, 2 ** 31 - 1, -(2 ** 31), 1.5],
    ...[Number.POSITIVE_INFINITY, "", "ü😀", "x".repeat(300)],
  ],
  ints: [
    ...[2 ** 31, 2 ** 53 - 1, 2n ** 53n, -(2n ** 53n), 2n ** 64n, -(2n ** 63n)],
    ...[2n ** 2100n, -(2n ** 2100n)],
  ],
  bytes: [...["", "00ff", "79".repeat(300)].map(bytesOf), byteArray("807a"), byteArray("")],
  tuples: [
    ...[pyTuple(), pyTuple(1), pyTuple(1, 2), pyTuple(1, 2, 3)],
    pyTuple(1, pyTuple(2, [3]), "4", 5),
  ],
  dicts: [
    ...[{}, { a: 1 }, { a: { b: {} } }],
    new Map<unknown, unknown>([
      [1, "x"],
      ["y", null],
    ]),
    new Map([[pyTuple(1, 2), 3]]),
    JSON.parse('{"__proto__": {"a": 1}}'),
  ],
  sets: [new Set(), new Set([1]), new PyFrozenSet(), new PyFrozenSet(["a"])],
  shared: [shared, shared, [shared]],
  cycle: [cycle, knot],
  loop: [loop],
  datetimes: [
    new Date(Date.UTC(2001, 0, 14, 21, 55)),
    new PyDateTime(Date.UTC(2001, 0, 14, 21, 55)),
    new PyDateTime(-62_135_596_800_000, { microsecond: 1 }),
    new PyDateTime(253_402_300_799_999, { microsecond: 999, utcOffset: 0 }),
    new PyDateTime(Date.UTC(2001, 0, 15, 2, 55), { utcOffset: -18_000, zone: "EST" }),
    new PyDateTime(Date.UTC(2001, 0, 14, 16, 25), { utcOffset: 19_800 }),
    new PyDateTime(Date.UTC(2001, 9, 28, 1, 30), { fold: true }),
  ],
};

test("a zone is written once for the datetimes that follow one another in it, as Python does", () => {
  const codec = pickleCodec();
  const encode = (list: unknown[]) => codec.encode(list) as Uint8Array;
  const dates = Array.from({ length: 100 }, (_, i) => new Date(i));
  expect(encode(dates).byteLength).toBeLessThan(100 * 22);
  const mixed = [
    new Date(0),
    new PyDateTime(1, { utcOffset: 3600 }),
    new PyDateTime(2, { utcOffset: 3600, zone: "CET" }),
    new PyDateTime(3, { utcOffset: 3600 }),
    new PyDateTime(4),
    new Date(5),
  ];
  expect(codec.decode(encode(mixed))).toStrictEqual(mixed);
});

test.each([2, 3, 4, 5] as const)(
  "bytes whose buffer was transferred are refused, not taken for none, with protocol %d",
  (protocol) => {
    for (const gone of [Uint8Array.of(1), PyByteArray.of(1)]) {
      structuredClone(gone.buffer, { transfer: [gone.buffer] });
      expect(() => pickleCodec({ protocol }).encode([gone])).toThrow("[0] is refused");
    }
  },
);

test.each([2, 3, 4, 5] as const)("fields on bytes are refused, with protocol %d", (protocol) => {
  for (const length of [1, 3000]) {
    for (const bytes of [
      new Uint8Array(length),
      Buffer.alloc(length),
      new PyByteArray(new ArrayBuffer(length)),
    ]) {
      const { encode } = pickleCodec({ protocol });
      expect(() => encode([bytes])).not.toThrow();
      expect(() => encode([Object.assign(bytes, { field: 1 })])).toThrow("fields on a");
    }
    const named = Object.assign(new Uint8Array(length), { [Symbol("s")]: 1 });
    expect(() => pickleCodec({ protocol }).encode([named])).toThrow("name is a symbol");
  }
});

test.each([2, 3, 4, 5] as const)(
  "what bytes say of themselves is not asked, with protocol %d",
  (protocol) => {
    class Lies extends Uint8Array {
      override get byteLength() {
        return 0;
      }
      override get length() {
        return 1;
      }
      override join() {
        return "";
      }
    }
    const own = (bytes: Uint8Array, name: PropertyKey, value: unknown) =>
      Object.defineProperty(bytes, name, { value });
    const { encode } = pickleCodec({ protocol });
    const bytes = Uint8Array.of(1, 2, 3);
    for (const lying of [
      new Lies(bytes),
      own(Uint8Array.from(bytes), "byteLength", 0),
      own(Uint8Array.from(bytes), "byteLength", 5),
      own(Uint8Array.from(bytes), Symbol.toStringTag, "Map"),
    ]) {
      expect(codec.decode(encode([lying]) as Uint8Array)).toEqual([bytes]);
    }
    const array = own(PyByteArray.of(1, 2, 3), "byteLength", 0);
    expect(codec.decode(encode([array]) as Uint8Array)).toEqual([PyByteArray.of(1, 2, 3)]);
    const keys = new Map([new Lies([1]), new Lies([2])].map((key) => [key, 0]));
    expect(codec.decode(encode([keys]) as Uint8Array)).toHaveLength(1);
    for (const other of [new Int8Array(2), new DataView(new ArrayBuffer(2))]) {
      Object.defineProperty(other, Symbol.toStringTag, { value: "Uint8Array" });
      expect(() => encode([other])).toThrow("[0] is refused: a pickle cannot carry");
    }
  },
);

describe("what CPython pickles", () => {
  const cases = Object.keys(expected).flatMap((name) =>
    allProtocols.map((p) => [name, p] as const),
  );
  test.each(cases)("%s, by protocol %i, is read, written, and read", (name, protocol) => {
    const read = codec.decode(bytesOf(cpython.plain[name]?.[protocol] as string)) as unknown[];
    const again = pickleCodec({ protocol: Math.max(protocol, 2) as 2 }).encode(read) as Uint8Array;
    for (const list of [read, codec.decode(again) as unknown[]]) {
      // Python writes it from protocol 4 on.
      if (protocol < 4 && name === "datetimes") list[6] = expected.datetimes?.[6];
      expect(list).toEqual(expected[name]);
      expect(list.map((item) => item?.constructor)).toEqual(
        expected[name]?.map((item) => item?.constructor),
      );
      if (name === "shared") {
        expect(list[1]).toBe(list[0]);
        expect((list[2] as unknown[])[0]).toBe(list[0]);
      }
      if (name === "cycle") {
        const [ring, tied] = list as [unknown[], PyTuple<unknown[]>];
        expect(ring[1]).toBe(ring);
        expect(tied[0]?.[0]).toBe(tied);
      }
      if (name === "loop") {
        const [dict] = list as [Map<unknown, unknown>];
        expect(dict.get("self")).toBe(dict);
      }
      if (name === "dicts") expect(Object.keys(list[5] as object)).toEqual(["__proto__"]);
    }
  });

  test("is the same for plain lists, but for memo entries and frames", () => {
    const hex = Buffer.from(pickleCodec({ protocol: 3 }).encode([1, "a", null]) as Uint8Array);
    expect(hex.toString("hex")).toBe("80035d7100284b015801000000614e652e");
  });

  test.each(Object.keys(cpython.refused))("%s is refused, and nothing is called", async (name) => {
    for (const protocol of allProtocols) {
      const store = new Dict();
      await store.append({ x: frame(bytesOf(cpython.refused[name]?.[protocol] as string)) });
      const error = await new Pickle(store).get("x").catch((caught: unknown) => caught);
      expect([protocol, error]).toMatchObject([protocol, { code: "ERR_PARTD_CODEC", key: "x" }]);
    }
  });
});

describe("the other types of Python", () => {
  const read = (name: string, protocol: number) =>
    codec.decode(bytesOf(cpython.typed[name]?.[protocol] as string)) as unknown[];

  test.each(Object.keys(cpython.typed))("%s is read, written as what it was, and read", (name) => {
    for (const from of allProtocols) {
      const first = read(name, from);
      for (const protocol of protocols) {
        const again = codec.decode(
          pickleCodec({ protocol }).encode(first) as Uint8Array,
        ) as unknown[];
        expect(again).toEqual(first);
        expect(again.map((item) => item?.constructor)).toEqual(
          first.map((item) => item?.constructor),
        );
      }
    }
  });

  test("are what their documentation says", () => {
    expect(read("date", 0)).toEqual([
      new PyDate(2001, 1, 14),
      new PyDate(1, 1, 1),
      new PyDate(9999, 12, 31),
    ]);
    const utc = new PyTimeZone(new PyTimeDelta(0));
    expect(read("time", 5)).toEqual([
      new PyTime(1, 2, 3),
      new PyTime(23, 59, 59, 999_999, { tzinfo: utc }),
      new PyTime(1, 0, 0, 0, { fold: true }),
    ]);
    expect(read("timedelta", 2).map((delta) => (delta as PyTimeDelta).totalSeconds())).toEqual([
      86_400, -5e-6, 259_204.000005,
    ]);
    const [micro] = read("offset of microseconds", 5) as [PyDateTime];
    expect([micro.getTime(), micro.microsecond, micro.utcOffset]).toEqual([
      Date.UTC(2020, 0, 1),
      6,
      1e-6,
    ]);
    const [berlin] = read("zone of a name", 5) as [PyDateTime];
    expect(`${berlin.toISOString()} ${berlin.tzinfo?.type} ${berlin.tzinfo?.args[0]}`).toBe(
      "2020-07-01T12:00:00.000Z zoneinfo.ZoneInfo._unpickle Europe/Berlin",
    );
    expect(read("Decimal", 3).map(String)).toEqual(["1.50", "-1E+30", "NaN", "Infinity"]);
    expect(read("UUID", 0).map(String)).toEqual([
      "00000000-0000-0000-0000-00000000002a",
      "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ]);
    expect(read("path", 4).map(String)).toEqual(["/etc/x", "a/b", "c:\\x"]);
    expect(read("Counter", 5)[0]).toEqual(
      new PyCounter([
        ["a", 2],
        ["b", 1],
        ["c", 1],
      ]),
    );
    expect(read("half a surrogate pair", 5)[1]).toBe("a\udc00\ud800b");
    expect(
      read("NumPy scalars", 5)
        .slice(0, 6)
        .map((s) => (s as PyScalar).value),
    ).toEqual([1.5, -3n, 7, true, "aü", 5n]);
    const arrays = read("NumPy arrays", 5) as PyNdArray[];
    expect(arrays[6]).toMatchObject({ dtype: { text: "<M8[ns]" }, shape: [2] });
    expect(arrays[2]).toMatchObject({ fortran: true, shape: [2, 2] });
    expect(arrays[5]?.data).toEqual(["a", null, 1]);
    expect(read("dtypes", 5).map((d) => (d as PyDtype).text)).toEqual(
      ["<f8", ">i2", "<M8[25s]", "<U5", "|V20", "|O"].map(expect.stringContaining as never),
    );
  });

  test("objects of other types are kept with the option, and written as they were", () => {
    const keep = pickleCodec({ objects: "keep" });
    for (const name of Object.keys(cpython.refused)) {
      for (const protocol of allProtocols) {
        const first = keep.decode(
          bytesOf(cpython.refused[name]?.[protocol] as string),
        ) as unknown[];
        for (const p of protocols) {
          const written = pickleCodec({ protocol: p, objects: "keep" }).encode(first);
          expect(keep.decode(written as Uint8Array)).toEqual(first);
        }
      }
    }
    const [point] = keep.decode(bytesOf(cpython.refused["an object"]?.[5] as string)) as [PyObject];
    expect(point).toMatchObject({ type: { module: "geometry", name: "Point" }, state: { x: 1 } });
    expect(keep.decode(bytesOf(cpython.refused.function?.[5] as string))).toEqual([
      new PyGlobal("builtins", "print"),
    ]);
  });

  test("small bytes are copies", () => {
    const values = [bytesOf("616263"), new Uint8Array(5000)];
    const [small, large] = codec.decode(codec.encode(values) as Uint8Array) as [
      Uint8Array,
      Uint8Array,
    ];
    expect(small.buffer.byteLength).toBe(3);
    expect(large.buffer.byteLength).toBeGreaterThan(5000);
  });

  test("what is refused is named with its place", () => {
    const bad = [1, { a: new Map([["b", [undefined]]]) }];
    expect(() => codec.encode(bad)).toThrow(
      '[1].a.get("b")[0] is refused: a pickle cannot carry undefined',
    );
    expect(() => new PyDate(2001, 2, 30)).toThrow("no date");
    expect(() => new PyDecimal("x")).toThrow("no Decimal");
    expect(() => new PyUuid("x")).toThrow("no UUID");
  });
});

test.each<[string, () => object]>([
  ["an array", () => [1]],
  ["a tuple", () => pyTuple(1)],
  ["a Map", () => new Map([[1, 2]])],
  ["a Set", () => new Set([1])],
  ["a Date", () => new Date(0)],
  ["a Decimal", () => new PyDecimal("1.5")],
  ["a datetime", () => new PyDateTime(0, { microsecond: 7 })],
  ["a deque", () => PyDeque.of(1, 2)],
  ["a defaultdict", () => new PyDefaultDict([["a", 1]])],
  ["a frozenset", () => new PyFrozenSet([1])],
])("fields on %s, and names that are symbols, are refused", (_, make) => {
  const encode = (value: object) => () => codec.encode([value]);
  expect(encode(make())).not.toThrow();
  expect(encode(Object.assign(make(), { field: 1 }))).toThrow("fields on a");
  expect(encode(Object.assign(make(), { [Symbol("s")]: 1 }))).toThrow("name is a symbol");
});

test("a Date is written as its own time", () => {
  const date = Object.defineProperty(new Date(5), "getTime", { value: () => 99 });
  expect(codec.decode(codec.encode([date]) as Uint8Array)).toEqual([new Date(5)]);
});

test("dicts of many names are read as they were written, whatever came before", () => {
  const name = (i: number) => `name ${i}`;
  const dictOf = (size: number) =>
    Object.fromEntries(Array.from({ length: size }, (_, i) => [name(i), i]));
  const dicts = [26, 26, 0, 1, 26, 12, 40, 9, 26, 300].flatMap((n) => [dictOf(n), [dictOf(n)]]);
  const read = codec.decode(codec.encode(dicts) as Uint8Array) as object[];
  expect(read).toStrictEqual(dicts);
  expect(Object.keys(read[0] as object)).toEqual(Array.from({ length: 26 }, (_, i) => name(i)));
});

test("fields on an array are found beside items that are not enumerable", () => {
  for (const hidden of [[0], [0, 1], [2]]) {
    const array = Object.assign([1, 2, 3], { field: 1 });
    for (const at of hidden) Object.defineProperty(array, at, { enumerable: false });
    expect(() => codec.encode([array])).toThrow("fields on a");
  }
  const item = Object.defineProperty([1, 2], 0, { enumerable: false });
  expect(codec.decode(codec.encode([item]) as Uint8Array)).toEqual([[1, 2]]);
});

test("a Map or Set that shows other entries than it has is written as what it has", () => {
  class Discreet extends Map<unknown, unknown> {
    override *[Symbol.iterator](): MapIterator<[unknown, unknown]> {}
    override *keys(): MapIterator<unknown> {}
  }
  class Shy extends Set<unknown> {
    override *[Symbol.iterator](): SetIterator<unknown> {}
    override get size(): number {
      return 0;
    }
  }
  const list = [new Discreet([["a", 1]]), new Shy(["b"])];
  expect(codec.decode(codec.encode(list) as Uint8Array)).toEqual([{ a: 1 }, new Set(["b"])]);
  expect(() => codec.encode([new Discreet([[1, 2]]).set(1n, 3)])).toThrow("the keys 1 and 1n");
});

test("an object of a class that extends one of Python's is of Python's", () => {
  class Price extends PyDecimal {}
  class Row extends PyTuple {}
  const bytes = codec.encode([new Price("1.5"), Row.of(1)]);
  const list = [new PyDecimal("1.5"), pyTuple(1)];
  expect(codec.decode(bytes as Uint8Array)).toStrictEqual(list);
});

test("names of Python 2's exceptions are kept as those of Python 3", () => {
  const keep = pickleCodec({ objects: "keep" });
  const old = Buffer.from("(lp0\ncexceptions\nValueError\np1\na.", "latin1");
  expect(keep.decode(old)).toEqual([new PyGlobal("builtins", "ValueError")]);
});

test("a dict that becomes a Map is the Map also in the values of other types that hold it", () => {
  const map = new Map<unknown, unknown>();
  const holders = {
    slice: new PySlice(map, null, null),
    array: new PyNdArray(new PyDtype("|O8"), [1], [map]),
    series: new PyObject(new PyGlobal("pandas", "Series"), pyTuple(map)),
  };
  for (const [name, holder] of Object.entries(holders)) map.set(name, holder);
  map.set(1, "makes it a Map");
  for (const protocol of protocols) {
    const [read] = codec.decode(pickleCodec({ protocol }).encode([map]) as Uint8Array) as [
      Map<unknown, unknown>,
    ];
    const { start } = read.get("slice") as PySlice;
    const [item] = (read.get("array") as PyNdArray).data as unknown[];
    const [argument] = (read.get("series") as PyObject).args;
    for (const inner of [start, item, argument]) expect(inner).toBe(read);
  }
});

test.each<[reason: string, value: unknown]>([
  ["os.system, which is read only with", new PyGlobal("os", "system")],
  ["os.system, which is read only with", new PyObject(new PyGlobal("os", "system"), pyTuple("ls"))],
  ["builtins.int as a value", new PyGlobal("builtins", "int")],
  ["a PyFraction of what fractions.Fraction", new PyFraction(1, 0)],
  ["a PyFraction of what fractions.Fraction", new PyFraction(1, -3)],
  ["a PyRange of what builtins.range", new PyRange(0, 5, 0)],
  ["a PyRange of what builtins.range", new PyRange(0.5, 5)],
  ["a PyComplex of what builtins.complex", new PyComplex("1" as never, 0)],
  ["a PyTime of what datetime.time", new PyTime(1, 2, 3, 4, { tzinfo: "UTC" as never })],
  ["pathlib.Path, which is read only", new PyPath(["a"], "Path" as never)],
  ["a PyScalar of what", new PyScalar(new PyDtype("<i4"), new Uint8Array(3))],
  ["a PyNdArray of what", new PyNdArray(new PyDtype("<i4"), [2], new Uint8Array(7))],
  ["a PyNdArray of what", new PyNdArray(new PyDtype("|O8"), [2], [1])],
  ["a PyNdArray of what", new PyNdArray(new PyDtype("<i4"), [1], [1])],
  ['a PyDtype of "zzz", which is none', new PyDtype("zzz")],
])("what would not be read is refused when it is appended: %s", async (reason, value) => {
  for (const list of [[value], [{ a: [value] }]]) {
    const append = new Pickle(new Dict()).append({ x: list });
    await expect(append).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
      message: expect.stringContaining(reason),
    });
  }
});

test("zones of dateutil by protocols 0 and 1, whose class is of datetime.tzinfo, are kept", () => {
  const utc = "ccopy_reg\n_reconstructor\n(cdateutil.tz.tz\ntzutc\ncdatetime\ntzinfo\n";
  const [zone] = codec.decode(ascii(`(l${utc}cdatetime\ntzinfo\n(tRtRa.`)) as [PyObject];
  expect(zone).toEqual(new PyObject(new PyGlobal("dateutil.tz.tz", "tzutc"), pyTuple(), true));
  expect(codec.decode(codec.encode([zone]) as Uint8Array)).toEqual([zone]);
  expect(() => codec.decode(ascii(`(l${utc}I1\ntRa.`))).toThrow("a type with a base");
});

test("an object of a class on another is refused by protocols 0 and 1, or kept", () => {
  const call = "ccopy_reg\n_reconstructor\n(cm\nD\nc__builtin__\ndict\n(dVa\nI1\nstR";
  expect(() => codec.decode(ascii(`(l${call}a.`))).toThrow('"m.D"');
  const keep = pickleCodec({ objects: "keep" });
  const list = keep.decode(ascii(`(l${call}a.`)) as unknown[];
  const args = pyTuple(new PyGlobal("m", "D"), new PyGlobal("builtins", "dict"), { a: 1 });
  expect(list).toEqual([new PyObject(new PyGlobal("copyreg", "_reconstructor"), args)]);
  expect(keep.decode(keep.encode(list) as Uint8Array)).toEqual(list);
});

test("pandas' NA, which stands among values, is kept", () => {
  const missing = new PyGlobal("pandas._libs.missing", "NA");
  expect(codec.decode(ascii("(lcpandas._libs.missing\nNA\na."))).toEqual([missing]);
  expect(codec.decode(codec.encode([missing]) as Uint8Array)).toEqual([missing]);
});

describe("what Python cannot hash", () => {
  const holder: PyTuple = pyTuple(1);
  holder.push(holder);
  test.each<[name: string, key: object]>([
    ["Array", [1]],
    ["Object", { a: 1 }],
    ["Map", new Map([[1, 2]])],
    ["Set", new Set([1])],
    ["PyByteArray", new PyByteArray(Uint8Array.of(1).buffer)],
    ["PyDeque", PyDeque.from([1])],
    ["PyArray", new PyArray("i", [1])],
    ["PySlice", new PySlice(0, 3)],
    ["Array", pyTuple(1, pyTuple([2]))],
  ])("is not a key, nor in a set: %s", (name, key) => {
    const bad = [
      new Map([[key, 1]]),
      new Set([key]),
      new PyFrozenSet([key]),
      new PyOrderedDict([[key, 1]]),
    ];
    for (const value of bad) {
      expect(() => codec.encode([1, { a: value }])).toThrow(
        new RegExp(`^\\[1\\]\\.a is refused: a pickle cannot carry a key that is an? ${name}, `),
      );
    }
  });

  test("is told from what it can", () => {
    const keys = [pyTuple(1, pyTuple("a")), new PyFrozenSet([1]), new PyDate(2020, 1, 2)];
    const more = [new Date(5), Uint8Array.of(1), new PyUuid("0".repeat(32)), new PyDecimal("1.5")];
    const map = new Map<unknown, number>([...keys, ...more].map((key, i) => [key, i]));
    expect(codec.decode(codec.encode([map]) as Uint8Array)).toEqual([map]);
  });

  test("a tuple that holds itself is refused", () => {
    expect(() => codec.encode([new Map([[holder, 1]])])).toThrow("a key that is nested more than");
  });
});

const carried = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.bigInt({ min: 2n ** 53n }),
    fc.bigInt({ max: -(2n ** 53n) }),
    fc.bigInt({ min: 2n ** 60n, max: 2n ** 3000n }),
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.date({ noInvalidDate: true, min: new Date("0001-01-01"), max: new Date("9999-12-31") }),
    fc.array(tie("value"), { maxLength: 6 }),
    fc.array(tie("value"), { maxLength: 6 }).map((items) => pyTuple(...items)),
    fc
      .array(tie("value"), { maxLength: 6 })
      .filter((items) => equalKeys(items) === undefined && unhashableKey(items) === undefined)
      .map((items) => new Set(items)),
    fc.dictionary(fc.string({ unit: "binary" }), tie("value"), { noNullPrototype: true }),
    fc
      .array(fc.tuple(fc.integer(), tie("value")), { minLength: 1 })
      .map((entries) => new Map(entries)),
  ),
})).value;

let deep: unknown = 1;
for (let i = 0; i < 1000; i++) deep = [deep];

describe.each(protocols)("the codec contract, by protocol %i", (protocol) => {
  for (const { name, run } of codecContract<unknown[]>(
    pickleCodec({ protocol }),
    [[1], [], [{ a: [null, true, -1.5], "ü😀": "x".repeat(300) }, new Uint8Array(300)]],
    {
      arbitrary: fc.array(carried, { maxLength: 4 }),
      numRuns: 30,
      manyFrames: 500,
      largeFrame: 200,
      anyItems: true,
      unencodable: [
        [undefined],
        [{ a: undefined }],
        [() => 1],
        [Symbol("s")],
        [
          new Map<unknown, unknown>([
            [1, "a"],
            [1n, "b"],
          ]),
        ],
        [
          new Map<unknown, unknown>([
            [1, "a"],
            [true, "b"],
          ]),
        ],
        [
          new Map([
            [pyTuple(1), "a"],
            [pyTuple(1n as never), "b"],
          ]),
        ],
        [
          new Map([
            [bytesOf("61"), "a"],
            [bytesOf("61"), "b"],
          ]),
        ],
        [new Set<unknown>([0, false])],
        [new PyFrozenSet<unknown>(["a", 1, 1n])],
        [
          new Map([
            [new Date(0), 1],
            [new PyDateTime(3_600_000 - 3_600_000, { utcOffset: 3600 }), 2],
          ]),
        ],
        [Object.assign(new Map(), { a: 1 })],
        [Object.assign(new Date(0), { a: 1 })],
        [Object.assign([1], { a: 1 })],
        [{ [Symbol("s")]: 1 }],
        [new URL("http://h/p")],
        [new PyDateTime(0, { zone: "CET" })],
        [/x/],
        [new Float32Array(1)],
        [new Error("x")],
        [new Date(Number.NaN)],
        [new Date(Date.UTC(10_000, 0, 1))],
        [new PyDateTime(0, { utcOffset: 86_400 })],
        [new PyDateTime(0, { utcOffset: 1e-7 })],
        [new PyDateTime(999, { microsecond: 1000 })],
        [new PyDateTime(0, { microsecond: 0.5 })],
        [deep],
        "no list",
        { a: 1 },
      ],
      badBytes: [ascii("[1]"), new Uint8Array(), ascii("\x80\x05].]."), ascii("\x80\x05]")],
      refusedBytes: [ascii("\x80\x05N."), ascii("\x80\x05}."), ascii("\x80\x04\x8f.")],
    },
  )) {
    test(name, run);
  }
});

test("records of as many names as the last one, but others, keep their own", () => {
  const list = ["ab", "cb", "cb", "ab", "ac", "ac"].map((names) =>
    Object.fromEntries(Array.from(names, (name, i) => [name, { [names]: { [name]: i } }])),
  );
  for (const protocol of [2, 5] as const) {
    const one = pickleCodec({ protocol });
    expect(one.decode(one.encode(list) as Uint8Array)).toEqual(list);
  }
});

/** A pickle of one list from the opcodes that fill it. */
const list = (body: string) => ascii(`\x80\x04]${body}.`);

/** Arguments that are written once, and used in a hundred calls of a few bytes each. */
const again = (called: string, args: string, call = "h\x00h\x01Ra") =>
  list(`${called}q\x00${args}q\x0100${call.repeat(100)}`);
const keywords = `}(${Array.from({ length: 90 }, (_, i) => `\x8c\x02${i + 10}N`).join("")}u`;
const INT8 =
  "cnumpy\ndtype\n\x8c\x02i1\x89\x88\x87R(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb";
const EMPTY_ARRAY = "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R";

describe("hostile pickles", () => {
  test("a dict that becomes a Map is one also by a copy of the reference", () => {
    // DUP, an int as a key, POP, DUP, another int.
    const read = codec.decode(list("(}2K\x01Ns02K\x02Nse")) as unknown[];
    const map = new Map([
      [1, null],
      [2, null],
    ]);
    expect(read).toEqual([map, map]);
    expect(read[0]).toBe(read[1]);
  });

  test.each<[string, Uint8Array]>([
    ["os.system by GLOBAL", list("cposix\nsystem\n\x8c\x02id\x85Ra")],
    ["os.system by STACK_GLOBAL", list("\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85Ra")],
    ["eval", list("cbuiltins\neval\n\x8c\x011\x85Ra")],
    ["getattr", list("cbuiltins\ngetattr\n)Ra")],
    ["a harmless name of another module", list("cos\nset\n]\x85Ra")],
    ["a name with a dot", list("\x8c\x08builtins\x8c\x0cset.__call__\x93)Ra")],
    ["constructor", list("c__proto__\nconstructor\n)Ra")],
    ["a function as a value", list("cbuiltins\nset\na")],
    ["a function in a tuple", list("cbuiltins\nset\n\x85a")],
    ["a function in a tuple in a tuple", list("cbuiltins\nset\n\x85\x85a")],
    ["a function as a key", list("}cbuiltins\nset\nK\x01sa")],
    ["a function in a set", list("\x8f(cbuiltins\nset\n\x90a")],
    ["a function by the memo", list("cbuiltins\nset\n\x94 0h\x00a".replace(" ", ""))],
    ["BUILD", list("}}ba")],
    ["the state of an int", list("K\x01}ba")],
    ["INST", list("(iposix\nsystem\n")],
    ["OBJ", list("(cposix\nsystem\noa")],
    ["NEWOBJ", list("cbuiltins\nset\n)\x81a")],
    ["NEWOBJ_EX", list("cbuiltins\nset\n)}\x92a")],
    ["PERSID", list("Pid\na")],
    ["BINPERSID", list("K\x01Qa")],
    ["EXT1", list("\x82\x01a")],
    ["NEXT_BUFFER", list("\x97a")],
    ["getattr of a module", list("cbuiltins\ngetattr\n(\x8c\x01a\x8c\x01btRa")],
    ["a class as an item of a deque", list("ccollections\ndeque\n)R(cbuiltins\nint\neba")],
    [
      "a copy bomb of encode",
      list(
        `c_codecs\nencode\nq\x00\x8c\xff${"a".repeat(255)}\x8c\x06latin1\x86q\x0100${"h\x00h\x01Ra".repeat(50)}`,
      ),
    ],
    [
      "a copy bomb of sets",
      list(`cbuiltins\nset\nq\x00](${"K\x01".repeat(200)}e\x85q\x0100${"h\x00h\x01Ra".repeat(50)}`),
    ],
    ["one Decimal again and again", again("cdecimal\nDecimal\n", `\x8c\xff${"7".repeat(255)}\x85`)],
    ["one Fraction", again("cfractions\nFraction\n", `\x8c\xff${"7".repeat(255)}\x85`)],
    ["one path", again("cpathlib\nPosixPath\n", `(${"\x8c\x00".repeat(200)}t`)],
    ["one timedelta", again("cdatetime\ntimedelta\n", `(${"K\x00".repeat(200)}t`)],
    ["one dict of keywords", again("cpandas\nx\n", keywords, "h\x00)h\x01\x92a")],
    [
      "one text of an array's items",
      again(
        "cnumpy.core.numeric\n_frombuffer\n",
        `(\x8c\xc8${"a".repeat(200)}${INT8}K\xc8\x85\x8c\x01Ct`,
      ),
    ],
    [
      "one state of an array",
      again(EMPTY_ARRAY, `(K\x01K\xc8\x85${INT8}\x89\x8c\xc8${"a".repeat(200)}t`, "h\x00h\x01b0"),
    ],
    ["a protocol to come", ascii("\x80\x06].")],
  ])("%s is ERR_PARTD_CODEC", async (_, bytes) => {
    const store = new Dict();
    await store.append({ x: frame(bytes) });
    const error = await new Pickle(store).get("x").catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "ERR_PARTD_CODEC", key: "x", offset: 0 });
  });

  test.each<[string, Uint8Array]>([
    ["a negative length", list("B\xff\xff\xff\xffa")],
    ["a huge int", list("\x8b\xff\xff\xff\x7fa")],
    ["a negative int length", list("\x8b\xff\xff\xff\xffa")],
    ["a length of 2^63", list(`\x8e${"\x00".repeat(7)}\x80a`)],
    ["a length of 2^64 - 1", list(`\x8d${"\xff".repeat(8)}a`)],
    ["a memo entry of 2^32 - 1", list("K\x01r\xff\xff\xff\xffa")],
    ["a reference to nothing", list("h\x07a")],
    ["an empty stack", ascii("\x80\x040.")],
    ["a tuple of too few", ascii("\x80\x04\x87.")],
    ["a mark that is not there", list("e")],
    ["what lies below a mark", list("K\x01(K\x02\x86a")],
    ["a call of no function", list("K\x01)Ra")],
    ["a call without arguments", list("cbuiltins\nset\nK\x01Ra")],
    ["an append to a dict", ascii("\x80\x04}K\x01a.")],
    ["an append to a tuple", list(")K\x01aa")],
    ["items of a list", list("(K\x01K\x02u")],
    ["items of bytes", list("C\x01a(K\x01K\x02ua")],
    ["a key without a value", list("}(K\x01ua")],
    ["a name without an end", list(`c${"x".repeat(300)}`)],
    ["a str that is not UTF-8", list("\x8c\x03\xed\x80\xffa")],
    ["an int that is none", list("Iabc\na")],
    ["a float that is none", list("Fabc\na")],
    ["a str without quotes", list("Sabc\na")],
    ["a place that is none", list("gabc\na")],
    ["a date that is none", list("cdatetime\ndate\nC\x04\x07\xd1\x0d\x01\x85Ra")],
    [
      "an array of 65 dimensions",
      list(`${EMPTY_ARRAY}(K\x01(${"K\x01".repeat(65)}t${INT8}\x89C\x01atba`),
    ],
    ["a dtype of a long name", list(`cnumpy\ndtype\n\x8c\x50${"x".repeat(80)}\x89\x88\x87Ra`)],
    [
      "an array of fewer bytes than its shape",
      list(
        "cnumpy.core.numeric\n_frombuffer\n(C\x01acnumpy\ndtype\n\x8c\x02f8\x89\x88\x87RK\x02\x85\x8c\x01CtRa",
      ),
    ],
    ["an unknown opcode", list("\xff")],
    [
      "a date of month 13",
      list("cdatetime\ndatetime\nC\x0a\x07\xd1\x0d\x01\x00\x00\x00\x00\x00\x00\x85Ra"),
    ],
    [
      "a date of nine bytes",
      list("cdatetime\ndatetime\nC\x09\x07\xd1\x01\x01\x00\x00\x00\x00\x00\x85Ra"),
    ],
    ["bytes after its end", Buffer.concat([list(""), list("")])],
    ["no end", ascii("\x80\x04]K\x01a")],
    ["values left over", ascii("\x80\x04]].")],
  ])("%s is ERR_PARTD_CORRUPT", async (_, bytes) => {
    const store = new Dict();
    await store.append({ x: frame(bytes) });
    const error = await new Pickle(store).get("x").catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "ERR_PARTD_CORRUPT", key: "x", offset: 0 });
  });

  test("prototypes stay as they are", () => {
    const bytes = list("}(\x8c\x09__proto__}\x8c\x08pollutedK\x01su\x8c\x0bconstructor}sa");
    const [read] = codec.decode(bytes) as [Record<string, unknown>];
    expect(Object.keys(read)).toEqual(["__proto__", "constructor"]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  });

  test("a million levels are read without a call for each", () => {
    const levels = 1_000_000;
    const bytes = Buffer.concat([
      ascii("\x80\x04"),
      Buffer.alloc(levels, "]"),
      Buffer.alloc(levels - 1, "a"),
      ascii("."),
    ]);
    let value: unknown = codec.decode(bytes);
    let depth = 0;
    for (; Array.isArray(value); value = value[0]) depth++;
    expect(depth).toBe(levels);
  });

  test("a billion laughs take the memory of a few", () => {
    let body = "]q\x00";
    for (let i = 1; i < 60; i++)
      body += `](h${String.fromCharCode(i - 1).repeat(1)}h${String.fromCharCode(i - 1)}eq${String.fromCharCode(i)}`;
    const bytes = ascii(`\x80\x04](${body}e.`);
    const before = process.memoryUsage().heapUsed;
    expect(codec.decode(bytes)).toHaveLength(60);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(5e6);
  });

  test("values that no such type of Python's can have are damage", () => {
    const uuid = Buffer.from(cpython.typed.UUID?.[0] as string, "hex").toString("latin1");
    const delta = Buffer.from(cpython.typed.timedelta?.[0] as string, "hex").toString("latin1");
    for (const [text, from, to] of [
      [uuid, "I42\n", "I-42\n"],
      [delta, "I1\n", "I1000000001\n"],
    ] as const) {
      expect(text).toContain(from);
      expect(() => codec.decode(Buffer.from(text.replace(from, to), "latin1"))).toThrow(
        expect.objectContaining({ code: "ERR_PARTD_CORRUPT" }),
      );
    }
  });

  test("any mutated bytes are a list or are refused, with no other error", () => {
    const seeds = [cpython.plain, cpython.typed, cpython.refused]
      .flatMap((group) => Object.values(group))
      .flatMap((one) => Object.values(one))
      .map(bytesOf);
    const opcodes = [
      ..."(.012FGIJKLMNPQRSTUVX]abcdeghijlopqrstu})\x80\x81\x85\x86\x87\x88\x8a\x8b\x8c\x8f\x90\x91\x93\x94\x95\x96",
    ];
    const byte = fc.oneof(fc.constantFrom(...opcodes.map((op) => op.charCodeAt(0))), fc.nat(255));
    const edit = fc.record({
      at: fc.nat(1000),
      byte,
      kind: fc.constantFrom("replace", "insert", "remove"),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(edit, { minLength: 1, maxLength: 5 }),
        (seed, edits) => {
          const bytes = [...seed];
          for (const { at, byte: value, kind } of edits) {
            const place = 2 + (at % bytes.length);
            bytes.splice(place, kind === "insert" ? 0 : 1, ...(kind === "remove" ? [] : [value]));
          }
          try {
            expect(Array.isArray(codec.decode(Uint8Array.from(bytes)))).toBe(true);
          } catch (error) {
            expect(isPartdError(error)).toBe(true);
          }
        },
      ),
      { numRuns: Number(process.env.PARTD_FUZZ_RUNS ?? 10_000), seed: 6 },
    );
  });

  test("any program of opcodes is a list or is refused", () => {
    const word = fc.constantFrom(
      ...[
        "(",
        "0",
        "1",
        "2",
        "N",
        "]",
        "}",
        ")",
        "\x8f",
        "K\x01",
        "\x8c\x01a",
        "C\x01b",
        "a",
        "e",
        "s",
        "u",
      ],
      ...[
        "t",
        "\x85",
        "\x86",
        "\x87",
        "\x90",
        "\x91",
        "\x94",
        "h\x00",
        "h\x01",
        "h\x02",
        "q\x03",
        "h\x03",
        "R",
      ],
      ...["cbuiltins\nset\n", "c_codecs\nencode\n", "\x8c\x06latin1", "cdatetime\ntimezone\n"],
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), (words) => {
        try {
          codec.decode(list(words.join("")));
        } catch (error) {
          expect(isPartdError(error)).toBe(true);
        }
      }),
      { numRuns: Number(process.env.PARTD_FUZZ_RUNS ?? 10_000), seed: 6 },
    );
  });
});

describe("options", () => {
  const wide = bytesOf(cpython.plain.ints?.[5] as string);

  test("integers: all as BigInts, or as numbers alone", () => {
    expect(pickleCodec({ integers: "bigint" }).decode(list("K\x01a"))).toEqual([1n]);
    expect(
      pickleCodec({ integers: "number" }).decode(list("\x8a\x05\x00\x00\x00\x00\x01a")),
    ).toEqual([2 ** 32]);
    expect(() => pickleCodec({ integers: "number" }).decode(wide)).toThrow("would be rounded");
  });
  test("dicts: always Maps, in order", () => {
    const maps = pickleCodec({ dicts: "map" });
    const map = new Map([
      ["b", new Map()],
      ["7", new Map()],
    ]);
    const [read] = maps.decode(maps.encode([map]) as Uint8Array) as [typeof map];
    expect([...read]).toEqual([...map]);
  });
  test("protocol: 2 to 5", () => {
    expect(() => new Pickle(new Dict(), { protocol: 1 as never })).toThrow("must be 2, 3, 4 or 5");
    expect((pickleCodec().encode([]) as Uint8Array)[1]).toBe(5);
  });
});

test("tuples are arrays, and what their methods make are no tuples", () => {
  const tuple = pyTuple(3);
  expect(Array.isArray(tuple)).toBe(true);
  expect([...tuple]).toEqual([3]);
  expect(tuple.map((item) => item)).not.toBeInstanceOf(PyTuple);
});

test("names of properties are written once", () => {
  const records = Array.from({ length: 100 }, (_, delay) => ({ delay, destination: "LAX" }));
  const bytes = codec.encode(records) as Uint8Array;
  expect(Buffer.from(bytes).toString("latin1").split("destination")).toHaveLength(2);
  expect(codec.decode(bytes)).toEqual(records);
});

const python = realPart.python("numpy");
describeReal(python, "CPython", () => {
  test("reads each type, of each protocol, as what it was, in each protocol that is written", () => {
    const again: unknown[] = [];
    for (const group of ["plain", "typed"] as const) {
      for (const name of Object.keys(cpython[group])) {
        for (const read of allProtocols) {
          const values = codec.decode(bytesOf(cpython[group][name]?.[read] as string)) as unknown[];
          for (const written of protocols) {
            const bytes = pickleCodec({ protocol: written }).encode(values) as Uint8Array;
            again.push({ group, name, read, written, hex: Buffer.from(bytes).toString("hex") });
          }
        }
      }
    }
    const program = fileURLToPath(new URL("./fixtures/compare.py", import.meta.url));
    const differences = JSON.parse(
      execFileSync(python.command as string, [program], {
        input: JSON.stringify(again),
        encoding: "utf8",
      }),
    ) as [string, number, number, string][];
    // NumPy 1.24 loses the byte order of arrays by itself, in what it reads of protocol 5.
    const own = differences.filter(([name, read]) => name !== "NumPy arrays" || read !== 5);
    expect(own).toEqual([]);
    // The table in the documents says what was tried here, and nothing else.
    const document = readFileSync(new URL("../../../docs/python.md", import.meta.url), "utf8");
    const types = [...Object.keys(cpython.plain), ...Object.keys(cpython.typed)];
    expect(rowsUnder(document, "| type | read: 0 |")).toEqual(
      types.map((name) => {
        const cells = allProtocols.map((read) => (isSame(name, { read }) ? "yes" : "no"));
        const written = protocols.filter((one) => isSame(name, { written: one }));
        return `| ${name} | ${cells.join(" | ")} | ${written.join(", ")} |`;
      }),
    );

    function isSame(name: string, by: { read?: number; written?: number }): boolean {
      const { read, written } = by;
      return own.every(
        (one) => one[0] !== name || one[1] !== (read ?? one[1]) || one[2] !== (written ?? one[2]),
      );
    }
  });
});

test("a typed array that looks like an object is refused, not read back as one", () => {
  for (const length of [0, 2]) {
    const view = Object.setPrototypeOf(new Uint8Array(length), Object.prototype);
    expect(() => pickleCodec().encode([{ a: view }])).toThrow(
      "[0].a is refused: a pickle cannot carry a typed array whose prototype",
    );
  }
  const bytes = pickleCodec().encode([{ 0: 1 }]) as Uint8Array;
  expect(pickleCodec().decode(bytes)).toEqual([{ 0: 1 }]);
});

function rowsUnder(document: string, header: string): string[] {
  const [, , ...rows] =
    document.slice(document.indexOf(header)).split("\n\n")[0]?.split("\n") ?? [];
  return rows;
}
