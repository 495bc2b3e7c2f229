import { expect, test } from "@jest/globals";
import { Dict, tuple } from "@partd/core";
import { BatchEntries, toBatch } from "@partd/core/author";

const batch = {
  keys: ["x", "a/b", "x"],
  values: [new Uint8Array([1]), new Uint8Array([2]), new Uint8Array([3])],
  byteLength: 3,
};

test("a batch passes through as it is", () => {
  expect(toBatch(new BatchEntries(batch))).toBe(batch);
});

test("a batch is entries for a store that knows only those", () => {
  expect([...new BatchEntries(batch)]).toEqual([
    ["x", batch.values[0]],
    [tuple("a", "b"), batch.values[1]],
    ["x", batch.values[2]],
  ]);
});

test("a store appends it", async () => {
  await using store = new Dict();
  await store.append(new BatchEntries(batch));
  expect(await store.get(["x", tuple("a", "b")])).toEqual([
    new Uint8Array([1, 3]),
    new Uint8Array([2]),
  ]);
});
