import { describe, expect, test } from "@jest/globals";
import { aggregate, first, last, max, min, type Progress, reduceBy } from "@partd/shuffle";
import { heapSize } from "../src/source/heap-size.js";
import { LITTLE } from "./workload.js";

const KEYS = 24;
const LENGTH = 50_000;

interface Row {
  readonly key: number;
  readonly text: string;
}

/** Two texts a key: 2.4 MB in all, of which each record is a small part. */
function* rows(): Generator<Row> {
  for (const letter of ["a", "b"]) {
    for (let key = 0; key < KEYS; key++) yield { key, text: letter.repeat(LENGTH) };
  }
}

const texts = (letter: string) =>
  new Map(Array.from({ length: KEYS }, (_, key) => [key, letter.repeat(LENGTH)]));

async function spilledBy<V>(
  run: (onProgress: (progress: Progress) => void) => Promise<V>,
): Promise<{ spilled: number; result: V }> {
  let spilled = 0;
  const result = await run(({ bytesSpilled }) => {
    spilled = bytesSpilled;
  });
  return { spilled, result };
}

describe("states count what they hold", () => {
  test.each([
    ["first", first<Row, string>("text"), "a"],
    ["last", last<Row, string>("text"), "b"],
    ["min", min<Row, string>("text"), "a"],
    ["max", max<Row, string>("text"), "b"],
    ["a function", last<Row, string>(({ text }) => text), "b"],
  ] as const)("%s", async (_name, text, letter) => {
    const { spilled, result } = await spilledBy(async (onProgress) => {
      const options = { by: "key", memory: LITTLE, onProgress, select: { text } } as const;
      const result: Map<number, { text: string | undefined }> = await aggregate(
        rows(),
        options,
      ).toMap();
      return result;
    });
    expect(spilled).toBeGreaterThan(0);
    const expected = [...texts(letter)].map(([key, text]) => [key, { text }] as const);
    expect(result).toEqual(new Map(expected));
  });

  test.each([
    ["text", (): unknown => "", (_: unknown, { text }: Row): unknown => text],
    [
      "an object",
      (): unknown => ({ text: "" }),
      (state: unknown, { text }: Row): unknown => {
        (state as { text: string }).text = text;
        return state;
      },
    ],
  ] as const)("%s of a caller's own", async (name, initial, reduce) => {
    const { spilled, result } = await spilledBy((onProgress) =>
      reduceBy<Row, "key", unknown>(rows(), {
        by: "key",
        memory: LITTLE,
        onProgress,
        initial,
        reduce: reduce as (state: unknown, row: Row) => unknown,
      }).toMap(),
    );
    expect(spilled).toBeGreaterThan(0);
    const expected = [...texts("b")].map(
      ([key, text]) => [key, name === "text" ? text : { text }] as const,
    );
    expect(result).toEqual(new Map<number, unknown>(expected));
  });
});

describe("states of a caller's own that grow with each record", () => {
  const many = function* (records: number): Generator<Row> {
    for (let i = 0; i < records; i++) yield { key: i % KEYS, text: `${i}`.padEnd(1000, "x") };
  };
  const collect = (records: number) =>
    reduceBy(many(records), {
      by: "key",
      memory: LITTLE,
      initial: (): Row[] => [],
      reduce: (rows, row) => {
        rows.push(row);
        return rows;
      },
    });

  test("are an error before they are twice what memory is", async () => {
    let read = 0;
    const counted = function* () {
      for (const row of many(1e6)) {
        read++;
        yield row;
      }
    };
    const grown = reduceBy(counted(), {
      by: "key",
      memory: LITTLE,
      initial: () => "",
      reduce: (text, row) => text + row.text,
    });
    await expect(grown.toArray()).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      message: expect.stringMatching(
        /^The states of 24 keys have grown to about \d+ MB, .*groupBy/,
      ),
    });
    // A character takes up to two bytes, and a batch may be read ahead.
    expect(read * 1000).toBeLessThan(2 * LITTLE);
    await expect(collect(1e6).toArray()).rejects.toThrow(
      "read the records of each key with groupBy",
    );
  });

  test("are none while they fit", async () => {
    const results = await collect(200).toArray();
    expect(results.flatMap(([, rows]) => rows)).toHaveLength(200);
  });
});

describe("heapSize", () => {
  test("counts text, bytes and what objects hold", () => {
    expect(heapSize(1.5)).toBe(0);
    for (const value of [
      "é".repeat(1000),
      new Uint8Array(2000),
      { a: { b: ["x".repeat(1000)] } },
      new Map([["k", "x".repeat(1000)]]),
      new Set(["x".repeat(1000)]),
      1n << 16000n,
    ]) {
      expect(heapSize(value)).toBeGreaterThanOrEqual(2000);
      expect(heapSize(value)).toBeLessThan(2500);
    }
  });

  test("ends for cycles, deep lists, and references to all there is", () => {
    const cycle: { next?: unknown; text: string } = { text: "x".repeat(100) };
    cycle.next = cycle;
    expect(heapSize(cycle)).toBeLessThan(100_000);
    let list: unknown;
    for (let i = 0; i < 100_000; i++) list = { list };
    expect(heapSize(list)).toBeGreaterThan(50_000);
    // A thousand stand for the others.
    const many = Array.from({ length: 10_000 }, () => ({ text: "x".repeat(100) }));
    const exact = 10_000 * heapSize(many[0]);
    expect(heapSize(many)).toBeGreaterThan(exact);
    expect(heapSize(many)).toBeLessThan(2 * exact);
  });
});
