import { describe, expect, test } from "@jest/globals";
import { Gathering } from "../src/gathering.js";

const BYTES = 1000;

/** Bytes of memory that are full when `meeting` appends to each of `keyCount` keys lie there. */
function memoryFor(keyCount: number, meeting: number): number {
  return keyCount * (350 + meeting * BYTES);
}

/** Counts an append to each of `keyCount` keys, `rounds` times over. */
function add(gathering: Gathering, keyCount: number, rounds: number): void {
  const keys = Array.from({ length: keyCount }, (_, i) => `key-${i}`);
  const batch = { keys, values: [], byteLength: keyCount * BYTES };
  for (let round = 0; round < rounds; round++) gathering.add(batch);
}

describe("whether 40 appends that meet are worth gathering", () => {
  test("they are of 12,000 keys", () => {
    const gathering = new Gathering(memoryFor(12_000, 40));
    add(gathering, 12_000, 2);
    expect(gathering.isInVain).toBe(false);
  });

  test("they are not of 20,000, of which no cache has room; 160 are", () => {
    const gathering = new Gathering(memoryFor(20_000, 40));
    add(gathering, 20_000, 1);
    expect(gathering.isInVain).toBe(true);
    const larger = new Gathering(memoryFor(20_000, 160));
    add(larger, 20_000, 2);
    expect(larger.isInVain).toBe(false);
  });
});
