import { memoryUsage } from "node:process";
import { expect, test } from "@jest/globals";
import { releaseBytes } from "@partd/core/author";

test("released bytes are free when the call returns, on every Node", () => {
  const before = memoryUsage().arrayBuffers;
  const bytes = new Uint8Array(64 << 20);
  const view = new Uint32Array(bytes.buffer, 8);
  expect(memoryUsage().arrayBuffers - before).toBeGreaterThanOrEqual(64 << 20);
  releaseBytes(bytes);
  expect(memoryUsage().arrayBuffers - before).toBeLessThan(8 << 20);
  expect([bytes.length, view.length]).toEqual([0, 0]);
});
