import { PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeAll, expect, test } from "@jest/globals";
import { describeReal } from "tooling/real-part";
import { type Bucket, bytes, namesIn, newBucket, radosgw, read } from "./bucket.js";

describeReal(radosgw, "the number of requests, on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });

  test("10 objects are 10 PUTs and an index; a reader of neighbours needs one GET for each", async () => {
    const writer = bucket.store("count", { segmentBytes: 65_536, fresh: false });
    const keys = Array.from({ length: 64 }, (_, i) => `k${String(i).padStart(2, "0")}`);
    for (let i = 0; i < 10; i++) {
      await writer.append(keys.map((key) => [key, new Uint8Array(1000).fill(i)] as const));
    }
    await writer.close();
    expect(writer.requests.put).toBe(11);
    expect((await namesIn(bucket, "count/index/")).length).toBe(1);
    const readers = [0, 1, 2, 3].map((part) => ({ part, store: bucket.store("count") }));
    for (const { part, store } of readers) {
      await store.seal();
      const mine = keys.slice(16 * part, 16 * part + 16);
      const values = await store.get(mine);
      for (const value of values) expect(value.length).toBe(10_000);
      await store.get(mine.slice(0, 3));
      expect(store.requests.get).toBe(1 + 10 + 10); // The index, and each segment twice.
      expect(store.requests.list).toBeLessThanOrEqual(2);
      await store.close();
    }
  }, 60_000);

  test("appends that wait together are one object", async () => {
    await using store = bucket.store("together");
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => store.append({ [`k${i}`]: bytes("1") })),
    );
    expect((await namesIn(bucket, "together/data/")).length).toBe(1);
    expect(await store.count()).toBe(100);
  }, 60_000);

  test("an index that is damaged or tells of others is passed over", async () => {
    const writer = bucket.store("damaged");
    for (let i = 0; i < 3; i++) await writer.append({ x: bytes(String(i)) });
    await writer.close();
    const [Key = ""] = await namesIn(bucket, "damaged/index/");
    for (const Body of ["x", Buffer.alloc(1000, 255), Buffer.from([1, 65, 3, 1, 2, 3])]) {
      await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key, Body }));
      await using store = bucket.store("damaged");
      expect(await read(store, "x")).toBe("012");
    }
    await using store = bucket.store("damaged");
    await store.drop();
    expect(await namesIn(bucket, "damaged/index/")).toEqual([]);
  }, 60_000);
});
