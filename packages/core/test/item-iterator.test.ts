import { expect, test } from "@jest/globals";
import { ItemIterator } from "../src/async/item-iterator.js";

/** Batches of numbers, and what becomes of them. */
function source(batches: readonly (readonly number[])[], failure?: Error) {
  const events: string[] = [];
  async function* give() {
    try {
      for (const batch of batches) yield batch;
      if (failure) throw failure;
    } finally {
      events.push("ended");
    }
  }
  return { events, batches: give() };
}

test("items come in order, also past empty batches and to calls that overlap", async () => {
  const { batches, events } = source([[], [1, 2], [], [3], [4, 5], []]);
  const items = new ItemIterator(batches, () => {});
  const results = await Promise.all(Array.from({ length: 7 }, () => items.next()));
  expect(results.map(({ value }) => value)).toEqual([1, 2, 3, 4, 5, undefined, undefined]);
  expect(results.map(({ done }) => done)).toEqual([false, false, false, false, false, true, true]);
  expect(events).toEqual(["ended"]);
});

test("a loop that is left ends what gives the batches, and no item comes after that", async () => {
  const { batches, events } = source([[1, 2, 3], [4]]);
  const items = new ItemIterator(batches, () => {});
  for await (const item of items) if (item === 2) break;
  expect(events).toEqual(["ended"]);
  expect(await items.next()).toEqual({ value: undefined, done: true });
});

test("a call behind one that ends the iteration gets no item", async () => {
  const items = new ItemIterator(source([[1, 2, 3]]).batches, () => {});
  await items.next();
  const [ended, next] = await Promise.all([items.return(), items.next()]);
  expect([ended.done, next.done]).toEqual([true, true]);
});

test("a failure comes once, behind the items before it", async () => {
  const failure = new Error("the disk is gone");
  const items = new ItemIterator(source([[1]], failure).batches, () => {});
  const [first, second, third] = await Promise.allSettled([1, 2, 3].map(() => items.next()));
  expect(first).toMatchObject({ value: { value: 1 } });
  expect(second).toMatchObject({ reason: failure });
  expect(third).toMatchObject({ value: { done: true } });
});

test.each([1, 2, 3])("what the check says before item %d ends the iteration", async (item) => {
  const refusal = new Error("aborted");
  const { batches, events } = source([[1, 2], [3]]);
  let checks = 0;
  const items = new ItemIterator(batches, () => {
    if (++checks === item) throw refusal;
  });
  const found: number[] = [];
  const read = async () => {
    for await (const value of items) found.push(value);
  };
  await expect(read()).rejects.toBe(refusal);
  expect(found).toEqual([1, 2, 3].slice(0, item - 1));
  expect(events).toEqual(["ended"]);
  expect(await items.next()).toEqual({ value: undefined, done: true });
});
