import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import {
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import { beforeAll, expect, test } from "@jest/globals";
import type { GetRequest } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";
import { describeReal } from "tooling/real-part";
import { type Bucket, bytes, namesIn, newBucket, radosgw, read, sdk } from "./bucket.js";
import { cut, faultyClient, wholeOf } from "./faulty-client.js";

describeReal(radosgw, "what comes back is not believed, on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });
  /** A store whose answers are changed. */
  // biome-ignore lint/suspicious/noExplicitAny: the answers of four methods.
  const reading = (prefix: string, answer: (method: string, answer: any) => unknown) => {
    const faults = {
      answer: (method: string, _: unknown, given: unknown) => answer(method, given),
    };
    return bucket.store(prefix, {
      client: faultyClient(awsClient(bucket.client), faults),
      attempts: 3,
    });
  };
  const write = async (prefix: string) => {
    await using store = bucket.store(prefix);
    await store.append({ x: new Uint8Array(5000).fill(7), y: bytes("2") });
  };

  test("each damaged byte of an object is noticed, and named", async () => {
    await write("flipped");
    const [name = ""] = await namesIn(bucket, "flipped/data/");
    const tail = Number.parseInt(name.slice(-8), 16);
    for (let at = 0; at < tail; at++) {
      await using store = reading("flipped", (method, answer) => {
        if (method !== "get" || answer.length !== tail) return answer;
        const copy = Uint8Array.from(answer as Uint8Array);
        copy[at]! ^= 1;
        return copy;
      });
      await expect(store.get("x")).rejects.toMatchObject({
        code: "ERR_PARTD_CORRUPT",
        address: name,
      });
    }
    await using values = reading("flipped", (method, answer) =>
      method === "get" && answer.length > tail ? answer.map((byte: number) => byte ^ 1) : answer,
    );
    await expect(values.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CORRUPT", key: "x" });
    expect(await read(values, "y")).toBe("2");
  });

  test("bytes that were damaged on the way are read once more", async () => {
    await write("once");
    let isFirst = true;
    await using store = reading("once", (method, answer) => {
      if (method !== "get" || answer.length !== 5000 || !isFirst) return answer;
      isFirst = false;
      return answer.map((byte: number) => byte ^ 1);
    });
    expect(await store.get("x")).toEqual(new Uint8Array(5000).fill(7));
    expect(isFirst).toBe(false);
  });

  test("an answer that is cut short, or too long, or none, is no answer", async () => {
    await write("short");
    for (const change of [
      (bytes: Uint8Array) => bytes.subarray(1),
      (bytes: Uint8Array) => Buffer.concat([bytes, bytes]),
      () => "text",
    ]) {
      await using store = reading("short", (method, answer) =>
        method === "get" ? change(answer) : answer,
      );
      await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CONNECTION" });
    }
  });

  test("an answer in pieces that breaks off, stands still, or is of another length is asked for again", async () => {
    const value = new Uint8Array(300_000).map((_, i) => i % 251);
    const [a, b, c] = [value.subarray(0, 1000), value.subarray(1000, 1010), value.subarray(1010)];
    await using writer = bucket.store("pieces");
    await writer.append({ a, b, c });
    const client = awsClient(bucket.client);
    const halves = [value.subarray(0, 100_001), value.subarray(100_001)] as const;
    const answers: Record<string, (signal: AbortSignal) => AsyncIterable<Uint8Array>> = {
      async *broken() {
        yield Buffer.alloc(100_001, 1);
        throw cut();
      },
      async *still(signal) {
        yield halves[0];
        await new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
        });
      },
      async *short() {
        yield halves[0];
        yield halves[1].subarray(1);
      },
      async *long() {
        yield* halves;
        yield new Uint8Array(1);
      },
      async *text() {
        yield "text" as unknown as Uint8Array;
      },
    };
    for (const [name, answer] of Object.entries(answers)) {
      let wrong = 0;
      let reads = 0;
      const get = async (request: GetRequest) => {
        if (request.end <= value.length) reads++;
        if (request.end - request.start !== value.length || wrong > 0) return client.get(request);
        wrong++;
        return answer(request.signal);
      };
      await using store = bucket.store("pieces", {
        client: { ...client, get },
        requestTimeoutMs: name === "still" ? 500 : undefined,
        attempts: 40,
      });
      expect(Buffer.concat(await store.get(["a", "b", "c"])).equals(value)).toBe(true);
      expect(wrong).toBe(1);
      // Not a third time, because of a damaged value.
      if (name !== "still") expect(reads).toBe(2);
    }
  });

  test("a body that stands still ends with the signal of its request", async () => {
    const server = createServer((_, response) => {
      response.writeHead(206, { "content-length": "1000" }).write(Buffer.alloc(500));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const client = sdk({ endpoint: `http://127.0.0.1:${port}` });
    const controller = new AbortController();
    const { signal } = controller;
    const answer = await awsClient(client).get({
      bucket: "b",
      key: "k",
      start: 0,
      end: 1000,
      signal,
    });
    const read = async () => {
      for await (const _ of answer as AsyncIterable<Uint8Array>) controller.abort();
    };
    await expect(read()).rejects.toThrow();
    client.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test("a server that answers a request for a range by the whole object is told", async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { "content-length": "1000" }).end(Buffer.alloc(1000));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const client = sdk({ endpoint: `http://127.0.0.1:${port}` });
    const { signal } = new AbortController();
    const get = (start: number, end: number) =>
      awsClient(client).get({ bucket: "b", key: "k", start, end, signal });
    const told = { code: "ERR_PARTD_PROTOCOL", message: expect.stringMatching(/Range/) };
    for (const [start, end] of [
      [0, 10],
      [500, 1500],
      [990, 1000],
    ] as const) {
      await expect(get(start, end)).rejects.toMatchObject(told);
    }
    expect((await wholeOf(await get(0, 1000))).length).toBe(1000); // That is what was asked for.
    client.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test("an object that is replaced between two ranges of a value is noticed", async () => {
    const value = new Uint8Array(40 * 2 ** 20).fill(7);
    await using writer = bucket.store("replaced", { segmentBytes: 64 * 2 ** 20 });
    await writer.append({ x: value });
    const [key = ""] = await namesIn(bucket, "replaced/data/");
    const client = awsClient(bucket.client);
    let gets = 0;
    const get = async (request: GetRequest) => {
      const answer = await wholeOf(await client.get(request));
      // Tail, first range; another object, as long, from then on.
      return ++gets < 3 ? answer : answer.map((byte) => byte ^ 1);
    };
    await using store = bucket.store("replaced", { client: { ...client, get }, attempts: 3 });
    const told = { code: "ERR_PARTD_CORRUPT", address: key };
    await expect(store.get("x")).rejects.toMatchObject(told);
    expect(gets).toBeGreaterThan(3);
  });

  test("multipart uploads of others under the prefix are left alone", async () => {
    await using store = bucket.store("uploads", { segmentBytes: 65_536 });
    await store.append({ x: new Uint8Array(100_000) });
    const Key = `uploads/part/00/${"0".repeat(16)}`;
    await bucket.client.send(new CreateMultipartUploadCommand({ Bucket: bucket.name, Key }));
    await store.sweep({ olderThanMs: 0 });
    await store.drop();
    const { Uploads = [] } = await bucket.client.send(
      new ListMultipartUploadsCommand({ Bucket: bucket.name }),
    );
    expect(Uploads.map((upload) => upload.Key)).toEqual([Key]);
  });

  test("names that no store makes are refused", async () => {
    await write("names");
    for (const name of ["data/00/x", "data/x", "lock/x", "lost/1", "lock/00000001.x"]) {
      const Key = `names/${name}`;
      await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key, Body: "x" }));
      await using store = bucket.store("names");
      await expect(store.get("x")).rejects.toMatchObject({
        code: "ERR_PARTD_CORRUPT",
        address: Key,
      });
      await awsClient(bucket.client).delete({
        bucket: bucket.name,
        keys: [Key],
        signal: new AbortController().signal,
      });
    }
    await using store = bucket.store("names");
    expect(await read(store, "y")).toBe("2");
  });

  test("a listing without order, or of odd lengths, is refused", async () => {
    await write("order");
    await write("order");
    for (const change of [
      // biome-ignore lint/suspicious/noExplicitAny: a page of a listing.
      (page: any) => ({ ...page, objects: page.objects.toReversed() }),
      // biome-ignore lint/suspicious/noExplicitAny: the same.
      (page: any) => ({
        ...page,
        objects: page.objects.map((one: object) => ({ ...one, size: -1 })),
      }),
      // biome-ignore lint/suspicious/noExplicitAny: the same.
      (page: any) => ({
        ...page,
        objects: page.objects.map((one: object) => ({ ...one, key: "z" })),
      }),
    ]) {
      await using store = reading("order", (method, answer) =>
        method === "list" ? change(answer) : answer,
      );
      await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
    }
  });
});
