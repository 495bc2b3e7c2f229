import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { DistinctBytes } from "../src/dictionaries.js";

test("numbers runs of bytes as a Map numbers texts, however many", () => {
  const run = fc.uint8Array({ maxLength: 3 });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 2000, size: "max" }), (runs) => {
      const distinct = new DistinctBytes();
      const numbers = new Map<string, number>();
      for (const bytes of runs) {
        const text = bytes.join();
        const number = numbers.get(text) ?? numbers.size;
        numbers.set(text, number);
        const around = Uint8Array.from([1, ...bytes, 2]);
        expect(distinct.add(around, 1, 1 + bytes.length)).toBe(number);
      }
      expect(distinct.count).toBe(numbers.size);
      const { bytes, offsets } = distinct;
      const kept = [...numbers.keys()].map((_, i) => bytes.subarray(offsets[i], offsets[i + 1]));
      expect(kept.map((one) => one.join())).toEqual([...numbers.keys()]);
    }),
    { numRuns: 20 },
  );
});

test("a run of many bytes, and a hundred thousand runs", () => {
  const distinct = new DistinctBytes();
  const long = new Uint8Array(100_000).fill(7);
  expect(distinct.add(long, 0, long.length)).toBe(0);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 100_000; i++) {
      if (distinct.add(Uint8Array.of(i, i >> 8, i >> 16), 0, 3) !== i + 1) throw new Error(`${i}`);
    }
  }
  expect(distinct.bytes.length).toBe(400_000);
});
