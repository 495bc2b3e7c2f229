import { describe, expect, test } from "@jest/globals";
import { Dict, Encode, isPartdError, type Key, type Store, tuple } from "@partd/core";
import type { Batch } from "@partd/core/author";
import { codecContract } from "@partd/testing";
import fc from "fast-check";
import { DtypeArray, NdArray, type NdValue, ndarray } from "../src/index.js";

const utf8 = new TextDecoder();

async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const value of values) collected.push(value);
  return collected;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`resolved with ${String(value)}`);
    },
    (error: unknown) => error,
  );
}

async function written(dtype: string, bytes: Uint8Array): Promise<Dict> {
  const store = new Dict();
  await store.append({ x: bytes, "x.dtype": Buffer.from(dtype) });
  return store;
}

/** A store that yields values in pieces of one length. */
class Pieces extends Dict {
  readonly #length: number;

  constructor(length: number) {
    super();
    this.#length = length;
  }

  protected override async _stream(key: string): Promise<Iterable<Uint8Array>> {
    const [value] = (await this._get([key], {})) as [Uint8Array];
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < value.byteLength; at += this.#length) {
      pieces.push(value.subarray(at, at + this.#length));
    }
    return pieces;
  }
}

describe("the codec contract, of numbers", () => {
  const join = (arrays: Float64Array[]) => Float64Array.from(arrays.flatMap((array) => [...array]));
  const samples = [Float64Array.of(1.5, -0, Number.NaN), Float64Array.of(2 ** 60)];
  for (const { name, run } of codecContract(
    (store) => new NdArray(store, { type: Float64Array }),
    samples,
    {
      framed: false,
      join,
      arbitrary: fc.float64Array({ maxLength: 9 }),
      unencodable: [
        Float32Array.of(1),
        [1],
        1,
        null,
        "text",
        new DataView(new ArrayBuffer(8)),
        new Map(),
      ],
    },
  )) {
    test(name, run);
  }
});

describe("the codec contract, of objects", () => {
  for (const { name, run } of codecContract<unknown[]>(
    (store) => new NdArray<unknown[]>(store, { type: Array }),
    [
      ["text", 1, null],
      [{ a: [2n ** 60n] }, "ü"],
    ],
    {
      framed: false,
      arbitrary: fc.array(fc.jsonValue(), { maxLength: 5 }),
      unencodable: [[undefined], [() => 1], Int8Array.of(1)],
    },
  )) {
    test(name, run);
  }
});

const numeric: [NdValue, string][] = [
  [Int8Array.of(-1, 2), "|i1"],
  [Uint8Array.of(255, 2), "|u1"],
  [Int16Array.of(-1, 2), "<i2"],
  [Uint16Array.of(65_535, 2), "<u2"],
  [Int32Array.of(-1, 2), "<i4"],
  [Uint32Array.of(2 ** 32 - 1, 2), "<u4"],
  [BigInt64Array.of(-1n, 2n), "<i8"],
  [BigUint64Array.of(2n ** 64n - 1n, 2n), "<u8"],
  [Float32Array.of(0.5, -2), "<f4"],
  [Float64Array.of(0.1, -2), "<f8"],
];

test.each(numeric)("%p is raw bytes and the dtype %s, and back", async (array, dtype) => {
  await using store = new Dict();
  const p = new NdArray(store);
  await p.append([[tuple("a", "x"), array]]);
  await p.append([[tuple("a", "x"), array]]);
  expect(utf8.decode(await store.get(tuple("a", "x.dtype")))).toBe(dtype);
  const { buffer } = array as Uint8Array;
  const bytes = Buffer.concat([new Uint8Array(buffer), new Uint8Array(buffer)]);
  expect(Buffer.from(await store.get(tuple("a", "x")))).toEqual(bytes);
  const read = await p.get(tuple("a", "x"));
  expect(read.constructor).toBe(array.constructor);
  expect([...(read as unknown[])]).toEqual([...(array as unknown[]), ...(array as unknown[])]);
});

test.each<[string, string, NdValue | DtypeArray]>([
  [">f8", "3ff8000000000000c000000000000000", Float64Array.of(1.5, -2)],
  [">i4", "fffffffe00000001", Int32Array.of(-2, 1)],
  [">u2", "0102", Uint16Array.of(0x102)],
  [">i8", "0000000000000001", BigInt64Array.of(1n)],
  ["f8", "000000000000f83f", Float64Array.of(1.5)],
  ["=u2", "0201", Uint16Array.of(0x102)],
  ["|b1", "010001", ndarray("bool", Uint8Array.of(1, 0, 1))],
  ["<c8", "0000803f000000c0", ndarray("complex64", Float32Array.of(1, -2))],
  [">c8", "3f800000c0000000", ndarray("complex64", Float32Array.of(1, -2))],
  ["<c16", "000000000000f03f0000000000000040", ndarray("complex128", Float64Array.of(1, 2))],
  ["<M8[ns]", "0100000000000000", ndarray("datetime64[ns]", BigInt64Array.of(1n))],
  ["<M8", "0100000000000000", ndarray("datetime64", BigInt64Array.of(1n))],
  [">m8[25s]", "fffffffffffffffe", ndarray("timedelta64[25s]", BigInt64Array.of(-2n))],
])("NumPy's %s is read", async (dtype, hex, expected) => {
  const store = await written(dtype, Buffer.from(hex, "hex"));
  const p = new NdArray(store);
  for (const read of [await p.get("x"), ...(await collect(p.stream("x")))]) {
    if (expected instanceof DtypeArray) {
      expect(read).toBeInstanceOf(DtypeArray);
      const { data, unit, length, dtype: text } = read as DtypeArray;
      expect([data, unit, length]).toEqual([expected.data, expected.unit, expected.length]);
      expect(text).toBe(expected.dtype);
    } else {
      expect(read).toEqual(expected);
    }
  }
  // What was read can be appended again: it is stored in the order that is there.
  await p.append({ x: expected });
  expect(Buffer.from(await store.get("x")).toString("hex")).toBe(hex + hex);
});

test("float16 reads as the same numbers and rounds as NumPy does", async () => {
  const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const p = new NdArray(await written("<f2", new Uint8Array(bits.buffer)));
  const { data, dtype } = (await p.get("x")) as DtypeArray;
  expect(dtype).toBe("<f2");
  const value = (half: number) => {
    const sign = half >> 15 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return exponent
      ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024)
      : sign * 2 ** -24 * fraction;
  };
  const wrong = [...bits].filter((half) => !Object.is(data[half], value(half)));
  expect(wrong).toEqual([]);

  const store = new Dict();
  const halves = new NdArray(store);
  const numbers = Float32Array.of(
    1,
    65_519,
    -65_519,
    1e-8,
    2 ** -25,
    2 ** -25 * 1.5,
    2049,
    2051,
    -0,
    0.1,
  );
  await halves.append({ x: ndarray("float16", numbers) });
  await halves.append({ x: ndarray("float16", data as Float32Array) });
  const stored = new Uint16Array((await store.get("x")).slice().buffer);
  expect([...stored.subarray(0, 10)]).toEqual([
    0x3c00, 0x7bff, 0xfbff, 0, 0, 1, 0x6800, 0x6802, 0x8000, 0x2e66,
  ]);
  const isNaNHalf = (half: number) => (half & 0x7c00) === 0x7c00 && (half & 0x3ff) !== 0;
  const changed = [...bits].filter((half) => {
    const again = stored[10 + half] as number;
    return isNaNHalf(half) ? !isNaNHalf(again) : again !== half;
  });
  expect(changed).toEqual([]);
});

test("numbers can be stored with the highest byte first", async () => {
  await using store = new Dict();
  const p = new NdArray(store);
  const numbers = Float64Array.of(1.5);
  await p.append({ x: ndarray(">f8", numbers) });
  await p.append({ x: Float64Array.of(-2) });
  expect(numbers[0]).toBe(1.5);
  expect(utf8.decode(await store.get("x.dtype"))).toBe(">f8");
  expect(await p.get("x")).toEqual(Float64Array.of(1.5, -2));
});

test.each([
  ">f16",
  "<c32",
  "|S0",
  "<U0",
  "[('a', '|O')]",
  "[('a', '<i4', (2,))]",
  "[('a', '<i4') ('b', '<i4')]",
  "<i3",
  "<i8[ns]",
  "",
  "ü",
  "<b1x",
])("a dtype %p that JavaScript has no type for is a clear error", async (dtype) => {
  expect(() => ndarray(dtype, Float64Array.of(1))).toThrow(
    /has no type in JavaScript|has other fields/,
  );
  if (dtype === "") return;
  const p = new NdArray(await written(dtype, new Uint8Array(16)));
  // All are awaited from the start: on a busy machine they fail in any order.
  const calls = [p.get("x"), p.pop("x"), collect(p.stream("x")), p.append({ x: Int8Array.of(1) })];
  for (const error of await Promise.all(calls.map((call) => failure(call)))) {
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect(error).toMatchObject({ key: "x", message: expect.stringContaining(dtype) });
  }
});

test("a dtype that changes under a key is refused, whoever wrote the first, and nothing is appended", async () => {
  const store = await written("<f8", new Uint8Array(8));
  for (const p of [new NdArray(store), new NdArray(store)]) {
    for (let again = 0; again < 2; again++) {
      const error = await failure(p.append({ y: Int8Array.of(1), x: Float32Array.of(1) }));
      expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
      expect(error).toMatchObject({ key: "x", message: expect.stringContaining("<f8") });
      expect(await collect(p.keys())).toEqual(["x"]);
      await p.append({ x: Float64Array.of(0) });
    }
  }
  const dates = new NdArray(new Dict());
  await dates.append({ x: ndarray("datetime64[ns]", BigInt64Array.of(1n)) });
  for (const other of [ndarray("datetime64[us]", BigInt64Array.of(1n)), BigInt64Array.of(1n)]) {
    expect(isPartdError(await failure(dates.append({ x: other })), "ERR_PARTD_CODEC")).toBe(true);
  }
});

test("one append with two dtypes for a new key is refused, and leaves nothing", async () => {
  await using store = new Dict();
  const p = new NdArray(store);
  const batch: [Key, NdValue][] = [
    ["x", Int8Array.of(1)],
    ["x", Int16Array.of(1)],
  ];
  expect(isPartdError(await failure(p.append(batch)), "ERR_PARTD_CODEC")).toBe(true);
  expect(await collect(store.keys())).toEqual([]);
});

test("the dtype goes and comes with the key", async () => {
  await using store = new Dict();
  const p = new NdArray(store);
  await p.append({ x: Int8Array.of(1), y: Int8Array.of(1) });
  expect((await collect(p.keys())).sort()).toEqual(["x", "y"]);
  await p.delete(["x", "absent"]);
  await p.append({ x: Float32Array.of(2) });
  expect(await p.pop(["x", "y"])).toEqual([Float32Array.of(2), Int8Array.of(1)]);
  expect(await collect(store.keys())).toEqual([]);
  await p.append({ x: Int16Array.of(3) });
  await p.drop();
  await p.append({ x: ["object"] });
  expect(await p.get("x")).toEqual(["object"]);
  await p.iset("x", Uint8Array.of(4));
  await p.iset("x", Uint8Array.of(5));
  expect(await p.get("x")).toEqual(Uint8Array.of(4));
  await p.append({ x: Uint8Array.of(6) });
  expect(await p.get("x")).toEqual(Uint8Array.of(4, 6));
});

test("an empty array leaves no trace, whatever its dtype", async () => {
  await using store = new Dict();
  await using p = new NdArray(store);
  await p.append({ x: Int16Array.of(), y: [] });
  expect(await collect(store.keys())).toEqual([]);
  expect(await p.get("x")).toEqual(Float64Array.of());
  await p.append([
    ["x", Int16Array.of()],
    ["x", Int8Array.of(1)],
    ["x", Int8Array.of()],
  ]);
  expect(await p.get("x")).toEqual(Int8Array.of(1));
  await p.append({ x: Int16Array.of() });
  expect(await p.get("x")).toEqual(Int8Array.of(1));
  await p.iset("x", Float32Array.of());
  expect(await collect(store.keys())).toEqual([]);
});

test("a dtype without items, as Python leaves for an empty array, is an empty array of it", async () => {
  await using store = await written("<i2", new Uint8Array());
  await using p = new NdArray(store);
  expect(await p.get("x")).toEqual(Int16Array.of());
  expect(await collect(p.keys())).toEqual([]);
  expect(await collect(p.stream("x"))).toEqual([]);
});

describe("iset", () => {
  /** Notes what is asked of it, and can be made to fail. */
  class Watched extends Dict {
    readonly steps: string[] = [];
    failing: "append" | "delete" | undefined;

    protected override async _append(batch: Batch) {
      this.steps.push("append");
      if (this.failing === "append") {
        this.failing = undefined;
        throw new Error("disk full");
      }
      await super._append(batch);
    }
    protected override async _delete(keys: readonly string[]) {
      this.steps.push("delete");
      if (this.failing !== "delete") return super._delete(keys);
      await super._delete(keys.slice(0, 1)); // As the contract has it: each is there still or gone.
      throw new Error("disk gone");
    }
    protected override async _set(key: string, value: Uint8Array) {
      this.steps.push("set");
      await super._delete([key]);
      await super._append({ keys: [key], values: [value], byteLength: value.byteLength });
    }
  }

  test("is the store's own where the dtype stays, and its append for a new key", async () => {
    await using store = new Watched();
    const p = new NdArray(store);
    await p.iset("x", Int8Array.of(1));
    await p.append({ y: Int8Array.of(1) });
    await p.iset("y", Int8Array.of(2));
    expect(store.steps).toEqual(["append", "append", "set"]);
    expect(await p.get(["x", "y"])).toEqual([Int8Array.of(1), Int8Array.of(2)]);
  });

  test.each(["append", "delete"] as const)(
    "that fails to %s leaves what was there",
    async (step) => {
      await using store = new Watched();
      const p = new NdArray(store);
      await p.append({ x: Int16Array.of(1, 2) });
      store.failing = step;
      expect(await failure(p.iset("x", Float32Array.of(3)))).toMatchObject({
        message: expect.stringContaining("disk"),
      });
      store.failing = undefined;
      expect(await p.get("x")).toEqual(Int16Array.of(1, 2));
      await p.iset("x", Float32Array.of(3));
      expect(await p.get("x")).toEqual(Float32Array.of(3));
    },
  );

  test("that is aborted midway leaves what was there", async () => {
    const abort = new AbortController();
    class Aborting extends Dict {
      protected override async _delete(keys: readonly string[]) {
        await super._delete(keys);
        abort.abort(new Error("enough"));
      }
    }
    await using p = new NdArray(new Aborting());
    await p.append({ x: Int16Array.of(1, 2) });
    const { signal } = abort;
    expect(await failure(p.iset("x", ["other"], { signal }))).toBe(signal.reason);
    expect(await p.get("x")).toEqual(Int16Array.of(1, 2));
  });
});

test("calls that are not awaited inside withLock, or before close, are carried out", async () => {
  await using store = new Dict();
  const p = new NdArray(store);
  await p.append({ b: Int8Array.of(1), c: Int8Array.of(2), d: Int8Array.of(3) });
  const inside: Promise<unknown>[] = [];
  await p.withLock((held) => {
    inside.push(held.append({ a: Int8Array.of(1) }), held.iset("b", Int8Array.of(2)));
    inside.push(held.pop("c"), held.delete("d"));
  });
  expect(await Promise.all(inside)).toEqual([undefined, undefined, Int8Array.of(2), undefined]);
  expect(await p.get(["a", "b", "c"])).toEqual([
    Int8Array.of(1),
    Int8Array.of(2),
    Float64Array.of(),
  ]);
  const popped = p.pop("a");
  await p.close();
  expect(await popped).toEqual(Int8Array.of(1));
});

test("appends amid removals never leave items without their dtype", async () => {
  const one = Int32Array.of(1);
  const script = fc.array(
    fc.constantFrom("append", "pop", "delete", "lock", "drop", "iset", "tick"),
    {
      maxLength: 40,
    },
  );
  // Below a codec, appends reach the store later than they are called.
  const slow = (store: Store): Store =>
    new Encode<Uint8Array>(store, {
      name: "slow",
      encode: async (bytes) => bytes.slice(),
      decode: (bytes) => bytes,
      join: (pieces) => Buffer.concat(pieces),
    });
  await fc.assert(
    fc.asyncProperty(script, fc.boolean(), async (steps, wrapped) => {
      const bytes = new Dict();
      const p = new NdArray(wrapped ? slow(bytes) : bytes);
      const running: Promise<unknown>[] = [];
      for (const step of steps) {
        if (step === "append") running.push(p.append({ x: one }));
        if (step === "pop") running.push(p.pop("x"));
        if (step === "delete") running.push(p.delete("x"));
        if (step === "drop") running.push(p.drop());
        if (step === "iset") running.push(p.iset("x", one));
        if (step === "tick") await Promise.resolve();
        if (step === "lock") {
          running.push(
            p.withLock(async (held) => {
              await held.pop("x");
              await held.append({ x: one });
              await held.delete("x");
            }),
          );
        }
      }
      await Promise.all(running);
      const read = await p.get("x");
      const stored = await bytes.get(["x", "x.dtype"]);
      expect(read.length === 0 || (stored[1] as Uint8Array).byteLength > 0).toBe(true);
    }),
    { numRuns: 300, seed: 6 },
  );
});

test("two objects over one store agree on a new key's dtype", async () => {
  await using store = new Dict();
  const results = await Promise.allSettled(
    Array.from({ length: 8 }, (_, i) =>
      new NdArray(store).append({ x: i % 2 ? Int8Array.of(1) : Int16Array.of(1) }),
    ),
  );
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(4);
  expect(await new NdArray(store).get("x")).toEqual(Int16Array.of(1, 1, 1, 1));
});

test("get is a view of what was read where it can be, and a copy where not", async () => {
  const bytes = new Uint8Array(new ArrayBuffer(24), 8, 8);
  const odd = new Uint8Array(new ArrayBuffer(24), 9, 8);
  const store = (value: Uint8Array) =>
    ({
      append: async () => {},
      get: async (keys: Key[]) => keys.map((key) => (key === "x" ? value : Buffer.from("<f8"))),
    }) as unknown as Store;
  expect(((await new NdArray(store(bytes)).get("x")) as Float64Array).buffer).toBe(bytes.buffer);
  expect(((await new NdArray(store(odd)).get("x")) as Float64Array).byteLength).toBe(8);
});

test("stream yields whole items of any pieces", async () => {
  const numbers = Float64Array.from({ length: 50 }, (_, i) => i / 3);
  const words = Array.from({ length: 50 }, (_, i) => `word ${i}`);
  for (const length of [1, 3, 8, 13, 1000]) {
    await using p = new NdArray(new Pieces(length));
    await p.append({ x: numbers, y: words });
    const arrays = (await collect(p.stream("x"))) as Float64Array[];
    expect(Float64Array.from(arrays.flatMap((array) => [...array]))).toEqual(numbers);
    expect((await collect(p.stream("y"))).flatMap((list) => list as string[])).toEqual(words);
  }
});

test("what is damaged is corrupt, and objects that are no list are refused, with key and offset", async () => {
  const cases: [string, Uint8Array, string, number][] = [
    ["<f8", new Uint8Array(20), "ERR_PARTD_CORRUPT", 16],
    ["<c16", new Uint8Array(24), "ERR_PARTD_CORRUPT", 16],
    ["", new Uint8Array(8), "ERR_PARTD_CORRUPT", 0],
    ["|O", Buffer.from("0200000000000000", "hex"), "ERR_PARTD_CORRUPT", 0],
    ["|O", Buffer.from("0100000000000000900100000000000000c1", "hex"), "ERR_PARTD_CORRUPT", 9],
    ["|O", Buffer.from("0100000000000000900100000000000000c0", "hex"), "ERR_PARTD_CODEC", 9],
    ["|O", Buffer.from("020000000000000080042e", "hex").subarray(0, 10), "ERR_PARTD_CORRUPT", 0],
  ];
  for (const [dtype, bytes, code, offset] of cases) {
    const p = new NdArray(await written(dtype, bytes));
    for (const read of [p.get("x"), p.pop("x"), collect(p.stream("x"))]) {
      const error = await failure(read);
      expect([dtype, error]).toMatchObject([dtype, { key: "x", code }]);
      if (isPartdError(error) && error.offset !== 0) expect(error.offset).toBe(offset);
    }
  }
});

test("a unit of time that NumPy does not know is refused", () => {
  for (const unit of ["foo", "", "S", "-1s", "s]["]) {
    expect(() => ndarray(`datetime64[${unit}]`, BigInt64Array.of(1n))).toThrow(
      expect.objectContaining({ code: "ERR_PARTD_CODEC" }),
    );
  }
  for (const unit of ["Y", "25s", "ns", "as", "generic"]) {
    expect(ndarray(`timedelta64[${unit}]`, BigInt64Array.of(1n)).unit).toBe(unit);
  }
});

test("a stream that is left early, or fails, leaves none open below", async () => {
  let open = 0;
  class Counted extends Dict {
    override async *stream(...args: Parameters<Dict["stream"]>) {
      open++;
      try {
        yield* super.stream(...args);
      } finally {
        open--;
      }
    }
  }
  await using store = new Counted();
  const p = new NdArray(store);
  await p.append({ x: Int8Array.of(1), objects: [1] });
  await store.append({ "no dtype": Uint8Array.of(1) });
  for (const key of ["x", "objects"]) for await (const _ of p.stream(key)) break;
  await failure(collect(p.stream("no dtype")));
  expect(open).toBe(0);
});

test("the lists of keys may be changed while the answer is awaited", async () => {
  await using p = new NdArray(new Dict());
  await p.append({ x: Int8Array.of(1) });
  const keys = ["x"];
  const [read, popped] = [p.get(keys), p.pop(keys)];
  keys.push("y");
  expect(await read).toEqual([Int8Array.of(1)]);
  expect(await popped).toEqual([Int8Array.of(1)]);
});

test("a key that would be another's dtype is refused", async () => {
  await using p = new NdArray(new Dict());
  for (const key of ["x.dtype", tuple("a", ".dtype")]) {
    const error = await failure(p.append([[key, Int8Array.of(1)]]));
    expect(isPartdError(error, "ERR_PARTD_KEY")).toBe(true);
    expect(isPartdError(await failure(p.iset(key, Int8Array.of(1))), "ERR_PARTD_KEY")).toBe(true);
    expect(isPartdError(await failure(p.delete(key)), "ERR_PARTD_KEY")).toBe(true);
  }
});

test("ndarray checks that the numbers fit the dtype", () => {
  expect(() => ndarray("bool", Int8Array.of(1) as never)).toThrow("needs a Uint8Array");
  expect(() => ndarray("complex64", Float32Array.of(1))).toThrow("<c8");
  expect(() => ndarray("object", Int8Array.of(1))).toThrow("plain array");
});

test("fields on an array are refused, not lost", async () => {
  await using p = new NdArray(new Dict());
  for (const array of [Float64Array.of(1), new Uint8Array(3000)]) {
    const append = p.append({ x: Object.assign(array, { field: 1 }) });
    await expect(append).rejects.toMatchObject({ code: "ERR_PARTD_CODEC", key: "x" });
    await expect(append).rejects.toThrow("fields of its own");
  }
});

test("an array whose memory was transferred or made shorter is refused, not taken for none", async () => {
  const buffer = Reflect.construct(ArrayBuffer, [16, { maxByteLength: 16 }]) as ArrayBuffer & {
    resize(byteLength: number): void;
  };
  const complex = ndarray("complex64", new Float32Array(buffer));
  const outside = new Int16Array(buffer, 12, 2);
  buffer.resize(4); // Half a complex number.
  const gone = new Float64Array(1);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  await using p = new NdArray(new Dict());
  for (const x of [complex, outside, gone]) {
    const refused = { code: "ERR_PARTD_VALUE", key: "x" };
    await expect(p.append({ x })).rejects.toMatchObject(refused);
  }
  await p.append({ x: new Int16Array(0) });
  expect(await p.count()).toBe(0);
});

test("what an array says of itself is not asked", async () => {
  class Lies extends Int16Array {
    override get byteLength() {
      return 1;
    }
  }
  const tagged = Object.defineProperty(Int32Array.of(1, 2), Symbol.toStringTag, {
    value: "Float64Array",
  });
  for (const [array, read] of [
    [new Lies([1, 2]), Int16Array.of(1, 2)],
    [tagged, Int32Array.of(1, 2)],
  ] as const) {
    await using p = new NdArray(new Dict());
    await p.append({ x: array });
    expect(await p.get("x")).toEqual(read);
  }
  expect(() => ndarray("complex128", tagged as never)).toThrow("Float64Array");
});

test("a store of one array type is typed by it", async () => {
  await using p = new NdArray(new Dict(), { type: Float32Array });
  await p.append({ x: Float32Array.of(1) });
  const read: Float32Array = await p.get("x");
  expect(read[0]).toBe(1);
  // @ts-expect-error not a Float32Array
  await expect(p.append({ x: Int8Array.of(1) })).rejects.toMatchObject({ code: "ERR_PARTD_CODEC" });
  await expect(
    new NdArray(await written("<i4", new Uint8Array(4)), { type: Float32Array }).get("x"),
  ).rejects.toMatchObject({ code: "ERR_PARTD_CODEC", key: "x" });
});

describe("bytes, texts, records and long doubles", () => {
  const utf32 = (...texts: string[]) =>
    Uint32Array.from(
      texts.flatMap((text) => [0, 1, 2].map((i) => [...text][i]?.codePointAt(0) ?? 0)),
    );

  test("are read as what they are, and appended to", async () => {
    const lower = new Dict();
    const p = new NdArray(lower);
    const s = ndarray("|S3", new Uint8Array(Buffer.from("ab\0abc")));
    const u = ndarray("<U3", utf32("Grü", "😀"));
    const v = ndarray("|V2", Uint8Array.of(1, 0, 2, 3));
    const record = ndarray(
      "[('a', '<i4'), ('b', '|S3'), ('c', '>f8')]",
      new Uint8Array(30).fill(65, 4, 6),
    );
    for (let i = 0; i < 2; i++) await p.append({ s, u, v, record });
    const [texts, unicode, raw, records] = (await p.get(["s", "u", "v", "record"])) as DtypeArray[];
    expect(texts?.items().map((item) => Buffer.from(item).toString())).toEqual([
      "ab",
      "abc",
      "ab",
      "abc",
    ]);
    expect(unicode?.items()).toEqual(["Grü", "😀", "Grü", "😀"]);
    expect([unicode?.dtype, unicode?.length]).toEqual(["<U3", 4]);
    expect(raw?.items()).toEqual(
      [
        [1, 0],
        [2, 3],
        [1, 0],
        [2, 3],
      ].map((item) => Uint8Array.from(item)),
    );
    expect(records?.length).toBe(4);
    expect(records?.field("a")).toEqual(new Int32Array(4));
    expect((records as DtypeArray).field("b")).toHaveProperty("length", 4);
    expect(((records as DtypeArray).field("b") as DtypeArray).items()[0]).toEqual(
      Uint8Array.of(65, 65),
    );
    expect(records?.field("c")).toEqual(new Float64Array(4));
    expect(() => records?.field("d")).toThrow("no field");
    expect(() => ndarray("|S3", new Uint8Array(4))).toThrow("needs");
    const swapped = new NdArray(await written(">U1", Uint8Array.of(0, 0, 0, 65)));
    expect(((await swapped.get("x")) as DtypeArray).items()).toEqual(["A"]);
  });

  test("every double is a long double and back", async () => {
    const numbers = Float64Array.of(
      0,
      -0,
      1,
      -1.5,
      1 / 3,
      5e-324,
      1e-310,
      Number.MAX_VALUE,
      Infinity,
      -Infinity,
      NaN,
    );
    const lower = new Dict();
    await new NdArray(lower).append({ x: ndarray("<f16", numbers) });
    expect((await lower.get("x")).byteLength).toBe(16 * numbers.length);
    expect(((await new NdArray(lower).get("x")) as DtypeArray).data).toEqual(numbers);
  });

  test("bools are 0 or 1", async () => {
    const p = new NdArray(new Dict());
    await expect(p.append({ x: ndarray("bool", Uint8Array.of(0, 1, 2)) })).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
      message: expect.stringContaining("item 2 of bools is 2"),
    });
    await p.append({ x: ndarray("bool", Uint8Array.of(0, 1)) });
  });

  test("halves have a largest number", async () => {
    const p = new NdArray(new Dict());
    for (const large of [65520, -1e6]) {
      const halves = ndarray("float16", Float32Array.of(1, large));
      await expect(p.append({ x: halves })).rejects.toMatchObject({
        code: "ERR_PARTD_CODEC",
        message: expect.stringContaining(`item 1 of float16 is ${large}`),
      });
    }
    await p.append({
      x: ndarray("float16", Float32Array.of(65519, -65504, -Infinity, Number.NaN)),
    });
    const { data } = (await p.get("x")) as DtypeArray;
    expect([...data]).toEqual([65504, -65504, -Infinity, Number.NaN]);
  });

  test("texts hold characters alone", async () => {
    const p = new NdArray(new Dict());
    const bad = ndarray("<U2", Uint32Array.of(65, 0x110000));
    await expect(p.append({ x: bad })).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
      message: expect.stringContaining("0x110000 in a text is not a character"),
    });
    await p.append({ x: ndarray("<U2", Uint32Array.of(0x10ffff, 0xd800)) });
  });

  test.each(["[('a', '<i4'), ('a', '<i4')]", "[('', '<i4')]", "[('a\nb', '<i4')]"])(
    "a record that NumPy has not is refused: %j",
    (dtype) => {
      const bytes = new Uint8Array(dtype.split("i4").length * 4 - 4);
      expect(() => ndarray(dtype, bytes)).toThrow("a name of its own for each field");
    },
  );

  test("a record that is none is refused at once", () => {
    const before = process.cpuUsage();
    const fields = `('a', '<i4')${" ".repeat(12)}`.repeat(7);
    expect(() => ndarray(`[${fields}X]`, new Uint8Array(4))).toThrow("has other fields");
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(2e6); // Microseconds; it took 6 s, and 13 times that with one more.
  });

  test("objects that MessagePack cannot carry are pickled, as in Python", async () => {
    const lower = new Dict();
    const p = new NdArray(lower);
    await p.append({ x: ["a", null] });
    await p.append({ x: [new Set([1]), 2n ** 70n] });
    expect(await p.get("x")).toEqual(["a", null, new Set([1]), 2n ** 70n]);
    expect(await collect(p.stream("x"))).toEqual([
      ["a", null],
      [new Set([1]), 2n ** 70n],
    ]);
    await expect(p.append({ x: [undefined] })).rejects.toMatchObject({ code: "ERR_PARTD_CODEC" });
  });
});

test("a file of another format is named, not called damaged", async () => {
  const store = new Dict();
  await store.append({ x: Buffer.from("\x93NUMPY\x01\0v\0{'descr': '<f8'", "latin1") });
  const p = new NdArray(store);
  for (const read of [() => p.get("x"), () => collect(p.stream("x"))]) {
    expect(await failure(read())).toMatchObject({
      code: "ERR_PARTD_CODEC",
      key: "x",
      message: expect.stringContaining("begins as an .npy file"),
    });
  }
});
