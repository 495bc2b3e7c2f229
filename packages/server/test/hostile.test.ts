import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { afterAll, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server } from "@partd/server";
import { describeReal, realPart } from "tooling/real-part";
import { LOCKED, Type } from "../src/protocol/constants.js";
import { Child } from "./child.js";
import { RawClient } from "./raw-client.js";

const value = new Uint8Array([1, 2, 3]);
const directory = await mkdtemp(join(tmpdir(), "partd-hostile-"));
afterAll(() => rm(directory, { recursive: true, force: true }));

/** A network socket whose half stays open whatever the server does, and the first bytes that come. */
async function halfOpen(address: string, request: string): Promise<readonly [Socket, string]> {
  const target = address.startsWith("ipc://")
    ? { path: address.slice("ipc://".length) }
    : { port: Number(new URL(address).port), host: "127.0.0.1" };
  const socket = connect({ ...target, allowHalfOpen: true });
  socket.on("error", () => {});
  socket.write(request.replaceAll("\n", "\r\n"));
  const answer = await new Promise<string>((resolve) =>
    socket.once("data", (data) => resolve(String(data))),
  );
  return [socket, answer];
}

function closedOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

const upgrade = (path: string) =>
  `GET ${path} HTTP/1.1\nHost: 127.0.0.1\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\nSec-WebSocket-Protocol: partd.1\n\n`;

test("the server lets go of refused upgrades whose peer keeps its half open", async () => {
  const server = await Server.listen(new Dict(), { closeTimeout: 60_000 });
  const [socket, answer] = await halfOpen(server.address, upgrade("/nowhere"));
  expect(answer).toContain("404");
  const closed = closedOf(socket);
  const talking = setInterval(() => socket.write("x"), 5); // Until a reset answers it.
  await closed;
  clearInterval(talking);
  await server.close();
});

test("a message that comes byte by byte is refused before it takes more than its length", async () => {
  await using server = await Server.listen(new Dict(), {
    address: `ipc://${join(directory, "bytes.sock")}`, // Where each write is a read of its own.
    limits: { message: 8_192 },
  });
  const [socket] = await halfOpen(server.address, upgrade("/"));
  let refused: Buffer | undefined;
  socket.on("data", (data) => {
    refused = data;
  });
  socket.write(Buffer.from([0x82, 0x80 | 126, 0x20, 0, 0, 0, 0, 0]));
  let sent = 0;
  for (; sent < 8_191 && !refused; sent++) {
    socket.write("x");
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.destroy();
  expect(refused?.subarray(-4, -2)).toEqual(Buffer.from([0x88, 2])); // A close frame.
});

test("close ends connections that never said hello, also before TLS has begun", async () => {
  const tls = { SNICallback() {} }; // Nobody gets as far as to need a certificate.
  const server = await Server.listen(new Dict(), { address: "wss://127.0.0.1:0", tls });
  const socket = connect({ port: Number(new URL(server.address).port), allowHalfOpen: true });
  await new Promise((resolve) => socket.once("connect", resolve));
  socket.on("error", () => {});
  const closed = closedOf(socket.resume());
  socket.once("end", () => socket.end());
  // A connection of ours behind it: when it was accepted, so was that one.
  const later = connect(Number(new URL(server.address).port)).on("error", () => {});
  await new Promise((resolve) => later.once("connect", resolve));
  await server.close();
  await closed;
});

test("of connections without hello there are only so many: the oldest goes", async () => {
  await using server = await Server.listen(new Dict(), { limits: { strangers: 4 } });
  const strangers: [Socket, string][] = [];
  for (let i = 0; i < 4; i++) {
    const [socket, answer] = await halfOpen(server.address, upgrade("/"));
    strangers.push([socket, answer]);
    expect(answer).toContain("101");
  }
  const first = closedOf(
    (strangers[0] as [Socket, string])[0].resume().on("end", function (this: Socket) {
      this.destroy();
    }),
  );
  await using client = new Client(server.address);
  await client.append({ x: value }); // It is not kept out, though it came last.
  await first;
  for (const [socket] of strangers) socket.destroy();
});

test("a client that confirms no answers is closed when they take its share of the memory", async () => {
  const limits = { outcomes: 1 << 20 };
  await using server = await Server.listen(new Dict(), { limits });
  const raw = new RawClient(server.address);
  await raw.hello();
  for (let number = 1; number <= 1_000; number++) {
    // Fails at once: the connection holds no lock.
    raw.packet((writer) => {
      const packet = writer.begin(Type.DROP, LOCKED, 8);
      writer.varint(number);
      writer.end(packet);
    });
  }
  expect(await raw.closed).toBe(1008);
  expect(raw.error?.message).toContain("not confirmed");
});

test("outcomes of clients that are gone make room, the oldest first", async () => {
  const limits = { outcomes: 1 << 20, connections: 4 };
  await using server = await Server.listen(new Dict(), { limits });
  for (let i = 0; i < 40; i++) {
    const raw = new RawClient(server.address);
    await raw.hello();
    for (let number = 1; number <= 100; number++) {
      raw.packet((writer) => {
        const packet = writer.begin(Type.DROP, LOCKED, 8);
        writer.varint(number);
        writer.end(packet);
      });
    }
    while (raw.types.filter((type) => type === Type.ERROR).length < 100) {
      await new Promise((resolve) => raw.socket.once("message", resolve));
    }
    raw.socket.terminate();
    await raw.closed;
  }
  // 40 clients of 100 failures each: more than 1 MiB, so that some were forgotten.
  while (server.stats().connections > 0) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(server.stats().sessions).toBeLessThan(40);
});

test("requests that wait take no more than their share: the terms say how many may", async () => {
  await using server = await Server.listen(new Dict(), {
    limits: { inFlightPerConnection: 1 << 20 },
  });
  const raw = new RawClient(server.address);
  const { terms } = await raw.hello();
  expect(terms.pending).toBe(128);
  expect(terms.keyTable).toBe(2_048);
  raw.socket.terminate();
});

test("a header of spaces costs no more than its length", async () => {
  await using server = await Server.listen(new Dict());
  const request = upgrade("/").replace("partd.1", `a${" ".repeat(15_000)}b`);
  // An expression that goes back at each space takes 200 ms for one, which the test would not see out.
  for (let i = 0; i < 100; i++) {
    const [socket, answer] = await halfOpen(server.address, request);
    expect(answer).toContain("400");
    socket.destroy();
  }
});

test("requests that come before their answers end a plain connection, and one after the other not", async () => {
  await using server = await Server.listen(new Dict());
  const get = "GET /metrics HTTP/1.1\nHost: localhost\n\n";
  const [patient, answer] = await halfOpen(server.address, get);
  expect(answer).toContain("200 OK");
  patient.write(get.replaceAll("\n", "\r\n"));
  expect(
    await new Promise((resolve) => patient.once("data", (data) => resolve(`${data}`))),
  ).toContain("200 OK");
  patient.destroy();

  const { port } = new URL(server.address);
  const hasty = connect({ port: Number(port), host: "127.0.0.1" }).on("error", () => {});
  let answers = "";
  hasty.on("data", (data) => {
    answers += data;
  });
  hasty.write(get.replaceAll("\n", "\r\n").repeat(50));
  await closedOf(hasty);
  expect(answers.split("200 OK").length - 1).toBeLessThan(2);
});

test("of listings that nobody reads a few run at a time, and the others when those are given up", async () => {
  let running = 0;
  let most = 0;
  class Counting extends Dict {
    protected override async _keys() {
      return counted();
    }
  }
  function* counted() {
    most = Math.max(most, ++running);
    try {
      for (let i = 0; i < 4_000; i++) yield `a-key-of-some-length-${i}`; // More than one packet.
    } finally {
      running--;
    }
  }
  const store = new Counting();
  await using server = await Server.listen(store);
  most = 0; // The server has looked for keys.
  const raw = new RawClient(server.address);
  await raw.hello();
  for (let number = 1; number <= 100; number++) {
    raw.packet((writer) => {
      const packet = writer.begin(Type.KEYS, 0, 16);
      writer.varint(number);
      writer.varint(0); // No credit.
      writer.end(packet);
    });
  }
  await using client = new Client(server.address);
  await client.get("x");
  expect(most).toBeGreaterThan(0);
  for (let number = 1; number <= 100; number++) {
    raw.packet((writer) => {
      const packet = writer.begin(Type.CANCEL, 0, 16);
      writer.varint(number);
      writer.end(packet);
    });
  }
  while (raw.types.filter((type) => type === Type.ERROR).length < 100) {
    await new Promise((resolve) => raw.socket.once("message", resolve));
  }
  expect(most).toBeLessThan(17);
  raw.socket.terminate();
});

test("an upload that is kept alive by empty chunks is given up", async () => {
  const limits = { stall: 150, ping: 60_000 };
  await using server = await Server.listen(new Dict(), { limits });
  const raw = new RawClient(server.address);
  await raw.hello();
  raw.packet((writer) => {
    const packet = writer.begin(Type.UPLOAD, 0, 32);
    writer.varint(1);
    writer.u8(Type.APPEND);
    writer.varint(1 << 20);
    writer.end(packet);
  });
  while (!raw.types.includes(Type.GO)) {
    await new Promise((resolve) => raw.socket.once("message", resolve));
  }
  const empty = setInterval(() => {
    raw.packet((writer) => {
      const packet = writer.begin(Type.CHUNK, 2, 8);
      writer.varint(1);
      writer.end(packet);
    });
  }, 10);
  await raw.closed;
  clearInterval(empty);
  expect(server.stats().requestBytes).toBe(0);
});

test("a lock is held for no longer than limits.lock", async () => {
  const limits = { lock: 100, ping: 100 };
  await using server = await Server.listen(new Dict(), { limits });
  await using holder = new Client(server.address);
  await using other = new Client(server.address);
  let release = () => {};
  let entered = () => {};
  const inside = new Promise<void>((resolve) => (entered = resolve));
  const holding = holder.withLock(() => {
    entered();
    return new Promise<void>((resolve) => (release = resolve));
  });
  await inside;
  const outcome = expect(holding).rejects.toMatchObject({ code: "ERR_PARTD_LOCK" });
  const lost = new Promise<void>((resolve) =>
    holder.addEventListener("disconnect", () => resolve()),
  );
  await other.append({ x: value });
  await lost;
  release();
  await outcome;
});

test("popping a million absent keys keeps little", async () => {
  const store = new Dict();
  await using server = await Server.listen(store);
  const raw = new RawClient(server.address);
  await raw.hello();
  const pop = (number: number, count: number) =>
    raw.packet((writer) => {
      const packet = writer.begin(Type.POP, 0, 16 + 3 * count);
      writer.varint(number);
      writer.varint(count);
      for (let i = 0; i < count; i++) {
        writer.varint(3);
        writer.ascii("x");
      }
      writer.end(packet);
    });
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let number = 1; number <= 4; number++) {
    pop(number, 65_536);
    while (raw.types.filter((type) => type === Type.DATA).length < number) {
      await new Promise((resolve) => raw.socket.once("message", resolve));
    }
  }
  globalThis.gc?.();
  // 262,144 empty arrays would take 25 MB.
  if (globalThis.gc) expect(process.memoryUsage().heapUsed - before).toBeLessThan(12e6);
  raw.socket.terminate();
});

test("close({ signal }) gives clients no more time", async () => {
  const store = new Dict();
  const server = await Server.listen(store, { closeTimeout: 600_000, closeStore: false });
  const client = new Client(server.address, { timeout: 3_000 });
  let release = () => {};
  let entered = () => {};
  const inside = new Promise<void>((resolve) => (entered = resolve));
  const holding = client.withLock(() => {
    entered();
    return new Promise<void>((resolve) => (release = resolve));
  });
  holding.catch(() => {});
  await inside;
  const hurry = new AbortController();
  const closing = server.close({ signal: hurry.signal });
  closing.catch(() => {});
  hurry.abort();
  await server.close();
  await store.withLock(() => {}); // The client's lock is free.
  await store.close();
  release();
  await client.close();
});

test("a relative ipc:// path means the directory that was current when it was given", async () => {
  const before = process.cwd();
  process.chdir(directory);
  const server = await Server.listen(new Dict(), { address: "ipc://relative.sock" });
  const client = new Client("ipc://relative.sock");
  process.chdir(before);
  await client.append({ x: value });
  await client.close();
  await server.close();
});

test.each([101, 104, 107])("a socket path of %i bytes with a short name", async (length) => {
  if (process.platform !== "linux") return;
  const folder = join(directory, "d".repeat(length - directory.length - 3));
  const { mkdir } = await import("node:fs/promises");
  await mkdir(folder, { recursive: true });
  const path = `${folder}/s`;
  expect(path.length).toBe(length);
  const server = await Server.listen(new Dict(), { address: `ipc://${path}` });
  const client = new Client(server.address);
  await client.append({ x: value });
  await client.close();
  await server.close();
  expect(await readdir(folder)).toEqual([]);
});

test("of six servers that find one stale socket file, one wins and five are told", async () => {
  for (let round = 0; round < 40; round++) {
    const path = join(directory, `stale-${round}.sock`);
    await leaveStale(path);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 6 }, () => Server.listen(new Dict(), { address: `ipc://${path}` })),
    );
    const winners = outcomes.flatMap((o) => (o.status === "fulfilled" ? [o.value] : []));
    expect(winners).toHaveLength(1);
    for (const o of outcomes) {
      if (o.status === "rejected") expect(o.reason).toMatchObject({ code: "ERR_PARTD_IO" });
    }
    const client = new Client(`ipc://${path}`);
    await client.append({ x: value });
    await client.close();
    await (winners[0] as Server).close();
  }
});

/** A socket file that nobody listens on: its server was killed. */
async function leaveStale(path: string): Promise<void> {
  const { link } = await import("node:fs/promises");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.0`, resolve));
  await link(`${path}.0`, path);
  await new Promise((resolve) => server.close(resolve));
}

test("two workers of a cluster do not share a port", async () => {
  const cluster = new Child("cluster.mjs");
  const addresses = [await cluster.line(), await cluster.line()];
  expect(addresses[0]).not.toBe(addresses[1]);
  await cluster.kill();
});

test("a server on all addresses serves clients by its host's name, and pages by names it was given", async () => {
  const options = { address: "ws://0.0.0.0:0", insecure: true, hosts: ["given.internal"] };
  await using server = await Server.listen(new Dict(), options);
  const { port } = new URL(server.address);
  const open = async (headers: Record<string, string>) => {
    const raw = new RawClient(`ws://127.0.0.1:${port}`, { headers });
    const answer = await Promise.race([
      raw.hello().then(
        () => "welcome",
        () => "refused",
      ),
      raw.closed,
    ]);
    raw.socket.terminate();
    return answer;
  };
  expect(await open({ Host: `any.name:${port}` })).toBe("welcome");
  const page = (name: string) => ({ Host: `${name}:${port}`, Origin: `http://${name}:${port}` });
  expect(await open(page("given.internal"))).toBe("welcome");
  expect(await open(page("rebound.example"))).toBe(4403);
});

test("a refusal whose reason never ends is final, too", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () =>
      socket.write("HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno,\r\n"),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const client = new Client(`ws://127.0.0.1:${port}`, { timeout: 2_000 });
  await expect(client.get("x")).rejects.toMatchObject({
    code: "ERR_PARTD_AUTH",
    message: expect.stringContaining("401 Unauthorized") as unknown as string,
  });
  await client.close();
  await new Promise((resolve) => server.close(resolve));
});

test("a refusal is final, and says why", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () =>
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\nnot for you."),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const client = new Client(`ws://127.0.0.1:${port}`, { timeout: 600_000 });
  await expect(client.get("x")).rejects.toMatchObject({
    code: "ERR_PARTD_AUTH",
    message: expect.stringContaining("not for you.") as unknown as string,
  });
  await client.close();
  await new Promise((resolve) => server.close(resolve));
});

describeReal(realPart.openssl(), "half-open TLS", () => {
  /** Each gives what hears of its end, and keeps its own half open. */
  const halves: [name: string, begin: (raw: Socket) => Socket][] = [
    ["in mid-handshake", (raw) => said(raw, Buffer.from("16030100c8010000c40303", "hex"))],
    ["silent behind the handshake", (raw) => secured(raw, () => {})],
    ["ended behind the handshake", (raw) => secured(raw, () => raw.end())],
    ["upgraded", (raw) => secured(raw, (tls) => said(tls, request("/")))],
    ["refused", (raw) => secured(raw, (tls) => said(tls, request("/no")))],
  ];

  test.each(halves)("%s: only so many stay, others are served, close ends", async (_, begin) => {
    await using server = await Server.listen(new Dict(), {
      address: "wss://127.0.0.1:0",
      tls: certificate(),
      limits: { strangers: 4 },
      closeTimeout: 100,
    });
    const port = Number(new URL(server.address).port);
    const all: Socket[] = [];
    const ends: Promise<unknown>[] = [];
    for (let i = 0; i < 12; i++) {
      const raw = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
      raw.on("error", () => {});
      await once(raw, "connect");
      const heard = begin(raw).resume();
      ends.push(Promise.race(["end", "close"].map((event) => once(heard, event))));
      all.push(raw);
    }
    await using client = new Client(server.address, { tls: { rejectUnauthorized: false } });
    await client.append({ x: value });
    await Promise.all(ends.slice(0, 8)); // The oldest.
    await server.close();
    for (const raw of all) raw.destroy();
  });

  const request = (path: string) => upgrade(path).replaceAll("\n", "\r\n");

  function said(socket: Socket, bytes: string | Buffer): Socket {
    socket.write(bytes);
    return socket;
  }

  function secured(raw: Socket, then: (tls: Socket) => unknown): Socket {
    const tls = tlsConnect({ socket: raw, rejectUnauthorized: false });
    tls.on("error", () => {});
    return tls.once("secureConnect", () => then(tls));
  }

  function certificate(): { readonly key: Buffer; readonly cert: Buffer } {
    const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
    if (!existsSync(cert)) {
      const words =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
      const args = [...words.split(" "), "-keyout", key, "-out", cert];
      expect(spawnSync(realPart.openssl().command as string, args).status).toBe(0);
    }
    return { key: readFileSync(key), cert: readFileSync(cert) };
  }
});
