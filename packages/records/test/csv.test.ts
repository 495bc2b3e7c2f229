import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
  encodeGroupKey,
  hashKey,
  openPart,
  type RecordsPart,
  readCsv,
  VALUE_KIND,
} from "@partd/records";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { CsvMatcher } from "../src/csv/csv-matcher.js";
import type { ByteBatch, Scan, Scanner } from "../src/records.js";
import { PlainScanner } from "../src/scan/plain-scanner.js";
import { WasmScanner } from "../src/scan/wasm-scanner.js";

const runs = Number(process.env["PARTD_FUZZ_RUNS"] ?? 200);
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "partd-records-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function* chunks(...texts: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield typeof text === "string" ? Buffer.from(text) : text;
}

async function rowsOf(text: string, options = {}): Promise<unknown[]> {
  const rows: unknown[] = [];
  for await (const row of readCsv(chunks(text), options)) rows.push(row);
  return rows;
}

test("quotes, newlines in them, CRLF, a byte order mark, blank lines, no last newline", async () => {
  const text = '\ufeffname,"the ""note"""\r\nann,"a, b\r\nc"\r\n\r\n"b ""ob""",\r\ncy,"x"';
  expect(await rowsOf(text)).toEqual([
    { name: "ann", 'the "note"': "a, b\r\nc" },
    { name: 'b "ob"', 'the "note"': "" },
    { name: "cy", 'the "note"': "x" },
  ]);
  expect(await rowsOf("1\t2\n", { delimiter: "\t", columns: ["a", "__proto__"] })).toEqual([
    Object.fromEntries([
      ["a", "1"],
      ["__proto__", "2"],
    ]),
  ]);
  expect(await rowsOf('a,b\n5",6\n', { quote: false })).toEqual([{ a: '5"', b: "6" }]);
});

test("a column without a name has its number", async () => {
  expect(await rowsOf('a,,b,""\n1,2,3,4\n')).toEqual([{ a: "1", 2: "2", b: "3", 4: "4" }]);
  const records = readCsv(chunks(",k\n1,2\n"));
  for await (const batch of records.batches()) {
    expect(records.format.scanner(["1"]).scan(batch).key(0)).toBe("1");
    expect(records.format.scanner([""]).scan(batch).missing(0)).toBe(true);
  }
  expect(records.format.header).toEqual(new TextEncoder().encode(",k\n"));
});

test.each([
  ["a,b\n1,2\n1,2,3\n", 3, 1, "has 3 fields where the header has 2"],
  ['a,b\n1,2\n1,x"y"\n', 3, 4, "has a quote inside a field without quotes"],
  ['a,b\n1,2\n"1"x,2\n', 3, 4, "has text behind a closing quote"],
  ['a,b\n1,"2\n\n3,4\n', 2, 3, "has a quote that is never closed"],
])("%j is an error with its place", async (text, line, column, what) => {
  const error = await rowsOf(text).catch((e: unknown) => e);
  expect(error).toMatchObject({ code: "ERR_PARTD_CORRUPT", line, column });
  expect((error as Error).message).toContain(what);
});

test("a file whose lines end in CR alone is refused, not read as one header", async () => {
  const rows = async (text: string) => {
    const found: object[] = [];
    for await (const row of readCsv(chunks(Buffer.from(text)))) found.push(row);
    return found;
  };
  await expect(rows("k,v\ra,1\rb,2\r")).rejects.toMatchObject({
    code: "ERR_PARTD_CORRUPT",
    line: 1,
    message: expect.stringContaining("LF or CRLF"),
  });
  expect(await rows('"k\r\n1",v\r\na,1\r\n')).toEqual([{ "k\r\n1": "a", v: "1" }]);
});

test("a second file has the same header, or is refused", async () => {
  const paths = ["a", "b", "c"].map((name) => join(folder, `${name}.csv`));
  for (const [i, text] of ["k,v\n1,2\n", "k,v\n3,4\n", "v,k\n5,6\n"].entries()) {
    await writeFile(paths[i]!, text);
  }
  const values: string[] = [];
  for await (const row of readCsv(paths.slice(0, 2))) values.push(row["v"]!);
  expect(values).toEqual(["2", "4"]);
  const all = async () => {
    for await (const row of readCsv(paths)) values.push(row["v"]!);
  };
  await expect(all()).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", path: paths[2], line: 1 });
});

test("cut anywhere into two pieces, rows are the same", async () => {
  const text = 'k,v\r\n"a\n""b""",1\r\n"",""\r\n,\r\n"\r\n\r\n",""""\r\né,"ü\n"\r\n';
  const whole = parse(text, { columns: true });
  const bytes = Buffer.from(text);
  for (let cut = 0; cut <= bytes.length; cut++) {
    for (const batchBytes of [16, 1 << 20]) {
      const records = readCsv(chunks(bytes.subarray(0, cut), bytes.subarray(cut)));
      const rows: unknown[] = [];
      for await (const batch of records.batches({ batchBytes })) {
        const scan = records.format.scanner([]).scan(batch);
        for (let i = 0; i < scan.count; i++) rows.push(records.format.parse(recordAt(scan, i)));
      }
      expect(rows).toEqual(whole);
    }
  }
});

test("split into parts at rows, never inside quotes", async () => {
  const path = join(folder, "split.csv");
  const rows = Array.from({ length: 40_000 }, (_, i) => `${i},"line\n${i % 7 ? "x" : '""\n'}"`);
  await writeFile(path, `k,v\n${rows.join("\n")}`);
  const parts = await readCsv(path).split(3);
  expect(parts).toHaveLength(3);
  const keys: number[] = [];
  for (const part of structuredClone(parts!)) {
    for await (const row of openPart<{ k: string }>(part)) keys.push(Number(row.k));
  }
  expect(keys).toEqual(Array.from({ length: 40_000 }, (_, i) => i));
});

describe("parts whose starts are guessed", () => {
  /** Rows of the parts in order, each opened where the one before it ended. */
  async function rowsOf(parts: readonly RecordsPart[]): Promise<{ rows: object[]; moved: number }> {
    const rows: object[] = [];
    let reached = 0;
    let moved = 0;
    for (const part of parts) {
      const start = part.isGuess ? reached : part.start;
      if (start !== part.start) moved++;
      const records = openPart<object>({ ...part, start });
      for await (const row of records) rows.push(row);
      reached = records.reached;
    }
    return { rows, moved };
  }

  test("a part ends with the row that crosses its end, wherever that is", async () => {
    const path = join(folder, "cross.csv");
    const text = 'k,v\r\n"a\n""b""",1\r\n"",""\r\n\n,\r\n"\r\n\r\n",""""\né,"ü\n"';
    await writeFile(path, text);
    const whole = parse(text, {
      columns: true,
      record_delimiter: ["\r\n", "\n"],
      skip_empty_lines: true,
    });
    const [{ start, end, ...part } = { start: 0, end: 0 }] = (await readCsv(path).split(1)) ?? [];
    for (let cut = start; cut <= end; cut++) {
      const pieces = [
        { ...part, start, end: cut },
        { ...part, start: cut, end, isGuess: true },
      ];
      expect((await rowsOf(pieces as RecordsPart[])).rows).toEqual(whole);
    }
  });

  test("cut at every byte", async () => {
    const path = join(folder, "cuts.csv");
    const cell = fc.string({
      unit: fc.constantFrom('"', "\n", ",", "\r\n", "a", "é", '""'),
      maxLength: 8,
    });
    const quoted = cell.map((text) => `"${text.replaceAll('"', '""')}"`);
    const rows = fc.array(fc.tuple(quoted, fc.oneof(quoted, fc.constantFrom("", "1", "x y"))));
    const check = fc.asyncProperty(rows, async (lines) => {
      const text = `k,v\n${lines.map((line) => line.join(",")).join("\n")}`;
      await writeFile(path, text);
      const parts = await readCsv(path).split(text.length, { guess: true });
      expect((await rowsOf(parts!)).rows).toEqual(parse(text, { columns: true }));
    });
    await fc.assert(check, { numRuns: 25 });
  });

  test("a field that looks like rows moves the parts behind it", async () => {
    const path = join(folder, "decoy.csv");
    const decoy = "1,2\n".repeat(6000);
    const text = `k,v\n1,2\n"${decoy}",3\n${"4,5\n".repeat(6000)}`;
    await writeFile(path, text);
    const parts = await readCsv(path).split(8, { guess: true });
    expect(parts).toHaveLength(8);
    const { rows, moved } = await rowsOf(parts!);
    expect(moved).toBeGreaterThan(3);
    expect(rows).toHaveLength(6002);
    expect(rows[1]).toEqual({ k: decoy, v: "3" });
  });

  test("quotes tell where rows begin", async () => {
    const path = join(folder, "plain.csv");
    const rows = Array.from({ length: 4000 }, (_, i) => `${i},"line\n${i % 7 ? "x," : '""\n'}"`);
    await writeFile(path, `k,v\n${rows.join("\n")}\n`);
    const parts = await readCsv(path).split(50, { guess: true });
    expect(parts).toHaveLength(50);
    const read = await rowsOf(parts!);
    expect(read).toMatchObject({ moved: 0, rows: { length: 4000 } });
  });
});

/** Fields that need quotes, and those that do not, written as either. */
const field = fc
  .tuple(
    fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 25 }),
      fc.constantFrom(
        "",
        "1",
        "1.50",
        "-0",
        "1e5",
        "01",
        '"',
        '""',
        "\n",
        "\r\n",
        ",",
        "\\",
        "\u0001",
      ),
    ),
    fc.boolean(),
  )
  .map(([text, quoted]) =>
    quoted || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text,
  );
const table = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom("\n", "\r\n"))
  .chain(([width, ending]) =>
    fc
      .array(fc.array(field, { minLength: width, maxLength: width }), {
        minLength: 1,
        maxLength: 12,
      })
      .map((rows) => ({ width, text: rows.map((row) => row.join(",") + ending).join("") })),
  );

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

test("both scanners agree with csv-parse", () => {
  let rows = 0;
  const distinct = new Set<string>();
  fc.assert(
    fc.property(table, fc.nat({ max: 3 }), ({ width, text }, column) => {
      distinct.add(text);
      const expected: string[][] = parse(text, { skip_empty_lines: true });
      const sought = column % width;
      const syntax = { delimiter: 0x2c, quote: true };
      const plans = [
        { columns: [sought], read: sought },
        { columns: [sought, -1], read: sought },
        { columns: [0, sought], read: sought },
        { columns: [sought], read: -1 },
      ];
      for (const { columns, read } of plans) {
        const batch: ByteBatch = {
          bytes: Buffer.from(text),
          position: { source: "<test>", isInFile: false, line: 1, byteOffset: 0 },
          consumed: 0,
        };
        const all = [...columns, read];
        const matcher = () => new CsvMatcher(syntax, width, all);
        const plan = { keys: columns.length, values: 1, onReject: undefined };
        const wasm = { name: "csv", ...syntax, width, columns: all } as const;
        const scanners: Scanner[] = [
          new PlainScanner(matcher(), plan),
          WasmScanner.create(wasm, matcher(), plan)!,
        ];
        for (const scanner of scanners) {
          const scan = scanner.scan(batch);
          expect(scan.count).toBe(expected.length);
          for (const [i, row] of expected.entries()) {
            rows++;
            const parts = columns.map((c) => (c < 0 ? undefined : row[c]));
            const key = encodeGroupKey(parts.length === 1 ? parts[0] : parts);
            const found = scan.keys.subarray(scan.keyStarts[i]!, scan.keyEnds[i]!);
            expect(Buffer.compare(found, key)).toBe(0);
            expect([scan.hashLow[i], scan.hashHigh[i]]).toEqual(Object.values(hashKey(key)));
            const [value] = parse(Buffer.from(recordAt(scan, i)).toString()) as string[][];
            expect(value).toEqual(row);
            const isNumber = scan.kinds(0)[i] === VALUE_KIND.number;
            expect(isNumber).toBe(NUMBER.test(row[read] ?? ""));
            if (isNumber) expect(scan.numbers(0)[i]).toBe(Number(row[read]));
          }
        }
      }
    }),
    { numRuns: runs },
  );
  console.log(`csv: ${rows} rows compared, ${distinct.size} distinct tables, 0 disagreements`);
});

test("both scanners reject the same rows of damaged text", () => {
  let rejections = 0;
  const damaged = fc.array(
    fc.constantFrom(
      '"',
      ",",
      "\n",
      "\r",
      "\r\n",
      "a",
      '""',
      '"x"',
      "é",
      "\\",
      "xxxxxxxxxxxxxxxxx",
      ",".repeat(64),
    ),
    { maxLength: 30 },
  );
  const sought = fc.constantFrom(0, 1);
  fc.assert(
    fc.property(damaged, fc.option(fc.nat({ max: 60 })), sought, (pieces, broken, column) => {
      const bytes = Buffer.from(`${pieces.join("")}\n`);
      if (broken !== null && broken < bytes.length - 1) bytes[broken] = 0xc3;
      const position = { source: "<test>", isInFile: false, line: 1, byteOffset: 0 };
      const outcomes = [true, false].map((isPlain) => {
        const rejected: string[] = [];
        const plan = {
          keys: 1,
          values: 0,
          onReject: (r: { bytes: Uint8Array; error: Error }) =>
            void rejected.push(`${Buffer.from(r.bytes).toString("latin1")} ${r.error.message}`),
        };
        const syntax = { delimiter: 0x2c, quote: true };
        const matcher = new CsvMatcher(syntax, 2, [column]);
        const scanner = isPlain
          ? new PlainScanner(matcher, plan)
          : WasmScanner.create(
              { name: "csv", ...syntax, width: 2, columns: [column] },
              matcher,
              plan,
            )!;
        const scan = scanner.scan({ bytes, position, consumed: 0 });
        rejections += rejected.length;
        return {
          rejected,
          bytes: Buffer.from(scan.bytes).toString("latin1"),
          ends: [...scan.ends.subarray(0, scan.count)],
          keys: Array.from({ length: scan.count }, (_, i) => scan.key(i)),
        };
      });
      expect(outcomes[1]).toEqual(outcomes[0]);
    }),
    { numRuns: 4 * runs },
  );
  expect(rejections).toBeGreaterThan(runs);
});

function recordAt({ bytes, ends }: Scan, i: number): Uint8Array {
  return bytes.subarray(i === 0 ? 0 : ends[i - 1]!, ends[i]!);
}

test("a stray quote spoils its own row, wherever batches are cut", async () => {
  const rejected: string[] = [];
  const records = readCsv(chunks('a,b\n5" x,1\n6,2\n7"",3\n8,4\n'), {
    onReject: ({ bytes }) => void rejected.push(Buffer.from(bytes).toString()),
  });
  const keys: unknown[] = [];
  const scanner = records.format.scanner(["a"]);
  for await (const batch of records.batches({ batchBytes: 16 })) {
    const scan = scanner.scan(batch);
    expect(batch.bytes.length).toBeLessThanOrEqual(16);
    for (let i = 0; i < scan.count; i++) keys.push(scan.key(i));
  }
  expect(keys).toEqual(["6", "8"]);
  expect(rejected).toEqual(['5" x,1\n', '7"",3\n']);
});
