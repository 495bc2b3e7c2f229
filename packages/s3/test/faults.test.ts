import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "@jest/globals";
import { type PutRequest, S3Store } from "@partd/s3";
import { awsClient } from "@partd/s3/aws";
import { describeReal } from "tooling/real-part";
import { type Bucket, bytes, endpoint, newBucket, radosgw, read, sdk } from "./bucket.js";
import { cut, type Faults, faultyClient, refusal } from "./faulty-client.js";

describeReal(radosgw, "when requests fail, on radosgw", () => {
  let bucket: Bucket;
  beforeAll(async () => {
    bucket = await newBucket();
  });
  const faulty = (prefix: string, faults: Faults, options = {}) =>
    bucket.store(prefix, {
      client: faultyClient(awsClient(bucket.client), faults),
      attempts: 40,
      ...options,
    });

  test("connections cut before and after: every append is there once, and in order", async () => {
    let random = 7;
    const often = () => {
      random = (random * 16_807) % 2_147_483_647;
      return random % 5 === 0;
    };
    const faults: Faults = {
      before: () => {
        if (often()) throw cut();
      },
      after: () => {
        if (often()) throw cut();
      },
    };
    const writers = ["a", "b", "c"].map((name) => ({ name, store: faulty("cuts", faults) }));
    await Promise.all(
      writers.map(async ({ name, store }) => {
        for (let i = 0; i < 12; i++) {
          await store.append({
            all: bytes(`<${name}${i}>`),
            [`k${i % 3}`]: bytes(`<${name}${i}>`),
          });
        }
        await store.delete(`only ${name}`);
        await store.iset(`set ${name}`, bytes(name));
        await store.close();
      }),
    );
    await using store = bucket.store("cuts");
    const all = (await read(store, "all")).match(/<\w\d+>/g) ?? [];
    const keyed =
      (await store.get(["k0", "k1", "k2"]))
        .map(text)
        .join("")
        .match(/<\w\d+>/g) ?? [];
    for (const { name } of writers) {
      const expected = Array.from({ length: 12 }, (_, i) => `<${name}${i}>`);
      expect(all.filter((one) => one.startsWith(`<${name}`))).toEqual(expected);
      expect(keyed.filter((one) => one.startsWith(`<${name}`)).sort()).toEqual(expected.sort());
      expect(await read(store, `set ${name}`)).toBe(name);
    }
  });

  test.each([
    [409, "ConditionalRequestConflict"],
    [409, "Conflict"],
    [429, "TooManyRequests"],
    [500, "InternalError"],
    [503, "SlowDown"],
    [400, "RequestTimeout"],
  ])("%d %s is tried again", async (status, name) => {
    const left = { put: 2, get: 2, list: 2, delete: 0 };
    await using store = faulty(`again-${name}`, {
      before: (method) => {
        if (left[method]-- > 0) throw refusal(status, name);
      },
    });
    await store.append({ x: bytes("1") });
    await using other = faulty(`again-${name}`, {
      before: (method) => {
        if (left[method]-- > 0) throw refusal(status, name);
      },
    });
    expect(await read(other, "x")).toBe("1");
    expect(Math.max(...Object.values(left))).toBeLessThanOrEqual(0);
  });

  test.each([
    [403, "AccessDenied", "ERR_PARTD_AUTH", /s3:PutObject|PutObject/],
    [400, "ExpiredToken", "ERR_PARTD_AUTH", /renew/],
    [403, "RequestTimeTooSkewed", "ERR_PARTD_AUTH", /clock/],
    [undefined, "CredentialsProviderError", "ERR_PARTD_AUTH", /credentials/],
    [404, "NoSuchBucket", "ERR_PARTD_IO", /no such bucket/],
    [400, "AuthorizationHeaderMalformed", "ERR_PARTD_IO", /region/],
    [501, "NotImplemented", "ERR_PARTD_IO", /If-None-Match/],
    [418, "Teapot", "ERR_PARTD_IO", /Teapot/],
  ])("%s %s is told at once, and leaves nothing", async (status, name, code, message) => {
    let puts = 0;
    let fails = true;
    await using store = faulty(`refused-${name}`, {
      before: (method) => {
        if (method !== "put" || !fails) return;
        puts++;
        throw refusal(status as number, name);
      },
    });
    await expect(store.append({ x: bytes("1") })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(puts).toBe(1);
    fails = false;
    await store.append({ x: bytes("2") });
    expect(await read(store, "x")).toBe("2");
  });

  test("what never succeeds is given up after so many attempts", async () => {
    let fails = true;
    await using store = faulty(
      "never",
      {
        before: (method) => {
          if (method === "put" && fails) throw refusal(503, "SlowDown");
        },
      },
      { attempts: 3 },
    );
    const refused = store.append({ x: bytes("1") });
    await expect(refused).rejects.toMatchObject({ code: "ERR_PARTD_CONNECTION" });
    expect(store.requests.put).toBe(3);
    fails = false;
    await store.append({ x: bytes("2") });
    expect(await read(store, "x")).toBe("2");
  });

  test("the real server: no such bucket, a wrong secret, an unknown key", async () => {
    const none = bucket.store("x", { bucket: `${bucket.name}-none` });
    await expect(none.append({ x: bytes("1") })).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      message: expect.stringMatching(/no such bucket/),
    });
    for (const credentials of [
      { accessKeyId: "partd", secretAccessKey: "wrong" },
      { accessKeyId: "nobody", secretAccessKey: "wrong" },
    ]) {
      const client = awsClient(sdk({ credentials }));
      const refused = new S3Store({ client, bucket: bucket.name, prefix: "x" });
      await expect(refused.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_AUTH" });
    }
    const client = awsClient(sdk({ endpoint: "http://127.0.0.1:9" }));
    const unreachable = new S3Store({ client, bucket: bucket.name, prefix: "x", attempts: 2 });
    await expect(unreachable.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CONNECTION" });
  });

  test("a request without an answer is made again", async () => {
    let stalls = 1;
    await using store = faulty(
      "stalls",
      {
        before: () =>
          stalls-- > 0 ? new Promise((_, reject) => setTimeout(reject, 50, cut())) : undefined,
      },
      { requestTimeoutMs: 20_000 },
    );
    await store.append({ x: bytes("1") });
    expect(await read(store, "x")).toBe("1");
  });

  test.each([
    ["of another length", () => Buffer.alloc(200, "another")],
    ["as long", (ours: Uint8Array) => Buffer.alloc(ours.length, "another")],
  ])("another object %s under the name of a commit is no commit of ours", async (name, other) => {
    const client = awsClient(bucket.client);
    const signal = new AbortController().signal;
    let isOn = true;
    await using store = faulty(`taken ${name}`, {
      before: async (method, request) => {
        if (method !== "put" || !isOn) return;
        const { key = "", body: ours } = request as PutRequest;
        const body = other(ours);
        await client.put({ bucket: bucket.name, key, body, signal });
      },
    });
    await expect(store.append({ x: bytes("1") })).rejects.toMatchObject({
      code: "ERR_PARTD_IO",
      message: expect.stringMatching(/Another object/),
    });
    isOn = false;
  });

  test("a listing of many pages gives all segments", async () => {
    const pages: Faults = {
      answer: (method, _, answer) =>
        method === "list" && answer.objects.length > 7
          ? { objects: answer.objects.slice(0, 7), more: true }
          : answer,
    };
    await using writer = bucket.store("pages", { fresh: false });
    for (let i = 0; i < 40; i++) await writer.append({ x: bytes(`<${i}>`) });
    await using store = faulty("pages", pages);
    expect(await read(store, "x")).toBe(Array.from({ length: 40 }, (_, i) => `<${i}>`).join(""));
    await store.drop();
    expect(await read(writer, "x")).not.toBe("never"); // It had looked before.
    await using after = bucket.store("pages");
    expect(await after.count()).toBe(0);
  });

  const long = process.env["PARTD_S3_LONG"] ? test : test.skip;
  long(
    "a listing of 2,500 segments, in pages of the server",
    async () => {
      const stores = Array.from({ length: 20 }, () => bucket.store("2500", { fresh: false }));
      await Promise.all(
        stores.map(async (store) => {
          for (let i = 0; i < 125; i++)
            await store.append({ x: bytes("."), [`k${i}`]: bytes("1") });
          await store.close();
        }),
      );
      await using store = bucket.store("2500");
      expect((await store.get("x")).length).toBe(2500);
      expect(await store.count()).toBe(126);
      await store.drop();
      expect(await store.count()).toBe(0);
    },
    600_000,
  );

  test("a process whose clock is behind appends behind what it finds", async () => {
    await using store = bucket.store("behind");
    const program = fileURLToPath(new URL("skewed.mjs", import.meta.url));
    const append = (skew: number, value: string) => {
      const args = [program, endpoint(), bucket.name, "behind", String(skew), value];
      const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
      if (status !== 0) throw new Error(stderr);
    };
    await store.append({ x: bytes("1") });
    append(-600_000, "2");
    append(600_000, "3");
    expect(await read(store, "x")).toBe("123");
    await store.append({ x: bytes("4") });
    expect(await read(store, "x")).toBe("1234");
  });

  test("a clock that is set back changes no order", async () => {
    const now = Date.now;
    try {
      await using a = bucket.store("clock");
      await using b = bucket.store("clock");
      await a.append({ x: bytes("1") });
      expect(await read(b, "x")).toBe("1");
      Date.now = () => now() - 600_000;
      await b.append({ x: bytes("2") });
      await a.append({ x: bytes("3") });
      await b.delete("x");
      await a.append({ x: bytes("4") });
      await using c = bucket.store("clock");
      await c.append({ x: bytes("5") });
      expect(await read(a, "x")).toBe("45");
      Date.now = () => now() - 3_600_000; // More than the server takes.
      await expect(a.append({ x: bytes("6") })).rejects.toMatchObject({
        code: "ERR_PARTD_AUTH",
        message: expect.stringMatching(/clock/),
      });
    } finally {
      Date.now = now;
    }
  });
});

const text = (value: Uint8Array) => Buffer.from(value).toString();
