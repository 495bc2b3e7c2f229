import { expect, test } from "@jest/globals";
import { encodeGroupKey, hashKey, readNdjson, VALUE_KIND, valueAt } from "@partd/records";
import fc from "fast-check";
import { JsonMatcher } from "../src/json/json-matcher.js";
import { parseFieldPath } from "../src/key/field-path.js";
import type { OnReject, Scan, Scanner } from "../src/records.js";
import { PlainScanner } from "../src/scan/plain-scanner.js";
import { WasmScanner } from "../src/scan/wasm-scanner.js";
import { exact, parseExact } from "./exact-numbers.js";
import { jsonLine } from "./json-lines.js";

const runs = Number(process.env["PARTD_FUZZ_RUNS"] ?? 200);
const names = ["user", "a", "b", "a.b", 'q"\\', "ü", ""];

/** Each set of fields, with those whose values are wanted. */
const plans = [
  { fields: ["user"], values: [] },
  { fields: ["user"], values: ["a", "user"] },
  { fields: ["a.b"], values: ["a.b"] },
  { fields: ["user", "a.b", "a\\.b"], values: [] },
  { fields: ["a", "a.b", 'q"\\', "ü", ""], values: ["b", "a.a.b"] },
  { fields: [], values: ["user"] },
  { fields: [], values: [] },
];

interface Expected {
  readonly key: Uint8Array | undefined;
  readonly kinds: readonly number[];
  readonly numbers: readonly number[];
}

/** What `JSON.parse` says: undefined for a blank line, "no" where it throws. */
function oracle(line: Uint8Array, fields: readonly string[], values: readonly string[]) {
  let record: unknown;
  try {
    const text = decoder.decode(line);
    if (/^[ \t\r]*$/.test(text)) return undefined;
    record = JSON.parse(text);
  } catch {
    return "no";
  }
  const found = values.map((value) => valueAt(record, value));
  const exactRecord = parseExact(decoder.decode(line));
  const parts = fields.map((field) => valueAt(exactRecord, field));
  if (parts.some(hasInfinity)) return "no";
  let key: Uint8Array | undefined;
  try {
    key = fields.length === 0 ? undefined : encodeGroupKey(fields.length === 1 ? parts[0] : parts);
  } catch {
    return "no"; // An object as a key.
  }
  const expected: Expected = {
    key,
    kinds: found.map(kindOf),
    numbers: found.map((value) => (typeof value === "number" ? value : NaN)),
  };
  return expected;
}

function hasInfinity(value: unknown): boolean {
  return Array.isArray(value)
    ? value.some(hasInfinity)
    : typeof value === "number" && !Number.isFinite(value);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function kindOf(value: unknown): number {
  if (value === undefined) return VALUE_KIND.missing;
  if (value === null) return VALUE_KIND.null;
  if (typeof value === "number") return VALUE_KIND.number;
  if (typeof value === "string") return VALUE_KIND.text;
  return typeof value === "boolean" ? VALUE_KIND.boolean : VALUE_KIND.other;
}

const scanners: Record<string, (plan: (typeof plans)[number], onReject: OnReject) => Scanner> = {
  plain({ fields, values }, onReject) {
    const matcher = new JsonMatcher([...fields, ...values].map(parseFieldPath));
    return new PlainScanner(matcher, { keys: fields.length, values: values.length, onReject });
  },
  wasm({ fields, values }, onReject) {
    const paths = [...fields, ...values].map(parseFieldPath);
    const plan = { keys: fields.length, values: values.length, onReject };
    return WasmScanner.create({ name: "ndjson", paths }, new JsonMatcher(paths), plan)!;
  },
};

test("the plain scanner copies keys only once one of them is not in the batch as it is", () => {
  const scanner = scanners.plain!({ fields: ["k"], values: [] }, () => {});
  const scan = (text: string) => {
    const position = { source: "<test>", isInFile: false, line: 1, byteOffset: 0 };
    return scanner.scan({ bytes: new TextEncoder().encode(text), position, consumed: 0 });
  };
  const same = scan('{"k":"a"}\n{"k":7}\n');
  expect(same.keys.buffer).toBe(same.bytes.buffer);
  expect([same.key(0), same.key(1)]).toEqual(["a", 7]);
  const mixed = scan('{"k":"a"}\n{"k":"\\u0062"}\n\n{"k":"c"}\n');
  expect(mixed.keys.buffer).not.toBe(mixed.bytes.buffer);
  expect([0, 1, 2].map((i) => mixed.key(i))).toEqual(["a", "b", "c"]);
});

test.each(Object.keys(scanners))("the %s scanner agrees with JSON.parse on every line", (name) => {
  const seen = new Set<string>();
  const counts = { lines: 0, accepted: 0, rejected: 0, blank: 0 };
  let rejected: string[] = [];
  const onReject: OnReject = ({ bytes }) => rejected.push(Buffer.from(bytes).toString("latin1"));
  const made = plans.map((plan) => scanners[name]!(plan, onReject));
  fc.assert(
    fc.property(fc.array(jsonLine(names), { minLength: 1, maxLength: 20 }), (lines) => {
      const bytes = Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")]));
      for (const line of lines) seen.add(Buffer.from(line).toString("latin1"));
      for (const [p, { fields, values }] of plans.entries()) {
        rejected = [];
        const position = { source: "<test>", isInFile: false, line: 1, byteOffset: 0 };
        const scan = made[p]!.scan({ bytes, position, consumed: 0 });
        const no: string[] = [];
        let i = 0;
        for (const line of lines) {
          const expected = oracle(line, fields, values);
          if (p === 0) {
            counts.lines++;
            if (expected === undefined) counts.blank++;
            else if (expected === "no") counts.rejected++;
            else counts.accepted++;
          }
          const text = `${Buffer.from(line).toString("latin1")}\n`;
          if (expected === "no") no.push(text);
          if (expected === "no" || expected === undefined) continue;
          expect(recordAt(scan, i)).toBe(text);
          if (fields.length > 0) checkKey(scan, i, expected.key!);
          for (let v = 0; v < values.length; v++) {
            expect(scan.kinds(v)[i]).toBe(expected.kinds[v]);
            expect(scan.numbers(v)[i]).toBe(expected.numbers[v]);
          }
          i++;
        }
        expect(scan.count).toBe(i);
        expect(rejected).toEqual(no);
      }
    }),
    { numRuns: runs },
  );
  console.log(`${name}: ${JSON.stringify({ ...counts, distinct: seen.size })}, 0 disagreements`);
});

function recordAt({ bytes, ends }: Scan, i: number): string {
  const start = i === 0 ? 0 : ends[i - 1]!;
  return Buffer.from(bytes.subarray(start, ends[i]!)).toString("latin1");
}

function checkKey(scan: Scan, i: number, expected: Uint8Array): void {
  const key = scan.keys.subarray(scan.keyStarts[i]!, scan.keyEnds[i]!);
  expect(Buffer.from(key).toString("latin1")).toBe(Buffer.from(expected).toString("latin1"));
  const { low, high } = hashKey(expected);
  expect([scan.hashLow[i], scan.hashHigh[i]]).toEqual([low, high]);
}

/** The keys of values, each the only field of its record. */
function keysOf(name: string, texts: readonly string[], onReject: OnReject = () => {}) {
  const scanner = scanners[name]!(plans[0]!, onReject);
  const bytes = Buffer.from(texts.map((text) => `{"user":${text}}\n`).join(""));
  const position = { source: "<test>", isInFile: false, line: 1, byteOffset: 0 };
  const scan = scanner.scan({ bytes, position, consumed: 0 });
  return Array.from({ length: scan.count }, (_, i) => scan.key(i));
}

test.each(Object.keys(scanners))("the %s scanner takes equal numbers for one key", (name) => {
  const cases: readonly (readonly [key: unknown, ...texts: string[]])[] = [
    [0, "0", "-0", "-0.0", "0e999", "1e-400"],
    [0.1, "0.1", "0.10", "1e-1"],
    [10, "10", "100e-1", "10.0"],
    [9007199254740992, "9007199254740992", "9007199254740992.0", "9007199254740992e0"],
    [9007199254740993n, "9007199254740993", "9007199254740993.0", "9007199254740993e0"],
    [9007199254740993n, "9007199254740993000E-3", "0.9007199254740993e+16"],
    [-9007199254740993n, "-9007199254740993", "-9007199254740993.000"],
    [9007199254740994, "9007199254740993.5", "9007199254740994"],
    // String() of the double 1212092628029698048 tells another integer.
    [1212092628029698048n, "1212092628029698048"],
    [1212092628029698000, "1212092628029698000"],
    [12345678901234567890n, "12345678901234567890", "12345678901234567890.0"],
    [12345678901234567890n, "1.234567890123456789e19"],
    [1e23, "1e23", "100000000000000000000000", "1.0E+23"],
    [1.5e300, "1.5e300", `15${"0".repeat(299)}`],
    [10n ** 300n + 1n, `1${"0".repeat(299)}1`],
    [["a", [9007199254740993n, []], null, 1], '["a", [9007199254740993.0 ,[ ]] , null,1e0]'],
    [[[], 1], "[[],1]", " [ [ ] , 1.0 ] "],
  ];
  for (const [key, ...texts] of cases) expect(keysOf(name, texts)).toEqual(texts.map(() => key));
});

test.each(Object.keys(scanners))("integers are keys of the %s scanner with all digits", (name) => {
  const integer = fc
    .tuple(fc.integer({ min: 14, max: 25 }), fc.bigInt({ min: 0n, max: 10n ** 25n - 1n }))
    .map(([digits, n]) => 10n ** BigInt(digits - 1) + (n % (9n * 10n ** BigInt(digits - 1))));
  const near = fc.bigInt({ min: 2n ** 53n - 20n, max: 2n ** 53n + 20n });
  const signed = fc.tuple(fc.oneof(integer, near), fc.boolean()).map(([n, no]) => (no ? -n : n));
  fc.assert(
    fc.property(fc.array(signed, { minLength: 1, maxLength: 50 }), (integers) => {
      const keys = keysOf(name, integers.map(String));
      expect(keys).toEqual(integers.map((n) => exact(String(n))));
      expect(
        keys.map((key) => BigInt(String(key).replace(/^(-?)(\d)(?:\.(\d+))?e\+(\d+)$/, expanded))),
      ).toEqual(integers);
    }),
    { numRuns: runs },
  );
});

function expanded(_: string, sign: string, whole: string, fraction = "", exponent: string): string {
  return sign + whole + fraction.padEnd(Number(exponent), "0");
}

test.each(Object.keys(scanners))(
  "a number beyond all doubles is no key of the %s scanner",
  (name) => {
    const texts = ["1e400", "-1e400", `1${"0".repeat(309)}`, "[1,[1e999]]", "1"];
    const errors: string[] = [];
    const keys = keysOf(name, texts, ({ error }) => errors.push(error.message));
    expect(keys).toEqual([1]);
    expect(errors).toEqual(
      texts
        .slice(0, 4)
        .map(() => expect.stringContaining("has a number beyond 1.8e308 where its key should be")),
    );
  },
);

test("a line too deep for the fast scan, and a huge one, are read all the same", () => {
  const deep = `{"user":1,"d":${"[".repeat(5000)}${"]".repeat(5000)}}`;
  const huge = `{"pad":"${"x".repeat(40 << 20)}","user":"ann"}`;
  const { format } = readNdjson("none");
  const scanner = format.scanner(["user"]);
  const position = { source: "<test>", isInFile: false, line: 1, byteOffset: 0 };
  for (const [line, key] of [
    [deep, 1],
    [huge, "ann"],
  ] as const) {
    const scan = scanner.scan({ bytes: Buffer.from(`${line}\n`), position, consumed: 0 });
    expect(scan.count).toBe(1);
    expect(scan.key(0)).toBe(key);
  }
});
