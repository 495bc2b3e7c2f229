import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import { Dict, PartdError, type Store } from "@partd/core";
import type { Batch } from "@partd/core/author";
import { Client, type ClientEvent, Server } from "@partd/server";
import { CuttingProxy } from "tooling/cutting-proxy";
import { RawClient } from "./raw-client.js";

const directory = await mkdtemp(join(tmpdir(), "partd-life-"));
afterAll(() => rm(directory, { recursive: true, force: true }));

const value = Uint8Array.of(1, 2, 3);

/** Tells when it was flushed and closed. */
class Watched extends Dict {
  readonly calls: string[] = [];
  failing = false;
  protected override async _flush(): Promise<void> {
    this.calls.push("flush");
    if (this.failing) throw new Error("disk full");
  }
  protected override async _close(): Promise<void> {
    this.calls.push("close");
  }
}

test("close answers what was sent, tells clients, flushes and closes the store", async () => {
  const store = new Watched();
  const server = await Server.listen(store);
  const client = new Client(server.address);
  await client.append({ x: value });
  const appends = Array.from({ length: 100 }, () => client.append({ x: value }));
  await new Promise((resolve) => setImmediate(resolve)); // They are on their way.
  await new Promise((resolve) => setImmediate(resolve));
  const closing = server.close();
  await Promise.all(appends);
  await closing;
  expect(store.calls).toEqual(["flush", "close"]);
  await client.close(); // Nothing of it is left to be flushed.
  await expect(store.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_CLOSED" });
});

test("close leaves the store open if it is told to, and can be tried again if the flush fails", async () => {
  const store = new Watched();
  const server = await Server.listen(store, { closeStore: false });
  const client = new Client(server.address);
  await client.append({ x: value });
  store.failing = true;
  await expect(client.close()).rejects.toMatchObject({
    code: "ERR_PARTD_IO",
    message: expect.stringMatching(/disk full/),
  });
  await expect(server.close()).rejects.toThrow("disk full");
  store.failing = false;
  await server.close();
  expect(await store.get("x")).toEqual(value);
  await store.close();
});

test("close({ signal }) does not wait for a flush that does not end, and another close does", async () => {
  let release = () => {};
  const store = new (class extends Watched {
    protected override async _flush(): Promise<void> {
      await super._flush();
      await new Promise<void>((resolve) => (release = resolve));
    }
  })();
  const server = await Server.listen(store, { closeTimeout: 600_000 });
  await store.append({ x: value });
  const client = new Client(server.address);
  await client.get("x");
  const hurry = new AbortController();
  const flushed = client.flush({ signal: hurry.signal });
  while (store.calls.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const hurried = server.close({ signal: hurry.signal });
  const patient = server.close();
  hurry.abort(new Error("at once"));
  await expect(hurried).rejects.toThrow("at once");
  await expect(flushed).rejects.toThrow("at once");
  while (store.calls.length === 1) {
    release(); // The client's flush.
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(store.calls).toEqual(["flush", "flush"]);
  release();
  await patient;
  expect(store.calls).toEqual(["flush", "flush", "close"]);
  await client.close();
});

test.each([Number.POSITIVE_INFINITY, Number.NaN, -1, 2 ** 31])(
  "a closeTimeout of %p, which no timer can wait, is ERR_PARTD_VALUE",
  async (closeTimeout) => {
    const listening = Server.listen(new Dict(), { closeTimeout });
    await expect(listening).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
  },
);

test("a server that comes back under its address is found again, and isets are set again", async () => {
  const store = new Dict();
  let server = await Server.listen(store, { closeStore: false });
  const { address } = server;
  await using client = new Client(address);
  const resumed: boolean[] = [];
  client.addEventListener("connect", ({ detail }: ClientEvent<"connect">) => {
    resumed.push(detail.resumed);
  });
  await client.append({ x: value });
  await server.close();
  const reading = client.get("x");
  server = await Server.listen(store, { address });
  expect(await reading).toEqual(value);
  expect(resumed).toEqual([false, false]);
  await client.close();
  await server.close();
});

test("a lock is freed when the connection that held it goes", async () => {
  const [server, proxy] = await withProxy(new Dict(), "lock");
  const holder = new Client(`ipc://${proxy.path}`);
  await using other = new Client(server.address);
  let release = () => {};
  const holding = new Promise<void>((resolve) => {
    release = resolve;
  });
  let waiting: Promise<unknown> | undefined;
  const critical = holder.withLock(async (held) => {
    await held.append({ x: value });
    waiting = other.append({ x: value });
    proxy.cutAll();
    await holding;
    await held.append({ x: value });
  });
  const failure = expect(critical).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
  while (!waiting) await new Promise((resolve) => setTimeout(resolve, 1));
  await waiting;
  release();
  await failure;
  expect(await other.get("x")).toEqual(Uint8Array.of(1, 2, 3, 1, 2, 3));
  await holder.close();
  await other.close();
  await proxy.close();
  await server.close();
});

test("a stream that is cut rejects, and the client goes on", async () => {
  const [server, proxy] = await withProxy(new Dict(), "stream");
  const client = new Client(`ipc://${proxy.path}`);
  await client.append({ x: new Uint8Array(5_000_000).fill(1) });
  const begun = client.stream("x")[Symbol.asyncIterator]();
  await begun.next();
  proxy.cutAll();
  await expect(
    (async () => {
      while (!(await begun.next()).done);
    })(),
  ).rejects.toMatchObject({ code: "ERR_PARTD_CONNECTION" });
  expect((await client.get("x")).byteLength).toBe(5_000_000);
  await client.close();
  await proxy.close();
  await server.close();
});

test("an idle connection is closed, and comes back with the next operation", async () => {
  await using server = await Server.listen(new Dict(), { limits: { idle: 50 } });
  await using client = new Client(server.address);
  const resumed: boolean[] = [];
  client.addEventListener("connect", ({ detail }) => resumed.push(detail.resumed));
  await client.append({ x: value });
  while (server.stats().connections > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await client.get("x")).toEqual(value);
  expect(resumed).toEqual([false, true]);
});

test("a session that nobody comes back to is forgotten", async () => {
  await using server = await Server.listen(new Dict(), { limits: { session: 50 } });
  const raw = new RawClient(server.address);
  await raw.hello();
  expect(server.stats().sessions).toBe(1);
  raw.socket.terminate();
  while (server.stats().sessions > 0) await new Promise((resolve) => setTimeout(resolve, 10));
});

test("errors come through with code, message and key", async () => {
  class Failing extends Dict {
    protected override async _append(): Promise<void> {
      throw new PartdError("ERR_PARTD_CORRUPT", "it is damaged", {
        key: "a key/with é",
        offset: 70_000,
        path: "/some/where",
      });
    }
  }
  await using server = await Server.listen(new Failing());
  await using client: Store = new Client(server.address);
  await expect(client.append({ x: value })).rejects.toMatchObject({
    name: "PartdError",
    code: "ERR_PARTD_CORRUPT",
    message: "it is damaged",
    key: "a key/with é",
    offset: 70_000,
    path: "/some/where",
    address: server.address,
  });
});

test("health and metrics", async () => {
  await using server = await Server.listen(new Dict());
  await using client = new Client(server.address);
  await client.append({ x: value, y: value });
  await client.get("x");
  const url = server.address.replace("ws:", "http:");
  expect(await (await fetch(`${url}/healthz`)).text()).toBe("ok\n");
  const metrics = await fetch(`${url}/metrics`);
  expect(metrics.headers.get("content-type")).toContain("text/plain; version=0.0.4");
  await metrics.text();
  const text = await (await fetch(`${url}/metrics`)).text(); // The second tells the same.
  expect(text).toMatch(/^partd_connections 1$/m);
  expect(text).toMatch(/^partd_appended_bytes_total 6$/m);
  expect(text).toMatch(/^partd_read_bytes_total 3$/m);
  expect(text).toMatch(/^partd_keys 2$/m);
  expect(text).toMatch(/^# HELP partd_appends_total Appends\n# TYPE partd_appends_total counter$/m);
  expect(text).toMatch(/^partd_appends_total 1$/m);
  expect(text).toMatch(/^# TYPE partd_keys gauge$/m);
  expect(text).toMatch(/^partd_largest_key_bytes 3$/m);
  expect(text).toMatch(/^partd_store\{of="memoryHeld"\} \d{6,}$/m);
  expect((await fetch(`${url}/`)).status).toBe(404); // No dashboard was asked for.
  expect((await fetch(`${url}/`, { method: "POST" })).status).toBe(405);
});

/** A server, and a way to it that can be cut. */
async function withProxy(store: Store, name: string): Promise<[Server, CuttingProxy]> {
  const path = join(directory, `${name}.sock`);
  const server = await Server.listen(store, { address: `ipc://${path}` });
  return [server, await CuttingProxy.listen(`${path}-proxy`, path)];
}

/** Tells which primitives change it. */
class Recording extends Dict {
  readonly calls: string[] = [];
  protected override async _set(key: string, value: Uint8Array): Promise<void> {
    this.calls.push("set");
    await super._set(key, value, {});
  }
  protected override async _delete(keys: readonly string[]): Promise<void> {
    if (this.calls.at(-1) !== "set") this.calls.push("delete");
    await super._delete(keys);
  }
}

test("the isets of several clients are each one step of the store, which may be atomic", async () => {
  const store = new Recording();
  await using server = await Server.listen(store);
  for (const i of [1, 2, 3]) {
    await using client = new Client(server.address);
    await client.iset("x", Uint8Array.of(i));
    expect(await client.get("x")).toEqual(Uint8Array.of(i));
  }
  expect(store.calls).toEqual(["set", "set", "set"]);
});

/** Refuses what names `bad`, with the code that it is told. */
class Refusing extends Dict {
  calls = 0;
  code: "ERR_PARTD_VALUE" | "ERR_PARTD_IO" = "ERR_PARTD_VALUE";
  protected override async _append(batch: Batch): Promise<void> {
    this.calls++;
    if (batch.keys.includes("bad")) throw new PartdError(this.code, "It is bad.");
    await super._append(batch);
  }
}

test("appends of one message become one of the store, each with its own outcome", async () => {
  const store = new Refusing();
  await using server = await Server.listen(store);
  await using client = new Client(server.address);
  const names = Array.from({ length: 100 }, (_, i) => (i === 50 ? "bad" : `k${i % 7}`));
  const append = (keys: readonly string[]) =>
    Promise.allSettled(keys.map((key) => client.append({ [key]: value })));
  const bytes = async () => (await client.get([0, 1, 2, 3, 4, 5, 6].map((i) => `k${i}`))).flat();
  const total = async () => (await bytes()).reduce((sum, { byteLength }) => sum + byteLength, 0);

  const good = await append(names.filter((name) => name !== "bad"));
  expect(good.every(({ status }) => status === "fulfilled")).toBe(true);
  expect(store.calls).toBe(1);
  expect(server.stats().totals.appends).toBe(99);
  expect(await total()).toBe(99 * value.byteLength);

  // What is wrong with one alone is no fault of its neighbours.
  const outcomes = await append(names);
  expect(outcomes.map(({ status }) => status)).toEqual(
    names.map((name) => (name === "bad" ? "rejected" : "fulfilled")),
  );
  expect(await total()).toBe(2 * 99 * value.byteLength);

  // A store that is broken is so for all, and is not asked again.
  store.code = "ERR_PARTD_IO";
  store.calls = 0;
  for (const outcome of await append(names)) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "ERR_PARTD_IO" } });
  }
  expect(store.calls).toBe(1);
  expect(await total()).toBe(2 * 99 * value.byteLength);
});

test("of thousands of appends in flight, each arrives as it was", async () => {
  await using server = await Server.listen(new Dict(), {
    address: `ipc://${join(directory, "f")}`,
  });
  await using client = new Client(server.address);
  const filled = (i: number) => new Uint8Array(100).fill(i % 251);
  // More than the memory that messages are written in, which is used again and again.
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      Array.from({ length: 10_000 }, (_, i) => client.append({ [`k${i % 500}`]: filled(i) })),
    );
  }
  for (let key = 0; key < 500; key++) {
    const expected = Array.from({ length: 60 }, (_, i) => filled(key + 500 * (i % 20)));
    const got = await client.get(`k${key}`);
    expect(Buffer.compare(got, Buffer.concat(expected))).toBe(0);
  }
});

test("a call that waits inside withLock for its own lock is given up, and says why", async () => {
  await using server = await Server.listen(new Dict());
  await using client = new Client(server.address);
  const other = client.withLock(() => client.append({ x: value }));
  await expect(other).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
  await client.withLock((held) => held.append({ x: value }));
  await client.append({ x: value }); // Outside it is as before.
  expect(await client.get("x")).toHaveLength(2 * value.byteLength);
});

test("close ends when a request was refused by the server's terms", async () => {
  await using server = await Server.listen(new Dict(), { limits: { keys: 1 } });
  const client = new Client(server.address);
  const refused = expect(client.get(["x", "y"])).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
  await client.close();
  await refused;
});
