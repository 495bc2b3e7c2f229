import { describe, expect, test } from "@jest/globals";
import { lineOf, membersOf, withoutMembers } from "@partd/records/author";
import fc from "fast-check";
import { fieldText, rawField, rawFields } from "../src/records/csv-rows.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (line: Uint8Array) => new TextDecoder().decode(line);

describe("members of a line of NDJSON", () => {
  test("are left out byte for byte", () => {
    const line = '{ "a" : 1.0 ,"b":{"a":[1,"}"]},\t"c":1e400, "d\\u0061":"x\\"y" }\n';
    expect(text(withoutMembers(bytes(line), new Set(["b"])))).toBe(
      '{"a" : 1.0,"c":1e400,"d\\u0061":"x\\"y"}\n',
    );
    expect(text(withoutMembers(bytes(line), new Set(["da", "a"])))).toBe(
      '{"b":{"a":[1,"}"]},"c":1e400}\n',
    );
    expect(text(withoutMembers(bytes(line), new Set(["z"])))).toBe(line);
    expect(text(withoutMembers(bytes('{"a":1}'), new Set(["a"])))).toBe("{}\n");
    expect(membersOf(bytes("[1]"))).toBeUndefined();
    expect(membersOf(bytes(" {} "))).toEqual([]);
  });

  test("of any object, spaced in any way, say what JSON.parse says", () => {
    const spacing = fc.constantFrom(undefined, 1, 2, "\t", " \r\n");
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue()),
        spacing,
        (value, space) => {
          const json = JSON.stringify(value, undefined, space);
          const line = bytes(json);
          const members = membersOf(line) as NonNullable<ReturnType<typeof membersOf>>;
          const parsed = JSON.parse(json) as Record<string, unknown>;
          expect(members.map(({ name }) => name)).toEqual(Object.keys(parsed));
          for (const { name, valueStart, valueEnd } of members) {
            expect(JSON.parse(text(line.subarray(valueStart, valueEnd)))).toEqual(parsed[name]);
          }
          expect(JSON.parse(text(lineOf(members.map((member) => ({ line, member })))))).toEqual(
            parsed,
          );
        },
      ),
    );
  });
});

test("fields of a row are what was put in", () => {
  const field = fc.string({ unit: fc.constantFrom('"', ",", "\n", "\r", "a", "é", " ", ";") });
  fc.assert(
    fc.property(
      fc.array(field, { minLength: 1 }),
      fc.constantFrom(",", "\t", ";"),
      (fields, delimiter) => {
        const row = `${fields.map((one) => rawField(one, delimiter, true)).join(delimiter)}\r\n`;
        expect(rawFields(row, delimiter, true).map((raw) => fieldText(raw, true))).toEqual(fields);
      },
    ),
  );
});
