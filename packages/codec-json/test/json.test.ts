import { describe, expect, test } from "@jest/globals";
import { Dict, isPartdError } from "@partd/core";
import { frame } from "@partd/core/author";
import fc from "fast-check";
import { Json, type JsonOptions, type JsonValue, jsonCodec } from "../src/index.js";

class Sealed {
  #secret = 1;
  get secret() {
    return this.#secret;
  }
}

/** A function that gives one value after the other, and stays with the last. */
const answers = (...values: unknown[]) => {
  let at = 0;
  return () => values[Math.min(at++, values.length - 1)];
};

const flips = (...values: unknown[]) =>
  Object.defineProperty({}, "a", { get: answers(...values), enumerable: true });

function hidden<T extends unknown[]>(items: T, at: number): T {
  return Object.defineProperty(items, at, { value: items[at], enumerable: false });
}

describe("Json", () => {
  test("appends to lists and reads them back in one", async () => {
    const p = new Json(new Dict());
    await p.append({ x: [1, { a: [null, true] }], y: ["ü😀\ud800"] });
    await p.append({ x: ["two"], y: [] });
    expect(await p.get(["x", "y", "absent"])).toEqual([
      [1, { a: [null, true] }, "two"],
      ["ü😀\ud800"],
      [],
    ]);
  });

  test("what is nested deeper than the runtime allows is refused for that", async () => {
    let value: JsonValue = 1;
    for (let depth = 0; depth < 1e6; depth++) value = [value];
    await expect(new Json(new Dict()).append({ x: [value] })).rejects.toThrow("nested too deep");
  });

  test("streams the lists as they were appended", async () => {
    const p = new Json(new Dict());
    await p.append({ x: [1, 2] });
    await p.append({ x: [3] });
    const lists: JsonValue[][] = [];
    for await (const list of p.stream("x")) lists.push(list);
    expect(lists).toEqual([[1, 2], [3]]);
  });

  test("is typed by its items", async () => {
    interface Flight {
      readonly delay: number;
    }
    const p = new Json<Flight>(new Dict());
    await p.append({ JFK: [{ delay: 5 }] });
    const flights: Flight[] = await p.get("JFK");
    expect(flights[0]?.delay).toBe(5);
    // @ts-expect-error a flight has a delay
    await p.append({ JFK: [{}] });
    // @ts-expect-error the values of a Json store are lists
    await expect(p.append({ JFK: { delay: 5 } })).rejects.toThrow("it takes a list");
  });

  test("carries every JSON value", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.jsonValue())), async (lists) => {
        const p = new Json(new Dict());
        for (const list of lists) await p.append({ x: list as JsonValue[] });
        // -0 has no JSON text of its own.
        expect(await p.get("x")).toEqual(JSON.parse(JSON.stringify(lists.flat(1))));
      }),
    );
  });

  test("keeps properties whatever their names", async () => {
    const p = new Json(new Dict());
    const item = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2, "": 3, "toString": 4}');
    await p.append({ x: [item] });
    expect(JSON.stringify(await p.get("x"))).toBe(JSON.stringify([item]));
  });

  test("follows JSON for objects that say what they are in JSON", async () => {
    class Point {
      x = 1;
      y = 2;
    }
    const p = new Json<unknown>(new Dict());
    await p.append({ x: [new Date(0), { toJSON: () => [1] }, new Point(), Object.create(null)] });
    expect(await p.get("x")).toEqual(["1970-01-01T00:00:00.000Z", [1], { x: 1, y: 2 }, {}]);
  });

  const cycle: unknown[] = [];
  cycle.push(cycle);
  const wide: Record<string, unknown> = { items: new Array(1000).fill({}) };
  wide.self = wide;
  let deep: unknown = 1;
  for (let i = 0; i < 200_000; i++) deep = [deep];

  test.each<[string, unknown, string]>([
    ["undefined", [undefined], "[0] is undefined"],
    ["a property that is undefined", [{ a: undefined }], "[0].a is undefined"],
    // biome-ignore lint/suspicious/noSparseArray: it is what is tested
    ["a hole", [1, , 3], "[1] is undefined"],
    ["a function", [{ a: [() => 1] }], "[0].a[0] is a function"],
    ["a symbol", [Symbol("s")], "[0] is a symbol"],
    ["a BigInt", [{ a: 1n }], "[0].a is a bigint"],
    [
      "a symbol as a name",
      [{ a: { [Symbol("s")]: 1 } }],
      "[0].a is a Object with a property whose",
    ],
    ["a property of an array", [Object.assign([1], { b: 2 })], "[0] is a Array with properties"],
    ["a hidden item", [hidden([1, 2, 3], 1)], "[0] is a Array with items that are not enumerable"],
    [
      "a property beside a hidden item",
      [Object.assign(hidden([1, 2], 0), { b: 2 })],
      "[0] is a Array with properties beside",
    ],
    ["a getter that loses once", [flips(Number.NaN, 1)], "[0].a is NaN"],
    ["a toJSON that loses once", [{ toJSON: answers(undefined, 1) }], "whose toJSON gives what is"],
    ["a wide cycle", [wide], "circular"],
    ["an object of private fields", [new Sealed()], "[0] is a Sealed"],
    [
      "a list whose toJSON gives no list",
      Object.assign([1], { toJSON: () => 5 }),
      "something else than a list",
    ],
    ["toJSON that loses", [{ toJSON: () => [[Number.NaN]] }], "[0] is a Object"],
    ["NaN", [{ a: { b: Number.NaN } }], "[0].a.b is NaN"],
    ["an infinity", [1, -Infinity], "[1] is -Infinity"],
    ["a Map", [new Map([[1, 2]])], "[0] is a Map"],
    ["a typed array", [new Uint8Array(2)], "[0] is a Uint8Array"],
    ["a regular expression", [/x/], "[0] is a RegExp"],
    ["an error", [new TypeError("x")], "[0] is a TypeError"],
    ["an invalid Date", [new Date(Number.NaN)], "[0] is an invalid Date"],
    ["toJSON that gives nothing", [{ toJSON: () => undefined }], "[0] is a Object"],
    ["a cycle", cycle, "circular"],
    ["too deep a nesting", [deep], "stack"],
    ["no list", { a: 1 }, "it takes a list"],
  ])("refuses %s, naming the key, and appends nothing", async (_, value, words) => {
    const p = new Json<unknown>(new Dict());
    const error = await p
      .append({ good: [1], bad: value as unknown[] })
      .catch((caught: unknown) => caught);
    expect(isPartdError(error, "ERR_PARTD_CODEC")).toBe(true);
    expect(error).toMatchObject({ key: "bad", message: expect.stringContaining(words) });
    expect(await p.get("good")).toEqual([]);
  });

  test("gives toJSON the name under which the value stands, as JSON.stringify does", async () => {
    const named = { toJSON: (name: string) => (typeof name === "string" ? { name } : undefined) };
    const p = new Json<unknown>(new Dict());
    await p.append({ x: [named, { in: named }, Object.assign([1], named)] });
    expect(await p.get("x")).toEqual([{ name: "0" }, { in: { name: "in" } }, { name: "2" }]);
  });

  describe("numbers that JSON.parse would change", () => {
    const get = async (text: string, options?: JsonOptions) => {
      const lower = new Dict();
      await lower.append({ x: frame(new TextEncoder().encode(text)) });
      return new Json<unknown>(lower, options).get("x");
    };
    const bad = [
      "12345678901234567890",
      "-9007199254740993",
      "1e400",
      "-1E+309",
      `1${"0".repeat(400)}`,
    ];

    test.each(bad)("%s is refused, wherever it stands", async (number) => {
      const deep = `${"[".repeat(5000)}${number}${"]".repeat(5000)}`;
      for (let before = 0; before < 4; before++) {
        for (const text of [`[${number}]`, `[{"a":[1,${number}],"b":"${number}"}]`, deep]) {
          await expect(get(" ".repeat(before) + text)).rejects.toMatchObject({
            code: "ERR_PARTD_CODEC",
            message: expect.stringContaining(number.slice(0, 20)),
          });
        }
      }
    });

    test("the shortest that is rounded is found at every place of a frame", async () => {
      for (let before = 0; before < 40; before++) {
        for (let after = 0; after < 20; after++) {
          const text = `[${" ".repeat(before)}9007199254740993${" ".repeat(after)}]`;
          await expect(get(text)).rejects.toThrow("9007199254740993");
        }
      }
    });

    test("those that are exact, or fractions, or text, are read", async () => {
      const text =
        '[9007199254740991,0.1234567890123456789,"12345678901234567890","\\"1e400",1e22,1e-400,12345678901234567000,100000000000000000000]';
      expect(await get(text)).toEqual(JSON.parse(text));
    });

    test("integers are BigInts where a number is not exact, or always, and are written so", async () => {
      const text =
        '[1,{"a":12345678901234567890,"__proto__":-9007199254740993},1.5,"12345678901234567890"]';
      const auto = await get(text, { integers: "auto" });
      expect(auto[0]).toBe(1);
      expect((auto[1] as { a: unknown }).a).toBe(12345678901234567890n);
      expect(Object.entries(auto[1] as object)[1]).toEqual(["__proto__", -9007199254740993n]);
      const all = await get(text, { integers: "bigint" });
      expect(all.slice(2)).toEqual([1.5, "12345678901234567890"]);
      expect(all[0]).toBe(1n);
      await expect(get("[1e400]", { integers: "bigint" })).rejects.toThrow("beyond what a number");
      await expect(get("[01]", { integers: "bigint" })).rejects.toThrow("JSON");
      for (const list of [auto, all]) {
        const lower = new Dict();
        await new Json<unknown>(lower, { integers: "auto" }).append({ x: list });
        expect(new TextDecoder().decode((await lower.get("x")).subarray(8))).toBe(text);
      }
    });

    test("are found behind a fraction of any length, in time that grows with it", async () => {
      for (let digits = 1; digits < 50; digits++) {
        const fraction = `0.${"1".repeat(digits)}`;
        expect(await get(`[${fraction}]`)).toEqual([Number(fraction)]);
        await expect(get(`[${fraction},12345678901234567]`)).rejects.toThrow("12345678901234568");
      }
      expect(await get(`[0.${"1".repeat(2e6)}]`)).toEqual([1 / 9]);
    });

    test("whatever list of numbers is appended is read", async () => {
      const number = fc.double({ noNaN: true, noDefaultInfinity: true });
      const any = fc.oneof(
        number,
        fc.integer().map((n) => n * 2 ** 40),
        number.map(Math.round),
      );
      await fc.assert(
        fc.asyncProperty(fc.array(any), async (numbers) => {
          expect(await get(JSON.stringify(numbers))).toEqual(JSON.parse(JSON.stringify(numbers)));
        }),
        { numRuns: 500 },
      );
    });
  });

  test("writes what it checked, though getters and toJSON give another value at each look", async () => {
    for (let looks = 0; looks < 4; looks++) {
      const seen: unknown[] = new Array(looks).fill(1);
      const item = Object.defineProperty([0], 0, {
        get: answers(...seen, new Map()),
        enumerable: true,
      });
      const list = [flips(...seen, Number.NaN), item, { toJSON: answers(...seen, () => 1) }];
      for (const value of list) {
        const p = new Json<unknown>(new Dict());
        const refused = await p.append({ x: [value] }).catch(() => true);
        if (refused) continue;
        const text = JSON.stringify(await p.get("x"));
        expect(["[1]", "[[1]]", '[{"a":1}]']).toContain(text);
      }
    }
  });

  test("takes an object whose toJSON answers with itself", async () => {
    class Flight {
      readonly delay: number;
      constructor(delay: number) {
        this.delay = delay;
      }
      toJSON() {
        return this;
      }
    }
    const p = new Json<{ delay: number }>(new Dict());
    await p.append({ x: [new Flight(5)] });
    expect(await p.get("x")).toEqual([{ delay: 5 }]);
    await expect(p.append({ x: [new Flight(Number.NaN)] })).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
    });
  });

  test("looks at an object's own properties alone", async () => {
    const p = new Json<unknown>(new Dict());
    Object.defineProperty(Object.prototype, "given", {
      value: () => {},
      enumerable: true,
      configurable: true,
    });
    try {
      await p.append({ x: [{ a: 1 }] });
    } finally {
      delete (Object.prototype as { given?: unknown }).given;
    }
    expect(await p.get("x")).toEqual([{ a: 1 }]);
  });

  test.each<[string, Uint8Array]>([
    ["cut short", jsonCodecBytes([1, 2, 3]).subarray(0, 5)],
    ["not UTF-8", new Uint8Array([0x5b, 0x22, 0xff, 0x22, 0x5d])],
    ["empty", new Uint8Array()],
  ])("finds a frame that is %s", async (_, bytes) => {
    const store = new Dict();
    const p = new Json(store);
    await p.append({ x: [1] });
    const header = new Uint8Array(8);
    header[0] = bytes.byteLength;
    await store.append([
      ["x", header],
      ["x", bytes],
    ]);
    await expect(p.get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CORRUPT",
      key: "x",
      offset: 11,
    });
  });
});

test('with { integers: "auto" } numbers stay numbers, and BigInts BigInts', async () => {
  const list = [2 ** 53, -(2 ** 63), 2 ** 64, 1e20, 1e21, 2 ** 53 - 1, 1.5, 2n ** 53n, 5n ** 30n];
  const p = new Json<number | bigint>(new Dict(), { integers: "auto" });
  for (const items of [list.slice(0, 7), list]) {
    await p.append({ x: items });
    expect(await p.pop("x")).toEqual(items);
  }
  const text = (integers: "auto" | "bigint") =>
    Buffer.from(jsonCodec({ integers }).encode([2 ** 53, "7:2.0"]) as Uint8Array).toString();
  expect(text("auto")).toBe('[9007199254740992.0,"7:2.0"]');
  expect(text("bigint")).toBe('[9007199254740992,"7:2.0"]');
  expect(jsonCodec().decode(Buffer.from(text("auto")))).toEqual([2 ** 53, "7:2.0"]);
});

test("a typed array that looks like an object is refused, not read back as one", async () => {
  for (const length of [0, 2]) {
    const view = Object.setPrototypeOf(new Uint8Array(length), Object.prototype);
    await expect(new Json(new Dict()).append({ x: [{ a: view }] })).rejects.toThrow(
      "[0].a is a typed array",
    );
  }
  expect(jsonCodec().decode(jsonCodec().encode([{ 0: 1 }]) as Uint8Array)).toEqual([{ 0: 1 }]);
});

test("a value nested too deep is refused with its place", async () => {
  let value: JsonValue = {};
  for (let depth = 0; depth < 1e5; depth++) value = [value];
  await expect(new Json(new Dict()).append({ x: ["a", { b: value }] })).rejects.toThrow(
    /: \[1\]\.b(\[0\])+ is nested too deep/,
  );
});

describe("JSON of others", () => {
  const decode = (text: string, options?: JsonOptions) =>
    jsonCodec(options).decode(new TextEncoder().encode(text));

  test("may have a byte order mark", () => {
    for (const integers of ["number", "auto"] as const) {
      expect(decode("\ufeff[1]", { integers })).toEqual([1]);
    }
  });

  test("with a long text beside a number of many digits is read", () => {
    const text = `["${'\\"'.repeat(2 ** 22)}${"x".repeat(2 ** 23)}", 12345678901234567890]`;
    for (const integers of ["auto", "bigint"] as const) {
      expect((decode(text, { integers }) as unknown[])[1]).toBe(12345678901234567890n);
    }
    const list = [2 ** 60, "x".repeat(2 ** 23)];
    expect(jsonCodec().decode(jsonCodec().encode(list) as Uint8Array)).toEqual(list);
  });

  test.each(["", "NaN"])("whose last text does not end is refused at once %s", (constant) => {
    const before = process.cpuUsage();
    for (const end of ["", "\\", "\\\n"]) {
      expect(() => decode(`[${constant},"${'\\"'.repeat(1e5)}${end}`)).toThrow(SyntaxError);
    }
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(3e6); // Microseconds; it took 10 s and more.
  });

  test("with Python's NaN and Infinity is not called damaged", () => {
    for (const [text, constant] of [
      ["[NaN]", "NaN"],
      ['[{"a": -Infinity, "b": "NaN"}]', "Infinity"],
      ['["a\\"", 1, Infinity]', "Infinity"],
    ] as const) {
      for (const integers of ["number", "auto"] as const) {
        expect(() => decode(text, { integers })).toThrow(
          expect.objectContaining({
            code: "ERR_PARTD_CODEC",
            message: expect.stringContaining(`it holds ${constant}, which JSON does not have`),
          }),
        );
      }
    }
    for (const text of ['["NaN"', "[NaN", "[NaNs]", "[1 NaN]", "[nan]"]) {
      expect(() => decode(text)).toThrow(SyntaxError);
    }
  });
});

function jsonCodecBytes(list: JsonValue[]): Uint8Array {
  return jsonCodec().encode(list) as Uint8Array;
}

test.each([0, 1, 2, 3, 1020, 1022])(
  "text is UTF-8 wherever its long characters stand (%i)",
  (at) => {
    for (const long of ["é", "€", "🌍", "é€🌍"]) {
      const list = ["x".repeat(at) + long + "y".repeat(1500), long];
      const bytes = jsonCodec().encode(list) as Uint8Array;
      expect(Buffer.from(bytes).toString()).toBe(JSON.stringify(list));
    }
  },
);
