import { describe, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { codecContract } from "@partd/testing";
import fc from "fast-check";
import { Brotli, brotliCodec } from "../src/index.js";

describe("the contract of codecs", () => {
  const samples = [new TextEncoder().encode("to and fro"), new Uint8Array(), new Uint8Array(5000)];
  const cases = codecContract(brotliCodec(), samples, {
    arbitrary: fc.uint8Array(),
    badBytes: [new TextEncoder().encode("these bytes are not Brotli")],
    manyFrames: 500,
    numRuns: 20,
  });
  for (const { name, run } of cases) test(name, run);
});

test("stops at the limit", async () => {
  const store = new Dict();
  await new Brotli(store).append({ x: new Uint8Array(100_000) });
  await expect(new Brotli(store, { maxDecodedBytes: 99_999 }).get("x")).rejects.toMatchObject({
    code: "ERR_PARTD_CODEC",
    key: "x",
  });
});
