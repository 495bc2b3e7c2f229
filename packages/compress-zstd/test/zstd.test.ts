import { describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import * as everywhere from "../src/engine.js";
import * as node from "../src/engine.node.js";
import { decodedBound, fitWindows, framesOf } from "../src/frame-bound.js";
import { Zstd, zstdCodec } from "../src/index.js";

const words = new TextEncoder().encode("a partition of words ".repeat(30_000));

describe("the bound of what frames decode to", () => {
  test("is the size that a frame states", async () => {
    for (const length of [0, 1, 255, 256, 65_791, 65_792, 630_000]) {
      expect(decodedBound(await everywhere.compress(words.subarray(0, length), 3))).toEqual({
        bound: length,
        exact: true,
      });
    }
  });

  test("adds up frames, and passes over what is to be skipped", async () => {
    const one = await everywhere.compress(words, 3);
    const skipped = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
    expect(decodedBound(Uint8Array.from([...one, ...skipped, ...one]))).toEqual({
      bound: 2 * words.byteLength,
      exact: true,
    });
  });

  test("is counted by blocks where no size is stated", () => {
    const raw = [...MAGIC, 0, 0x58, ...block(0, 2, false), 7, 7, ...block(1, 100_000, true), 7];
    expect(decodedBound(Uint8Array.from(raw))).toEqual({ bound: 100_002, exact: false });
  });

  test("of a frame that lies is counted by blocks too", () => {
    const repeated = Array.from({ length: 20 }, (_, i) => [...block(1, 100_000, i === 19), 7]);
    const lying = Uint8Array.from([...MAGIC, 0x20, 5, ...repeated.flat()]);
    expect(decodedBound(lying)).toEqual({ bound: 2_000_000, exact: false });
  });

  test("is refused where the stated size cannot be reached", () => {
    const stated = [0, 0, 0, 0, 1, 0, 0, 0];
    const huge = Uint8Array.from([...MAGIC, 0xe0, ...stated, ...block(0, 1, true), 7]);
    expect(() => decodedBound(huge)).toThrow("at most 1");
  });

  test("of a frame with a dictionary is refused as no damage", () => {
    for (const [descriptor, ...id] of [
      [0x21, 7],
      [0x22, 0, 1],
      [0x23, 0, 0, 0, 9],
      [0x01, 0, 9],
    ]) {
      const bytes = Uint8Array.from([...MAGIC, descriptor, ...id, 1, ...block(0, 1, true), 7]);
      expect(() => decodedBound(bytes)).toThrow(
        expect.objectContaining({ code: "ERR_PARTD_CODEC" }),
      );
    }
    const none = Uint8Array.from([...MAGIC, 0x21, 0, 1, ...block(0, 1, true), 7]);
    expect(decodedBound(none)).toEqual({ bound: 1, exact: true });
  });

  test("is refused wherever a frame is cut short", async () => {
    const one = await everywhere.compress(words.subarray(0, 500), 3);
    for (let length = 0; length < one.byteLength; length++) {
      expect(() => decodedBound(one.subarray(0, length))).toThrow();
    }
  });
});

test("both engines read what either wrote", async () => {
  for (const writer of [everywhere, node]) {
    const written = await writer.compress(words, 5);
    for (const reader of [everywhere, node]) {
      expect(Buffer.compare(await reader.decompress(written, 2 ** 30), words)).toBe(0);
      await expect(reader.decompress(written, 1000)).rejects.toMatchObject({
        code: "ERR_PARTD_CODEC",
      });
    }
  }
});

test("all frames are read, whether they state their size or not", async () => {
  // What `zstd` writes for 300 times `a` from its standard input: no size.
  const streamed = Buffer.from("28b52ffd04584d00001061610100272ac002c7cfcfb9", "hex");
  const sized = await everywhere.compress(words, 3);
  const skipped = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9);
  const nothing = await everywhere.compress(new Uint8Array(), 3);
  const all = Buffer.concat([skipped, streamed, nothing, sized, skipped, streamed]);
  const read = Buffer.concat([Buffer.alloc(300, "a"), words, Buffer.alloc(300, "a")]);
  for (const { decompress } of [node, everywhere]) {
    expect(Buffer.compare(await decompress(all, 2 ** 20), read)).toBe(0);
    expect(await decompress(skipped, 2 ** 20)).toEqual(new Uint8Array());
    await expect(decompress(all, words.byteLength)).rejects.toMatchObject({
      code: "ERR_PARTD_CODEC",
    });
  }
});

test("a window far larger than the data is read, and takes no memory", async () => {
  // What `zstd --long=31` writes for 300 times `a` from its standard input.
  const long = Buffer.from("28b52ffd04a84d00001061610100272ac002c7cfcfb9", "hex");
  for (const bytes of [long, Buffer.concat([long, long])]) {
    const fitted = fitWindows(bytes, 1e9);
    expect([...framesOf(fitted)].map(({ window }) => window)).toEqual(
      [...framesOf(bytes)].map(() => 2 ** 23),
    );
    const read = "a".repeat(300 * (bytes.byteLength / long.byteLength));
    for (const decode of [node.decompress, everywhere.decompress]) {
      expect(Buffer.from(await decode(bytes, 2 ** 20)).toString()).toBe(read);
    }
    expect(Buffer.from(await everywhere.decodeSparely(fitted)).toString()).toBe(read);
  }
  const small = await everywhere.compress(words, 19);
  expect(fitWindows(small, 1e9)).toBe(small);
});

test("a higher level gives fewer bytes", async () => {
  const at = async (level: number) => {
    const store = new Dict();
    await new Zstd(store, { level }).append({ x: words.map((byte, i) => byte ^ ((i * i) % 7)) });
    return store.byteLength;
  };
  expect(await at(19)).toBeLessThan(await at(1));
});

test.each([0, 23, 1.5])("refuses level %s", (level) => {
  expect(() => zstdCodec({ level })).toThrow(expect.objectContaining({ code: "ERR_PARTD_VALUE" }));
});

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];

function block(kind: number, size: number, last: boolean): number[] {
  const header = (size << 3) | (kind << 1) | (last ? 1 : 0);
  return [header & 255, (header >> 8) & 255, header >> 16];
}
