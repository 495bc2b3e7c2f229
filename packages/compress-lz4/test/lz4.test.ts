import { expect, test } from "@jest/globals";
import fc from "fast-check";
import NumcodecsLZ4 from "numcodecs/lz4";
import { lz4Codec } from "../src/index.js";
import { checkBlock, readDecodedSize } from "../src/lz4.js";

const codec = lz4Codec();

test("the check takes every block that is written, and its size", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 60 }),
      async (word, times) => {
        const bytes = Uint8Array.from(Array.from({ length: times }, () => [...word]).flat());
        const encoded = await codec.encode(bytes);
        expect(readDecodedSize(encoded)).toBe(bytes.byteLength);
        checkBlock(encoded, bytes.byteLength);
      },
    ),
  );
});

test("what the check takes the decoder takes as well", async () => {
  const words = new TextEncoder().encode("a partition of words ".repeat(20));
  const encoded = await codec.encode(words);
  let refused = 0;
  for (let at = 4; at < encoded.byteLength; at++) {
    for (let value = 0; value < 256; value += 5) {
      const damaged = Uint8Array.from(encoded);
      damaged[at] = value;
      const decoded = await Promise.resolve()
        .then(() => codec.decode(damaged))
        .catch(() => undefined);
      if (decoded) continue;
      refused++;
      expect(() => checkBlock(damaged, words.byteLength)).toThrow();
    }
  }
  expect(refused).toBeGreaterThan(100);
});

test("a match within the last 12 bytes is refused by the check as by the decoder", async () => {
  const block = Uint8Array.of(13, 0, 0, 0, 0x40, 1, 2, 3, 4, 4, 0, 0x50, 5, 6, 7, 8, 9);
  await expect(new NumcodecsLZ4().decode(block)).rejects.toThrow();
  expect(() => checkBlock(block, 13)).toThrow("not an LZ4 block");
});

test("works on after any number of damaged blocks, whose memory the engine keeps", async () => {
  const big = await codec.encode(new Uint8Array(64 * 2 ** 20));
  const damaged = Uint8Array.from(big).fill(0, 100, 200);
  for (let i = 0; i < 60; i++) await expect(async () => codec.decode(damaged)).rejects.toThrow();
  expect((await codec.decode(big)).byteLength).toBe(64 * 2 ** 20);
});

test("writes the same bytes after thousands of damaged blocks, each of which costs the engine stack", async () => {
  const words = new TextEncoder().encode("a partition of words ".repeat(20));
  const encoded = await codec.encode(words);
  const damaged = Uint8Array.from(encoded).fill(0, -20);
  for (let i = 0; i < 2000; i++) await expect(async () => codec.decode(damaged)).rejects.toThrow();
  expect(await codec.encode(words)).toEqual(encoded);
  expect(await codec.decode(encoded)).toEqual(words);
});

test("a size that so few bytes cannot reach takes no memory", async () => {
  await expect(async () => codec.decode(Uint8Array.of(0, 0, 0, 0x30, 0x10, 1))).rejects.toThrow();
});

test("nothing is one byte behind its size, and no more", async () => {
  const nothing = await codec.encode(new Uint8Array());
  expect(await codec.decode(nothing)).toEqual(new Uint8Array());
  for (const more of [[0], [0, 0, 0, 0, 0], [...nothing], [0x10, 65]]) {
    await expect(async () => codec.decode(Uint8Array.of(...nothing, ...more))).rejects.toThrow();
  }
  await expect(async () => codec.decode(Uint8Array.of(0, 0, 0, 0, 0x10))).rejects.toThrow();
});

test.each([0, 65_538, 0.5])("refuses acceleration %s", (acceleration) => {
  expect(() => lz4Codec({ acceleration })).toThrow(
    expect.objectContaining({ code: "ERR_PARTD_VALUE" }),
  );
});

test("bytes whose memory goes while they are compressed are refused, not taken for nothing", async () => {
  const bytes = new Uint8Array(1000).fill(7);
  const compressing = codec.encode(bytes);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  await expect(compressing).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
});
