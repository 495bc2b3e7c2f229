import { expect, test } from "@jest/globals";
import { LastUsed } from "@partd/core/author";

test("what was used last stays, within the bytes", () => {
  const cache = new LastUsed<string, number>(100);
  cache.keep("a", 1, 40);
  cache.keep("b", 2, 40);
  expect(cache.get("a")).toBe(1);
  cache.keep("c", 3, 40);
  expect(["a", "b", "c"].map((key) => cache.has(key))).toEqual([true, false, true]);
  expect(cache.byteLength).toBe(80);
});

test("a value that takes the place of another, or goes, gives its bytes back", () => {
  const cache = new LastUsed<string, number>(100);
  cache.keep("a", 1, 90);
  cache.keep("a", 2, 10);
  expect([cache.get("a"), cache.byteLength]).toEqual([2, 10]);
  cache.delete("a");
  cache.delete("a");
  expect([cache.get("a"), cache.byteLength]).toEqual([undefined, 0]);
});

test("the bound is never exceeded, and a larger value pushes nothing out", () => {
  const cache = new LastUsed<number, number>(1000);
  for (let i = 0; i < 5000; i++) {
    cache.keep(i % 700, i, (i * 37) % 1300);
    expect(cache.byteLength).toBeLessThanOrEqual(1000);
  }
  const before = cache.byteLength;
  cache.keep(-1, 0, 1001);
  expect([cache.has(-1), cache.byteLength]).toEqual([false, before]);
});
