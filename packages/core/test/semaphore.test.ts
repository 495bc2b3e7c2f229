import { expect, test } from "@jest/globals";
import { Semaphore } from "@partd/core/author";

test("so many run at once, and the others in the order in which they came", async () => {
  const semaphore = new Semaphore(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const runs = [0, 1, 2, 3, 4].map((i) =>
    semaphore.run(async () => {
      begun.push(i);
      await new Promise<void>((resolve) => ends.push(resolve));
      return i;
    }),
  );
  expect(begun).toEqual([0, 1]); // Before run() returned.
  ends[1]?.();
  await runs[1];
  expect(begun).toEqual([0, 1, 2]);
  ends[0]?.();
  ends[2]?.();
  await runs[2];
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  ends[3]?.();
  ends[4]?.();
  expect(await Promise.all(runs)).toEqual([0, 1, 2, 3, 4]);
});

test("work that fails lets the next one run, and its caller has the reason", async () => {
  const semaphore = new Semaphore(1);
  const failed = semaphore.run(() => Promise.reject(new Error("no")));
  const thrown = semaphore.run(() => {
    throw new Error("nor this");
  });
  const next = semaphore.run(async () => "yes");
  await expect(failed).rejects.toThrow("no");
  await expect(thrown).rejects.toThrow("nor this");
  expect(await next).toBe("yes");
});
