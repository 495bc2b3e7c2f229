import { expect, test } from "@jest/globals";
import { encodeGroupKey, hashKey, readNdjson, VALUE_KIND, valueAt } from "@partd/records";
import fc from "fast-check";
import { JsonMatcher } from "../src/json/json-matcher.js";
import { parseFieldPath } from "../src/key/field-path.js";
import type { OnReject, Scan, Scanner } from "../src/records.js";
import { PlainScanner } from "../src/scan/plain-scanner.js";
import { WasmScanner } from "../src/scan/wasm-scanner.js";
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
  const parts = fields.map((field) => valueAt(record, field));
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

test.each(Object.keys(scanners))("the %s scanner takes equal numbers for one key", (name) => {
  const texts = ["9007199254740993", "9007199254740992", "1e400", "-0", "0.10", "1e-7", "100e-1"];
  const expected = [
    "9007199254740992",
    "9007199254740992",
    "\u0005Infinity",
    "0",
    "0.1",
    "1e-7",
    "10",
  ];
  const scanner = scanners[name]!(plans[0]!, () => {});
  const bytes = Buffer.from(texts.map((text) => `{"user":${text}}\n`).join(""));
  const position = { source: "<test>", isInFile: false, line: 1, byteOffset: 0 };
  const scan = scanner.scan({ bytes, position, consumed: 0 });
  const keys = expected.map((_, i) =>
    Buffer.from(scan.keys.subarray(scan.keyStarts[i], scan.keyEnds[i])).toString(),
  );
  expect(keys).toEqual(expected);
});

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
