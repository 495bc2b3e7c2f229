import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { RedisStore } from "@partd/redis";
import { createClient } from "@redis/client";
import { describeReal, realPart } from "tooling/real-part";
import { Load } from "./load.js";
import { freePort, RedisServer } from "./redis-server.js";

const text = (value: Uint8Array) => Buffer.from(value).toString();
const bytes = (value: string) => Buffer.from(value);
/** Pushed by commands, not by a script. */
const long = (byte: number) => Buffer.alloc(100_000, byte);

describeReal(realPart.redisServer(), "a server that is in others' hands, too", () => {
  let server: RedisServer;
  let url = "";
  beforeAll(async () => {
    server = await RedisServer.start();
    url = server.url;
  });
  afterAll(() => server.stop());

  test("connections that an administrator kills, and pauses, lose nothing and double nothing", async () => {
    const stores = [1, 2].map(() => new RedisStore({ url, prefix: "killed" }));
    for (const store of stores) await store.count();
    const load = new Load(stores);
    load.start();
    for (let i = 0; i < 10; i++) {
      await load.more(5);
      await server.command("CLIENT", "PAUSE", "20", i % 2 === 0 ? "ALL" : "WRITE");
      await server.command("CLIENT", "KILL", "TYPE", "normal");
    }
    await load.more(20);
    await load.end();
    expect(load.errors).toEqual([]);
    expect(await load.faults(stores[0] as RedisStore)).toEqual([]);
    for (const store of stores) await store.close();
  });

  test("while another's script blocks the server, calls wait, and are carried out once", async () => {
    const own = await RedisServer.start(["--busy-reply-threshold", "10"]);
    const store = new RedisStore({ url: own.url });
    for (const byte of [1, 2]) await store.append({ long: long(byte) });
    const blocking = own.command("EVAL", "while true do end", "0").catch(String);
    while (!String(await own.command("PING").catch(String)).includes("BUSY"));
    const calls = [
      store.append({ x: bytes("1") }),
      store.append({ long: long(3) }),
      store.get("x"),
    ];
    await own.command("SCRIPT", "KILL");
    expect(await blocking).toMatch(/killed/);
    await Promise.all(calls);
    expect(text(await store.get("x"))).toBe("1");
    expect(await store.get("long")).toEqual(
      new Uint8Array(Buffer.concat([long(1), long(2), long(3)])),
    );
    await store.close();
    await own.stop();
  });

  test("a user without a right is told, or does without it", async () => {
    const port = await freePort();
    const own = await RedisServer.start([], port);
    const as = async (name: string, ...rights: string[]) => {
      await own.command("ACL", "SETUSER", name, "on", ">secret", "~*", "+@all", ...rights);
      return new RedisStore({ url: `redis://${name}:secret@127.0.0.1:${port}` });
    };
    const none = await as("none", "-eval", "-evalsha");
    const message = expect.stringMatching(/allow it EVAL/);
    await expect(none.append({ x: bytes("1") })).rejects.toMatchObject({
      code: "ERR_PARTD_AUTH",
      message,
    });
    await none.close();
    const whole = Buffer.concat([1, 2, 3].map(long));
    for (const right of ["-multi", "-exec", "-rpushx", "-memory", "-info"]) {
      const store = await as(right, right);
      // With the first the store finds out what it may do.
      for (const byte of [1, 2, 3]) await store.append({ [right]: long(byte) });
      expect([right, Buffer.from(await store.get(right)).equals(whole)]).toEqual([right, true]);
      await store.close();
    }
    await own.stop();
  });

  test("a server that evicts keys is refused, and a value that is gone is no empty value", async () => {
    const own = await RedisServer.start(["--maxmemory", "8mb"]);
    for (const policy of ["allkeys-lru", "allkeys-lfu", "allkeys-random"]) {
      await own.command("CONFIG", "SET", "maxmemory-policy", policy);
      const store = new RedisStore({ url: own.url });
      await expect(store.append({ x: bytes("1") })).rejects.toMatchObject({
        code: "ERR_PARTD_IO",
        message: expect.stringContaining("noeviction"),
      });
      await store.close();
    }
    // These evict only keys that expire: by default values do not.
    for (const policy of ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]) {
      await own.command("CONFIG", "SET", "maxmemory-policy", policy);
      const store = new RedisStore({ url: own.url, prefix: policy });
      const full = { code: "ERR_PARTD_IO", message: expect.stringContaining("maxmemory") };
      let appends = 0;
      const fill = async () => {
        for (; ; appends++) await store.append({ x: Buffer.alloc(1_000_000, 1) });
      };
      await expect(fill()).rejects.toMatchObject(full);
      expect((await store.pop("x")).byteLength).toBe(1_000_000 * appends);
      await store.close();
    }
    const store = new RedisStore({ url: own.url, prefix: "gone" });
    await store.append({ x: bytes("1"), y: bytes("2") });
    await own.command("DEL", "{gone/0}:v:x");
    const gone = { code: "ERR_PARTD_IO", key: "x", message: expect.stringContaining("evicted") };
    await expect(store.get(["y", "x"])).rejects.toMatchObject(gone);
    await store.delete("x");
    expect((await store.get(["y", "x"])).map(text)).toEqual(["2", ""]);
    await store.close();
    await own.stop();
  });

  test("a foreign value under a name of ours is told, and hides no later append", async () => {
    const store = new RedisStore({ url, prefix: "foreign" });
    await store.append({ a: bytes("1"), long: long(1) });
    await store.append({ long: long(2) }); // Now commands push it.
    for (const name of ["x", "y"]) await server.command("SET", `{foreign/0}:v:${name}`, "theirs");
    const corrupt = { code: "ERR_PARTD_CORRUPT" };
    await expect(store.append({ x: bytes("2") })).rejects.toMatchObject(corrupt);
    await store.append({ a: bytes("3") });
    await expect(store.append({ y: long(3) })).rejects.toMatchObject(corrupt);
    await store.append({ a: bytes("4") });
    expect(text(await store.get("a"))).toBe("134");
    await store.close();
  });

  test.each([2, 3] as const)("a client that speaks RESP%i, with pushes", async (RESP) => {
    const client = createClient({
      RESP,
      socket: { path: join(server.folder, "socket"), tls: false },
    });
    await client.connect();
    if (RESP === 3) await client.sendCommand(["CLIENT", "TRACKING", "ON", "BCAST"]);
    const store = new RedisStore({ client, prefix: `resp${RESP}` });
    const other = new RedisStore({ url, prefix: `resp${RESP}` });
    for (let i = 0; i < 3; i++) {
      await store.append({ "{": bytes(`${i}`), "}{": long(i) });
      await other.append({ "{": bytes("-") });
    }
    expect(text(await store.get("{"))).toBe("0-1-2-");
    expect(await store.size("}{")).toBe(300_000);
    expect((await store.pop("}{")).byteLength).toBe(300_000);
    const keys: unknown[] = [];
    for await (const key of store.keys()) keys.push(key);
    expect(keys).toEqual(["{"]);
    await store.close();
    await other.close();
    client.destroy();
  });

  test("a value that is replaced while LRANGE reads it is the old one or the new one", async () => {
    const store = new RedisStore({ url, prefix: "replaced" });
    const writer = new RedisStore({ url, prefix: "replaced" });
    // Of several lengths: what LRANGE has read of another one does not fit.
    const lengthOf = (byte: number) => 300_000 * (1 + (byte % 4));
    const value = (byte: number) => Buffer.alloc(lengthOf(byte), byte);
    await writer.append({ x: value(0) });
    let isOver = false;
    const writing = (async () => {
      for (let i = 1; !isOver; i++) await writer.iset("x", value(i % 256), { replace: true });
    })();
    for (let i = 0; i < 60; i++) {
      const read = await store.get("x");
      expect(read.byteLength).toBe(lengthOf(read[0] as number));
      expect(Buffer.from(read).equals(value(read[0] as number))).toBe(true);
    }
    isOver = true;
    await writing;
    await store.close();
    await writer.close();
  });
});

describeReal([realPart.redisServer(), realPart.openssl()], "a server's certificate", () => {
  test("that no one vouches for is refused, with the advice what to do; then it is used", async () => {
    const port = await freePort();
    const own = await RedisServer.start();
    const file = (name: string) => join(own.folder, name);
    const made = spawnSync(realPart.openssl().command as string, [
      ..."req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=other.example -addext subjectAltName=IP:127.0.0.1".split(
        " ",
      ),
      ...["-keyout", file("key"), "-out", file("cert")],
    ]);
    expect(made.status).toBe(0);
    await own.command(
      "CONFIG",
      "SET",
      "tls-cert-file",
      file("cert"),
      "tls-key-file",
      file("key"),
      "tls-auth-clients",
      "no",
      "tls-ca-cert-file",
      file("cert"),
      "tls-port",
      String(port),
    );
    const store = new RedisStore({ url: `rediss://127.0.0.1:${port}`, retryMs: 0 });
    await expect(store.count()).rejects.toMatchObject({
      code: "ERR_PARTD_CONNECTION",
      message: expect.stringMatching(/certificate.*NODE_EXTRA_CA_CERTS/),
    });
    await store.close();
    const program = `import { RedisStore } from "@partd/redis";
      const store = new RedisStore({ url: "rediss://127.0.0.1:${port}" });
      await store.append({ x: Buffer.from("1") });
      process.stdout.write(await store.get("x"));
      await store.close();`;
    const trusting = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: file("cert") },
      cwd: import.meta.dirname,
      encoding: "utf8",
    });
    expect(trusting).toMatchObject({ status: 0, stdout: "1" });
    await own.stop();
  });
});
