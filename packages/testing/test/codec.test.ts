import { describe, test } from "@jest/globals";
import { type Codec, Encode } from "@partd/core";
import { concatBytes } from "@partd/core/author";
import { codecContract } from "@partd/testing";
import fc from "fast-check";

const text = new TextEncoder();

/** Lists of numbers as JSON. */
const numbers: Codec<number[]> = {
  name: "numbers",
  encode(list) {
    if (!Array.isArray(list) || !list.every(Number.isFinite)) throw new TypeError("not numbers");
    return text.encode(JSON.stringify(list));
  },
  decode(bytes) {
    const list: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (!Array.isArray(list)) throw new TypeError("not a list");
    return list as number[];
  },
  join: (lists) => lists.flat(),
};

describe("a synchronous codec", () => {
  const contract = codecContract(numbers, [[1], [], [2.5, -3, 1e300]], {
    arbitrary: fc.array(fc.integer()),
    badBytes: [text.encode("{}"), text.encode("[1"), new Uint8Array([0xff])],
    unencodable: [[Number.NaN], "text", [1n]],
  });
  for (const { name, run } of contract) test(name, run);
});

describe("an asynchronous codec, as a decorator", () => {
  const later: Codec<Uint8Array> = {
    name: "later",
    async encode(bytes) {
      await null;
      return bytes.map((byte) => byte ^ 0x20);
    },
    async decode(bytes) {
      for (let i = 0; i < (bytes[0] ?? 0) % 4; i++) await null; // Not in the order of the frames.
      return bytes.map((byte) => byte ^ 0x20);
    },
    join: concatBytes,
  };
  const contract = codecContract(
    (store) => new Encode(store, later),
    [text.encode("a"), text.encode("value"), new Uint8Array(0)],
    { arbitrary: fc.uint8Array() },
  );
  for (const { name, run } of contract) test(name, run);
});
