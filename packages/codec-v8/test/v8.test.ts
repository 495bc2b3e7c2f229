import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { serialize } from "node:v8";
import { describe, expect, test } from "@jest/globals";
import { Dict, Encode, isPartdError, type Store } from "@partd/core";
import { frame } from "@partd/core/author";
import { codecContract } from "@partd/testing";
import fc from "fast-check";
import { V8, v8Codec } from "../src/index.js";

const codec = v8Codec();

/** Values that V8 makes are of the main context, not of this test's: they are compared as text. */
function show(value: unknown): string {
  return inspect(value, { depth: 10, maxArrayLength: null });
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`resolved with ${show(value)}`);
    },
    (error: unknown) => error,
  );
}

describe("the codec contract", () => {
  for (const { name, run } of codecContract(codec, [[1], [], [new Map([[1, new Date(0)]]), 2n]], {
    equal: (a, b) => show(a) === show(b),
    anyItems: true,
    unencodable: [[() => 1], [Symbol("s")], "text", { a: 1 }],
    badBytes: [Buffer.from("[1]"), new Uint8Array(), serialize([1]).subarray(1)],
    refusedBytes: [serialize({ a: 1 }), serialize(null), serialize(new Set([1]))],
  })) {
    test(name, run);
  }
});

test("lists of structured-clone values are joined, and an absent key is the empty list", async () => {
  await using p = new V8(new Dict());
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const error = new RangeError("out", { cause: "why" });
  const values = [
    new Map<unknown, unknown>([[{ a: 1 }, new Set([1n, -0, Number.NaN])]]),
    new Date(5),
    /par.d/gi,
    2n ** 100n,
    Float64Array.of(1.5),
    new Uint8Array([1, 2]),
    new ArrayBuffer(3),
    undefined,
    null,
    holes,
    "Grüße 🌍",
    "\ud800",
    cycle,
  ];
  await p.append({ x: values });
  await p.append({ x: [error] });
  const read = await p.get("x");
  expect(show(read.slice(0, -1))).toBe(show(values));
  expect(read.at(-1)).toMatchObject({ name: "RangeError", message: "out" });
  expect(await p.get(["y", ["z"]])).toEqual([[], [[]]]);
});

const holes: unknown[] = [1];
holes[2] = 2;

test("any list reads back as it was", () => {
  const leaf = fc.oneof(
    fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true }),
    fc.anything({ withTypedArray: true, withSparseArray: true, withBoxedValues: true }),
  );
  fc.assert(
    fc.property(fc.array(leaf), (list) => {
      const bytes = serialize(list);
      expect(codec.encode(list)).toEqual(bytes);
      expect(show(codec.decode(bytes))).toBe(show(list));
    }),
    { numRuns: 500 },
  );
});

test("shared references stay shared within one append", async () => {
  await using p = new V8<object>(new Dict());
  const shared = { a: 1 };
  await p.append({ x: [shared, shared] });
  const [a, b] = await p.get("x");
  expect(a).toBe(b);
});

test("a long list of holes is kept, item by item", async () => {
  await using p = new V8(new Dict());
  await p.append({ x: new Array(100_000) });
  const read = await p.get("x");
  expect(read).toHaveLength(100_000);
  expect(read[99_999]).toBeUndefined();
});

test("what cannot be cloned is refused with the key, and nothing of the batch is appended", async () => {
  await using p = new V8(new Dict());
  const bads = [[() => 1], [Symbol("s")], [Promise.resolve()], [{ deep: [new WeakMap()] }], "list"];
  for (const bad of bads) {
    const error = await failure(p.append({ fine: [1], x: bad as unknown[] }));
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect(error).toMatchObject({ key: "x" });
  }
  expect(await p.get("fine")).toEqual([]);
});

test("damaged and foreign bytes are corrupt, with key and offset", async () => {
  const first = frame(serialize(["fine"]));
  const bads = [
    Buffer.from('["json"]'),
    new Uint8Array(),
    serialize(["cut short"]).subarray(0, -1),
    Buffer.concat([serialize([1]), Buffer.of(0x30)]),
    Buffer.from("ff0f61ffffffff0f4000ffffffff0f", "hex"), // 2^32 - 1 holes.
    Buffer.concat([Buffer.of(0xff, 15), Buffer.alloc(200_000, Buffer.of(0x41, 1))]), // Depth.
    Buffer.from("ff0f22ffffffff0f", "hex"), // A string of 4 GiB.
    Buffer.from("ff0f5cff01", "hex"), // A host object of no known type.
    Buffer.from("ff0f41015c0e02003e240001", "hex"), // A view of no known type.
  ];
  for (const bad of bads) {
    const store: Store = new Dict();
    await store.append([["x", first] as const, ["x", frame(bad)] as const]);
    const error = await failure(new V8(store).get("x"));
    expect(isPartdError(error, "ERR_PARTD_CORRUPT")).toBe(true);
    expect(error).toMatchObject({ key: "x", offset: first.byteLength });
  }
});

test("what only a newer Node can read is not damage", async () => {
  const version = (serialize(0)[1] as number) + 1;
  const written = Buffer.from("ff0f41015c0d02003e240001", "hex"); // [Float16Array [1.5]], by Node 24.
  const frames: [Buffer, string][] = [
    [Buffer.from([0xff, version, 0x41, 0, 0x24, 0, 0]), "version"],
  ];
  if (!("Float16Array" in globalThis)) frames.push([written, "Float16Array"]);
  for (const [bytes, words] of frames) {
    const store = new Dict();
    await store.append({ x: frame(bytes) });
    const error = await failure(new V8(store).get("x"));
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect((error as Error).message).toContain(`does not have ${words}`);
  }
});

test("mutated bytes decode to a list or throw; the process lives", () => {
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const seeds = [
    [1, "x", { a: [1.5, null, undefined] }, true],
    [new Map([[1, new Set([2])]]), new Date(0), /x/g, 10n ** 30n, Object("s")],
    [new Float64Array(4), Buffer.from("abc"), new ArrayBuffer(9), new DataView(new ArrayBuffer(8))],
    [new Error("x"), cycle, holes],
  ].map((value) => serialize(value));
  const tags = [..."oOaA\"cI UdDNSM:'B~VrtuR\\jk^Ty0_{;"].map((tag) => tag.charCodeAt(0));
  const edit = fc.record({
    at: fc.nat(200),
    byte: fc.oneof(fc.constantFrom(...tags), fc.nat(255)),
    insert: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.constantFrom(...seeds), fc.array(edit, { maxLength: 4 }), (seed, edits) => {
      const bytes = [...seed];
      for (const { at, byte, insert } of edits) {
        bytes.splice(2 + (at % bytes.length), insert ? 0 : 1, byte);
      }
      try {
        expect(Array.isArray(codec.decode(Uint8Array.from(bytes)))).toBe(true);
      } catch (error) {
        expect((error as Error).message).toEqual(expect.any(String));
      }
    }),
    { numRuns: Number(process.env.PARTD_FUZZ_RUNS ?? 5000) },
  );
});

test("the codec can be used with Encode", async () => {
  await using p = new Encode(new Dict(), v8Codec<number>());
  await p.append({ x: [1] });
  await p.append({ x: [2, 3] });
  expect(await p.get("x")).toEqual([1, 2, 3]);
});

/** An object with a property that is one value after the other, and stays the last. */
function flips(...values: unknown[]): object {
  let at = 0;
  const get = () => values[Math.min(at++, values.length - 1)];
  return Object.defineProperty({}, "a", { get, enumerable: true });
}

function hidden<T extends unknown[]>(items: T, at: number): T {
  return Object.defineProperty(items, at, { value: items[at], enumerable: false });
}

class Discreet<K, V> extends Map<K, V> {
  override *[Symbol.iterator](): MapIterator<[K, V]> {}
}

class Sealed {
  #secret = 1;
  get secret() {
    return this.#secret;
  }
}

class Worded extends Error {
  override get message(): string {
    return "x";
  }
}

class Caused extends Error {
  override get cause(): string {
    return "x";
  }
}

const withOwn = (error: Error, name: string, property: PropertyDescriptor): Error =>
  Object.defineProperty(error, name, property);

/** A Map of an error whose code a clone loses, under another prototype. */
function disguised(prototype: object | null, fields: object = {}): unknown {
  const map = new Map([[1, Object.assign(new Error("x"), { code: "ENOENT" })]]);
  return Object.setPrototypeOf(Object.assign(map, fields), prototype);
}

const plainCopy = (value: unknown) => JSON.parse(JSON.stringify(value));

describe("what a clone would leave out is refused, with its place", () => {
  const nested = (levels: number, wrap: (inner: unknown) => unknown) => {
    let value: unknown = 1;
    for (let i = 0; i < levels; i++) value = wrap(value);
    return value;
  };
  const cases: [string, unknown, string][] = [
    ["a view beyond its shortened memory", shortened(), "lost its items"],
    ["DOMException", new DOMException("gone", "AbortError"), "a DOMException"],
    ["an error's code", Object.assign(new Error("x"), { code: "ENOENT" }), "properties of its own"],
    [
      "an error's hidden code",
      Object.defineProperty(new Error("x"), "code", { value: "ENOENT" }),
      "properties of its own",
    ],
    ["an error's name", Object.assign(new Error("x"), { name: "MyError" }), "MyError"],
    ["AggregateError", new AggregateError([new Error("a")], "m"), "AggregateError"],
    ["a message by a getter", withOwn(new Error(), "message", { get: () => "x" }), "message"],
    ["a message by a class", new Worded(), "message"],
    ["a message that is no text", withOwn(new Error("x"), "message", { value: {} }), "message"],
    ["a stack that is no text", withOwn(new Error("x"), "stack", { value: 5 }), "stack"],
    ["a cause by a getter", withOwn(new Error("x"), "cause", { get: () => 1 }), "cause"],
    ["a cause by a class", new Caused("x"), "cause"],
    ["where a RegExp would go on", Object.assign(/a/g, { lastIndex: 1 }), "lastIndex"],
    ["what an error's cause loses", new Error("x", { cause: new URL("http://h/p") }), ""],
    ["errors that are no list", withOwn(new Error("x"), "errors", { value: 5 }), "properties"],
    ["URL", new URL("http://h/p"), "a URL"],
    ["URLSearchParams", new URLSearchParams("a=1"), "a URLSearchParams"],
    ["Headers", new Headers({ a: "1" }), "a Headers"],
    ["Blob", new Blob(["x"]), "a Blob"],
    ["a module", new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)), "a Module"],
    ["shared memory", new SharedArrayBuffer(1), "a SharedArrayBuffer"],
    ["private fields", new Sealed(), "a Sealed"],
    ["a symbol as a name", { [Symbol("s")]: 1 }, "a symbol"],
    ["a symbol on a list", Object.assign([1], { [Symbol("s")]: 1 }), "a symbol"],
    ["a Date's fields", Object.assign(new Date(0), { microsecond: 7 }), "properties of its own"],
    ["a Map's fields", Object.assign(new Map(), { a: 7 }), "properties of its own"],
    ["a typed array's fields", Object.assign(new Uint8Array(3), { a: 7 }), "properties of its own"],
    [
      "a long array's fields",
      Object.assign(new Float64Array(5000).fill(Number.NaN), { a: 7 }),
      "properties of its own",
    ],
    ["a Buffer's fields", Object.assign(Buffer.alloc(9000), { a: 7 }), "properties of its own"],
    [
      "a DataView's fields",
      Object.assign(new DataView(new ArrayBuffer(1)), { a: 7 }),
      "properties of its own",
    ],
    [
      "a typed array's symbols",
      Object.assign(new BigInt64Array(99), { [Symbol("s")]: 7 }),
      "name is a symbol",
    ],
    ["a boxed text's fields", Object.assign(Object("text"), { a: 7 }), "properties of its own"],
    ["what a Map without a prototype holds", disguised(null, { a: 1 }), "or tag was"],
    ["what looks like an empty object holds", disguised(Object.prototype), "prototype or tag"],
    ["the fields of a Map of another class", disguised(Sealed.prototype, { a: 1 }), "or tag was"],
    ["a hidden item", hidden([1, 2, 3], 1), "not enumerable"],
    ["a hidden item of a long array", hidden(new Array(99).fill(1), 50), "not enumerable"],
    ["a hidden item beside a field", Object.assign(hidden([1, 2], 0), { b: 1 }), "not enumerable"],
    ["what an array's field loses", Object.assign([1], { a: new URL("http://h/p") }), "a URL"],
    [
      "what a long array's field loses",
      Object.assign(new Array(99).fill(1), { a: new URL("http://h/p") }),
      "a URL",
    ],
    ["what a Map does not show", new Discreet([[1, new URL("http://h/p")]]), "a URL"],
    ["an object that a getter gives", flips({}), "a getter"],
    [
      "an item that a getter gives",
      Object.defineProperty([1], 0, { get: () => ({}), enumerable: true }),
      "a getter",
    ],
    ["objects 1,001 deep", nested(1001, (a) => ({ a })), "deep"],
    ["Maps 1,001 deep", nested(1001, (a) => new Map([[1, a]])), "deep"],
    ["keys of Maps 1,001 deep", nested(1001, (a) => new Map([[a, 1]])), "deep"],
    ["Sets 1,001 deep", nested(1001, (a) => new Set([a])), "deep"],
    ["causes 1,001 deep", nested(1001, (cause) => new Error("x", { cause })), ""],
    ["holes", new Array(1e6), "holes"],
    ["holes in holes", Object.assign(new Array(900), { 5: new Array(900) }), "holes"],
  ];
  test.each(cases)("%s", async (_, value, words) => {
    for (const [list, place] of [
      [[1, value], "[1]"],
      [[{ a: new Map([["b", [value]]]) }], '[0].a.get("b")[0]'],
      [[new Set([[value]])], "[0].values()[0][0]"],
    ] as const) {
      const error = await failure(new V8(new Dict()).append({ x: [...list] }));
      expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
      expect((error as Error).message).toContain(words);
      if (words !== "deep" && words !== "holes") {
        expect((error as Error).message).toContain(place);
      }
    }
  });

  test("an object that a getter gives only when it is written is refused, wherever it stands", async () => {
    const url = new URL("http://h/p");
    const shared = { a: 1 };
    const fillers = [[], [shared, shared, shared], new Array(300).fill(0).map(() => [[{}]])];
    for (const filler of fillers) {
      for (let looks = 1; looks < 4; looks++) {
        const seen = new Array(looks).fill(1);
        const error = await new V8(new Dict())
          .append({ x: [filler, flips(...seen, url)] })
          .catch((caught: unknown) => caught);
        // After a second look the value is written, as what it was then.
        if (looks === 1) expect(error).toMatchObject({ code: "ERR_PARTD_CODEC" });
      }
    }
    const p = new V8<{ a: number }>(new Dict());
    await p.append({ x: [flips(1, 2, 3) as { a: number }] });
    expect((await p.get("x"))[0]?.a).toBeLessThan(4);
  });

  test("but 900 levels, the named properties of lists, and what is shared widely are kept", async () => {
    const p = new V8(new Dict());
    const levels = nested(900, (a) => ({ a }));
    const wide: unknown[] = [];
    let shared: unknown = 1;
    for (let i = 0; i < 40; i++) shared = [shared, shared];
    for (let i = 0; i < 3000; i++) wide.push(i % 2 ? wide : shared);
    await p.append({ x: [levels, Object.assign([1], { a: 2 }), Object.assign([], { 900: 1 })] });
    await p.append({ wide });
    const read = await p.get("x");
    expect(show(read[1])).toBe(show(Object.assign([1], { a: 2 })));
    expect(plainCopy(read[0])).toEqual(levels);
    expect(read[2]).toHaveLength(901);
    expect(await p.get("wide")).toHaveLength(3000);
  });
});

describe("lengths within lengths", () => {
  const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
  const sparse = (n: number, length: number) => [
    ...[0xff, 0x0f, 0x41, ...varint(n)],
    ...Array.from({ length: n }, () => [
      0x61,
      ...varint(length),
      0x40,
      0,
      ...varint(length),
    ]).flat(),
    ...[0x24, 0, ...varint(n)],
  ];
  const dense = (levels: number, padding: number) => [
    ...[0xff, 0x0f],
    ...Array.from({ length: levels }, () => [0x41, ...varint(padding)]).flat(),
    ...new Array(padding).fill(0x30),
  ];
  const bombs = {
    "sparse arrays": sparse(4, 3e7),
    "many small sparse arrays": sparse(2000, 60_000),
    "arrays within arrays": dense(900, 100_000),
    "resizable buffers": [0xff, 15, 0x41, 1, 0x7e, 0, ...varint(2 ** 31), 0x24, 0, 1],
  };
  test.each(Object.entries(bombs))("%s are refused before memory is taken", async (_, bytes) => {
    const lower = new Dict();
    await lower.append({ x: frame(Uint8Array.from(bytes)) });
    const error = await failure(new V8(lower).get("x"));
    expect(isPartdError(error, "ERR_PARTD_CORRUPT")).toBe(true);
    expect((error as Error).message).toContain("holes");
  });
});

test("Unicode properties in RegExps are counted before V8 makes sets of them", async () => {
  const many = new RegExp("\\p{RGI_Emoji}".repeat(60), "v");
  const wide = new RegExp(`ж${"\\P{L}".repeat(400)}`, "u"); // Written with two bytes a character.
  for (const value of [many, wide]) {
    const error = await failure(new V8(new Dict()).append({ x: [1, value] }));
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect((error as Error).message).toContain(`[1] holds RegExps of very many Unicode properties`);
    const lower = new Dict();
    await lower.append({ x: frame(serialize([1, value])) });
    expect(isPartdError(await failure(new V8(lower).get("x")), "ERR_PARTD_CORRUPT")).toBe(true);
  }
  const few = Array.from({ length: 100 }, (_, i) => new RegExp(`\\p{L}${i}\\\\p`, "u"));
  const sets = "v"; // In a literal, the flag needs a later target of TypeScript.
  const emoji = new RegExp("\\p{RGI_Emoji}", sets);
  const p = new V8(new Dict());
  await p.append({ x: [...few, emoji, new RegExp("\\p".repeat(1000))] });
  expect(await p.get("x")).toEqual([...few, emoji, new RegExp("\\p".repeat(1000))]);
});

test.each([0, 1, 127, 128, 20_000])("fields on a list of %d are refused, not lost", async (n) => {
  const p = new V8(new Dict());
  const list = new Array(n).fill(1);
  await p.append({ x: list });
  for (const value of [1, "x", { a: 1 }, new Map(), list]) {
    const fields = Object.assign([...list], { field: value });
    await expect(p.append({ x: fields })).rejects.toThrow("the list has fields of its own");
  }
  expect(await p.get("x")).toHaveLength(n);
});

test("views of every type and length are kept, also of a class of one's own", async () => {
  class Mine extends Float32Array {}
  const types = [Uint8Array, Int8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array];
  const floats = [Uint32Array, Float32Array, Float64Array, Mine];
  const p = new V8(new Dict());
  for (const length of [0, 1, 32, 33, 2000]) {
    const views = [...types, ...floats].map((Type) => new Type(length).fill(7));
    await p.append({ [length]: [...views, new BigInt64Array(length), Buffer.alloc(length, 7)] });
    const read = (await p.get(`${length}`)) as Uint8Array[];
    expect(
      read.map((view) => [...view].every((n) => n === (typeof n === "bigint" ? 0n : 7))),
    ).toEqual(new Array(12).fill(true));
    expect(read.every((view) => view.length === length)).toBe(true);
  }
});

test("what cannot be cloned is refused with its place", async () => {
  const p = new V8(new Dict());
  const values = [1, { a: new Map([["f", [2, () => 1]]]) }];
  await expect(p.append({ x: values })).rejects.toThrow('[1].a.get("f")[1] is refused:');
  const cannot = "is refused: a structured clone cannot carry";
  for (const [value, what] of [
    [Symbol("s"), "a symbol"],
    [() => 1, "a function"],
    [new Proxy({}, {}), "a Proxy"],
    [class {}, "a function"],
  ] as const) {
    const error = await p.append({ x: [1, { a: value }] }).catch((error) => error);
    expect(error.message).toContain(
      `[1].a ${cannot} ${what}; leave it out, or make plain data of it.`,
    );
    expect(error.cause.cause.message).toMatch("could not be cloned");
  }
});

test("small typed arrays are copies, large ones views of the frame", async () => {
  const list = [Buffer.from("abc"), new Float64Array(3), new DataView(new ArrayBuffer(5))];
  const bytes = codec.encode([...list, new Uint8Array(5000)]) as Uint8Array;
  const read = codec.decode(bytes) as unknown[];
  expect(show(read.slice(0, 3))).toBe(show(list));
  const [text, numbers, view, large] = read as ArrayBufferView[];
  expect(text?.buffer.byteLength).toBeLessThanOrEqual(Buffer.poolSize);
  expect(numbers?.buffer.byteLength).toBe(24);
  expect(view?.buffer.byteLength).toBe(5);
  expect(large?.buffer.byteLength).toBeGreaterThan(5000);
});

test("a browser is told at import what to use instead", () => {
  const { stderr, status } = spawnSync(
    process.execPath,
    ["--conditions=browser", "--input-type=module", "-e", 'await import("@partd/codec-v8")'],
    { cwd: fileURLToPath(new URL(".", import.meta.url)), encoding: "utf8" },
  );
  expect(status).not.toBe(0);
  expect(stderr).toContain("needs node:v8");
});

test("names that a program gave all objects are none of a value's", () => {
  const lost = Object.assign(new Error("x"), { code: "E" });
  Object.defineProperty(Object.prototype, "everywhere", {
    ...{ configurable: true, enumerable: true, value: lost },
  });
  try {
    expect(show(codec.decode(codec.encode([{ a: 1 }]) as Uint8Array))).toBe("[ { a: 1 } ]");
  } finally {
    delete (Object.prototype as Record<string, unknown>).everywhere;
  }
});

function shortened(): Uint8Array {
  const buffer = Reflect.construct(ArrayBuffer, [8, { maxByteLength: 8 }]) as ArrayBuffer & {
    resize(byteLength: number): void;
  };
  const bytes = new Uint8Array(buffer, 4, 4);
  buffer.resize(2);
  return bytes;
}

test("what a view says of itself is not asked", () => {
  class Lies extends Int16Array {
    override get byteLength() {
      return 1;
    }
    override get length() {
      return 0;
    }
    override get [Symbol.toStringTag]() {
      return "Map" as never;
    }
  }
  const items = Array.from({ length: 50 }, (_, i) => i);
  const own = <A extends object>(view: A, name: PropertyKey, value: unknown) =>
    Object.defineProperty(view, name, { value });
  for (const [view, read] of [
    [new Lies(items), Int16Array.from(items)],
    [own(Int32Array.from(items), "byteLength", 1), Int32Array.from(items)],
    [own(Int8Array.of(1, 2), "byteLength", 9), Int8Array.of(1, 2)],
    [own(Int16Array.of(1, 2), "constructor", Buffer), Int16Array.of(1, 2)],
    [own(Buffer.from([1, 2]), "byteLength", 1), Buffer.from([1, 2])],
    [own(new DataView(new ArrayBuffer(2)), "byteLength", 1), new DataView(new ArrayBuffer(2))],
  ] as const) {
    expect(show(codec.decode(codec.encode([view]) as Uint8Array))).toBe(show([read]));
  }
});

test("views of each type are written as Node writes them", () => {
  const numbers = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array];
  const more = [Uint32Array, Float32Array, Float64Array].map((type) => type.of(1, 2));
  const bigints = [BigInt64Array.of(1n), BigUint64Array.of(1n)];
  const bytes = Buffer.from("0123");
  const others = [bytes, new DataView(bytes.buffer, bytes.byteOffset, 2)];
  const list = [...numbers.map((type) => type.of(1, 2)), ...more, ...bigints, ...others];
  const { Float16Array: half } = globalThis as { Float16Array?: typeof Float32Array };
  if (half) list.push(half.of(1, 2));
  expect(Buffer.compare(codec.encode(list) as Uint8Array, serialize(list))).toBe(0);
});
