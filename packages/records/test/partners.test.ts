import { describe, expect, test } from "@jest/globals";
import { type ByteBatch, encodeGroupKey, readCsv, readNdjson, valueAt } from "@partd/records";
import { parseExact } from "./exact-numbers.js";

const KINDS = ["inner", "left", "semi", "anti"] as const;

function batchOf(text: string): ByteBatch {
  const position = { source: "<stream>", isInFile: false, line: 1, byteOffset: 0 };
  return { bytes: new TextEncoder().encode(text), position, consumed: text.length };
}

/** Numbers from 0 to `below`, always the same. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 0x915f77f5) + 0x3c6ef35f) >>> 0;
    return (state >>> 8) % below;
  };
}

const KEYS = [
  ..."null 1 1.0 1e0 -0 0 1e20 true false 9007199254740993 9007199254740992".split(" "),
  ...['"a"', '"\\u0061"', '"null"', '"é"', '""', '"n"', '"x\\"y"', `"${"long".repeat(9)}"`],
  ...["[null]", "[1,null]", '["null"]', '["a\\"n"]', "[[null]]", "[]", "[1, 1.0]", "[true,false]"],
  ...["[9007199254740993]", "[9007199254740993,null]", "[9007199254740993.0,[null]]"],
];

/** A line whose key is any of them, stands twice, is not there, or lies deeper. */
function lineOf(below: (n: number) => number, name: string, i: number): string {
  const key = () => (below(3) ? `"k${below(40)}"` : KEYS[below(KEYS.length)]!);
  const lines = [
    () => `{"${name}":${key()},"i":${i}}\n`,
    () => `{"i":${i},"${name}":${key()}}\r\n`,
    () => ` {"${name}":${key()},"${name}" : ${key()}, "pad":"${"x".repeat(below(60))}"}\n`,
    () => `{"i":${i}}\n`,
    () => "\n",
  ];
  return lines[below(12) % lines.length]!();
}

/** What the two lists of lines joined give, as JavaScript would. */
function joined(
  left: readonly string[],
  right: readonly string[],
  [by, rightBy]: readonly [readonly string[], readonly string[]],
  kind: (typeof KINDS)[number],
): string {
  const keyOf = (line: string, fields: readonly string[]) => {
    const values = fields.map((field) => valueAt(parseExact(line), field) as unknown);
    const key = fields.length === 1 ? values[0] : values;
    const items = Array.isArray(key) ? key : [key];
    return items.some((item) => item === null || item === undefined)
      ? ""
      : encodeGroupKey(key).join();
  };
  const bare = (line: string) => line.slice(0, -1);
  const partners = new Map<string, string[]>();
  for (const line of right) {
    const key = keyOf(line, rightBy);
    const others = partners.get(key);
    if (others) others.push(line);
    else if (key !== "") partners.set(key, [line]);
  }
  return left
    .flatMap((line) => {
      const found = partners.get(keyOf(line, by)) ?? [];
      if (kind === "semi") return found.length > 0 ? [line] : [];
      if (kind === "anti") return found.length > 0 ? [] : [line];
      const none = kind === "left" && found.length === 0 ? [`[${bare(line)},null]\n`] : [];
      return [...found.map((other) => `[${bare(line)},${bare(other)}]\n`), ...none];
    })
    .join("");
}

const isBlank = (line: string) => line.trim() === "";

describe("partners", () => {
  test.each([
    [["user"], ["user"]],
    [["user"], ["a.very.long.name"]],
    [["a.b"], ["k"]],
    [
      ["user", "i"],
      ["user", "i"],
    ],
  ])("of %j in %j are those that JavaScript finds", (by, rightBy) => {
    const below = numbersFrom(by.length * 7 + rightBy[0]!.length);
    const name = (fields: string[]) => fields[0]!.replaceAll(".", '":{"');
    const line = (fields: string[], i: number) => {
      const text = lineOf(below, name(fields), i);
      // A deeper field: its braces are closed.
      const depth = fields[0]!.split(".").length - 1;
      if (!text.includes(name(fields)) || depth === 0) return text;
      return `{"${name(fields)}":${below(2) ? `"k${below(40)}"` : KEYS[below(KEYS.length)]}${"}".repeat(depth + 1)}\n`;
    };
    const { format } = readNdjson([]);
    for (let round = 0; round < 4; round++) {
      const scanner = format.scanner(by, { partners: rightBy });
      const right: string[] = [];
      for (let batch = 0; batch < 5; batch++) {
        // More with each batch: what is kept grows, and moves.
        const lines = Array.from({ length: 20 * 3 ** batch }, (_, i) => line(rightBy, i));
        expect(scanner.partners!.keep(batchOf(lines.join("")))).toBe(true);
        right.push(...lines.filter((text) => !isBlank(text)));
      }
      for (const count of [0, 1, 70]) {
        const lines = Array.from({ length: count }, (_, i) => line(by, i));
        const scan = scanner.scan(batchOf(lines.join("")));
        for (const kind of KINDS) {
          const pieces = scanner.partners!.lines(scan, kind)!;
          const whole = lines.filter((text) => !isBlank(text));
          expect(Buffer.concat([...pieces]).toString()).toBe(
            joined(whole, right, [by, rightBy], kind),
          );
        }
      }
    }
  });

  test("lines come in pieces, also one that is longer than a piece", () => {
    const scanner = readNdjson([]).format.scanner(["k"], { partners: ["k"] });
    const pad = "y".repeat(3000);
    const right = Array.from({ length: 900 }, (_, i) => `{"k":${i % 2},"pad":"${pad}"}\n`);
    right.push(`{"k":1,"pad":"${"z".repeat(3 << 20)}"}\n`, `{"k":0}\n`);
    expect(scanner.partners!.keep(batchOf(right.join("")))).toBe(true);
    const left = ['{"k":1}\n', '{"k":0,"n":[null]}\n', '{"k":2}\n', '{"k":1,"n":2}\n'];
    const scan = scanner.scan(batchOf(left.join("")));
    const pieces = [...scanner.partners!.lines(scan, "left")!];
    expect(pieces.length).toBeGreaterThan(4);
    const wanted = joined(left, right, [["k"], ["k"]], "left");
    expect(Buffer.concat(pieces).equals(Buffer.from(wanted))).toBe(true);
  });

  test("keys that are longer than their records are not kept where they have no room", () => {
    const scanner = readNdjson([]).format.scanner(["k"], { partners: ["k"] });
    const lines = [
      `{"k":[9007199254740993${",1".repeat(100_000)}]}\n`,
      '{"k":[9007199254740993]}\n',
    ];
    expect(scanner.partners!.keep(batchOf(lines[0]!))).toBe(false);
    expect(scanner.partners!.keep(batchOf(lines[1]!))).toBe(true);
    const pieces = scanner.partners!.lines(scanner.scan(batchOf(lines.join(""))), "semi")!;
    expect(Buffer.concat([...pieces]).toString()).toBe(lines[1]);
  });

  test("a record that is malformed on either side is an error with its place", () => {
    const scanner = readNdjson([]).format.scanner(["k"], { partners: ["user"] });
    const bad = batchOf('{"user":1}\n{"user":1,}\n');
    expect(() => scanner.partners!.keep(bad)).toThrow(/<stream>:2/);
    expect(() => scanner.scan(batchOf('{"k":1}\n{"k"\n'))).toThrow(/<stream>:2/);
    expect(() => scanner.scan(batchOf('{"k":{}}\n'))).toThrow(/object where its key should be/);
  });

  test("are refused with another number of fields; too large a batch is not kept", () => {
    const { format } = readNdjson([]);
    expect(() => format.scanner(["a"], { partners: ["a", "b"] })).toThrow(/not in 2/);
    expect(format.scanner(["a"]).partners).toBeUndefined();
    expect(readCsv([]).format.scanner(["a"], { partners: ["a"] }).partners).toBeUndefined();
    const scanner = format.scanner(["a"], { partners: ["a"] });
    const long = batchOf(`{"a":1,"b":"${"x".repeat(32 << 20)}"}\n`);
    expect(scanner.partners!.keep(long)).toBe(false);
    expect(scanner.partners!.lines(scanner.scan(long), "inner")).toBeUndefined();
    const scan = scanner.scan(batchOf('{"a":1}\n'));
    expect([...scanner.partners!.lines(scan, "anti")!].join("")).toBe(
      [...batchOf('{"a":1}\n').bytes].join(),
    );
  });
});
