import { expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server } from "@partd/server";
import { Type } from "../src/protocol/constants.js";
import { MessageWriter } from "../src/protocol/message-writer.js";
import { writeHello } from "../src/protocol/packets.js";
import { Access } from "../src/server/access.js";
import { Census } from "../src/server/census.js";
import { Connection } from "../src/server/connection.js";
import { withDefaults } from "../src/server/limits.js";
import { sharedBy } from "../src/server/shared.js";
import { randomFrom } from "./random.js";
import { RawClient } from "./raw-client.js";

const COUNT = Number(process.env.PARTD_FUZZ ?? 25_000);
const seed = Number(process.env.PARTD_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** A damaged message may be a good DROP. */
class Kept extends Dict {
  protected override async _drop(): Promise<void> {}
}

test(`${COUNT} damaged messages change nothing of others' (PARTD_SEED=${seed})`, async () => {
  const random = randomFrom(seed);
  const store = new Kept();
  await store.append({ kept: new Uint8Array([1, 2, 3]) });
  const limits = withDefaults({ request: 1 << 20, uploads: 1 << 20 });
  const access = new Access({ kind: "ipc", path: "" }, { certificates: false });
  const shared = sharedBy(store, limits, new Census(false), access);
  const { counters, windows } = shared;
  let open: { connection: Connection; session: Uint8Array } | undefined;
  const connect = () => {
    const socket = {
      send: (_: Uint8Array, __: object, sent?: () => void) => sent?.(),
      close: () => {},
      terminate: () => {},
      cork: () => {},
      uncork: () => {},
    };
    const connection = new Connection(shared, socket as never, socket as never);
    const writer = new MessageWriter();
    const session = new Uint8Array(16).map(() => Math.floor(random() * 256));
    writeHello(writer, { session, first: 1, token: "" });
    connection.receive(writer.take());
    return { connection, session };
  };
  const samples = sampleMessages();
  for (let i = 0; i < COUNT; i++) {
    open ??= connect();
    const before = counters.protocolErrors;
    open.connection.receive([damaged(samples[i % samples.length] as Uint8Array, random)]);
    if (counters.protocolErrors > before || random() < 0.05) {
      open.connection.closed();
      open = undefined;
    }
    if (i % 256 === 255) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  open?.connection.closed();
  expect(counters.protocolErrors).toBeGreaterThan(COUNT / 10);
  await store.append({ kept: new Uint8Array([4]) }); // Also: no lock was left held.
  expect(await store.get("kept")).toEqual(new Uint8Array([1, 2, 3, 4]));
  // Everything that a connection takes was given back.
  expect(windows.grant()).toBe(limits.inFlightPerConnection);
  expect(shared.uploads.taken).toBe(0);
  expect(shared.backlog.bytes).toBe(0);
  shared.sessions.clear();
});

test("2,000 damaged messages over real connections, while a client goes on", async () => {
  const random = randomFrom(seed);
  const samples = sampleMessages();
  await using server = await Server.listen(new Kept());
  await using client = new Client(server.address);
  let disconnects = 0;
  client.addEventListener("disconnect", () => disconnects++);
  for (let round = 0; round < 20; round++) {
    const raw = new RawClient(server.address);
    await raw.hello();
    for (let i = 0; i < 100; i++) {
      raw.socket.send(damaged(samples[i % samples.length] as Uint8Array, random));
    }
    await client.append({ kept: new Uint8Array([round]) });
    raw.socket.terminate();
    await raw.closed;
  }
  expect([...(await client.get("kept"))]).toEqual(Array.from({ length: 20 }, (_, i) => i));
  expect(disconnects).toBe(0);
});

test.each([
  ["an unknown packet", [0x7f, 0, 0, 0, 0, 0, 0, 0]],
  ["a packet that is cut short", [Type.DROP, 0, 0, 0, 9, 0, 0, 0, 1]],
  ["reserved bytes that are not zero", [Type.DROP, 0, 1, 0, 1, 0, 0, 0, 1]],
  ["fields that do not fill the packet", [Type.DROP, 0, 0, 0, 2, 0, 0, 0, 1, 1]],
  ["a key that leaves a directory", [Type.GET, 0, 0, 0, 8, 0, 0, 0, 1, 1, 11, 46, 46, 47, 97, 98]],
  ["a key's number that stands for none", [Type.GET, 0, 0, 0, 3, 0, 0, 0, 1, 1, 8]],
  ["more sizes than bytes", [Type.SIZES, 0, 0, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0x3f]],
  ["a count of keys", [Type.COUNT, 0, 0, 0, 4, 0, 0, 0, 1, 1, 3, 120]],
  ["more keys than bytes", [Type.GET, 0, 0, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0x3f]],
  ["a chunk of nothing", [Type.CHUNK, 0, 0, 0, 2, 0, 0, 0, 1, 1]],
  ["an upload of too much", [Type.UPLOAD, 0, 0, 0, 8, 0, 0, 0, 1, 2, 255, 255, 255, 255, 255, 1]],
])("%s closes that connection with ERR_PARTD_PROTOCOL", async (_, bytes) => {
  await using server = await Server.listen(new Dict());
  const raw = new RawClient(server.address);
  await raw.hello();
  raw.socket.send(new Uint8Array(bytes as number[]));
  expect(await raw.closed).toBe(1008);
  expect(raw.error).toMatchObject({
    code: expect.stringMatching(/ERR_PARTD_(PROTOCOL|KEY)/) as unknown as string,
  });
  expect(server.stats().totals.protocolErrors).toBe(1);
});

test.each([
  ["is too long", new Uint8Array(3 << 20)],
  ["is text", "text"],
])("a message that %s closes that connection, and nobody else notices", async (_, message) => {
  await using server = await Server.listen(new Dict());
  await using client = new Client(server.address);
  await client.append({ x: new Uint8Array(3) });
  const raw = new RawClient(server.address);
  await raw.hello();
  raw.socket.send(message);
  expect(await raw.closed).toBe(typeof message === "string" ? 1008 : 1009);
  while (server.stats().connections > 1) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(server.stats().totals.protocolErrors).toBe(1);
  expect((await client.get("x")).byteLength).toBe(3);
});

/** One of each request, well formed. */
function sampleMessages(): Uint8Array[] {
  const messages: ((writer: MessageWriter) => void)[] = [];
  const one = (type: number, ...fields: (number | string)[]) =>
    messages.push((writer) => {
      const packet = writer.begin(type, 0, 200);
      for (const field of fields) {
        if (typeof field === "number") writer.varint(field);
        else {
          writer.varint(field.length * 2 + 1);
          writer.ascii(field);
        }
      }
      writer.end(packet);
    });
  one(Type.APPEND, 1, 2, "x", 1, 65, "y", 2, 65, 66);
  one(Type.APPEND, 2, 1, 0, 3, 65, 66, 67);
  one(Type.SET, 3, 1, "s", 1, 65);
  one(Type.DELETE, 4, 1, "x");
  one(Type.POP, 5, 2, "x", "y");
  one(Type.GET, 1, 3, "x", "y", "z");
  one(Type.STREAM, 2, 1_000, "x");
  one(Type.KEYS, 3, 1_000);
  one(Type.FLUSH, 4);
  one(Type.LOCK, 5);
  one(Type.UNLOCK, 6);
  one(Type.UPLOAD, 6, Type.APPEND, 100);
  one(Type.CHUNK, 6, 65, 66);
  one(Type.SIZES, 7, 2, "x", "y");
  one(Type.COUNT, 8);
  one(Type.CREDIT, 2, 1_000);
  one(Type.CANCEL, 5);
  one(Type.SEEN, 1);
  one(Type.PONG);
  one(Type.BYE);
  return messages.map((write) => {
    const writer = new MessageWriter();
    write(writer);
    return writer.take()[0]!.slice();
  });
}

/** A message with some bytes changed, cut, repeated or made up; now and then as it was. */
function damaged(message: Uint8Array, random: () => number): Uint8Array {
  const chance = random();
  if (chance < 0.1) return message;
  if (chance < 0.2) {
    return new Uint8Array(Math.floor(random() * 40)).map(() => Math.floor(random() * 256));
  }
  let bytes = Uint8Array.from(message);
  if (chance < 0.4) bytes = bytes.subarray(0, Math.floor(random() * bytes.length));
  if (chance > 0.85) bytes = Uint8Array.from([...bytes, ...bytes]);
  for (let i = Math.floor(random() * 4); i > 0 && bytes.length > 0; i--) {
    bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
  }
  return bytes;
}
