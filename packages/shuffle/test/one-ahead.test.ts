import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { oneAhead } from "../src/run/one-ahead.js";

test("one piece is made ahead, errors come in their place, and leaving ends the source", async () => {
  const log: string[] = [];
  async function* pieces(): AsyncGenerator<number> {
    try {
      for (let i = 0; i < 5; i++) {
        log.push(`made ${i}`);
        if (i === 3) throw new Error("no fourth piece");
        yield i;
      }
    } finally {
      log.push("ended");
    }
  }
  const reader = oneAhead(pieces());
  expect(log).toEqual([]);
  expect(await reader.next()).toEqual({ value: 0, done: false });
  // The reader comes first, and one piece is made while it is busy, however long.
  expect(log).toEqual(["made 0"]);
  for (let i = 0; i < 3; i++) await turn();
  expect(log).toEqual(["made 0", "made 1"]);
  expect(await reader.next()).toEqual({ value: 1, done: false });
  expect(await reader.next()).toEqual({ value: 2, done: false });
  for (let i = 0; i < 3; i++) await turn();
  expect(log.slice(-2)).toEqual(["made 3", "ended"]);
  await expect(reader.next()).rejects.toThrow("no fourth piece");

  log.length = 0;
  const left = oneAhead(pieces());
  await left.next();
  await left.return(undefined);
  expect(log.at(-1)).toBe("ended");
});
