import { describe, expect, test } from "@jest/globals";
import {
  PyComplex,
  PyDecimal,
  PyDtype,
  PyFraction,
  PyGlobal,
  PyPath,
  PyRange,
  PyScalar,
  PyTime,
  PyTimeDelta,
  PyTimeZone,
  pickleCodec,
  pyTuple,
} from "@partd/codec-pickle";

const codec = pickleCodec<unknown>({ objects: "keep" });
const encode = (keys: readonly unknown[]) => () =>
  codec.encode([new Map(keys.map((key) => [key, 1]))]);

describe("keys that are equal in Python", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const zone = (seconds: number) => new PyTimeZone(new PyTimeDelta(0, seconds));
  const scalar = (dtype: string, ...data: number[]) =>
    new PyScalar(new PyDtype(dtype), Uint8Array.from(data));
  const time = (hour: number, offset: number) =>
    new PyTime(hour, 0, 0, 0, { tzinfo: zone(offset) });
  test.each<[string, unknown[], unknown[]]>([
    ["halves", [new PyFraction(1, 2), 0.5, new PyDecimal("0.50"), new PyFraction(2, 4)], [-0.5]],
    ["wholes", [new PyDecimal("1E+30"), 10n ** 30n, new PyFraction(10n ** 31n, 10)], [1e30]],
    ["ones", [1, 1n, true, new PyComplex(1, 0), scalar("|i1", 1)], [new PyComplex(1, 1), 1.5]],
    ["none", [0, new PyDecimal("-0E+9999999"), scalar("<f8", ...new Array(8).fill(0))], [null]],
    ["infinite", [Number.POSITIVE_INFINITY, new PyDecimal("Infinity")], [new PyDecimal("NaN")]],
    ["complex", [new PyComplex(1, 2), new PyComplex(1, 2)], [new PyComplex(2, 1)]],
    ["texts", ["a", scalar("<U1", 97, 0, 0, 0)], ["b", bytes("a")]],
    ["bytes", [bytes("a"), scalar("|S1", 97)], ["97"]],
    ["times", [time(1, 0), time(2, 3600)], [time(2, 0), new PyTime(1)]],
    ["zones", [zone(60), new PyTimeZone(new PyTimeDelta(0, 60), "X")], [zone(0)]],
    ["ranges", [new PyRange(0, 5, 2), new PyRange(0, 6, 2)], [new PyRange(0, 7, 2)]],
    ["empty ranges", [new PyRange(0, 0), new PyRange(3, 1)], [new PyRange(3, 4)]],
    ["paths", [new PyPath(["a"]), new PyPath(["a"], "PurePosixPath")], [new PyPath(["A"])]],
    ["names", [new PyGlobal("a", "b"), new PyGlobal("a", "b")], [new PyGlobal("a", "c")]],
    ["dtypes", [new PyDtype("<i8"), new PyDtype("<i8")], [new PyDtype("<i4")]],
    ["tuples", [pyTuple(0.5), pyTuple(new PyDecimal("0.5"))], [pyTuple(1)]],
  ])("%s are refused, and their like are not", (_, same, others) => {
    for (const [i, one] of same.entries()) {
      for (const other of same.slice(i + 1)) {
        expect(encode([one, other])).toThrow("which are one in Python");
      }
      expect(encode([one, ...others])).not.toThrow();
    }
  });

  test("decimals of more digits than a float has, and a fraction beside its float", () => {
    const close = ["1.00000000000000000001", "1.00000000000000000002", "0.1", "1E-5000"];
    expect(encode([...close.map((text) => new PyDecimal(text)), 0.1, 0])).not.toThrow();
  });

  // {nan: 1, nan: 2} by protocol 2, {nan, nan} by 2 and 4, and frozenset([nan, nan]) by 4.
  const nan = "477ff8000000000000";
  test.each([
    `80025d7d284e4b01${nan}4b02${nan}4b0375612e`,
    `80025d635f5f6275696c74696e5f5f0a7365740a5d28${nan}${nan}658552612e`,
    `80045d8f28${nan}${nan}90612e`,
    `80045d28${nan}${nan}91612e`,
  ])("two that are NaN are not damage, and not read as one: %s", (hex) => {
    expect(() => codec.decode(Uint8Array.from(Buffer.from(hex, "hex")))).toThrow("are NaN");
  });
});

test("a tuple that holds one tuple twice, and so on, is a key that takes no time", () => {
  let key = pyTuple<unknown[]>();
  for (let level = 0; level < 22; level++) key = pyTuple<unknown[]>(key, key);
  const before = process.cpuUsage();
  const list = [new Map<unknown, unknown>([[key, 1]]).set(0, 2), new Set([key])];
  const [map] = codec.decode(codec.encode(list) as Uint8Array) as [Map<unknown, unknown>];
  const { user, system } = process.cpuUsage(before);
  expect([...map.values()]).toEqual([1, 2]);
  expect(user + system).toBeLessThan(3e6); // Microseconds; it took 9 s, and twice that with one more.
});

test("a dict of any size may stand beside a NumPy scalar", () => {
  const wide = Object.fromEntries(Array.from({ length: 200_000 }, (_, i) => [`k${i}`, null]));
  const list = [new PyScalar(new PyDtype("|b1"), Uint8Array.of(1)), wide];
  const [, read] = codec.decode(codec.encode(list) as Uint8Array) as [unknown, object];
  expect(Object.keys(read)).toHaveLength(200_000);
});

test("an object that loses a property while it is read is refused", () => {
  const value: Record<string, unknown> = {
    get a() {
      delete value.b;
      return 1;
    },
    b: 2,
  };
  expect(() => codec.encode([value])).toThrow("loses properties");
});
