import { afterEach, beforeAll, expect, jest, test } from "@jest/globals";
import type { PutRequest } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";
import { describeReal } from "tooling/real-part";
import { SpareBuffers } from "../src/write/commit.js";
import { type Bucket, newBucket, radosgw } from "./bucket.js";
import { cut } from "./faulty-client.js";

const MIB = 2 ** 20;

afterEach(() => {
  jest.useRealTimers();
});

test("memory is kept for two seconds, no more of it than wanted, and none after the end", () => {
  jest.useFakeTimers();
  const spares = new SpareBuffers(2);
  const [a, b, c] = [1, 2, 3].map(() => spares.take(2 * MIB)) as [Buffer, Buffer, Buffer];
  for (const block of [a, b, c, spares.take(1000)]) spares.giveBack(block);
  jest.advanceTimersByTime(1_999);
  expect(spares.take(2 * MIB)).toBe(a);
  expect(spares.take(MIB)).toBe(b);
  expect(spares.take(MIB)).not.toBe(c);
  spares.giveBack(b);
  jest.advanceTimersByTime(1_999);
  spares.giveBack(a);
  jest.advanceTimersByTime(1_999);
  expect(spares.take(MIB)).toBe(b);
  jest.advanceTimersByTime(1);
  expect(spares.take(MIB)).not.toBe(a);
  spares.giveBack(c);
  spares.clear();
  expect(spares.take(MIB)).not.toBe(c);
  expect(jest.getTimerCount()).toBe(0);
});

describeReal(radosgw, "memory of objects is used again, on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });

  test("each object has its own values, and later ones lie in memory of earlier ones", async () => {
    const client = awsClient(bucket.client);
    const memory = new Set<ArrayBufferLike>();
    const put = (request: PutRequest) => {
      memory.add(request.body.buffer);
      return client.put(request);
    };
    await using store = bucket.store("again", { client: { ...client, put }, fresh: false });
    const sizes = [2 * MIB, 3 * MIB, 1.5 * MIB, 2 * MIB + 7, 3 * MIB - 1, MIB];
    for (const [i, size] of sizes.entries()) {
      await store.append({ [`k${i}`]: new Uint8Array(size).fill(i + 1) });
    }
    for (const [i, size] of sizes.entries()) {
      expect(Buffer.from(await store.get(`k${i}`)).equals(Buffer.alloc(size, i + 1))).toBe(true);
    }
    expect(memory.size).toBeLessThan(sizes.length);
  });

  test("memory of an attempt that failed is left alone: its request may still be sent", async () => {
    const client = awsClient(bucket.client);
    let abandoned: Uint8Array | undefined;
    const put = async (request: PutRequest) => {
      if (abandoned) return client.put(request);
      abandoned = request.body;
      throw cut();
    };
    await using store = bucket.store("left", { client: { ...client, put }, fresh: false });
    await store.append({ x: new Uint8Array(2 * MIB).fill(1) });
    for (let i = 0; i < 3; i++) await store.append({ x: new Uint8Array(2 * MIB).fill(2) });
    expect((abandoned as Uint8Array).subarray(0, 2 * MIB).every((byte) => byte === 1)).toBe(true);
  });
});
