import { describe, expect, test } from "@jest/globals";
import Zstd from "numcodecs/zstd";
import * as everywhere from "../src/engine.js";
import { decodeSparely, xxh64 } from "../src/engine.js";

/** What the zstd command writes for 300 times `a` from its standard input: no size, and a checksum. */
const STREAMED = "28b52ffd04584d00001061610100272ac002c7cfcfb9";
const words = new TextEncoder().encode("a partition of words ".repeat(3000));
const numbers = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) >> (i % 7));

describe("the spare decoder", () => {
  test.each([1, 3, 19, 22])("reads what libzstd writes at level %i", async (level) => {
    for (const bytes of [words, numbers, words.subarray(0, 1), new Uint8Array(500_000)]) {
      const encoded = await new Zstd(level).encode(bytes);
      expect(Buffer.compare(await decodeSparely(encoded), bytes)).toBe(0);
    }
  });

  test("reads frames end to end, and passes over what is to be skipped", async () => {
    const encoded = await new Zstd().encode(words);
    const skipped = Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9);
    const bytes = Buffer.concat([encoded, skipped, encoded]);
    expect(Buffer.compare(await decodeSparely(bytes), Buffer.concat([words, words]))).toBe(0);
  });

  test("checks the checksum", async () => {
    const frame = Uint8Array.from(Buffer.from(STREAMED, "hex"));
    const decoded = await decodeSparely(frame);
    expect(new TextDecoder().decode(decoded)).toBe("a".repeat(300));
    frame.set([1], frame.length - 1);
    await expect(decodeSparely(frame)).rejects.toThrow("checksum");
  });
});

test.each([
  ["", 0x51d8e999],
  ["a", 0xa98c6e5b],
])("XXH64 of %j", (text, low) => {
  expect(xxh64(new TextEncoder().encode(text))).toBe(low);
});

test("the engine writes and reads the same after thousands of damaged frames", async () => {
  const encoded = await everywhere.compress(words, 22);
  const damaged = Uint8Array.from(Buffer.from(STREAMED, "hex"));
  damaged.set([0xff, 0xff], 11);
  await expect(everywhere.decompress(damaged, 1e6)).rejects.toThrow("zstd codec error");
  for (let i = 0; i < 2000; i++) {
    await expect(everywhere.decompress(damaged, 1e6)).rejects.toThrow();
  }
  expect(await everywhere.compress(words, 22)).toEqual(encoded);
  expect(Buffer.compare(await everywhere.decompress(encoded, 1e6), words)).toBe(0);
});

test("bytes whose memory goes while they are compressed are refused, not taken for nothing", async () => {
  const bytes = new Uint8Array(1000).fill(7);
  const compressing = everywhere.compress(bytes, 3);
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
  await expect(compressing).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
});
