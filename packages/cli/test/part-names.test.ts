import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { numbered, PartNames } from "../src/output/part-names.js";

const one = () => new PartNames("{user}.ndjson", ["user"]);

/** Names as a disk takes them for the same: macOS folds case and accents, Windows case. */
const onDisk = (name: string) => name.normalize("NFD").toLowerCase();

describe("names of parts", () => {
  test("plain values are their own names", () => {
    const names = one();
    for (const user of ["JFK", "ann smith", "Ünal", "日本", "a.b", "1"]) {
      expect(names.take([user])).toBe(`${user.normalize("NFC")}.ndjson`);
      expect(names.tells(`${user}.ndjson`, [user])).toBe(true);
    }
  });

  test.each([
    ["../x", "%2E.%2Fx.ndjson"],
    ["a/b", "a%2Fb.ndjson"],
    ["a\\b:c*?", "a%5Cb%3Ac%2A%3F.ndjson"],
    ["", "empty.ndjson"],
    ["CON", "_CON.ndjson"],
    ["com1.txt", "_com1.txt.ndjson"],
    ["-rf", "%2Drf.ndjson"],
    [".hidden", "%2Ehidden.ndjson"],
    ["a\nb\u0000", "a%0Ab%00.ndjson"],
    ["\ud800", "%EF%BF%BD.ndjson"],
    [null, "null.ndjson"],
    [undefined, "missing.ndjson"],
    [1.5, "1.5.ndjson"],
    [true, "true.ndjson"],
    [12345678901234567890n, "12345678901234567890.ndjson"],
  ])("%j is %s", (value, name) => {
    const names = one();
    expect(names.take([value])).toBe(name);
    expect(names.tells(name, [value])).toBe(false);
  });

  test("values that a disk would take for one get names that differ", () => {
    const names = one();
    const values = [
      "ann",
      "ANN",
      "Ann",
      1,
      "1",
      null,
      "null",
      undefined,
      "missing",
      "é",
      "e\u0301",
      "ß",
      "ss",
      "SS",
      "",
      "empty",
      "_names",
      "_names.ndjson",
    ];
    const taken = values.map((value) => onDisk(names.take([value])));
    expect(new Set(taken).size).toBe(values.length);
    expect(taken).not.toContain("_names.ndjson");
  });

  test("several fields cannot run into one another", () => {
    const names = new PartNames("{a}-{b}.csv", ["a", "b"]);
    expect(names.take(["x-y", "z"])).not.toBe(names.take(["x", "y-z"]));
  });

  test("any values, in any number: distinct, and safe on every disk", () => {
    const value = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: "grapheme", maxLength: 500 }),
      fc.constantFrom("a", "A", "con", "CON.", "a.", "a ", "..", ".", "~", "é", "É"),
      fc.integer(),
      fc.constantFrom(null, true, false),
    );
    const id = (parts: unknown[]) =>
      JSON.stringify(parts.map((part) => (typeof part === "string" ? part.toWellFormed() : part)));
    const keys = fc.uniqueArray(fc.tuple(value, value), { selector: id, maxLength: 60 });
    fc.assert(
      fc.property(keys, (all) => {
        const names = new PartNames("{a}.{b}.ndjson", ["a", "b"]);
        const taken = all.map((key) => names.take(key));
        expect(new Set(taken.map(onDisk)).size).toBe(all.length);
        for (const name of taken) {
          expect(Buffer.byteLength(name)).toBeLessThan(240);
          expect(name).not.toMatch(/[/\\:*?"<>|\p{Cc}]|^[.~ -]|[. ]$/u);
          expect(name).not.toMatch(/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a template makes no name too long, and none for two keys", () => {
    const long = "x".repeat(300);
    for (const template of [
      "{user}{user}{user}.ndjson",
      `${"長".repeat(100)}{user}.ndjson`,
      `{user}.${"y".repeat(300)}`,
    ]) {
      const names = new PartNames(template, ["user"]);
      const taken = [`${long}a`, `${long}b`, `${long}B`, "a"].map((user) => names.take([user]));
      expect(new Set(taken.map(onDisk)).size).toBe(4);
      for (const name of taken) {
        expect(Buffer.byteLength(numbered(name, 100_000))).toBeLessThanOrEqual(255);
        if (template.endsWith(".ndjson")) expect(name.endsWith(".ndjson")).toBe(true);
      }
    }
  });

  test("templates that cannot be are refused", () => {
    expect(() => new PartNames("all.ndjson", ["user"])).toThrow("lacks {user}");
    expect(() => new PartNames("{usr}.ndjson", ["user"])).toThrow("{usr} is not among the fields");
    expect(() => new PartNames("../{user}", ["user"])).toThrow("all files lie in one folder");
  });

  test("numbers stand before the ending", () => {
    expect(numbered("ann.ndjson", 1)).toBe("ann.ndjson");
    expect(numbered("ann.csv.gz", 3)).toBe("ann.3.csv.gz");
    expect(numbered("ann", 2)).toBe("ann.2");
  });
});
