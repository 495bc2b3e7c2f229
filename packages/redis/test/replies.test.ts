import { randomBytes } from "node:crypto";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { RedisStore, type RedisStoreOptions } from "@partd/redis";
import { createClient } from "@redis/client";
import { describeReal, realPart } from "tooling/real-part";
import type { Connection } from "../src/connection/connection.js";
import { troubleOf } from "../src/trouble.js";
import { until } from "./redis-cluster.js";
import { freePort, RedisServer } from "./redis-server.js";

const text = (value: Uint8Array) => Buffer.from(value).toString();
const bytes = (value: string) => Buffer.from(value);
/** Each is sent in a call of its own. */
const large = (byte: number) => Buffer.alloc(3 << 20, byte);

describeReal(realPart.redisServer(), "a server that does not do what it is asked", () => {
  let server: RedisServer;
  let url = "";
  beforeAll(async () => {
    server = await RedisServer.start();
    url = server.url;
  });
  afterAll(() => server.stop());

  /** How many replies of a server began with the word. */
  const replies = async (word: string, of = server) => {
    const statistics = String(await of.command("INFO", "errorstats"));
    return Number(new RegExp(`errorstat_${word}:count=(\\d+)`).exec(statistics)?.[1] ?? 0);
  };
  /** Clients' commands under a user's name. */
  const clientOf = async (username: string, of = server) => {
    const socket = { path: join(of.folder, "socket"), tls: false as const };
    const client = createClient({ username, password: "secret", socket });
    await client.connect();
    return client;
  };

  test("LOADING: calls and openings wait until a server that starts again has read its data", async () => {
    const own = await RedisServer.start(["--rdbcompression", "no"]);
    const options = { url: own.url, retryMs: 60_000 };
    const store = new RedisStore(options);
    await store.append({ x: bytes("1") });
    for (let i = 0; i < 2000; i++) await store.append({ [i]: randomBytes(1100) });
    await own.command("SAVE");
    await own.kill();
    const slow = ["--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"];
    await own.restart(slow, /Loading RDB/);
    const hasty = new RedisStore({ url: own.url, retryMs: 0 });
    await expect(hasty.count()).rejects.toMatchObject({
      code: "ERR_PARTD_CONNECTION",
      message: expect.stringMatching(/not ready.*retryMs.*LOADING/),
    });
    await hasty.close();
    const second = new RedisStore(options);
    const before = await replies("LOADING", own);
    const calls = [store.append({ x: bytes("2") }), second.get("0"), store.get("1")];
    await until(async () => (await replies("LOADING", own)) > before + 3);
    await own.command("CONFIG", "SET", "key-load-delay", "0");
    await Promise.all(calls);
    expect(text(await second.get("x"))).toBe("12");
    expect(await second.count()).toBe(2001);
    for (const one of [store, second]) await one.close();
    await own.stop();
  });

  test("READONLY and MASTERDOWN: a server that becomes a replica, and a master again", async () => {
    const own = await RedisServer.start();
    const store = new RedisStore({ url: own.url, retryMs: 60_000 });
    const hasty = new RedisStore({ url: own.url, retryMs: 0 });
    for (const value of ["1", "2"]) await store.append({ x: bytes(value) });
    expect(text(await hasty.get("x"))).toBe("12");
    await own.command("REPLICAOF", "127.0.0.1", "1"); // No one is there.
    const told = { code: "ERR_PARTD_IO", message: expect.stringMatching(/to its master/) };
    const several = [3, 4, 5].map((byte) => store.append({ long: large(byte) }));
    for (const one of await Promise.allSettled(several)) {
      expect(one).toMatchObject({ status: "rejected", reason: told });
    }
    await expect(store.pop("x")).rejects.toMatchObject(told);
    expect(text(await store.get("x"))).toBe("12");
    await own.command("CONFIG", "SET", "replica-serve-stale-data", "no");
    await expect(hasty.get("x")).rejects.toMatchObject({
      code: "ERR_PARTD_CONNECTION",
      message: expect.stringMatching(/not ready.*lost its master.*MASTERDOWN/),
    });
    const before = await replies("MASTERDOWN", own);
    const calls = [store.get("x"), store.append({ y: bytes("3") })];
    await until(async () => (await replies("MASTERDOWN", own)) > before + 2);
    await own.command("REPLICAOF", "NO", "ONE");
    await Promise.all(calls);
    expect((await store.get(["x", "y", "long"])).map(text)).toEqual(["12", "3", ""]);
    for (const one of [store, hasty]) await one.close();
    await own.stop();
  });

  test("BUSY: another's script that does not end is told, and how to end it", async () => {
    const own = await RedisServer.start(["--busy-reply-threshold", "10"]);
    const store = new RedisStore({ url: own.url, retryMs: 0 });
    await store.append({ x: bytes("1") });
    const blocking = own.command("EVAL", "while true do end", "0").catch(String);
    while (!String(await own.command("PING").catch(String)).includes("BUSY"));
    const told = { code: "ERR_PARTD_CONNECTION", message: expect.stringMatching(/SCRIPT KILL/) };
    await expect(store.append({ x: bytes("2") })).rejects.toMatchObject(told);
    await expect(store.get("x")).rejects.toMatchObject(told);
    await own.command("SCRIPT", "KILL");
    await blocking;
    await store.append({ x: bytes("3") });
    expect(text(await store.get("x"))).toBe("13");
    await store.close();
    await own.stop();
  });

  test("several calls that wait for another's lock are carried out, and none is taken for lost", async () => {
    const [holder, other] = [1, 2].map(() => new RedisStore({ url, prefix: "several" }));
    await other?.append({ "0": bytes("1") });
    const calls = await holder?.withLock(async () => {
      const before = await replies("PARTDLOCKED");
      const sent = [1, 2, 3, 4, 5].map((byte) => other?.append({ [byte]: large(byte) }));
      await until(async () => (await replies("PARTDLOCKED")) > before);
      return { sent };
    });
    await Promise.all(calls?.sent ?? []);
    for (const byte of [1, 2, 3, 4, 5]) {
      expect(Buffer.from((await holder?.get(`${byte}`)) as Uint8Array).equals(large(byte))).toBe(
        true,
      );
    }
    for (const store of [holder, other]) await store?.close();
  });

  test("NOSCRIPT amid calls on their way: each is carried out once, in order", async () => {
    const inner = createClient({ socket: { path: join(server.folder, "socket"), tls: false } });
    await inner.connect();
    let script = "";
    let calls = 0;
    const client = {
      isOpen: true,
      async sendCommand(args: (string | Buffer)[], options?: object) {
        if (args[0] === "EVAL") script = args[1] as string;
        if (args[0] !== "EVALSHA" || ++calls !== 3) return inner.sendCommand(args, options);
        // The third finds no script, the fourth does.
        const sent = [["SCRIPT", "FLUSH"], args, ["SCRIPT", "LOAD", script]].map((command) =>
          inner.sendCommand(command, options),
        );
        return sent[1];
      },
    };
    await inner.sendCommand(["SCRIPT", "FLUSH"]);
    const store = new RedisStore({ client, prefix: "noscript" });
    await store.append({ x: bytes("0") });
    calls = 0;
    const before = await replies("PARTDSEQ");
    const tagged = [1, 2, 3, 4, 5].map((i) => Buffer.concat([bytes(`<${i}>`), large(46)]));
    await Promise.all(tagged.map((value) => store.append({ x: value })));
    expect(text(await store.get("x")).replace(/\.+/g, "")).toBe("0<1><2><3><4><5>");
    expect(await replies("PARTDSEQ")).toBeGreaterThan(before);
    await store.close();
    inner.destroy();
  });

  test.each([
    ["-rpush", {}, "3"],
    ["-hset", {}, "3"],
    ["-pexpire", { expireAfter: 3_600_000 }, "123"],
  ])(
    "a user without %s for scripts is told, and no later append is taken for a repetition",
    async (right, options, whole) => {
      await server.command("ACL", "SETUSER", "some", "on", ">secret", "~*", "+@all", right);
      const client = await clientOf("some");
      const store = new RedisStore({ client, prefix: `right${right}`, ...options });
      const told = {
        code: "ERR_PARTD_AUTH",
        message: expect.stringMatching(/what the scripts call/),
      };
      await expect(store.append({ x: bytes("1") })).rejects.toMatchObject(told);
      await expect(store.append({ x: bytes("2") })).rejects.toMatchObject(told);
      await server.command("ACL", "SETUSER", "some", "+@all");
      await store.append({ x: bytes("3") });
      expect(text(await store.get("x"))).toBe(whole);
      await store.close();
      client.destroy();
    },
  );

  test("WRONGPASS: a password that changes is told at the next connection, and not tried for long", async () => {
    const port = await freePort();
    const own = await RedisServer.start([], port);
    await own.command("ACL", "SETUSER", "some", "on", ">secret", "~*", "+@all");
    const store = new RedisStore({ url: `redis://some:secret@127.0.0.1:${port}`, retryMs: 60_000 });
    await store.append({ x: bytes("1") });
    await own.command("ACL", "SETUSER", "some", "resetpass", ">other");
    await own.command("CLIENT", "KILL", "USER", "some");
    const told = { code: "ERR_PARTD_AUTH", message: expect.stringMatching(/user and password/) };
    await expect(store.append({ x: bytes("2") })).rejects.toMatchObject(told);
    await own.command("ACL", "SETUSER", "some", ">secret");
    await until(async () => (await store.append({ x: bytes("3") })) === undefined);
    expect(text(await store.get("x"))).toBe("13");
    await store.close();
    await own.stop();
  });

  const listening: Server[] = [];
  afterAll(() => {
    for (const one of listening) one.close();
  });
  /** A server on a port of its own that answers so to each command. */
  const answering = (reply: string) =>
    createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (data) => {
        const commands = String(data).match(/^\*\d/gm) ?? [];
        socket.write(reply.repeat(commands.length));
      });
    });
  test.each([
    [
      "speaks HTTP",
      () => createHttpServer(),
      "ERR_PARTD_CONNECTION",
      /a Redis server that listens/,
    ],
    [
      "hangs up",
      () => createServer((socket) => socket.destroy()),
      "ERR_PARTD_CONNECTION",
      /a Redis server that listens/,
    ],
    [
      "knows no command",
      () => answering("-ERR unknown command\r\n"),
      "ERR_PARTD_IO",
      /unknown command/,
    ],
    ["finds all right", () => answering("+OK\r\n"), "ERR_PARTD_PROTOCOL", /answered "OK"/],
    ["counts", () => answering(":1\r\n"), "ERR_PARTD_PROTOCOL", /answered "1"/],
  ] as const)("a server that %s is no Redis server", async (_, make, code, words) => {
    const other: Server = make();
    listening.push(other);
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    const address: RedisStoreOptions = { url: `redis://127.0.0.1:${port}`, retryMs: 0 };
    const told = { code, message: expect.stringMatching(words) };
    const all = async (store: RedisStore) => {
      for await (const _ of store.keys());
    };
    for (const work of [
      (store: RedisStore) => store.append({ x: bytes("1") }),
      (store: RedisStore) => store.get("x"),
      all,
    ]) {
      const store = new RedisStore(address);
      await expect(work(store)).rejects.toMatchObject(told);
      await store.close().catch(() => {});
    }
  });
});

test.each([
  ["OOM command not allowed when used memory > 'maxmemory'.", /maxmemory/],
  ["READONLY You can't write against a read only replica.", /master/],
])("what Redis 6.2 says of %p in a script", (words, advice) => {
  const connection = { address: "here", isCluster: false } as Connection;
  const where = `ERR Error running script (call to f_${"0".repeat(40)}): @user_script:21: `;
  for (const message of [`${where}${words}`, `${where}@user_script: 21: -${words}`]) {
    expect(troubleOf(new Error(message), connection)).toMatchObject({
      kind: "final",
      error: { code: "ERR_PARTD_IO", message: expect.stringMatching(advice) },
    });
  }
});
