import { describe, expect, test } from "@jest/globals";
import {
  PyArray,
  PyByteArray,
  PyComplex,
  PyCounter,
  PyDate,
  PyDateTime,
  PyDecimal,
  PyDeque,
  PyFraction,
  PyFrozenSet,
  PyOrderedDict,
  PyPath,
  PyRange,
  PySlice,
  PyTime,
  PyTimeDelta,
  PyTuple,
  PyUuid,
  pickleCodec,
  pyTuple,
} from "@partd/codec-pickle";
import { type Codec, Dict, Encode, isPartdError } from "@partd/core";
import { frame, splitFrames } from "@partd/core/author";
import { codecContract } from "@partd/testing";
import fc from "fast-check";
import { Ext, type Extension, MsgPack, type MsgPackOptions, msgPackCodec } from "../src/index.js";

const codec = msgPackCodec({ pickles: "refuse" });

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}

const cycle: unknown[] = [];
cycle.push(cycle);

/** Everything that reads back as it was. */
const carried = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.date({ noInvalidDate: true }),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(fc.string({ unit: "binary" }), tie("value"), {
      maxKeys: 20,
      noNullPrototype: true,
    }),
    fc
      .array(fc.tuple(fc.integer(), tie("value")), { minLength: 1, maxLength: 18 })
      .map((e) => new Map(e)),
  ),
})).value;

describe("the codec contract", () => {
  const samples = [
    [1],
    [],
    [{ a: [null, true, -1.5], "ü😀": "x".repeat(300) }, new Uint8Array(70_000)],
  ];
  for (const { name, run } of codecContract<unknown[]>(codec, samples, {
    arbitrary: fc.array(carried, { maxLength: 5 }),
    anyItems: true,
    unencodable: [
      [undefined],
      [{ a: undefined }],
      [() => 1],
      [Symbol("s")],
      [2n ** 64n],
      [-(2n ** 63n) - 1n],
      ["\ud800"],
      [Object.assign([1], { a: 1 })],
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
      [new PyDateTime(0, { microsecond: 7 })],
      [Object.assign(new Map(), { a: 1 })],
      [{ [Symbol("s")]: 1 }],
      [new Ext(5, new ArrayBuffer(8) as never)],
      [new Ext(5, new Float64Array(1) as never)],
      [`${"long ".repeat(20)}\udc00`],
      [new Set()],
      [/x/],
      [new Float32Array(1)],
      [new Error("x")],
      [new Date(Number.NaN)],
      cycle,
      [nested(1000)],
      "no list",
      { a: 1 },
    ],
    badBytes: [
      Buffer.from("[1, 2]"),
      Buffer.of(),
      Buffer.of(0x91),
      Buffer.of(0x91, 0xc1),
      Buffer.of(0x91, 1, 1),
      Buffer.of(0x91, 0xdb, 0xff, 0xff, 0xff, 0xff),
      Buffer.of(0xdd, 0xff, 0xff, 0xff, 0xff),
      Buffer.of(0x91, 0xdf, 0x80, 0, 0, 0),
      Buffer.of(0x91, 0xc6, 0xff, 0xff, 0xff, 0xff),
      Buffer.concat([Buffer.alloc(100_000, 0x91), Buffer.of(1)]),
      // Each of the lists claims as many items as bytes are left: quadratic, if it were believed.
      Buffer.concat(Array.from({ length: 900 }, () => Buffer.of(0xdd, 0, 0, 0x20, 0))),
    ],
    refusedBytes: [
      Buffer.of(0x80), // A map, not a list.
      Buffer.of(1),
      Buffer.of(0x91, 0xa1, 0xff), // Bytes of a writer without the type bin.
      Buffer.from("8005950b000000000000005d944b01612e", "hex"),
      Buffer.from("80025d7100", "hex"),
    ],
  })) {
    test(name, run);
  }
});

test.each<[unknown, string]>([
  [0, "00"],
  [127, "7f"],
  [128, "cc80"],
  [255, "ccff"],
  [256, "cd0100"],
  [65_536, "ce00010000"],
  [2 ** 32, "cf0000000100000000"],
  [2 ** 53 - 1, "cf001fffffffffffff"],
  [-1, "ff"],
  [-32, "e0"],
  [-33, "d0df"],
  [-129, "d1ff7f"],
  [-32_769, "d2ffff7fff"],
  [-(2 ** 31) - 1, "d3ffffffff7fffffff"],
  [-(2 ** 53) + 1, "d3ffe0000000000001"],
  [2n ** 53n, "cf0020000000000000"],
  [2n ** 64n - 1n, "cfffffffffffffffff"],
  [-(2n ** 63n), "d38000000000000000"],
  [-0, "cb8000000000000000"],
  [1.5, "cb3ff8000000000000"],
  [1e300, "cb7e37e43c8800759c"],
  [null, "c0"],
  [true, "c3"],
  ["ü", "a2c3bc"],
  ["x".repeat(32), `d920${"78".repeat(32)}`],
  ["ü".repeat(20), `d928${"c3bc".repeat(20)}`],
  ["ü".repeat(200), `da0190${"c3bc".repeat(200)}`],
  [Uint8Array.of(1, 2), "c4020102"],
  [{ a: 1 }, "81a16101"],
  [new Map([[1, 2]]), "810102"],
  [new Date(1000), "d6ff00000001"],
  [new Date(1500), "d7ff7735940000000001"],
  [new Date(2 ** 32 * 1000 - 1000), "d6ffffffffff"],
  [new Date(2 ** 32 * 1000), "d7ff0000000100000000"],
  [new Date(2 ** 33 * 1000), "d7ff0000000200000000"],
  [new Date(-1), "c70cff3b8b87c0ffffffffffffffff"],
  [new Ext(5, Uint8Array.of(1)), "d40501"],
  [new Ext(-7, Uint8Array.of(1, 2, 3)), "c703f9010203"],
])("%p is %s, and back", (value, hex) => {
  const bytes = codec.encode([value]) as Uint8Array;
  expect(Buffer.from(bytes).toString("hex")).toBe(`91${hex}`);
  expect(codec.decode(bytes)).toEqual([value]);
});

test("a float that a Python float32 writer left is read", () => {
  expect(codec.decode(Buffer.from("91ca3fc00000", "hex"))).toEqual([1.5]);
});

describe("integers", () => {
  const wide = Buffer.from("94ccff01cf0020000000000000d3ffffffffffffffff", "hex");
  const read = (integers: MsgPackOptions["integers"], bytes: Uint8Array) =>
    msgPackCodec({ integers }).decode(bytes);

  test("are BigInts only where a number would be rounded", () => {
    expect(read("auto", wide)).toEqual([255, 1, 2n ** 53n, -1]);
  });
  test("are all BigInts on demand", () => {
    expect(read("bigint", wide)).toEqual([255n, 1n, 2n ** 53n, -1n]);
  });
  test("are all numbers on demand, and refused where they would be rounded", async () => {
    expect(read("number", Buffer.from("91cf001fffffffffffff", "hex"))).toEqual([2 ** 53 - 1]);
    await using store = new Dict();
    await store.append({ x: frame(wide) });
    const error = await new MsgPack(store, { integers: "number" })
      .get("x")
      .catch((e: unknown) => e);
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect((error as Error).message).toContain("9007199254740992 would be rounded");
  });
});

describe("maps", () => {
  test("are objects where all keys are strings, whatever the strings", async () => {
    await using p = new MsgPack(new Dict());
    const item = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2, "": 3, "toString": 4}');
    await p.append({ x: [item] });
    const [read] = (await p.get("x")) as [object];
    expect(JSON.stringify(read)).toBe(JSON.stringify(item));
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
    expect("a" in read).toBe(false);
  });
  test("are Maps where a key is none, from whichever key on", () => {
    const map = new Map<unknown, unknown>([
      ["a", 1],
      [2, "b"],
      [null, new Map([[1.5, "c"]])],
    ]);
    expect(codec.decode(codec.encode([map]) as Uint8Array)).toEqual([map]);
  });
  test("are always Maps on demand, and in order", () => {
    const map = new Map([
      ["b", 1],
      ["7", 2],
    ]);
    const maps = msgPackCodec({ maps: "map" });
    const [read] = maps.decode(maps.encode([map]) as Uint8Array) as [Map<string, number>];
    expect([...read]).toEqual([...map]);
  });
});

describe("extension types", () => {
  class Point {
    readonly x: number;
    readonly y: number;
    constructor(x: number, y: number) {
      this.x = x;
      this.y = y;
    }
  }
  const inner = msgPackCodec();
  const point: Extension<Point> = {
    type: 1,
    encode: (value) =>
      value instanceof Point ? (inner.encode([value.x, value.y]) as Uint8Array) : undefined,
    decode: (bytes) => new Point(...(inner.decode(bytes) as [number, number])),
  };

  test("carry one's own classes", async () => {
    await using p = new MsgPack<Point>(new Dict(), { extensions: [point] });
    await p.append({ x: [new Point(1, 2)] });
    expect(await p.get("x")).toEqual([new Point(1, 2)]);
    expect((await p.get("x"))[0]).toBeInstanceOf(Point);
  });
  test("may use the codec that they are part of", () => {
    const self: Codec<unknown[]> = msgPackCodec({
      extensions: [
        {
          type: 2,
          encode: (value) =>
            value instanceof Set ? (self.encode([...value]) as Uint8Array) : undefined,
          decode: (bytes) => new Set(self.decode(bytes) as unknown[]),
        },
      ],
    });
    const value = [1, new Set([new Set(["in"]), 2]), "after"];
    expect(self.decode(self.encode(value) as Uint8Array)).toEqual(value);
  });
  test("that are unknown are kept as they are, and so is a time finer than a Date's", async () => {
    await using p = new MsgPack(new Dict());
    const values = [
      new Ext(9, Uint8Array.of(1)),
      new Ext(-1, Buffer.from("0000000400000001", "hex")),
    ];
    await p.append({ x: values });
    const read = (await p.get("x")) as Ext[];
    expect(read.map(({ type, data }) => [type, ...data])).toEqual(
      values.map(({ type, data }) => [type, ...data]),
    );
  });
  test("are no timestamp with a second of nanoseconds or of another length", async () => {
    const second = (1e9).toString(16).padStart(8, "0");
    const last = (1e9 - 1).toString(16).padStart(8, "0");
    const seconds = "0000000000000001";
    const wrong = [`c70cff${second}${seconds}`, "d7ffee6b280000000001", "d4ff01", "c703ff010203"];
    for (const hex of wrong) {
      const bytes = Buffer.from(`91${hex}`, "hex");
      expect(() => codec.decode(bytes)).toThrow(
        expect.objectContaining({ code: "ERR_PARTD_CORRUPT" }),
      );
      const data = bytes.subarray(hex.startsWith("c7") ? 4 : 3);
      expect(() => codec.encode([new Ext(-1, data)])).toThrow(
        expect.objectContaining({ code: "ERR_PARTD_CODEC" }),
      );
    }
    for (const hex of [`c70cff${last}${seconds}`, "d7ffee6b27fc00000001"]) {
      expect(codec.decode(Buffer.from(`91${hex}`, "hex"))).toEqual([expect.any(Ext)]);
    }
  });
  test("are numbers from -128 to 127", () => {
    for (const type of [128, -129, 1.5]) {
      expect(() => new Ext(type, new Uint8Array())).toThrow("from -128 to 127");
      expect(() => new MsgPack(new Dict(), { extensions: [{ ...point, type }] })).toThrow("-128");
    }
  });
});

test("any mutated bytes decode to a list or are refused", () => {
  const edit = fc.record({ at: fc.nat(500), byte: fc.nat(255), insert: fc.boolean() });
  fc.assert(
    fc.property(fc.array(carried), fc.array(edit, { maxLength: 4 }), (list, edits) => {
      const bytes = [...(codec.encode(list) as Uint8Array)];
      for (const { at, byte, insert } of edits)
        bytes.splice(at % bytes.length, insert ? 0 : 1, byte);
      try {
        expect(Array.isArray(codec.decode(Uint8Array.from(bytes)))).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        expect((error as Error).name).not.toBe("RangeError");
      }
    }),
    { numRuns: Number(process.env.PARTD_FUZZ_RUNS ?? 3000), seed: 6 },
  );
});

test("an instance of a class is written as its own properties", async () => {
  class Flight {
    delay = 5;
  }
  await using p = new Encode(new Dict(), msgPackCodec<{ delay: number }>());
  await p.append({ x: [new Flight()] });
  expect(await p.get("x")).toEqual([{ delay: 5 }]);
});

describe("what MessagePack cannot carry is a pickle, as Python writes it", () => {
  const values = [
    new Set([1]),
    2n ** 70n,
    "\ud800",
    new PyDateTime(0, { microsecond: 7, utcOffset: 3600 }),
    new PyDecimal("1.5"),
    new Map([["list", [new Set(["a"])]]]),
  ];

  test("both are read, mixed in one key, and streamed", async () => {
    const lower = new Dict();
    const p = new MsgPack(lower);
    await p.append({ x: [1, { a: new Date(0) }] });
    await p.append({ x: values });
    await p.append({ x: [pyTuple(1, new Set([2]) as unknown)] });
    await p.append({ x: ["last"] });
    const read = await p.get("x");
    expect(read.slice(0, 2)).toEqual([1, { a: new Date(0) }]);
    expect(read.slice(2, -2)).toEqual([...values.slice(0, 5), { list: [new Set(["a"])] }]);
    expect(read.at(-2)).toBeInstanceOf(PyTuple);
    expect(read[5]).toMatchObject({ microsecond: 7, utcOffset: 3600 });
    const heads: number[] = [];
    for (const { bytes } of splitFrames(await lower.get("x"), "x")) heads.push(bytes[0] as number);
    expect(heads).toEqual([0x92, 0x80, 0x80, 0x91]);
    const lists: unknown[][] = [];
    for await (const list of p.stream("x")) lists.push(list);
    expect(lists.flat()).toEqual(read);
  });

  const types: object[] = [
    ...[pyTuple(1, 2), new PyFraction(1, 2), new PyComplex(1, 2), new PyDate(2020, 1, 2)],
    ...[new PyTimeDelta(1, 2, 3), new PyUuid("0".repeat(32)), new PyDecimal("1.5")],
    ...[
      new PyPath(["a"]),
      new PyArray("i", [1]),
      new PyByteArray(Uint8Array.of(1).buffer),
      new PyRange(0, 3, 1),
    ],
    ...[new PySlice(0, 3), new PyFrozenSet([1]), new PyTime(1, 2, 3), PyDeque.from([1])],
    ...[new PyCounter([["a", 1]]), new PyOrderedDict([["a", 1]])],
  ];
  test.each(types.map((value) => [value.constructor.name, value] as const))(
    "a %s by itself, or within, keeps its type",
    async (_, value) => {
      for (const list of [[value], [{ a: [value] }], [new Map([[1, value]])]]) {
        const p = new MsgPack(new Dict());
        await p.append({ x: list });
        const read = await p.get("x");
        expect(read).toEqual(list);
        const [first] = read as [Record<string, object[]>];
        const inner =
          list[0] === value ? first : first instanceof Map ? first.get(1) : first.a?.[0];
        expect(inner).toBeInstanceOf(value.constructor);
        await expect(
          new MsgPack(new Dict(), { pickles: "read" }).append({ x: list }),
        ).rejects.toThrow(value.constructor.name);
      }
    },
  );

  test("what neither carries is refused, with its place", async () => {
    const p = new MsgPack(new Dict());
    await expect(p.append({ x: [new Set([1]), { a: undefined }] })).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
    });
    await expect(p.append({ x: [1, { a: [undefined] }] })).rejects.toThrow("[1].a[0] is refused");
    await expect(p.append({ x: [new Set([new Ext(5, new Uint8Array(1))])] })).rejects.toThrow(
      "Set",
    );
  });

  test("a key that Python cannot hash is in neither, and a tuple is in a pickle", async () => {
    for (const key of [[1], { a: 1 }, new Map([[1, 2]]), [], {}, Array(20).fill(1)]) {
      for (const pickles of ["both", "read"] as const) {
        const p = new MsgPack(new Dict(), { pickles });
        await expect(p.append({ x: [1, { a: new Map([[key, 1]]) }] })).rejects.toThrow(
          /\[1\]\.a is refused: MessagePack cannot carry a Map with a key that is an? (Array|Object|Map), /,
        );
      }
    }
    const p = new MsgPack(new Dict());
    await p.append({ x: [new Map([[pyTuple(1, 2), 3]])] });
    expect(await p.get("x")).toEqual([new Map([[pyTuple(1, 2), 3]])]);
  });

  test("by option they are read alone, or not at all", async () => {
    const lower = new Dict();
    await new MsgPack(lower).append({ x: [new Set([1])] });
    const reading = new MsgPack(lower, { pickles: "read" });
    expect(await reading.get("x")).toEqual([new Set([1])]);
    for (const pickles of ["read", "refuse"] as const) {
      const p = new MsgPack(lower, { pickles });
      await expect(p.append({ y: [new Set([1])] })).rejects.toMatchObject({
        code: "ERR_PARTD_CODEC",
      });
    }
    await expect(new MsgPack(lower, { pickles: "refuse" }).get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
    });
    const extensions = [{ type: 1, encode: () => undefined, decode: (data: Uint8Array) => data }];
    await expect(new MsgPack(lower, { extensions }).append({ y: [new Set([1])] })).rejects.toThrow(
      "Set",
    );
  });

  test("options for integers and maps hold in pickles too", async () => {
    const lower = new Dict();
    await lower.append({
      x: frame(pickleCodec<unknown>().encode([{ a: 1 }, new Set()] as unknown[]) as Uint8Array),
    });
    const [map] = await new MsgPack(lower, { integers: "bigint", maps: "map" }).get("x");
    expect(map).toEqual(new Map([["a", 1n]]));
  });
});

describe("a Map with keys that Python does not read from MessagePack", () => {
  const bytes = Uint8Array.of(1);
  const head = (list: unknown[], options?: MsgPackOptions) =>
    (msgPackCodec(options).encode(list) as Uint8Array)[0];
  const others = [1, 1.5, 2n ** 60n, null, true, new Date(0)];

  test.each(others)("makes its list a pickle, which reads the same: %p", (key) => {
    const list = [1, { a: [new Map<unknown, unknown>([[key, "x"]])] }];
    expect(head(list)).toBe(0x80);
    expect(msgPackCodec().decode(msgPackCodec().encode(list) as Uint8Array)).toEqual(list);
    expect(head(list, { pickles: "read" })).toBe(0x92);
    expect(head([...list, new Ext(5, bytes)])).toBe(0x93); // No pickle carries it.
  });

  test("does not where keys are texts and bytes", () => {
    expect(head([new Map<unknown, number>([["a", 1], [bytes, 2]])])).toBe(0x91); // biome-ignore format: one line
    expect(head([{ a: 1 }, new Map()])).toBe(0x92);
  });
});

test("an extension that gives no Uint8Array is refused", () => {
  for (const bytes of [new ArrayBuffer(8), Float64Array.of(1.5), "ab", 5]) {
    const extension = { type: 1, encode: () => bytes as never, decode: (data: Uint8Array) => data };
    expect(() => msgPackCodec({ extensions: [extension] }).encode([new Set()])).toThrow(
      "[0] is refused: MessagePack cannot carry what the extension 1 gives, which is no Uint8Array",
    );
  }
});

test("small bytes are copies, large ones views of the frame", () => {
  const bytes = codec.encode([new Uint8Array(3), new Uint8Array(5000)]) as Uint8Array;
  const [small, large] = codec.decode(bytes) as [Uint8Array, Uint8Array];
  expect(small.buffer.byteLength).toBe(3);
  expect(large.buffer.byteLength).toBeGreaterThan(5000);
});

test("a typed array that looks like an object is refused, not read back as one", () => {
  for (const length of [0, 2]) {
    const view = Object.setPrototypeOf(new Uint8Array(length), Object.prototype);
    for (const pickles of ["refuse", "both"] as const) {
      expect(() => msgPackCodec({ pickles }).encode([{ a: view }])).toThrow(
        "[0].a is refused: MessagePack cannot carry a typed array whose prototype",
      );
    }
  }
  expect(codec.decode(codec.encode([{ 0: 1 }]) as Uint8Array)).toEqual([{ 0: 1 }]);
});
