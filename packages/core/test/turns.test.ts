import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { Dict, type KeysOptions, tuple } from "@partd/core";

const KEYS = Array.from({ length: 20_000 }, (_, i) => tuple("p", `k${(i * 7_919) % 20_000}`));
const { now } = performance;
let turns = 0;
let over = false;

/** To whoever reads it, the clock says that much time has passed. */
beforeEach(() => {
  let late = 0;
  performance.now = () => {
    late += 4;
    return now.call(performance) + late;
  };
  over = false;
  const turn = () => {
    turns++;
    if (!over) setImmediate(turn);
  };
  turn();
});

afterEach(() => {
  over = true;
  performance.now = now;
});

/** The turns of the event loop that others had while `work` ran. */
async function turnsOf(work: () => Promise<unknown>): Promise<number> {
  const before = turns;
  await work();
  return turns - before;
}

async function drain(items: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of items) count++;
  return count;
}

test.each<[string, KeysOptions]>([
  ["all", {}],
  ["sorted", { sorted: true }],
  ["of a prefix", { prefix: "p" }],
  ["of a prefix that none has", { prefix: "q" }],
])("a listing of many keys in memory leaves others their turn: %s", async (_, options) => {
  await using store = new Dict();
  await store.append(KEYS.map((key) => [key, Uint8Array.of(1)] as const));
  expect(await turnsOf(() => drain(store.keys(options)))).toBeGreaterThan(100);
  expect(await turnsOf(() => drain(store.entries(options)))).toBeGreaterThan(100);
});

test("many keys are sorted as a few are", async () => {
  await using store = new Dict();
  for (const count of [0, 1, 4_096, 4_097, 8_192, 12_289, 20_000]) {
    const keys = KEYS.slice(0, count);
    await store.append(keys.map((key) => [key, Uint8Array.of(1)] as const));
    const sorted: string[] = [];
    for await (const key of store.keys({ sorted: true })) sorted.push(String(key));
    expect(sorted).toEqual(keys.map(String).sort());
    await store.drop();
  }
});

test("a long value in memory is read with rests, and can be given up", async () => {
  await using store = new Dict();
  const pieces = Array.from({ length: 20 }, (_, i) => new Uint8Array(3_000_000).fill(i));
  for (const piece of pieces) await store.append({ x: piece });
  const whole = Buffer.concat(pieces);
  let read: Uint8Array | undefined;
  const others = await turnsOf(async () => {
    read = await store.get("x");
  });
  expect(others).toBeGreaterThan(2);
  expect(whole.equals(read as Uint8Array)).toBe(true);
  const giveUp = new AbortController();
  const given = store.get("x", { signal: giveUp.signal });
  giveUp.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
});
