import { expect, test } from "@jest/globals";
import { type FuzzOptions, fuzz } from "../dist/watch.js";
import { inputAt } from "../src/target.js";
import { targets } from "../src/targets.js";

const ours = new URL("../dist/targets.js", import.meta.url).href;
const faulty = new URL("./fixtures/faulty.mjs", import.meta.url).href;
const seen = async (target: string, options: Partial<FuzzOptions> = {}) => {
  const { inputs, violations } = await fuzz({
    module: faulty,
    target,
    from: 0,
    to: 40,
    ...options,
  });
  expect(inputs).toBe(options.to ?? 40);
  return violations.map(({ kind }) => kind);
};

test("a sound decoder has no violations", async () => {
  expect(await seen("sound", { to: 400, measureEvery: 100 })).toEqual([]);
});

test("a hang is seen by the CPU that it takes, and what follows is tried", async () => {
  expect(await seen("hangs", { budget: 500 })).toEqual(["hang"]);
});

test("memory that stays held is seen", async () => {
  expect(await seen("grows", { to: 400, measureEvery: 100 })).toEqual(["growth"]);
});

test("a decoder that takes all memory is ended, and the process lives", async () => {
  expect(await seen("takes all memory", { heap: 32, budget: 600_000 })).toEqual(["memory"]);
});

test("an error that comes later than from a read is seen, with the number of its input", async () => {
  const { violations } = await fuzz({ module: faulty, target: "fails later", from: 0, to: 40 });
  expect(violations).toEqual([
    { index: expect.any(Number), kind: "error", reason: expect.stringContaining("TypeError") },
  ]);
});

test("a number is the same input every time, and most differ", async () => {
  const [target] = targets;
  const seeds = (await target?.seeds()) ?? [];
  expect(inputAt(seeds, 7)).toEqual(inputAt(seeds, 7));
  const all = Array.from({ length: 100 }, (_, i) => String(inputAt(seeds, i)));
  expect(new Set(all).size).toBeGreaterThan(80);
});

test.each(targets.map(({ name }) => name))("%s: a few inputs", async (target) => {
  const { violations } = await fuzz({ module: ours, target, from: 0, to: 150, budget: 60_000 });
  expect(violations).toEqual([]);
});
