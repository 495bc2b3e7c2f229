import { describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import fc from "fast-check";
import { compressSync, uncompressSync } from "snappy";
import { uncompress } from "snappyjs";
import * as everywhere from "../src/engine.js";
import * as node from "../src/engine.node.js";
import { readDecodedSize } from "../src/format.js";
import { Snappy, snappyCodec } from "../src/index.js";

/** Bytes with repetitions near and far, long literals and runs. */
const compressible = fc
  .array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 400 })), {
    maxLength: 20,
  })
  .map((parts) => Uint8Array.from(parts.flatMap(([bytes, times]) => repeat(bytes, times))));

describe.each([
  ["everywhere", everywhere],
  ["node", node],
])("the engine %s", (_, engine) => {
  const decode = async (bytes: Uint8Array) => engine.decompress(bytes, readDecodedSize(bytes));

  test("reads what it and the others wrote", async () => {
    await fc.assert(
      fc.asyncProperty(compressible, async (bytes) => {
        const written = await engine.compress(bytes);
        expect(await decode(written)).toEqual(bytes);
        expect(uncompress(written)).toEqual(bytes);
        expect(await decode(new Uint8Array(compressSync(bytes)))).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });

  test("reads and writes many bytes, and lets other work run meanwhile", async () => {
    const bytes = new Uint8Array(40_000_003);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * i) >> (i & 7);
    let turns = 0;
    let turn = setImmediate(function next() {
      turns++;
      turn = setImmediate(next);
    });
    const written = await engine.compress(bytes);
    expect(turns).toBeGreaterThan(0);
    turns = 0;
    const read = await decode(written);
    clearImmediate(turn);
    expect(turns).toBeGreaterThan(0);
    expect(Buffer.compare(read, bytes)).toBe(0);
    expect(
      Buffer.compare(new Uint8Array(uncompressSync(Buffer.from(written)) as Buffer), bytes),
    ).toBe(0);
    await expect(decode(written.subarray(0, -1))).rejects.toThrow();
  });

  test("gives plain arrays for a Buffer and for a view", async () => {
    const written = await engine.compress(Buffer.from("hello hello hello hello hello"));
    expect(Object.getPrototypeOf(written)).toBe(Uint8Array.prototype);
    const around = new Uint8Array(written.byteLength + 6);
    around.set(written, 3);
    const read = await decode(around.subarray(3, -3));
    expect(Object.getPrototypeOf(read)).toBe(Uint8Array.prototype);
    expect(new TextDecoder().decode(read)).toBe("hello hello hello hello hello");
  });

  test("reads copies with distances of one, two and four bytes", async () => {
    // "abcd", then 4 bytes from 4 before, 5 from 8 before, 6 from 2 before.
    const bytes = [19, 3 << 2, 97, 98, 99, 100, 1, 4, (4 << 2) | 2, 8, 0, (5 << 2) | 3, 2, 0, 0, 0];
    expect(new TextDecoder().decode(await decode(Uint8Array.from(bytes)))).toBe(
      "abcdabcdabcdadadada",
    );
  });

  test.each<[string, number[]]>([
    ["nothing at all", []],
    ["a length that does not end", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ["a length over 32 bits", [0xff, 0xff, 0xff, 0xff, 0x1f, 0, 1]],
    ["a length that so few bytes cannot reach", [0x80, 0x80, 0x80, 0x80, 0x04, 0, 1]],
    ["fewer bytes than it says", [5, 0, 97]],
    ["more bytes than it says", [1, 1 << 2, 97, 98]],
    ["a literal cut short", [4, 3 << 2, 97, 98]],
    ["a literal of a negative length", [4, 63 << 2, 0xf9, 0xff, 0xff, 0xff]],
    ["a literal's length cut short", [4, 61 << 2, 3]],
    ["a copy from before the start", [8, 3 << 2, 97, 98, 99, 100, 1, 5]],
    ["a copy of distance zero", [8, 3 << 2, 97, 98, 99, 100, 1, 0]],
    ["a copy of a negative distance", [5, 0, 97, (3 << 2) | 3, 0xff, 0xff, 0xff, 0xff]],
    ["a copy cut short", [8, 3 << 2, 97, 98, 99, 100, (3 << 2) | 2, 4]],
    ["a copy past the end", [7, 3 << 2, 97, 98, 99, 100, 1, 4]],
  ])("refuses %s", async (_, bytes) => {
    await expect(decode(Uint8Array.from(bytes))).rejects.toThrow();
  });
});

describe("Snappy", () => {
  test("refuses to decode to more than the limit, before it takes memory", async () => {
    const store = new Dict();
    await new Snappy(store).append({ x: new Uint8Array(1_000_000) });
    await expect(new Snappy(store, { maxDecodedBytes: 999_999 }).get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
      key: "x",
      offset: 0,
      message: expect.stringContaining("999999"),
    });
    const p = new Snappy(store, { maxDecodedBytes: 1_000_000 });
    expect((await p.get("x")).byteLength).toBe(1_000_000);
  });

  test("refuses what is not bytes, naming the key", async () => {
    // @ts-expect-error a string is not bytes
    await expect(new Snappy(new Dict()).append({ x: "text" })).rejects.toMatchObject({
      code: "ERR_PARTD_VALUE",
      key: "x",
    });
  });

  test.each([0, 0.5, -1, Number.NaN])("refuses a limit of %s", (maxDecodedBytes) => {
    expect(() => snappyCodec({ maxDecodedBytes })).toThrow(
      expect.objectContaining({ code: "ERR_PARTD_VALUE" }),
    );
  });
});

function repeat(bytes: Uint8Array, times: number): number[] {
  return Array.from({ length: times }, () => [...bytes])
    .flat()
    .slice(0, 3000);
}
