import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { oneAhead } from "../src/run/one-ahead.js";

const pieceOf = (i: number) => Uint8Array.of(i);

test("one piece is made ahead, errors come in their place, and leaving ends the source", async () => {
  const log: string[] = [];
  async function* pieces(): AsyncGenerator<Uint8Array> {
    try {
      for (let i = 0; i < 5; i++) {
        log.push(`made ${i}`);
        if (i === 3) throw new Error("no fourth piece");
        yield pieceOf(i);
      }
    } finally {
      log.push("ended");
    }
  }
  const reader = oneAhead(pieces());
  expect(log).toEqual([]);
  expect(await reader.next()).toEqual({ value: pieceOf(0), done: false });
  // The reader comes first, and one piece is made while it is busy, however long.
  expect(log).toEqual(["made 0"]);
  for (let i = 0; i < 3; i++) await turn();
  expect(log).toEqual(["made 0", "made 1"]);
  expect(await reader.next()).toEqual({ value: pieceOf(1), done: false });
  expect(await reader.next()).toEqual({ value: pieceOf(2), done: false });
  for (let i = 0; i < 3; i++) await turn();
  expect(log.slice(-2)).toEqual(["made 3", "ended"]);
  await expect(reader.next()).rejects.toThrow("no fourth piece");

  log.length = 0;
  const left = oneAhead(pieces());
  await left.next();
  await left.return(undefined);
  expect(log.at(-1)).toBe("ended");
});

test("nothing is made ahead of a large piece", async () => {
  let made = 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    while (made < 3) {
      made++;
      yield new Uint8Array(made === 2 ? 4 << 20 : 1);
    }
  }
  const reader = oneAhead(pieces());
  await reader.next();
  await reader.next();
  for (let i = 0; i < 3; i++) await turn();
  expect(made).toBe(2);
  expect((await reader.next()).done).toBe(false);
  expect((await reader.next()).done).toBe(true);
});
