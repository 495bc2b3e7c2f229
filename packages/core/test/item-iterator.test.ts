import { describe, expect, test } from "@jest/globals";
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
  const items = new ItemIterator(batches);
  const results = await Promise.all(Array.from({ length: 7 }, () => items.next()));
  expect(results.map(({ value }) => value)).toEqual([1, 2, 3, 4, 5, undefined, undefined]);
  expect(results.map(({ done }) => done)).toEqual([false, false, false, false, false, true, true]);
  expect(events).toEqual(["ended"]);
});

test("a loop that is left ends what gives the batches, and no item comes after that", async () => {
  const { batches, events } = source([[1, 2, 3], [4]]);
  const items = new ItemIterator(batches);
  for await (const item of items) if (item === 2) break;
  expect(events).toEqual(["ended"]);
  expect(await items.next()).toEqual({ value: undefined, done: true });
});

test("a call behind one that ends the iteration gets no item", async () => {
  const items = new ItemIterator(source([[1, 2, 3]]).batches);
  await items.next();
  const [ended, next] = await Promise.all([items.return(), items.next()]);
  expect([ended.done, next.done]).toEqual([true, true]);
});

test("a failure comes once, behind the items before it", async () => {
  const failure = new Error("the disk is gone");
  const items = new ItemIterator(source([[1]], failure).batches);
  const [first, second, third] = await Promise.allSettled([1, 2, 3].map(() => items.next()));
  expect(first).toMatchObject({ value: { value: 1 } });
  expect(second).toMatchObject({ reason: failure });
  expect(third).toMatchObject({ value: { done: true } });
});

test.each([1, 2, 3])("what the check says before item %d ends the iteration", async (item) => {
  const refusal = new Error("aborted");
  const { batches, events } = source([[1, 2], [3]]);
  let checks = 0;
  const check = () => {
    if (++checks === item) throw refusal;
  };
  const items = new ItemIterator(batches, { check });
  const found: number[] = [];
  const read = async () => {
    for await (const value of items) found.push(value);
  };
  await expect(read()).rejects.toBe(refusal);
  expect(found).toEqual([1, 2, 3].slice(0, item - 1));
  expect(events).toEqual(["ended"]);
  expect(await items.next()).toEqual({ value: undefined, done: true });
});

describe("leave", () => {
  /** Items that are left are noted among what becomes of the batches. */
  function leaving(batches: readonly (readonly number[])[], check?: () => void) {
    const given = source(batches);
    const leave = (item: number) => given.events.push(`left ${item}`);
    return { events: given.events, items: new ItemIterator(given.batches, { check, leave }) };
  }

  test("gets each item once, before the next batch is asked for", async () => {
    const { events, items } = leaving([[1, 2], [], [3]]);
    for await (const item of items) events.push(`got ${item}`);
    const each = (item: number) => [`got ${item}`, `left ${item}`];
    expect(events).toEqual([...each(1), ...each(2), ...each(3), "ended"]);
  });

  test("gets the item at which a loop is left, before the batches end", async () => {
    const { events, items } = leaving([[1, 2, 3]]);
    for await (const item of items) if (item === 2) break;
    expect(events).toEqual(["left 1", "left 2", "ended"]);
  });

  test.each([
    ["the check fails", (items: AsyncIterator<number>) => items.next()],
    ["an error is thrown in", (items: AsyncIterator<number>) => items.throw!(new Error("enough"))],
  ])("gets an item once if %s", async (_, end) => {
    let checks = 0;
    const { events, items } = leaving([[1, 2, 3]], () => {
      if (++checks === 2) throw new Error("enough");
    });
    await items.next();
    await expect(end(items)).rejects.toThrow("enough");
    expect(events).toEqual(["left 1", "ended"]);
    expect(await items.next()).toEqual({ value: undefined, done: true });
  });

  test("gets items of calls that overlap, in order", async () => {
    const { events, items } = leaving([[1], [2, 3]]);
    await Promise.all(Array.from({ length: 4 }, () => items.next()));
    expect(events).toEqual(["left 1", "left 2", "left 3", "ended"]);
  });
});
