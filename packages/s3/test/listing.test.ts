import type { S3Client } from "@aws-sdk/client-s3";
import { expect, test } from "@jest/globals";
import { type ListPage, type ListRequest, type ObjectClient, S3Store } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";
import { partName } from "../src/format/names.js";
import { bytes, read } from "./bucket.js";
import { memoryBucket } from "./memory-client.js";

const open = (client: ObjectClient, prefix = "p") => new S3Store({ client, bucket: "b", prefix });

test("100,000 objects under the prefix are 101 pages", async () => {
  const { client, objects } = memoryBucket();
  await using writer = open(client);
  await writer.append({ x: bytes("1") });
  const [segment = ""] = objects.keys();
  const others = Array.from({ length: 100_000 }, (_, i) => `p/a${String(i).padStart(6, "0")}`);
  const names = [...others, segment];
  const list = async ({ startAfter = "" }: ListRequest): Promise<ListPage> => {
    const from = startAfter === "" ? 0 : names.indexOf(startAfter) + 1;
    const page = names.slice(from, from + 1000).map((key) => {
      return { key, size: objects.get(key)?.body.length ?? 1, etag: "", modified: 0 };
    });
    return { objects: page, more: from + 1000 < names.length };
  };
  await using store = open({ ...client, list });
  expect(await read(store, "x")).toBe("1");
  expect(store.requests.list % 101).toBe(0);
});

test.each([
  ["the same page for ever", (page: ListPage) => ({ ...page, more: true })],
  ["a page of nothing, and that more follows", () => ({ objects: [], more: true })],
])("a server that gives %s is told", async (_, change) => {
  const { client } = memoryBucket();
  await using writer = open(client);
  await writer.append({ x: bytes("1"), y: bytes("2") });
  const list = async ({ startAfter: _, ...request }: ListRequest) =>
    change(await client.list(request));
  const store = open({ ...client, list });
  await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
});

test("the SDK's empty pages are followed by their tokens, and a token that repeats is an error", async () => {
  const { client } = memoryBucket();
  await using writer = open(client);
  await writer.append({ x: bytes("1") });
  const listing = (tokens: readonly string[]) => {
    let left = [...tokens];
    const asked: unknown[] = [];
    const send = async ({ input }: { input: { Prefix: string; ContinuationToken?: string } }) => {
      asked.push(input.ContinuationToken);
      const NextContinuationToken = left.shift();
      if (NextContinuationToken) return { IsTruncated: true, NextContinuationToken };
      left = [...tokens];
      const signal = new AbortController().signal;
      const { objects } = await client.list({ bucket: "b", prefix: input.Prefix, signal });
      const Contents = objects.map(({ key, size, etag, modified }) => {
        return { Key: key, Size: size, ETag: etag, LastModified: new Date(modified) };
      });
      return { Contents, IsTruncated: false };
    };
    const { list } = awsClient({ send } as unknown as S3Client);
    return { asked, store: open({ ...client, list }) };
  };
  const good = listing(["a", "b"]);
  expect(await read(good.store, "x")).toBe("1");
  expect(good.asked.slice(0, 3)).toEqual([undefined, "a", "b"]);
  const bad = listing(["a", "a"]);
  await expect(bad.store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
  expect(bad.asked).toEqual([undefined, "a"]);
});

test("parts are abandoned by the server's clock, and those of other data sets are left alone", async () => {
  const { client, objects } = memoryBucket();
  const stores = ["p", "p2", "p/sub"].map((prefix) => open(client, prefix));
  for (const store of stores) await store.append({ x: bytes("1") });
  const hour = 3_600_000;
  const noon = Date.UTC(2020, 1, 1, 12); // Years before this machine's clock.
  for (const [key, { body }] of objects) objects.set(key, { body, modified: noon });
  const id = { stamp: 1, writer: "0123456789abcdef", sequence: 1, epoch: 0, kind: "add" } as const;
  const parts = ["p", "p2", "p/sub"].map((prefix) => `${prefix}/${partName(id, 0)}`);
  const at = (modified: number) => {
    for (const key of parts) objects.set(key, { body: bytes("part"), modified });
  };
  const left = () => parts.filter((key) => objects.has(key));
  at(noon - 23 * hour);
  expect(await stores[0]?.sweep()).toBe(0);
  expect(left()).toEqual(parts);
  at(noon - 25 * hour);
  expect(await stores[0]?.sweep()).toBe(1);
  expect(left()).toEqual(parts.slice(1));
  await stores[0]?.drop();
  expect(left()).toEqual(parts.slice(1));
  expect(await stores[1]?.count()).toBe(1);
  expect(await stores[2]?.count()).toBe(1);
  for (const store of stores) await store.close();
});

test("an append whose buffer is transferred in mid-write leaves no parts", async () => {
  const { client, objects } = memoryBucket();
  const value = new Uint8Array(300_000);
  const put = async (object: Parameters<ObjectClient["put"]>[0]) => {
    await client.put(object);
    if (value.length > 0) structuredClone(value.buffer, { transfer: [value.buffer] });
  };
  await using store = new S3Store({
    client: { ...client, put },
    bucket: "b",
    prefix: "p",
    segmentBytes: 65_536,
  });
  const refused = { code: "ERR_PARTD_VALUE" };
  await expect(store.append({ x: value })).rejects.toMatchObject(refused);
  expect([...objects.keys()].filter((name) => name.includes("part/"))).toEqual([]);
});
