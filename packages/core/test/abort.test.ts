import { expect, jest, test } from "@jest/globals";
import { onAbort, unlessAborted } from "@partd/core/author";

test("listeners of a signal share one registration, and are called once", () => {
  const controller = new AbortController();
  const add = jest.spyOn(controller.signal, "addEventListener");
  const called: string[] = [];
  onAbort(controller.signal, () => called.push("a"));
  const forget = onAbort(controller.signal, () => called.push("b"));
  onAbort(controller.signal, () => {
    called.push("c");
    forgetLast();
  });
  const forgetLast = onAbort(controller.signal, () => called.push("d"));
  forget();
  forget();
  expect(add).toHaveBeenCalledTimes(1);
  controller.abort();
  controller.abort();
  expect(called).toEqual(["a", "c"]);
});

test("signals are apart", () => {
  const [one, other] = [new AbortController(), new AbortController()];
  let calls = 0;
  onAbort(one.signal, () => calls++);
  other.abort();
  expect(calls).toBe(0);
  one.abort();
  expect(calls).toBe(1);
});

test("unlessAborted gives the answer, the error, or the signal's reason, whichever is first", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const error = new Error("from the promise");
  expect(await unlessAborted(Promise.resolve(1), undefined)).toBe(1);
  expect(await unlessAborted(Promise.resolve(2), signal)).toBe(2);
  await expect(unlessAborted(Promise.reject(error), signal)).rejects.toBe(error);
  let fail!: (error: Error) => void;
  const never = new Promise<void>((_, reject) => {
    fail = reject;
  });
  const waiting = unlessAborted(never, signal);
  controller.abort("reason");
  await expect(waiting).rejects.toBe("reason");
  await expect(unlessAborted(Promise.resolve(3), signal)).rejects.toBe("reason");
  await expect(unlessAborted(Promise.reject(error), signal)).rejects.toBe("reason");
  fail(error); // No one waits any more: it is not unhandled.
  await new Promise<void>((resolve) => setImmediate(resolve));
});
