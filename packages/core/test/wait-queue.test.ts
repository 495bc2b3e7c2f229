import { expect, test } from "@jest/globals";
import { WaitQueue } from "@partd/core/author";

test("the first to come is the first to be taken, and learns what the taker says", async () => {
  const queue = new WaitQueue<string>();
  const a = queue.wait("a");
  const b = queue.wait("b");
  const c = queue.wait("c");
  expect([queue.size, queue.first]).toEqual([3, "a"]);
  queue.take()?.resolve();
  await a;
  queue.take()?.reject(new Error("not b"));
  await expect(b).rejects.toThrow("not b");
  queue.resolveAll();
  await c;
  expect([queue.size, queue.first, queue.take()]).toEqual([0, undefined, undefined]);
});

test("whoever is aborted leaves the line, from wherever it stands", async () => {
  const queue = new WaitQueue<number>();
  const controllers = Array.from({ length: 100 }, () => new AbortController());
  let left = 0;
  const waits = controllers.map(({ signal }, i) =>
    queue.wait(i, signal, () => {
      left++;
    }),
  );
  const settled = Promise.allSettled(waits);
  for (const [i, controller] of controllers.entries()) {
    if (i % 10 !== 3) controller.abort(new Error(`gave up ${i}`));
  }
  expect([queue.size, queue.first, left]).toEqual([10, 3, 90]);
  const taken: number[] = [];
  for (let wait = queue.take(); wait; wait = queue.take()) {
    taken.push(wait.item);
    wait.resolve();
  }
  expect(taken).toEqual([3, 13, 23, 33, 43, 53, 63, 73, 83, 93]);
  for (const controller of controllers) controller.abort(); // Too late for those that were taken.
  const outcomes = (await settled).map(({ status }) => status);
  expect(outcomes.filter((status) => status === "fulfilled")).toHaveLength(10);
  expect(queue.size).toBe(0);
  await expect(waits[4]).rejects.toThrow("gave up 4");
});

test("one that is aborted before does not get into the line", async () => {
  const queue = new WaitQueue();
  const reason = new Error("before");
  await expect(queue.wait(undefined, AbortSignal.abort(reason))).rejects.toBe(reason);
  expect(queue.size).toBe(0);
});

test("those that wait now are all resolved, or all rejected", async () => {
  const queue = new WaitQueue<number>();
  const waits = [1, 2, 3].map((i) => queue.wait(i));
  queue.resolveAll();
  await Promise.all(waits);
  const others = [1, 2].map((i) => queue.wait(i, new AbortController().signal));
  queue.rejectAll("all");
  await expect(others[0]).rejects.toBe("all");
  await expect(others[1]).rejects.toBe("all");
});

test("100,000 in line, of whom half give up, are taken in linear time", async () => {
  const queue = new WaitQueue<number>();
  const controller = new AbortController();
  const waits = Promise.allSettled(
    Array.from({ length: 100_000 }, (_, i) =>
      queue.wait(i, i % 2 === 0 ? controller.signal : undefined),
    ),
  );
  controller.abort();
  let taken = 0;
  for (let wait = queue.take(); wait; wait = queue.take()) {
    wait.resolve();
    taken++;
  }
  expect(taken).toBe(50_000);
  await waits;
});
