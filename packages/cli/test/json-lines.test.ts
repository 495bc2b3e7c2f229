import { expect, test } from "@jest/globals";
import { encodeGroupKey } from "@partd/records";
import fc from "fast-check";
import { JsonLines } from "../src/records/json-lines.js";
import { jsonText } from "../src/records/json-text.js";

const textOf = (lines: JsonLines, rows: readonly (readonly unknown[])[]) =>
  Buffer.concat(lines.of(rows)).toString();

test("lines of JSON are those of JSON.stringify", () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ minLength: 60 }));
  const number = fc.oneof(
    fc.integer(),
    fc.nat(12),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  );
  const value = fc.oneof(text, number, fc.boolean(), fc.constant(null), fc.array(text));
  const names = ["user", 'a "name"', "größe"];
  const lines = new JsonLines(names);
  const rows = fc.array(fc.tuple(value, value, value), { minLength: 1 });
  fc.assert(
    fc.property(rows, (rows) => {
      const objects = rows.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i]])));
      expect(textOf(lines, rows)).toBe(objects.map((row) => `${JSON.stringify(row)}\n`).join(""));
    }),
    { numRuns: 100 },
  );
});

test("encoded keys are written as decoded ones, in the order that is given", () => {
  const part = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.double({ noNaN: true }),
    fc.integer(),
    fc.bigInt(),
    fc.constant(null),
    fc.boolean(),
  );
  const key = fc.oneof(part, fc.array(part));
  const lines = new JsonLines(["größe", "count"]);
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.nat(1e12))), fc.nat(), (rows, turn) => {
      const keys = rows.map(([key]) => encodeGroupKey(key));
      let end = 0;
      const entries = {
        keys: Buffer.concat(keys),
        keyEnds: Uint32Array.from(keys, ({ length }) => (end += length)),
        values: Float64Array.from(rows, ([, value]) => value),
        order: Uint32Array.from(rows, (_, i) => (i + turn) % rows.length).subarray(1),
      };
      const expected = [...entries.order].map((n) => {
        return `{"größe":${jsonText(rows[n]?.[0])},"count":${rows[n]?.[1]}}\n`;
      });
      expect(Buffer.concat(lines.ofEncoded(entries)).toString()).toBe(expected.join(""));
    }),
    { numRuns: 200 },
  );
});

test("pieces stay as they are when there are more, and a value may be longer than one", () => {
  const lines = new JsonLines(["k", "n"]);
  const rows = Array.from({ length: 20_000 }, (_, i) => [`key ${i}`, 2 ** 31 - 10_000 + i]);
  rows[7_000] = ["é".repeat(100_000), 7];
  const pieces = [...lines.of(rows), ...lines.of([["last", 123n]])];
  const expected = rows.map(([k, n]) => `${JSON.stringify({ k, n })}\n`);
  expect(Buffer.concat(pieces).toString()).toBe(`${expected.join("")}{"k":"last","n":123}\n`);
  expect(lines.of([])).toEqual([]);
});
