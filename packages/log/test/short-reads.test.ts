import { expect, test } from "@jest/globals";
import { LogStore } from "@partd/log";
import { bytes, directories, text } from "./directories.js";

const { next } = directories();

test("a get of many short stretches, each read on this thread, leaves others their turn", async () => {
  await using store = new LogStore(next());
  const filler = new Uint8Array(70_000);
  const keys = Array.from({ length: 256 }, (_, i) => `k${i}`);
  for (const key of keys)
    await store.append([[key, bytes(key)] as const, ["filler", filler] as const]);
  const { now } = performance;
  let late = 0;
  performance.now = () => now.call(performance) + late++;
  let turns = 0;
  let over = false;
  const turn = () => {
    turns++;
    if (!over) setImmediate(turn);
  };
  setImmediate(turn);
  try {
    expect((await store.get(keys)).map(text)).toEqual(keys);
  } finally {
    over = true;
    performance.now = now;
  }
  expect(turns).toBeGreaterThan(0);
});
