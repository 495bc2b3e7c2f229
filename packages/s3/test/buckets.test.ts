import { PutBucketVersioningCommand } from "@aws-sdk/client-s3";
import { beforeAll, expect, test } from "@jest/globals";
import { awsClient } from "@partd/s3/aws";
import { describeReal } from "tooling/real-part";
import { type Bucket, bytes, newBucket, radosgw, read } from "./bucket.js";
import { type Faults, faultyClient, refusal } from "./faulty-client.js";

describeReal(radosgw, "buckets of others, on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });
  const faulty = (prefix: string, faults: Faults) =>
    bucket.store(prefix, { client: faultyClient(awsClient(bucket.client), faults) });

  test("prefixes may hold any characters, and neighbours are left alone", async () => {
    const prefixes = ["a", "ab", "a b", "a+b", "a%2Fb", "ä/日本 語", "a&<>'\"=?#", "🙂"];
    const stores = prefixes.map((prefix) => bucket.store(prefix));
    for (const [i, store] of stores.entries()) {
      await store.append({ x: bytes(`${i}`) });
      await store.append({ x: bytes("!"), [`${i}`]: bytes("1") });
    }
    for (const [i, store] of stores.entries()) {
      await using fresh = bucket.store(prefixes[i] as string);
      expect(await read(fresh, "x")).toBe(`${i}!`);
      expect(await fresh.count()).toBe(2);
      await store.drop();
      expect(await fresh.count()).toBe(0);
    }
    for (const store of stores) await store.close();
  });

  test("with versions, values are as they should be, and a lock is one, or told to be none", async () => {
    const own = await newBucket();
    const VersioningConfiguration = { Status: "Enabled" as const };
    await own.client.send(
      new PutBucketVersioningCommand({ Bucket: own.name, VersioningConfiguration }),
    );
    await using store = own.store("p");
    await store.append({ x: bytes("1"), y: bytes("2") });
    await store.delete("x");
    await store.append({ x: bytes("3") });
    // radosgw heeds no condition in such a bucket; S3 does.
    const locked = await store
      .withLock((alone) => alone.append({ x: bytes("4") }))
      .then(
        () => "4",
        ({ code, message }) => `${code} ${message}`,
      );
    expect(locked).toMatch(/^4$|^ERR_PARTD_IO .*If-None-Match/);
    await using fresh = own.store("p");
    expect(await read(fresh, "x")).toBe(locked === "4" ? "34" : "3");
    expect(await fresh.count()).toBe(2);
  });

  test.each(["list", "get", "put", "delete"] as const)(
    "credentials that lack the right to %s are told, and which right",
    async (denied) => {
      const prefix = `denied-${denied}`;
      await using writer = bucket.store(prefix);
      await writer.append({ x: bytes("1") });
      await using store = faulty(prefix, {
        before: (method) => {
          if (method === denied) throw refusal(403, "AccessDenied");
        },
      });
      const work = async () => {
        await store.get("x");
        await store.append({ x: bytes("2") });
        await store.drop();
      };
      const message = expect.stringMatching(/GetObject, PutObject, DeleteObject and ListBucket/);
      await expect(work()).rejects.toMatchObject({ code: "ERR_PARTD_AUTH", message });
      if (denied !== "delete") expect(await read(writer, "x")).toBe("1");
    },
  );

  test.each([
    [301, "PermanentRedirect"],
    [301, "UnknownError"],
    [307, "TemporaryRedirect"],
    [308, "UnknownError"],
  ])("%d %s: the bucket is elsewhere", async (status, name) => {
    const store = faulty("elsewhere", {
      before: () => {
        throw refusal(status, name);
      },
    });
    const message = expect.stringMatching(/correct the region/);
    await expect(store.count()).rejects.toMatchObject({ code: "ERR_PARTD_IO", message });
  });

  test("a server that does not find at once what it has listed gives the value, or an error", async () => {
    await using writer = bucket.store("eventual");
    await writer.append({ x: bytes("1"), y: bytes("2") });
    for (const misses of [1, 2, 1000]) {
      let left = misses;
      await using store = faulty("eventual", {
        before: (method) => {
          if (method === "get" && left-- > 0) throw refusal(404, "NoSuchKey");
        },
      });
      const answer = await read(store, "x").catch((error) => error.code);
      expect(["1", "ERR_PARTD_IO"]).toContain(answer);
      if (misses === 1000) expect(answer).toBe("ERR_PARTD_IO");
      left = 0;
      expect(await read(store, "x")).toBe("1");
    }
  });
});
