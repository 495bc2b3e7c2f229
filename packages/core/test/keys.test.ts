import { spawnSync } from "node:child_process";
import { describe, expect, test } from "@jest/globals";
import { decodeKey, encodeKey, isPartdError, isTuple, type Key, Tuple, tuple } from "@partd/core";
import { describeKey, sameKey, suffixKey } from "@partd/core/author";
import fc from "fast-check";
import { describeReal, realPart } from "tooling/real-part";

/** Any text, and often text of the characters that mean something to paths and escapes. */
const part = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: fc.constantFrom(".", "/", "%", "2", "E", "F", "a", "lock", ".partd", "é") }),
);
const key: fc.Arbitrary<Key> = fc.oneof(
  part,
  fc.array(part, { minLength: 2, maxLength: 4 }).map((parts) => tuple(...parts)),
);

describe("encodeKey", () => {
  test.each<[Key, string]>([
    ["x", "x"],
    ["A-b_c.(d) 9", "A-b_c.(d) 9"],
    ["", "%"],
    ["%", "%25"],
    [".", "%2E"],
    ["..", "%2E%2E"],
    ["...", "..."],
    [".x", ".x"],
    ["a/b", "a%2Fb"],
    ["a!b", "a%21b"],
    ["é", "%C3%A9"],
    ["😀", "%F0%9F%98%80"],
    [".lock", "%2Elock"],
    [".lock2", ".lock2"],
    [".partd", "%2Epartd"],
    [".partd-x", "%2Epartd-x"],
    ["../x", "..%2Fx"],
    ["__proto__", "__proto__"],
    ["\0", "%00"],
    [tuple("a", "b"), "a/b"],
    [tuple("a", 1, -2), "a/1/-2"],
    [tuple("", "..", ".lock"), "%/%2E%2E/%2Elock"],
    [tuple("a/b", "c"), "a%2Fb/c"],
  ])("%s is %s", (key, text) => {
    expect(encodeKey(key)).toBe(text);
    expect(sameKey(decodeKey(text), key)).toBe(true);
  });

  test("decodeKey gives every key back, and the text is one of plain names", () => {
    fc.assert(
      fc.property(key, (key) => {
        const text = encodeKey(key);
        expect(sameKey(decodeKey(text), key)).toBe(true);
        expect(text).toMatch(/^[-_.() A-Za-z0-9%]+(\/[-_.() A-Za-z0-9%]+)*$/);
        for (const name of text.split("/")) {
          expect(name).not.toMatch(/^(\.\.?|\.lock|\.partd.*)$/);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("distinct keys have distinct texts", () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(encodeKey(a) === encodeKey(b)).toBe(sameKey(a, b));
      }),
      { numRuns: 2_000 },
    );
  });

  test("text that no key encodes to is refused, so that no key has two texts", () => {
    for (const text of [
      "",
      "/",
      "a/",
      "/a",
      "a//b",
      ".",
      "..",
      "a/..",
      ".lock",
      ".partd/journal",
      "a%2fb",
      "%41",
      "%2Ex",
      "%2",
      "%zz",
      "%FF",
      "%ED%A0%80",
      "é",
      "a\\b",
      "a%",
    ]) {
      expect(codeOf(() => decodeKey(text))).toBe("ERR_PARTD_KEY");
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        let key: Key;
        try {
          key = decodeKey(text);
        } catch (error) {
          expect(isPartdError(error, "ERR_PARTD_KEY")).toBe(true);
          return;
        }
        expect(encodeKey(key)).toBe(text);
      }),
    );
  });

  test("refuses what is not a key, and names a lone surrogate", () => {
    for (const bad of [1, null, undefined, {}, ["a"], Symbol("s"), { parts: ["a", "b"] }]) {
      expect(codeOf(() => encodeKey(bad as unknown as Key))).toBe("ERR_PARTD_KEY");
    }
    const brand = Symbol.for("@partd/core/tuple");
    for (const parts of [undefined, "ab", [], ["a"], ["a", 1], [null, "b"]]) {
      expect(codeOf(() => encodeKey({ [brand]: true, parts } as never))).toBe("ERR_PARTD_KEY");
    }
    for (const bad of ["\ud800", "a\udc00", tuple("a", "\udfff")]) {
      expect(codeOf(() => encodeKey(bad))).toBe("ERR_PARTD_KEY");
    }
  });
});

describe("tuple", () => {
  test("is immutable, compares by value, and prints as code", () => {
    const key = tuple("a", 1);
    expect(Object.isFrozen(key) && Object.isFrozen(key.parts)).toBe(true);
    expect(key.equals(tuple("a", "1"))).toBe(true);
    expect(key.equals(tuple("a", "1", "2"))).toBe(false);
    expect(key.equals("a")).toBe(false);
    expect(sameKey("a", key)).toBe(false);
    expect(sameKey(key, "a")).toBe(false);
    expect(String(key)).toBe('tuple("a", "1")');
    expect(tuple("a", -0).equals(tuple("a", 0))).toBe(true);
  });

  test("takes two or more strings or safe integers", () => {
    for (const parts of [[], ["a"], ["a", 1.5], ["a", Number.NaN], ["a", 2 ** 53], ["a", null]]) {
      expect(codeOf(() => tuple(...(parts as string[])))).toBe("ERR_PARTD_KEY");
    }
    expect(encodeKey(tuple(Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER))).toBe(
      "9007199254740991/-9007199254740991",
    );
  });

  test("is made from a list too, under the same rules", () => {
    expect(new Tuple(["a", 1]).equals(tuple("a", 1))).toBe(true);
    const long = new Tuple(Array.from({ length: 200_000 }, (_, i) => i));
    expect(decodeKey(encodeKey(long))).toEqual(long);
    for (const parts of [[], ["a"], ["a", 0.5], ["a", null]]) {
      expect(() => new Tuple(parts as string[])).toThrow(
        expect.objectContaining({ code: "ERR_PARTD_KEY" }),
      );
    }
  });

  test("a tuple of another copy of the package is one", () => {
    const foreign = { parts: ["a", "b"], [Symbol.for("@partd/core/tuple")]: true };
    expect(isTuple(foreign)).toBe(true);
    expect(encodeKey(foreign as unknown as Tuple)).toBe("a/b");
    expect(tuple("a", "b").equals(foreign)).toBe(true);
    expect(isTuple(new Tuple(["a", "b"]))).toBe(true);
  });
});

test("suffixKey follows the last part", () => {
  expect(suffixKey("x", ".dtype")).toBe("x.dtype");
  expect(sameKey(suffixKey(tuple("a", "x"), ".dtype"), tuple("a", "x.dtype"))).toBe(true);
});

test("describeKey shortens", () => {
  expect(describeKey('a"b')).toBe('"a\\"b"');
  expect(describeKey("x".repeat(1_000)).length).toBeLessThan(150);
});

describeReal(realPart.python("partd"), "Python's partd", () => {
  test("writes the same file names for the keys that it keeps apart", () => {
    const plain = fc.string({
      unit: fc.constantFrom(..."-_.() abcXYZ0189"),
      minLength: 1,
      maxLength: 12,
    });
    const kept = plain.filter((text) => !/^(\.\.?|\.lock|\.partd.*)$/.test(text));
    const keys = fc.sample(
      fc.oneof(
        kept,
        fc.array(kept, { minLength: 2, maxLength: 3 }).map((parts) => tuple(...parts)),
      ),
      200,
    );
    const program = [
      "import json, sys",
      "from partd.file import filename",
      "keys = [tuple(k) if isinstance(k, list) else k for k in json.load(sys.stdin)]",
      "json.dump([filename('', key) for key in keys], sys.stdout)",
    ].join("\n");
    const input = JSON.stringify(keys.map((key) => (isTuple(key) ? key.parts : key)));
    const { stdout, stderr, status } = spawnSync("/usr/bin/python3", ["-c", program], { input });
    if (status !== 0) throw new Error(String(stderr));
    expect(JSON.parse(String(stdout))).toEqual(keys.map(encodeKey));
  });
});

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return isPartdError(error) ? error.code : String(error);
  }
  return undefined;
}
