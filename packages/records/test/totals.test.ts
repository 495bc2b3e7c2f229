import { describe, expect, test } from "@jest/globals";
import { type ByteBatch, decodeGroupKey, readCsv, readNdjson, VALUE_KIND } from "@partd/records";

const SEED = 0x5eed;

/** Numbers from 0 to `below`, always the same. */
function numbersFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 0x915f77f5) + 0x3c6ef35f) >>> 0;
    return (state >>> 8) % below;
  };
}

/** Keys about as long as a slot's prefix, of several types, in several spellings, or not there. */
function jsonLine(below: (n: number) => number): string {
  const keys = [
    () => `"${"k".repeat(below(20))}${below(500)}"`,
    () => `"${"long".repeat(8)}${below(50)}"`,
    () => `"${"x".repeat(13)}${below(2) ? "a" : "b"}"`,
    () =>
      ["1", "1.0", "1e0", "1e20", "-0", "0", "null", "true", '"1"', '"\\u0041"', '"é"'][below(11)],
  ];
  const values = [
    () => below(100) - 50,
    () => below(1000) / 8,
    () => ["null", "1e3", "-0", "0", "1e400", "123456789012345678901"][below(6)],
  ];
  const user = below(9) === 0 ? "" : `"user":${keys[below(4)]!()},`;
  const ms = below(9) === 0 ? "" : `"ms":${values[below(3)]!()},`;
  return below(40) === 0 ? "\n" : `{${user}${ms}"n":${below(5)}}\n`;
}

function batchOf(text: string): ByteBatch {
  const position = { source: "<stream>", isInFile: false, line: 1, byteOffset: 0 };
  return { bytes: new TextEncoder().encode(text), position, consumed: text.length };
}

type Row = { n: number; counts: number[]; sums: number[]; minima: number[]; maxima: number[] };

describe("totals by key", () => {
  const values = ["ms", "n"];

  test.each([["user"], ["user", "n"]])("are those of each record (%s %s)", (...fields) => {
    const by = fields.filter((field) => field !== undefined);
    const { format } = readNdjson([]);
    const scanner = format.scanner(by, { values, totals: true });
    const plain = format.scanner(by, { values });
    const expected = new Map<string, Row>();
    const below = numbersFrom(SEED);
    for (let round = 0; round < 30; round++) {
      const firsts: number[] = [];
      const lines = Array.from({ length: 1 + below(400) }, () => jsonLine(below));
      // New keys all the time: the table grows, and moves the input.
      for (let i = 0; i < 100; i++) lines.push(`{"user":"${round} ${i}","ms":${i},"n":0}\n`);
      const batch = batchOf(lines.join(""));
      const scan = plain.scan(batch);
      for (let i = 0; i < scan.count; i++) {
        const key = scan.keys.subarray(scan.keyStarts[i], scan.keyEnds[i]);
        const text = Buffer.from(key).toString("latin1");
        if (!expected.has(text)) firsts.push(i);
        const row = expected.get(text) ?? {
          n: 0,
          counts: [0, 0],
          sums: [0, 0],
          minima: [Infinity, Infinity],
          maxima: [-Infinity, -Infinity],
        };
        expected.set(text, row);
        row.n++;
        for (const v of [0, 1]) {
          if (scan.kinds(v)[i] !== VALUE_KIND.number) continue;
          const number = scan.numbers(v)[i]!;
          row.counts[v]!++;
          row.sums[v]! += number;
          row.minima[v] = Math.min(row.minima[v]!, number);
          row.maxima[v] = Math.max(row.maxima[v]!, number);
        }
      }
      expect(scanner.totals?.add(scanner.scan(batch))).toBe(true);
      expect(scanner.totals!.firsts().join()).toBe(firsts.join());
    }
    const found = scanner.totals!.take();
    expect(found.count).toBe(expected.size);
    let start = 0;
    const rows = Array.from({ length: found.count }, (_, i) => {
      const end = found.keyEnds[i]!;
      const text = Buffer.from(found.keys.subarray(start, end)).toString("latin1");
      start = end;
      const of = (name: "counts" | "sums" | "minima" | "maxima") =>
        found.values.map((column) => column[name][i]!);
      const row = { n: found.records[i]!, counts: of("counts"), sums: of("sums") };
      return [text, { ...row, minima: of("minima"), maxima: of("maxima") }] as const;
    });
    // Also in the order of their first records.
    expect(JSON.stringify(rows) === JSON.stringify([...expected])).toBe(true);
  });

  test("take a batch whole or not at all", () => {
    const scanner = readNdjson([]).format.scanner(["user"], { values: ["ms"], totals: true });
    const first = scanner.scan(batchOf('{"user":"a","ms":1}\n{"user":"b","ms":2}\n'));
    expect(scanner.totals!.add(first)).toBe(true);
    for (const other of ['"text"', "true", "[1]", "{}"]) {
      const scan = scanner.scan(batchOf(`{"user":"c","ms":1}\n{"user":"a","ms":${other}}\n`));
      expect(scanner.totals!.add(scan)).toBe(false);
    }
    expect(scanner.totals!.add(first)).toBe(false); // Its memory is that of another scan.
    const { count, records, values } = scanner.totals!.take();
    expect([count, [...records], [...values[0]!.sums]]).toEqual([2, [1, 1], [1, 2]]);
  });

  test("of CSV", async () => {
    const rows = Array.from({ length: 5000 }, (_, i) => `"k ${i % 1300}",${i % 7 ? i : ""}\n`);
    const text = `user,ms\n${rows.join("")}`;
    const records = readCsv([new TextEncoder().encode(text)]);
    const scanner = records.format.scanner(["user"], { values: ["ms"], totals: true });
    for await (const batch of records.batches({ batchBytes: 4000 })) {
      const scan = scanner.scan(batch);
      expect(scanner.totals?.add(scan)).toBe(true);
    }
    const { count, keys, keyEnds, values } = scanner.totals!.take();
    expect([count, decodeGroupKey(keys, keyEnds[0], keyEnds[1])]).toEqual([1300, "k 1"]);
    expect(values[0]!.sums[1]).toBe([1, 1301, 2601, 3901].reduce((a, i) => a + (i % 7 ? i : 0), 0));
    expect(values[0]!.counts[0]).toBe([0, 1300, 2600, 3900].filter((i) => i % 7).length);
  });
});
