import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, connect, NetConnectOpts, Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import WebSocket, { WebSocketServer } from "ws";
import { connectFrames, type FrameSocket } from "../src/client/node-socket.js";
import { randomFrom } from "./random.js";

let http: Server;
/** What the server writes with its response. */
let early: Uint8Array;
let serverSide: Socket;

beforeEach(async () => {
  early = new Uint8Array(0);
  http = createServer();
  const sockets = new WebSocketServer({ noServer: true });
  http.on("upgrade", (request, socket, head) => {
    serverSide = socket as Socket;
    socket.cork();
    sockets.handleUpgrade(request, socket, head, () => socket.write(early));
    socket.uncork();
  });
  await once(http.listen(0, "127.0.0.1"), "listening");
});

afterEach(() => {
  serverSide.destroy();
  http.close();
});

test("frames that are cut anywhere arrive whole, long ones in memory of their own", async () => {
  const random = randomFrom(17);
  const next = (below: number) => Math.floor(random() * below);
  for (let round = 0; round < 3; round++) {
    const payloads = Array.from({ length: 12 }, () => bytesOf(LENGTHS[next(LENGTHS.length)] ?? 0));
    const { socket, frames } = open();
    const received = messages(socket, payloads.length);
    await once(socket, "open");
    const passedOn = new Set<unknown>();
    frames.socket.on("data", ({ buffer }: Buffer) => passedOn.add(buffer));
    const stream = Buffer.concat(payloads.map(frameOf));
    for (let sent = 0; sent < stream.byteLength; ) {
      const before = frames.socket.bytesRead;
      const piece = stream.subarray(sent, sent + 1 + next(CUTS[next(CUTS.length)] ?? 1));
      serverSide.write(piece);
      sent += piece.byteLength;
      while (frames.socket.bytesRead < before + piece.byteLength) await turn();
    }
    const parts = await received;
    expect(isEqual(parts, payloads)).toBe(true);
    for (const { buffer, byteLength } of parts) {
      if (byteLength < 8_192 || byteLength > 2 ** 20) continue;
      expect(buffer.byteLength).toBe(byteLength);
      expect(passedOn.has(buffer)).toBe(true); // `ws` has made no copy.
    }
    socket.terminate();
    await once(socket, "close");
  }
});

test("a server may send frames along with its HTTP response", async () => {
  // What comes later looks like frames of 32,382 bytes.
  const payloads = [bytesOf(20), Buffer.alloc(100_000, 126), bytesOf(3)];
  const stream = Buffer.concat(payloads.map(frameOf));
  early = stream.subarray(0, 5_000);
  const { socket } = open();
  const received = messages(socket, payloads.length);
  await once(socket, "open");
  serverSide.write(stream.subarray(5_000));
  expect(isEqual(await received, payloads)).toBe(true);
  socket.terminate();
});

const LENGTHS = [
  0,
  1,
  125,
  126,
  8_191,
  8_192,
  65_535,
  65_536,
  70_000,
  300_000,
  2 ** 20,
  2 ** 20 + 1,
];
const CUTS = [1, 3, 20, 5_000, 70_000, 400_000];

function open(): { socket: WebSocket; frames: FrameSocket } {
  let frames: FrameSocket | undefined;
  const socket = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`, {
    createConnection: ((options: NetConnectOpts) => {
      frames = connectFrames({ ...options, path: undefined } as unknown as NetConnectOpts);
      return frames.socket;
    }) as typeof connect,
  });
  socket.on("upgrade", () => frames?.upgraded());
  return { socket, frames: frames as unknown as FrameSocket };
}

/** The first messages, each of which is one frame. */
function messages(socket: WebSocket, count: number): Promise<Buffer[]> {
  const parts: Buffer[] = [];
  return new Promise((resolve) => {
    socket.on("message", (data) => {
      if (parts.push(data as Buffer) === count) resolve(parts);
    });
  });
}

/** Not `toEqual`, which takes a second for 100 kB. */
function isEqual(some: readonly Buffer[], others: readonly Buffer[]): boolean {
  return some.length === others.length && some.every((one, i) => one.equals(others[i] as Buffer));
}

/** A binary message in one frame, unmasked. */
function frameOf(payload: Buffer): Buffer {
  const { byteLength } = payload;
  const head = Buffer.alloc(byteLength < 126 ? 2 : byteLength < 65_536 ? 4 : 10);
  head[0] = 0x82;
  head[1] = byteLength < 126 ? byteLength : byteLength < 65_536 ? 126 : 127;
  if (head.byteLength === 4) head.writeUInt16BE(byteLength, 2);
  if (head.byteLength === 10) head.writeUInt32BE(byteLength, 6);
  return Buffer.concat([head, payload]);
}

function bytesOf(byteLength: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: byteLength }, (_, i) => (i * 7 + byteLength) % 251));
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
