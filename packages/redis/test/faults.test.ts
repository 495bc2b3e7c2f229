import { join } from "node:path";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { RedisStore } from "@partd/redis";
import { createClient } from "@redis/client";
import { CuttingProxy } from "tooling/cutting-proxy";
import { describeReal, realPart } from "tooling/real-part";
import { Load } from "./load.js";
import { until } from "./redis-cluster.js";
import { freePort, RedisServer } from "./redis-server.js";

const CUTS = Number(process.env.PARTD_CUTS ?? 25);
const MINUTE = 60_000;
const text = (value: Uint8Array) => Buffer.from(value).toString();
const bytes = (value: string) => Buffer.from(value);

describeReal(realPart.redisServer(), "faults", () => {
  let server: RedisServer;
  let url = "";

  beforeAll(async () => {
    server = await RedisServer.start();
    url = server.url;
  });
  afterAll(() => server.stop());

  test(
    `connections that are cut ${CUTS} times lose nothing and double nothing`,
    async () => {
      const path = join(server.folder, "proxy");
      const proxy = await CuttingProxy.listen(path, join(server.folder, "socket"), {
        mostBytes: 400_000,
        cuts: CUTS,
      });
      const options = { url: `unix://${proxy.path}`, prefix: "cut", retryMs: 10 * MINUTE };
      const direct = new RedisStore({ url, prefix: "cut" });
      await direct.count(); // The data set is made.
      const stores: RedisStore[] = [];
      while (stores.length < 3) {
        const store = new RedisStore(options);
        // The first connection is not mended: it tells what is wrong.
        if (
          await store.count().then(
            () => true,
            () => false,
          )
        )
          stores.push(store);
      }
      const load = new Load(stores);
      load.start();
      while (proxy.cuts < CUTS) await load.more(20);
      await load.more(50);
      await load.end();
      expect(load.errors).toEqual([]);
      expect(await load.faults(direct)).toEqual([]);
      for (const store of [...stores, direct]) await store.close();
      await proxy.close();
    },
    10 * MINUTE,
  );

  test("pops and sets through cut connections happen once", async () => {
    const path = join(server.folder, "proxy2");
    const proxy = await CuttingProxy.listen(path, join(server.folder, "socket"), {
      mostBytes: 400_000,
      cuts: 15,
    });
    const direct = new RedisStore({ url, prefix: "pops" });
    await direct.count();
    let store = new RedisStore({ url: `unix://${proxy.path}`, prefix: "pops" });
    while (
      !(await store.count().then(
        () => true,
        () => false,
      ))
    ) {
      store = new RedisStore({ url: `unix://${proxy.path}`, prefix: "pops" });
    }
    let popped = "";
    let appended = "";
    for (let i = 0; proxy.cuts < 15 || i < 50; i++) {
      await Promise.all([
        direct.append({ x: bytes(`<${i}>`) }),
        store.pop("x").then((value) => {
          popped += text(value);
        }),
        store.iset(`set ${i}`, Buffer.alloc(20_000, i)),
      ]);
      appended += `<${i}>`;
    }
    popped += text(await direct.get("x"));
    expect(popped).toBe(appended);
    expect(await direct.get("set 7")).toEqual(new Uint8Array(20_000).fill(7));
    await store.close();
    await direct.close();
    await proxy.close();
  });

  test("a server that forgets its scripts is told them again", async () => {
    const store = new RedisStore({ url, prefix: "scripts" });
    await store.append({ x: bytes("1") });
    await server.command("SCRIPT", "FLUSH");
    await Promise.all(["2", "3", "4"].map((value) => store.append({ x: bytes(value) })));
    await server.command("SCRIPT", "FLUSH");
    expect(text(await store.get("x"))).toBe("1234");
    await store.close();
  });

  test("a server that was started anew and empty is not taken for an empty data set", async () => {
    const own = await RedisServer.start();
    const store = new RedisStore({ url: own.url });
    const writer = new RedisStore({ url: own.url, prefix: "second" });
    for (const one of [store, writer]) await one.append({ x: bytes("1") });
    await own.kill();
    await own.restart();
    const lost = { code: "ERR_PARTD_IO", message: expect.stringContaining("has lost 1 of 1") };
    await expect(writer.append({ x: bytes("2") })).rejects.toMatchObject(lost);
    await expect(writer.close()).rejects.toMatchObject(lost);
    await writer.close();
    await expect(store.get("x")).rejects.toMatchObject(lost);
    await expect(store.append({ x: bytes("2") })).rejects.toMatchObject(lost);
    await expect(store.flush()).rejects.toMatchObject(lost);
    await expect(store.close()).rejects.toMatchObject(lost);
    await store.close(); // It was told.
    const next = new RedisStore({ url: own.url });
    expect(await next.count()).toBe(0);
    await next.close();
    await own.stop();
  });

  test("without memory an append writes nothing, and a deletion makes room", async () => {
    const own = await RedisServer.start(["--maxmemory", "20mb"]);
    const store = new RedisStore({ url: own.url });
    const batch = () => ({ a: Buffer.alloc(300_000, 1), b: Buffer.alloc(300_000, 2) });
    let appends = 0;
    const full = { code: "ERR_PARTD_IO", message: expect.stringContaining("maxmemory") };
    await expect(
      (async () => {
        for (; appends < 100; appends++) await store.append(batch());
      })(),
    ).rejects.toMatchObject(full);
    expect(appends).toBeGreaterThan(10);
    // Behind one that fails others were on their way.
    const more = await Promise.allSettled(Array.from({ length: 8 }, () => store.append(batch())));
    for (const one of more) expect(one).toMatchObject({ status: "rejected", reason: full });
    await expect(store.iset("c", Buffer.alloc(3_000_000))).rejects.toMatchObject(full);
    await expect(store.append({ d: Buffer.alloc(30 << 20) })).rejects.toMatchObject(full);
    expect([await store.size("a"), await store.size("b")]).toEqual([appends * 3e5, appends * 3e5]);
    expect(await store.count()).toBe(2);
    expect((await store.pop("a")).byteLength).toBe(appends * 3e5);
    await store.append({ e: bytes("again") });
    expect(text(await store.get("e"))).toBe("again");
    await store.append(batch());
    await own.command("CONFIG", "SET", "maxmemory", "1");
    await expect(store.append({ g: bytes("1") })).rejects.toMatchObject(full);
    await store.withLock((held) => held.delete("a"));
    const other = new RedisStore({ url: own.url });
    await other.drop();
    await own.command("CONFIG", "SET", "maxmemory", "20mb");
    await other.append({ f: bytes("once more") });
    expect(text(await store.get("f"))).toBe("once more");
    await other.close();
    await store.close();
    await own.stop();
  });

  test("a server that refuses writes is told, is read from, and is written to when it takes them again", async () => {
    // It can save nothing in this folder.
    const own = await RedisServer.start(["--save", "3600 1000000", "--dir", "/proc"]);
    const store = new RedisStore({ url: own.url });
    const refused = async (words: string, value: string) => {
      const error = { code: "ERR_PARTD_IO", message: expect.stringContaining(words) };
      await expect(store.append({ x: bytes(value) })).rejects.toMatchObject(error);
    };
    await store.append({ x: bytes("1") });
    await own.command("CONFIG", "SET", "min-replicas-to-write", "1");
    await refused("min-replicas-to-write", "2");
    await own.command("CONFIG", "SET", "min-replicas-to-write", "0");
    await own.command("BGSAVE");
    await until(async () =>
      String(await own.command("INFO", "persistence")).includes("bgsave_status:err"),
    );
    await refused("stop-writes-on-bgsave-error", "3");
    expect(text(await store.get("x"))).toBe("1");
    await own.command("CONFIG", "SET", "stop-writes-on-bgsave-error", "no");
    await store.append({ x: bytes("4") });
    expect(text(await store.get("x"))).toBe("14");
    await store.close();
    await own.stop();
  });

  test("a replica, a password, TLS, a cluster's node and no server are each told", async () => {
    const told = async (address: string, code: string, words: RegExp) => {
      const store = new RedisStore({ url: address, retryMs: 500 });
      const message = expect.stringMatching(words);
      await expect(store.append({ x: bytes("1") })).rejects.toMatchObject({ code, message });
      await store.close();
    };
    const port = await freePort();
    const own = await RedisServer.start(["--requirepass", "secret"], port);
    await told(own.url, "ERR_PARTD_AUTH", /user and password/);
    await told(`redis://:wrong@127.0.0.1:${port}`, "ERR_PARTD_AUTH", /user and password/);
    await told(`rediss://:secret@127.0.0.1:${port}`, "ERR_PARTD_CONNECTION", /TLS/);
    const good = new RedisStore({ url: `redis://:secret@127.0.0.1:${port}` });
    await good.append({ x: bytes("1") });
    await good.close();
    await own.stop();
    await told(`redis://127.0.0.1:${port}`, "ERR_PARTD_CONNECTION", /start it/);
    const replica = await RedisServer.start(["--replicaof", "127.0.0.1", String(port)]);
    await told(replica.url, "ERR_PARTD_IO", /replica/);
    await replica.stop();
    const node = await RedisServer.start(["--cluster-enabled", "yes"], await freePort());
    await told(node.url, "ERR_PARTD_CONNECTION", /CLUSTERDOWN/);
    await node.stop();
    const lonely = await RedisServer.start(["--min-replicas-to-write", "1"]);
    await told(lonely.url, "ERR_PARTD_IO", /min-replicas-to-write/);
    await lonely.stop();
    const noCluster = new RedisStore({ nodes: [url] });
    const message = expect.stringMatching(/give url, not nodes/);
    await expect(noCluster.count()).rejects.toMatchObject({ code: "ERR_PARTD_IO", message });
    await noCluster.close();
  });

  test("a holder that stood still for too long changes nothing more", async () => {
    const [holder, other] = [1, 2].map(
      () => new RedisStore({ url, prefix: "fence", lockTimeoutMs: MINUTE }),
    ) as [RedisStore, RedisStore];
    await other.append({ x: bytes("1") });
    const lost = { code: "ERR_PARTD_LOCK" };
    const held = holder.withLock(async (store) => {
      await store.append({ x: bytes("2") });
      // As if its lease had run out while its process stood still.
      await server.command("DEL", "{fence/0}:lock");
      await other.withLock((its) => its.append({ x: bytes("3") }));
      await expect(store.append({ x: bytes("never") })).rejects.toMatchObject(lost);
      await expect(store.delete("x")).rejects.toMatchObject(lost);
      await expect(store.get("x")).rejects.toMatchObject(lost);
    });
    await held.catch((error) => expect(error).toMatchObject(lost));
    await holder.append({ x: bytes("4") });
    expect(text(await holder.get("x"))).toBe("1234");
    await holder.close();
    await other.close();
  });

  test("the lock is renewed while it is held", async () => {
    const store = new RedisStore({ url, prefix: "renewed", staleMs: 60_000 });
    await store.count();
    const timers = jest.spyOn(globalThis, "setInterval");
    const renew = () => {
      const [callback, milliseconds] = timers.mock.lastCall as [() => void, number];
      expect(milliseconds).toBeLessThan(30_000);
      callback();
    };
    try {
      await store.withLock(async () => {
        await server.command("PEXPIRE", "{renewed/0}:lock", "600000");
        renew();
        while (Number(await server.command("PTTL", "{renewed/0}:lock")) > 60_000);
      });
      expect(await server.command("EXISTS", "{renewed/0}:lock")).toBe(0);
      const lost = store.withLock(async () => {
        await server.command("SET", "{renewed/0}:lock", "another's");
        renew();
        // The renewal was answered before this, on the same connection.
        await store.count().catch(() => {});
        await server.command("PING");
      });
      await expect(lost).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
      await server.command("DEL", "{renewed/0}:lock");
    } finally {
      timers.mockRestore();
    }
    await store.close();
  });

  test("a write that min-replicas-to-write confirm is told, and is there", async () => {
    const store = new RedisStore({ url, prefix: "unconfirmed", waitReplicas: 1, retryMs: 0 });
    const message = expect.stringMatching(/It was written, but 0 of 1 replicas/);
    const told = { code: "ERR_PARTD_IO", message };
    await expect(store.append({ x: bytes("1") })).rejects.toMatchObject(told);
    expect(text(await store.get("x"))).toBe("1");
    await store.close();
  });

  test("the wait for the lock ends, and names its holder", async () => {
    const holder = new RedisStore({ url, prefix: "wait" });
    const other = new RedisStore({ url, prefix: "wait", lockTimeoutMs: 50 });
    const message = expect.stringContaining(String(process.pid));
    await holder.withLock(async () => {
      for (const call of [
        () => other.append({ x: bytes("1") }),
        () => other.get("x"),
        () => other.pop("x"),
        () => other.withLock(() => {}),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: "ERR_PARTD_LOCK", message });
      }
    });
    await other.append({ x: bytes("2") });
    expect(text(await other.get("x"))).toBe("2");
    await holder.close();
    await other.close();
  });

  test("options that differ from the data set's are refused", async () => {
    const first = new RedisStore({ url, prefix: "meta", buckets: 3 });
    await first.append({ x: bytes("1") });
    const other = new RedisStore({ url, prefix: "meta", buckets: 4 });
    await expect(other.get("x")).rejects.toMatchObject({ code: "ERR_PARTD_VALUE" });
    const same = new RedisStore({ url, prefix: "meta" });
    expect(text(await same.get("x"))).toBe("1");
    for (const store of [first, other, same]) await store.close();
    for (const bad of [{}, { url, nodes: [url] }, { url, prefix: "{a}" }, { url: "http://x" }]) {
      expect(() => new RedisStore(bad)).toThrow(
        expect.objectContaining({ code: "ERR_PARTD_VALUE" }),
      );
    }
  });

  test("keys expire, and are then neither listed nor counted", async () => {
    const store = new RedisStore({ url, prefix: "expire", expireAfter: 3_600_000 });
    await store.append({ x: bytes("1"), y: bytes("2") });
    const long = Buffer.alloc(100_000, 1);
    // By a script, then by commands, in parts, and in place of another value.
    for (const size of [long, long, Buffer.alloc(17 << 20)])
      await store.append({ [size.length]: size });
    for (const _ of [1, 2]) await store.iset("set", bytes("3"), { replace: true });
    const values = ["x", "y", long.length, 17 << 20, "set"];
    for (const name of [...values.map((key) => `v:${key}`), "keys", "writers"]) {
      const left = await server.command("PTTL", `{expire/0}:${name}`);
      expect([name, Number(left) > 0 && Number(left) <= 3_600_000]).toEqual([name, true]);
    }
    await store.delete(values.slice(2).map(String));
    await server.command("PEXPIRE", "{expire/0}:v:x", "1");
    while ((await server.command("EXISTS", "{expire/0}:v:x")) !== 0);
    expect(await store.count()).toBe(1);
    expect(text(await store.get("x"))).toBe("");
    await store.append({ x: bytes("3") });
    expect(text(await store.get("x"))).toBe("3");
    expect(await store.count()).toBe(2);
    await store.close();
  });

  test("a large batch whose first parts are lost is not written at all", async () => {
    const inner = createClient({ socket: { path: join(server.folder, "socket"), tls: false } });
    await inner.connect();
    let isToBeLost = true;
    const client = {
      isOpen: true,
      async sendCommand(args: (string | Buffer)[], options?: object) {
        const staging = args.find((one) => String(one).startsWith("{staged/0}:s:"));
        if (isToBeLost && staging && args.includes("{staged/0}:lock")) {
          isToBeLost = false;
          await inner.sendCommand(["DEL", staging]);
        }
        return inner.sendCommand(args, options);
      },
    };
    const store = new RedisStore({ client, prefix: "staged" });
    const batch = { x: Buffer.alloc(17 << 20, 1), y: bytes("1") };
    const message = expect.stringMatching(/nothing was written: append it again/);
    await expect(store.append(batch)).rejects.toMatchObject({ code: "ERR_PARTD_IO", message });
    expect(isToBeLost).toBe(false);
    expect(await store.count()).toBe(0);
    await store.append(batch);
    expect([await store.size("x"), await store.size("y")]).toEqual([17 << 20, 1]);
    await store.close();
    inner.destroy();
  });

  test("a client that was given is used, and stays open", async () => {
    const client = createClient({ socket: { path: join(server.folder, "socket"), tls: false } });
    const early = new RedisStore({ client, prefix: "given" });
    await expect(early.count()).rejects.toMatchObject({
      message: expect.stringContaining("connect()"),
    });
    await early.close();
    await client.connect();
    const store = new RedisStore({ client, prefix: "given" });
    await store.append({ x: Buffer.alloc(2_000_000, 7) });
    expect(await store.size("x")).toBe(2_000_000);
    await store.drop();
    await store.close();
    expect(await client.ping()).toBe("PONG");
    client.destroy();
  });
});
