import { expect, test } from "@jest/globals";
import { Dict, tuple } from "@partd/core";
import { Client, Server } from "@partd/server";
import WebSocket, { WebSocketServer } from "ws";
import { PACKET_HEADER, SUBPROTOCOL, Type } from "../src/protocol/constants.js";
import { MessageReader } from "../src/protocol/message-reader.js";
import { MessageWriter } from "../src/protocol/message-writer.js";
import { writeWelcome } from "../src/protocol/packets.js";

const LONG = 20 << 20;
const lengths = [0, 1, 127, 128, 16_383, 16_384, LONG];
const keys = lengths.map((length) => `k${length}`);

async function filled(): Promise<Dict> {
  const store = new Dict();
  await store.append(lengths.map((length) => [`k${length}`, new Uint8Array(length)] as const));
  return store;
}

test("sizes and count move no value's bytes", async () => {
  await using server = await Server.listen(await filled());
  await using client = new Client(server.address);
  expect(await client.sizes(keys)).toEqual(lengths);
  expect(await client.size(`k${LONG}`)).toBe(LONG);
  expect(await client.count()).toBe(lengths.length - 1);
  await client.withLock(async (held) => {
    expect(await held.size(`k${LONG}`)).toBe(LONG);
    expect(await held.count()).toBe(lengths.length - 1);
  });
  const { readBytes, sentBytes } = server.stats().totals;
  expect(readBytes).toBe(0);
  expect(sentBytes).toBeLessThan(500);
});

test("entries ask for sizes, then for many values at once", async () => {
  const store = new Dict();
  await store.append(
    [...Array(3_000).keys()].map((i) => [tuple("k", i), new Uint8Array(100)] as const),
  );
  await using server = await Server.listen(store);
  await using client = new Client(server.address);
  let count = 0;
  for await (const [, value] of client.entries()) count += value.byteLength / 100;
  expect(count).toBe(3_000);
  expect(server.stats().totals.requests).toBeLessThan(20);
});

test("a server that takes few keys at once is asked for few", async () => {
  await using server = await Server.listen(await filled(), { limits: { keys: 2 } });
  await using client = new Client(server.address);
  expect(await client.sizes(keys)).toEqual(lengths);
  await using other = new Client(server.address);
  const found: number[] = [];
  for await (const [, value] of other.entries()) found.push(value.byteLength);
  expect(found.sort((a, b) => a - b)).toEqual(lengths.slice(1));
});

test("sizes of more keys than a message takes", async () => {
  await using server = await Server.listen(new Dict(), { limits: { message: 1_024 } });
  await using client = new Client(server.address);
  await client.append({ k7: new Uint8Array(3) });
  const sizes = await client.sizes([...Array(10_000).keys()].map((i) => `k${i}`));
  expect(sizes.length).toBe(10_000);
  expect(sizes.indexOf(3)).toBe(7);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(3);
});

test("a store that only knows sizes by reading is read in the server", async () => {
  class Unknowing extends Dict {
    protected override _sizes(_keys: readonly string[]) {
      return Promise.resolve(undefined) as never;
    }
  }
  const store = new Unknowing();
  await store.append({ x: new Uint8Array(LONG) });
  await using server = await Server.listen(store);
  await using client = new Client(server.address);
  expect(await client.sizes(["x", "y"])).toEqual([LONG, 0]);
  expect(server.stats().totals.sentBytes).toBeLessThan(500);
});

/** Stands between a client and a server, and hides from the client what the server offers. */
class OlderServer {
  readonly #sockets: WebSocketServer;
  readonly address: string;
  /** Types of the packets that came from clients. */
  readonly types: number[] = [];

  /** @param isOlder of the connection of this number; otherwise SIZES cuts the connection. */
  static async before(
    server: Server,
    isOlder: (connection: number) => boolean,
  ): Promise<OlderServer> {
    const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await new Promise((resolve) => sockets.once("listening", resolve));
    return new OlderServer(sockets, server, isOlder);
  }

  private constructor(
    sockets: WebSocketServer,
    server: Server,
    isOlder: (connection: number) => boolean,
  ) {
    this.#sockets = sockets;
    this.address = `ws://127.0.0.1:${(sockets.address() as { port: number }).port}`;
    let connections = 0;
    this.#sockets.on("connection", (client) => {
      const isOld = isOlder(connections++);
      const onward = new WebSocket(server.address, SUBPROTOCOL);
      const opened = new Promise((resolve) => onward.once("open", resolve));
      let isWelcome = true;
      onward.on("message", (message: Buffer) => {
        client.send(isWelcome && isOld ? withoutFeatures(message) : message);
        isWelcome = false;
      });
      client.on("message", async (message: Buffer) => {
        const reader = new MessageReader([message]);
        while (reader.nextPacket()) {
          reader.skip();
          this.types.push(reader.type);
          if (reader.type === Type.SIZES && !isOld) client.terminate();
        }
        await opened;
        onward.send(message);
      });
      client.on("close", () => onward.terminate());
      onward.on("close", () => client.terminate());
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    return new Promise((resolve) => this.#sockets.close(() => resolve()));
  }
}

/** Features are the last byte of a WELCOME. */
function withoutFeatures(message: Buffer): Buffer {
  const older = Buffer.from(message.subarray(0, -1));
  older.writeUInt32LE(message.readUInt32LE(4) - 1, 4);
  expect([older[0], older.byteLength]).toEqual([
    Type.WELCOME,
    older.readUInt32LE(4) + PACKET_HEADER,
  ]);
  return older;
}

test("an older server is asked for what it knows", async () => {
  await using server = await Server.listen(await filled());
  await using relay = await OlderServer.before(server, () => true);
  await using client = new Client(relay.address);
  expect(await client.size("k128")).toBe(128);
  expect(await client.sizes(keys)).toEqual(lengths);
  expect(await client.count()).toBe(lengths.length - 1);
  for (const longest of [undefined, 1_000]) {
    let bytes = 0;
    for await (const [, value] of client.entries({ longest })) bytes += value.byteLength;
    expect(bytes).toBe(lengths.reduce((sum, length) => sum + length, 0));
  }
  expect(relay.types).toContain(Type.STREAM);
  expect(relay.types).not.toContain(Type.SIZES);
  expect(relay.types).not.toContain(Type.COUNT);
});

test("a request that is sent again to an older server goes another way", async () => {
  await using server = await Server.listen(await filled());
  await using relay = await OlderServer.before(server, (connection) => connection > 0);
  await using client = new Client(relay.address);
  expect(await client.size("k128")).toBe(128);
  expect(relay.types.filter((type) => type === Type.SIZES).length).toBe(1);
});

/** Answers each SIZES, COUNT and GET with the given bytes, behind the request's number. */
async function lying(
  body: readonly number[],
  use: (client: Client) => Promise<void>,
  odd: Record<string, number> = {},
) {
  const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  sockets.on("connection", (socket) => {
    socket.on("message", (message: Buffer) => {
      const reader = new MessageReader([message]);
      const writer = new MessageWriter();
      while (reader.nextPacket()) {
        if (reader.type === Type.HELLO) {
          const terms = { window: 65_536, pending: 9, message: 65_536, request: 65_536, keys: 99 };
          writeWelcome(writer, {
            resumed: false,
            instance: new Uint8Array(16),
            terms: { ...terms, keyTable: 0, pingInterval: 1_000, features: 2 ** 40 + 1, ...odd },
          });
        } else if (
          reader.type === Type.SIZES ||
          reader.type === Type.COUNT ||
          reader.type === Type.GET
        ) {
          const packet = writer.begin(Type.DATA, 1, 64);
          writer.varint(reader.varint());
          const isAsked = reader.type === Type.COUNT || reader.varint() > 0;
          if (isAsked) writer.raw(Uint8Array.from(body));
          writer.end(packet);
        }
        reader.skip();
      }
      for (const part of writer.take()) socket.send(part);
    });
  });
  await new Promise((resolve) => sockets.once("listening", resolve));
  const { port } = sockets.address() as { port: number };
  const client = new Client(`ws://127.0.0.1:${port}`, { timeout: 600_000 });
  try {
    await use(client);
  } finally {
    await client.close();
    for (const socket of sockets.clients) socket.terminate();
    await new Promise((resolve) => sockets.close(resolve));
  }
}

test.each([
  ["none", []],
  ["too few", [2, 5]],
  ["too many", [2, 5, 2, 5, 2, 5]],
  ["one that is cut into segments", [3, 5, 2, 5]],
  ["one longer than its string", [2, 0x80, 1, 2, 5]],
  ["one shorter than its string", [4, 5, 0, 2, 5]],
  ["one above 2^53", [16, 255, 255, 255, 255, 255, 255, 255, 255, 127, 2, 5]],
  ["minus one, of 64 bits", [20, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 5]],
])("numbers that a server may not answer: %s", async (_, body) => {
  await lying(body as number[], async (client) => {
    const error = { code: "ERR_PARTD_PROTOCOL" };
    await expect(client.sizes(["x", "y"])).rejects.toMatchObject(error);
  });
});

test.each([
  ["keys", 0],
  ["pending", 0],
  ["window", 1_023],
  ["message", 64],
  ["pingInterval", 0],
  ["pingInterval", 2 ** 31],
])("a server whose term %s is %d is refused, and not asked for ever", async (name, value) => {
  const use = async (client: Client) => {
    const error = { code: "ERR_PARTD_PROTOCOL" };
    await expect(client.sizes(["x", "y"])).rejects.toMatchObject(error);
    await expect(client.append({ x: new Uint8Array(1) })).rejects.toMatchObject(error);
  };
  await lying([2, 5, 2, 5], use, { [name]: value });
});

test("a server that answers GET with too few values", async () => {
  await lying([2, 5], async (client) => {
    await expect(client.get(["x", "y"])).rejects.toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
  });
});

test("a server that answers COUNT with two numbers, and the largest that is one", async () => {
  await lying([2, 5, 2, 5], async (client) => {
    await expect(client.count()).rejects.toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
  });
  await lying([16, 255, 255, 255, 255, 255, 255, 255, 15], async (client) => {
    expect(await client.count()).toBe(Number.MAX_SAFE_INTEGER);
  });
});
