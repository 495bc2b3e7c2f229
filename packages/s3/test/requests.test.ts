import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { beforeAll, describe, expect, test } from "@jest/globals";
import type { S3StoreOptions } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";
import { describeReal } from "tooling/real-part";
import { type Bucket, bytes, namesIn, newBucket, radosgw, read } from "./bucket.js";
import { faultyClient } from "./faulty-client.js";

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
  });

  test("appends that wait together are one object", async () => {
    await using store = bucket.store("together");
    await Promise.all(
      Array.from({ length: 100 }, (_, i) => store.append({ [`k${i}`]: bytes("1") })),
    );
    expect((await namesIn(bucket, "together/data/")).length).toBe(1);
    expect(await store.count()).toBe(100);
  });

  describe("a merged index", () => {
    const KEYS = 20_000;
    const SEGMENTS = 30;
    const keys = Array.from({ length: KEYS }, (_, i) => `key-${String(i).padStart(6, "0")}`);
    /** Other lengths in each segment, and some keys in none. */
    const textOf = (segment: number, i: number) =>
      (segment + i) % 3 === 0 ? "" : `${segment}.${i};`;
    const expected = (i: number) =>
      Array.from({ length: SEGMENTS }, (_, segment) => textOf(segment, i)).join("");
    let index = { Key: "", size: 0 };

    beforeAll(async () => {
      const writer = bucket.store("merged", { fresh: false });
      for (let segment = 0; segment < SEGMENTS; segment++) {
        await writer.append(
          keys
            .map((key, i) => [key, bytes(textOf(segment, i))] as const)
            .filter(([, v]) => v.length),
        );
      }
      await writer.close();
      const [Key = ""] = await namesIn(bucket, "merged/index/");
      const { ContentLength: size = 0 } = await bucket.client.send(
        new HeadObjectCommand({ Bucket: bucket.name, Key }),
      );
      index = { Key, size };
    });

    /** A store that counts what it reads of the index, and of the rest. */
    const counting = (options: Partial<S3StoreOptions> = {}) => {
      const read = { requests: 0, bytes: 0, tails: 0 };
      const client = faultyClient(awsClient(bucket.client), {
        before(method, request) {
          if (method !== "get") return;
          const { key, start, end } = request as { key: string; start: number; end: number };
          if (key !== index.Key) {
            if (start > 0 && end - start > 100_000) read.tails++;
            return;
          }
          read.requests++;
          read.bytes += end - start;
        },
      });
      return { read, store: bucket.store("merged", { client, ...options }) };
    };

    test("a reader of a hundredth of the keys reads about a hundredth of it", async () => {
      for (const from of [0, 9_950, KEYS - KEYS / 100]) {
        const { read, store } = counting();
        const values = await store.get(keys.slice(from, from + KEYS / 100));
        values.forEach((value, i) => {
          expect(Buffer.from(value).toString()).toBe(expected(from + i));
        });
        expect(index.size).toBeGreaterThan(3_500_000);
        // Its end, of 16 KiB, and the blocks of 8 KiB in which the keys lie.
        expect(read.requests).toBe(2);
        expect(read.bytes).toBeLessThan(0.02 * index.size);
        expect(store.requests.get).toBe(2 + SEGMENTS);
        await store.get(keys.slice(from, from + KEYS / 100));
        expect(read.requests).toBe(2); // The blocks are kept.
        await store.close();
      }
    });

    test("all keys, and their values, without a tail", async () => {
      const { read, store } = counting({ indexMemory: 65_536 });
      expect(await store.count()).toBe(KEYS);
      const entries: [unknown, string][] = [];
      for await (const [key, value] of store.entries()) {
        entries.push([key, Buffer.from(value as Uint8Array).toString()]);
      }
      expect(entries.length).toBe(KEYS);
      expect(entries.find(([key, value], i) => key !== keys[i] || value !== expected(i))).toBe(
        undefined,
      );
      expect(read.tails).toBe(0);
      await store.close();
    });

    test("beside tails: what came later, and what was removed", async () => {
      await using writer = bucket.store("merged");
      await writer.append([[keys[5] as string, bytes("later")]]);
      await writer.delete(keys[6] as string);
      const { read: counts, store } = counting();
      expect(await read(store, keys[5] as string)).toBe(`${expected(5)}later`);
      expect(await read(store, keys[6] as string)).toBe("");
      expect(await read(store, keys[7] as string)).toBe(expected(7));
      expect(await store.count()).toBe(KEYS - 1);
      expect(counts.tails).toBe(0);
      await store.close();
      await writer.append([[keys[6] as string, bytes(expected(6))]]); // As it was.
    });

    test("damaged anywhere, or of an earlier format, it is passed over", async () => {
      const some = keys.slice(0, 3000);
      const writer = bucket.store("broken");
      for (const value of ["1", "2"])
        await writer.append(some.map((key) => [key, bytes(value)] as const));
      await writer.close();
      const [Key = ""] = await namesIn(bucket, "broken/index/");
      const { Body } = await bucket.client.send(new GetObjectCommand({ Bucket: bucket.name, Key }));
      const whole = Buffer.from((await Body?.transformToByteArray()) as Uint8Array);
      expect(whole.length).toBeGreaterThan(60_000);
      const places = [0, 30_000, -10_000, -200, -20, -16, -8, -1];
      const damaged = places.map((at) => {
        const copy = Buffer.from(whole);
        copy[at < 0 ? copy.length + at : at]! ^= 1;
        return copy;
      });
      const old = Buffer.concat([Buffer.from([3]), Buffer.from("abc"), Buffer.from([1, 0])]);
      for (const Body of [...damaged, whole.subarray(1), whole.subarray(0, -1), old]) {
        await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key, Body }));
        await using store = bucket.store("broken");
        expect(await read(store, some[7] as string)).toBe("12");
        expect(await store.count()).toBe(3000);
        expect(await read(store, some[2999] as string)).toBe("12");
      }
    });
  });

  test("without an index: memory holds as many descriptions as fit, and the others are read again", async () => {
    await using writer = bucket.store("tails");
    const long = (i: number) => `${i}`.repeat(1000).slice(0, 1000);
    for (let i = 10; i < 60; i++) await writer.append({ [long(i)]: bytes("1") });
    await writer.delete([long(10), long(11)]);
    await using reader = bucket.store("tails", { indexMemory: 65_536 });
    expect(await read(reader, "none")).toBe("");
    expect(reader.requests.get).toBe(51);
    for (const key of ["none", "nothing"]) {
      const before = reader.requests.get;
      expect(await read(reader, key)).toBe("");
      const again = reader.requests.get - before; // Some 30 of 1,080 bytes fit in half of that memory.
      expect(again).toBeGreaterThan(0);
      expect(again).toBeLessThan(25);
    }
    expect(await reader.count()).toBe(48);
  });

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
  });
});
