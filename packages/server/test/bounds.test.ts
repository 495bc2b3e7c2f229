import { afterEach, expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import type { Batch } from "@partd/core/author";
import { Client, type Connect, Server, type ServerOptions } from "@partd/server";
import { connectWith } from "../src/client/node-socket.js";
import { LOCKED, MUTATION, Type } from "../src/protocol/constants.js";
import { MessageReader } from "../src/protocol/message-reader.js";
import { readError } from "../src/protocol/packets.js";
import { RawClient } from "./raw-client.js";

const MIB = 2 ** 20;

/** A store whose appends wait to be let through. */
class Slow extends Dict {
  waiting: (() => void)[] = [];
  protected override async _append(batch: Batch): Promise<void> {
    await new Promise<void>((resolve) => this.waiting.push(resolve));
    await super._append(batch);
  }
  letGo(): void {
    for (const go of this.waiting.splice(0)) go();
  }
}

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function listen(store: Dict, limits: ServerOptions["limits"]): Promise<Server> {
  const server = await Server.listen(store, { limits, closeStore: false });
  servers.push(server);
  return server;
}

async function until(condition: () => boolean): Promise<void> {
  for (let left = 10_000; !condition(); left--) {
    if (left === 0) throw new Error(`It never came to pass: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** A raw connection that has announced an append of so many bytes. */
async function announced(server: Server, bytes: number, flags = 0): Promise<RawClient> {
  const raw = new RawClient(server.address);
  await raw.hello();
  raw.packet((writer) => {
    const packet = writer.begin(Type.UPLOAD, flags, 32);
    writer.varint(1);
    writer.u8(Type.APPEND);
    writer.varint(bytes);
    writer.end(packet);
    writer.end(writer.begin(Type.PONG, 0, 0));
    const flush = writer.begin(Type.FLUSH, 0, 8); // Its answer comes after a GO that is given at once.
    writer.varint(1);
    writer.end(flush);
  });
  await until(() => raw.types.includes(Type.DATA));
  return raw;
}

function chunk(raw: RawClient, body: readonly number[], length: number): void {
  raw.packet((writer) => {
    const packet = writer.begin(Type.CHUNK, MUTATION, 16 + length);
    writer.varint(1);
    const bytes = new Uint8Array(length);
    bytes.set(body);
    writer.raw(bytes);
    writer.end(packet);
  });
}

test("what a lost connection had sent counts until the store has it: long requests", async () => {
  const store = new Slow();
  const length = 70_000;
  const server = await listen(store, { request: length, uploads: length });
  const first = await announced(server, length);
  await until(() => first.types.includes(Type.GO));
  chunk(first, [1, 3, 120, ...varint(length - 6)], length); // One key, "x", and its bytes.
  await until(() => store.waiting.length === 1);
  first.socket.terminate();
  await until(() => server.stats().connections === 0);

  const second = await announced(server, length);
  expect(second.types).not.toContain(Type.GO);
  store.letGo();
  await until(() => second.types.includes(Type.GO));
  second.socket.terminate();
});

test("what a lost connection had sent counts until the store has it: connections", async () => {
  const store = new Slow();
  const server = await listen(store, { connections: 1 });
  const first = new RawClient(server.address);
  await first.hello();
  first.packet((writer) => {
    const packet = writer.begin(Type.APPEND, 0, 16);
    for (const field of [1, 1, 3, 120, 1, 7]) writer.varint(field);
    writer.end(packet);
  });
  await until(() => store.waiting.length === 1);
  first.socket.terminate();
  await until(() => server.stats().connections === 0);
  await expect(new RawClient(server.address).opened()).rejects.toThrow("503");
  store.letGo();
  await using next = new Client(server.address);
  expect(await next.get("x")).toEqual(Uint8Array.of(7));
});

test("an upload said to be inside a lock that is not held waits for memory like any other", async () => {
  const server = await listen(new Dict(), { request: MIB, uploads: MIB });
  const first = await announced(server, MIB);
  await until(() => first.types.includes(Type.GO));
  const second = await announced(server, MIB, LOCKED);
  expect(second.types).not.toContain(Type.GO);
  first.socket.terminate();
  await until(() => second.types.includes(Type.GO));
  second.socket.terminate();
});

test.each([{ inFlight: 1 }, { inFlightPerConnection: 1_024 }])(
  "the smallest window serves all the same: %j",
  async (limits) => {
    const server = await listen(new Dict(), limits);
    await using client = new Client(server.address);
    const value = new Uint8Array(10_000).fill(1);
    await Promise.all([1, 2, 3].map(() => client.append({ x: value })));
    expect((await client.get("x")).byteLength).toBe(30_000);
  },
);

test("two uploads outside of the lock are out of order", async () => {
  const server = await listen(new Dict(), {});
  const raw = await announced(server, MIB);
  raw.packet((writer) => {
    const packet = writer.begin(Type.UPLOAD, 0, 32);
    for (const field of [2, Type.APPEND, MIB]) writer.varint(field);
    writer.end(packet);
  });
  expect(await raw.closed).toBe(1008);
  expect(raw.error).toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
});

test("pops at once hold as much as one may; what finds no room has removed nothing", async () => {
  const server = await listen(new Dict(), { request: MIB });
  await using client = new Client(server.address);
  const value = new Uint8Array(0.6 * MIB).fill(1);
  const keys = ["a", "b", "c"];
  for (const key of keys) await client.append({ [key]: value });
  const popped = await Promise.allSettled(keys.map((key) => client.pop(key)));
  expect(popped.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
  expect(popped[1]).toMatchObject({ reason: { code: "ERR_PARTD_VALUE" } });
  for (const key of ["b", "c"]) {
    expect(Buffer.compare(await client.pop(key), value)).toBe(0); // There is room again.
  }
  expect(server.stats().keys.count).toBe(0);
});

test("a key that is read while its first append is under way is counted", async () => {
  const store = new Slow();
  const server = await listen(store, {});
  await using client = new Client(server.address);
  await using reader = new Client(server.address);
  const key = "x".repeat(300); // Too long to be numbered, and its value for one message.
  const append = client.append({ [key]: new Uint8Array(3 * MIB) });
  await until(() => store.waiting.length === 1);
  expect((await reader.get(key)).byteLength).toBe(0);
  store.letGo();
  await append;
  expect(server.stats().keys).toMatchObject({ count: 1, bytes: 3 * MIB });
});

test("a buffer may be changed as soon as its append was given up, also one that is sent in chunks", async () => {
  const server = await listen(new Dict(), {});
  let held: (() => void)[] | undefined;
  const connect: Connect = (address, events) => {
    const socket = connectWith(undefined)(address, events);
    const send: typeof socket.send = (parts, sent) => {
      if (held) held.push(() => socket.send(parts, sent));
      else socket.send(parts, sent);
      if (parts[0]?.[0] === Type.UPLOAD) held = []; // What follows is slow to leave.
    };
    return { ...socket, send };
  };
  await using client = new Client(server.address, { connect });
  const value = new Uint8Array(3 * MIB).fill(1);
  const controller = new AbortController();
  const append = client.append({ x: value }, { signal: controller.signal });
  await until(() => (held?.length ?? 0) >= 3);
  controller.abort();
  await expect(append).rejects.toBe(controller.signal.reason);
  value.fill(2);
  for (const go of held?.splice(0) ?? []) go();
  held = undefined;
  expect(new Set(await client.get("x"))).toEqual(new Set([1])); // It was too late to give it up.
});

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

test("an upload that is longer than memory can hold is refused, and the server goes on", async () => {
  const most = 2 ** 53 - 1;
  await using server = await Server.listen(new Dict(), {
    limits: { request: most, uploads: most },
  });
  const client = new RawClient(server.address);
  await client.hello();
  const refused = new Promise<Buffer>((resolve) => client.socket.once("message", resolve));
  client.packet((writer) => {
    const packet = writer.begin(Type.UPLOAD, 0, 32);
    writer.varint(1);
    writer.u8(Type.APPEND);
    writer.varint(most);
    writer.end(packet);
  });
  const reader = new MessageReader([await refused]);
  reader.nextPacket();
  expect([reader.type, reader.varint()]).toEqual([Type.ERROR, 1]);
  expect(readError(reader, "")).toMatchObject({ code: "ERR_PARTD_VALUE" });
  await using other = new Client(server.address);
  await other.append({ x: Uint8Array.of(1) });
  client.socket.terminate();
});
