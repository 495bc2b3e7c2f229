import { expect, test } from "@jest/globals";
import { Dict, type Key } from "@partd/core";
import { Server } from "@partd/server";
import { Type } from "../src/protocol/constants.js";
import { MessageReader } from "../src/protocol/message-reader.js";
import { RawClient } from "./raw-client.js";

const session = new Uint8Array(16).fill(7);

/** Sends a request with its number, then keys as texts, and numbers as they are. */
function say(raw: RawClient, type: number, ...fields: readonly (number | string)[]): void {
  raw.packet((writer) => {
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
}

/** Appends one byte to `x`. */
const append = (raw: RawClient, number: number, byte: string) =>
  say(raw, Type.APPEND, number, 1, "x", 1, byte.charCodeAt(0));

async function connected(server: Server, first = 1): Promise<RawClient> {
  const raw = new RawClient(server.address);
  await raw.hello("", first, session);
  return raw;
}

/** Resolves when so many packets of a type have come. */
async function until(raw: RawClient, type: number, count = 1): Promise<void> {
  while (raw.types.filter((one) => one === type).length < count) {
    await new Promise((resolve) => raw.socket.once("message", resolve));
  }
}

const read = async (store: Dict, key: Key) => String(Buffer.from(await store.get(key)));

test("a session is one client's at a time: the second ends the first, and each number is done once", async () => {
  const store = new Dict();
  await using server = await Server.listen(store);
  const done: number[] = [];
  let last: RawClient | undefined;
  for (let number = 1; number <= 30; number++) {
    const raw = await connected(server);
    // Whoever had the session before says the same number with another value, and that of before.
    if (last) {
      append(last, number, "!");
      expect(await last.closed).toBe(1001);
    }
    for (let repeated = 1; repeated <= number; repeated++) append(raw, repeated, "x");
    await until(raw, Type.DONE);
    done.push((await store.get("x")).length);
    last = raw;
  }
  expect(done).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  expect(await read(store, "x")).toBe("x".repeat(30));
  expect(server.stats().sessions).toBe(1);
  last?.socket.terminate();
});

test("two clients that say hello for one session at once: one stays, and no number is done twice", async () => {
  const store = new Dict();
  await using server = await Server.listen(store);
  for (let round = 0; round < 10; round++) {
    const both = [0, 1].map(() => new RawClient(server.address));
    await Promise.all(both.map((raw) => raw.opened()));
    for (const [i, raw] of both.entries()) {
      raw.greet("", 1, session);
      for (let number = 1; number <= 20; number++) append(raw, number, i === 0 ? "a" : "b");
    }
    const closed = await Promise.race(both.map(async (raw) => [raw, await raw.closed] as const));
    const rest = both.find((raw) => raw !== closed[0]) as RawClient;
    await until(rest, Type.DONE);
    expect(closed[1]).toBe(1001);
    expect(await read(store, "x")).toMatch(/^[ab]{20}$/);
    rest.socket.terminate();
    await rest.closed;
  }
});

test("an old number with other content gets the outcome of then, until its answer was confirmed", async () => {
  const store = new Dict();
  await using server = await Server.listen(store);
  const raw = await connected(server);
  append(raw, 1, "1");
  append(raw, 2, "2");
  await until(raw, Type.DONE);
  say(raw, Type.POP, 3, 1, "x");
  await until(raw, Type.DATA);
  append(raw, 4, "4");
  // Replayed: another value, a deletion and a drop under numbers that are done, and the pop.
  append(raw, 1, "!");
  say(raw, Type.DELETE, 2, 1, "x");
  say(raw, Type.DROP, 4);
  const popped = new Promise<string>((resolve) => {
    raw.socket.on("message", (data: Buffer) => {
      const reader = new MessageReader([data]);
      while (reader.nextPacket()) {
        if (reader.type !== Type.DATA) reader.skip();
        else
          resolve(
            `${reader.varint()}: ${Buffer.from(reader.take(reader.left)).toString("latin1")}`,
          );
      }
    });
  });
  say(raw, Type.POP, 3, 1, "x");
  expect(await popped).toContain("12");
  expect(await read(store, "x")).toBe("4");
  // What was confirmed is forgotten, and its number is refused.
  say(raw, Type.SEEN, 4);
  append(raw, 5, "5");
  append(raw, 3, "!");
  expect(await raw.closed).toBe(1008);
  expect(raw.error).toMatchObject({ code: "ERR_PARTD_PROTOCOL" });
  expect(await read(store, "x")).toBe("45");
  // Nor does a hello that goes back bring it again.
  const back = await connected(server, 1);
  append(back, 2, "!");
  expect(await back.closed).toBe(1008);
  expect(await read(store, "x")).toBe("45");
});

test("numbers that leave all others behind cost nothing and end only their own client", async () => {
  const store = new Dict();
  await using server = await Server.listen(store);
  const raw = await connected(server, Number.MAX_SAFE_INTEGER - 1);
  append(raw, Number.MAX_SAFE_INTEGER, "x");
  await until(raw, Type.DONE);
  append(raw, 1, "!");
  expect(await raw.closed).toBe(1008);
  const other = new RawClient(server.address);
  await other.hello();
  append(other, 1, "y");
  await until(other, Type.DONE);
  expect(await read(store, "x")).toBe("xy");
  other.socket.terminate();
});
