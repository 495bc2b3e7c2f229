import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server } from "@partd/server";
import type { SocketEvents } from "../src/client/socket.js";
import { Type } from "../src/protocol/constants.js";
import { MessageWriter } from "../src/protocol/message-writer.js";
import { writeWelcome } from "../src/protocol/packets.js";
import { RawClient } from "./raw-client.js";

// The time of these tests is their own: it passes when they say so, and so do intervals.
let now: number;
let intervals: { readonly tick: () => void; readonly length: number }[];

beforeEach(() => {
  now = 1_000_000;
  intervals = [];
  jest.spyOn(performance, "now").mockImplementation(() => now);
  jest.spyOn(globalThis, "setInterval").mockImplementation(((tick: () => void, length: number) => {
    const interval = { tick, length, unref() {} };
    intervals.push(interval);
    return interval;
  }) as never);
  jest.spyOn(globalThis, "clearInterval").mockImplementation(((interval: never) => {
    intervals = intervals.filter((one) => one !== interval);
  }) as never);
});

afterEach(() => {
  jest.restoreAllMocks();
});

/** Time passes, and the process stands still for it. */
function stand(milliseconds: number): void {
  now += milliseconds;
  for (const { tick } of intervals) tick();
}

/** Time passes, and the process runs. */
function pass(milliseconds: number): void {
  const length = Math.min(...intervals.map((interval) => interval.length));
  for (const end = now + milliseconds; now < end; ) stand(Math.min(length, end - now));
}

const HOUR = 3_600_000;

test("a client calls no server silent for time in which it stood still itself", () => {
  const peer = new Peer();
  void peer.client.get("x").catch(() => {});
  peer.welcome(10_000);
  pass(29_000);
  peer.ping();
  stand(HOUR);
  expect(peer.terminated).toBe(0);
  peer.ping(); // It had come meanwhile.
  pass(29_000);
  expect(peer.terminated).toBe(0);
  stand(HOUR); // What had come is read before the next tick: nothing.
  pass(7_500);
  expect(peer.terminated).toBe(1);
});

test("a client gives a silent server three pings' time", () => {
  const peer = new Peer();
  void peer.client.get("x").catch(() => {});
  peer.welcome(10_000);
  pass(29_999);
  expect(peer.terminated).toBe(0);
  pass(1);
  expect(peer.terminated).toBe(1);
});

test("an attempt to connect takes at most 10 s, and another follows", async () => {
  const peer = new Peer();
  const reading = peer.client.get("x").catch(() => {});
  pass(9_999);
  expect([peer.attempts, peer.terminated]).toEqual([1, 0]);
  pass(1);
  expect(peer.terminated).toBe(1);
  const again = new Promise((resolve) => peer.client.addEventListener("retry", resolve));
  peer.events?.closed(new Error("given up"));
  await again;
  while (peer.attempts === 1) await new Promise((resolve) => setTimeout(resolve, 1));
  pass(HOUR); // Longer than the client tries.
  peer.events?.closed(new Error("refused"));
  await reading;
  await peer.client.close();
});

test("a client that stood still while it connected tries again", async () => {
  const peer = new Peer();
  const reading = peer.client.get("x").catch((error: Error) => error);
  const events: string[] = [];
  const next = () =>
    new Promise<void>((resolve) => {
      for (const type of ["retry", "giveup"] as const) {
        peer.client.addEventListener(type, () => void resolve(void events.push(type)), {
          once: true,
        });
      }
    });
  const first = next();
  now += 2 * HOUR; // No tick has run when it hears that the server has closed.
  peer.events?.closed(new Error("closed"));
  await first;
  expect(events).toEqual(["retry"]);
  while (peer.attempts === 1) await new Promise((resolve) => setTimeout(resolve, 1));
  pass(HOUR);
  peer.events?.closed(new Error("refused"));
  expect(await reading).toMatchObject({
    code: "ERR_PARTD_CONNECTION",
    message: expect.stringContaining("said nothing for") as unknown as string,
  });
});

test("a server that a request ends each time is asked again after longer and longer pauses", async () => {
  const peer = new Peer();
  const reading = peer.client.get("x").catch(() => {});
  const attempts: number[] = [];
  peer.client.addEventListener("retry", ({ detail }) => attempts.push(detail.attempt));
  for (let connections = 1; connections <= 4; connections++) {
    while (peer.attempts < connections) await new Promise((resolve) => setTimeout(resolve, 1));
    peer.welcome(10_000);
    if (connections === 3) peer.ping(); // The server goes on.
    peer.events?.closed(new Error("closed"));
  }
  expect(attempts).toEqual([1, 2, 1, 2]);
  while (peer.attempts < 5) await new Promise((resolve) => setTimeout(resolve, 1));
  pass(HOUR);
  peer.events?.closed(new Error("refused"));
  await reading;
});

test("what a server tells of its time is steady when the wall clock is set back", async () => {
  await using server = await Server.listen(new Dict());
  now += 5_000;
  jest.spyOn(Date, "now").mockImplementation(() => 0);
  expect(server.stats().uptime).toBe(5);
});

test("a server calls no client silent for time in which it stood still itself", async () => {
  const limits = { ping: 1_000, stall: 1_000 };
  await using server = await Server.listen(new Dict(), { limits });
  const [ticks] = intervals;
  const raw = new RawClient(server.address);
  await raw.hello();
  const { hostname, port } = new URL(server.address);
  const stranger = connect(Number(port), hostname);
  stranger.on("error", () => {});
  await once(stranger, "connect");
  await using client = new Client(server.address);
  await client.append({ x: Uint8Array.of(1) }); // By now it has met the stranger, too.
  intervals = ticks ? [ticks] : [];
  let open = true;
  stranger.once("close", () => {
    open = false;
  });

  stand(HOUR);
  await client.get("x");
  expect(server.stats().connections).toBe(2);
  expect(open).toBe(true);

  // It goes on in silence, but for one client.
  const closed = Promise.all([raw.closed, once(stranger, "close")]);
  for (let step = 0; step < 40; step++) {
    await client.get("x");
    pass(250);
  }
  await closed;
  expect(await client.get("x")).toEqual(Uint8Array.of(1));
});

/** The other side of a client's connection. */
class Peer {
  attempts = 0;
  terminated = 0;
  events: SocketEvents | undefined;
  readonly client = new Client("ws://peer", {
    timeout: HOUR,
    connect: (_address, events) => {
      this.attempts++;
      this.events = events;
      return { send() {}, close() {}, terminate: () => void this.terminated++ };
    },
  });

  welcome(pingInterval: number): void {
    this.events?.opened();
    this.#say((writer) =>
      writeWelcome(writer, {
        resumed: false,
        instance: new Uint8Array(16),
        terms: {
          window: 1e6,
          pending: 100,
          message: 1e6,
          request: 1e6,
          keys: 100,
          keyTable: 100,
          pingInterval,
          features: 0,
        },
      }),
    );
  }

  ping(): void {
    this.#say((writer) => writer.end(writer.begin(Type.PING, 0, 0)));
  }

  #say(write: (writer: MessageWriter) => void): void {
    const writer = new MessageWriter();
    write(writer);
    this.events?.received(writer.take());
  }
}
