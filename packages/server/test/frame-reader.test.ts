import { createHash } from "node:crypto";
import { once } from "node:events";
import { createRequire } from "node:module";
import { createServer, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { expect, test } from "@jest/globals";
import { Dict } from "@partd/core";
import { Client, Server } from "@partd/server";
import { connectCarrier } from "../src/client/carrier.js";
import { FrameReader } from "../src/client/frame-reader.js";
import { randomFrom } from "./random.js";

const MOST = 1_000;

test("what it takes and what it leaves to ws are together what ws alone receives", async () => {
  const random = randomFrom(1);
  const seen = new Set<unknown>();
  for (let round = 0; round < 200; round++) {
    const bytes = randomFrames(random);
    const chunks = cut(bytes, random);
    const alone = new Reference();
    for (const chunk of chunks) alone.write(chunk.slice());
    await alone.rest();

    const behind = new Reference();
    const reader = new FrameReader(
      {
        message: (parts) => behind.log.push(`message ${digest(parts)}`),
        control: (part) => behind.write(part.slice()),
      },
      MOST,
    );
    let taken = true;
    for (const chunk of chunks) {
      if (!taken) behind.write(chunk.slice());
      const foreign = taken && reader.read(chunk);
      if (foreign) {
        taken = false;
        behind.write(foreign);
      }
    }
    await behind.rest();
    expect(behind.log).toEqual(alone.log);
    for (const entry of alone.log) seen.add(entry.split(" ", 2).join(" ").slice(0, 12));
  }
  // Each kind of frame, and each way to break the protocol, has come.
  for (const kind of ["ping", "pong", "text", "conclude", "failed 1002", "failed 1009"]) {
    expect([...seen].some((entry) => String(entry).startsWith(kind))).toBe(true);
  }
});

test("a message that came in several reads is one view of a block", async () => {
  const server = createServer((peer: Socket) => {
    peer.end(Buffer.from([0x82, 126, 0x03, 0, ...new Array(768).fill(7)]));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const carrier = connectCarrier({ port, host: "127.0.0.1" });
  const messages: (readonly Uint8Array[])[] = [];
  const reader = new FrameReader({ message: (parts) => messages.push(parts), control() {} }, MOST);
  carrier.on("data", (chunk: Buffer) => {
    // As if each byte had been a read of its own.
    for (let i = 0; i < chunk.length; i++) reader.read(chunk.subarray(i, i + 1));
  });
  await once(carrier, "close");
  server.close();
  expect(messages).toEqual([[new Uint8Array(768).fill(7)]]);
});

test("a short answer keeps no more than itself alive", async () => {
  await using server = await Server.listen(new Dict());
  await using client = new Client(server.address);
  await client.append({ x: new Uint8Array([1]), y: new Uint8Array(20_000) });
  expect((await client.get("x")).buffer.byteLength).toBe(1);
  expect(await client.get(["x", "y"])).toEqual([new Uint8Array([1]), new Uint8Array(20_000)]);
});

/** Frames of a server, of which some break the protocol. */
function randomFrames(random: () => number): Uint8Array {
  const below = (most: number) => Math.floor(random() * most);
  const frames: number[] = [];
  let begun = false;
  for (let count = 1 + below(8); count > 0; count--) {
    const isOdd = random() < 0.15;
    const isControl = random() < 0.2;
    let opcode = isControl ? 9 + below(2) : begun ? 0 : 2;
    let isFinal = isControl || random() < 0.6;
    let length = below(4) === 0 ? below(700) : below(isControl ? 126 : 140);
    if (isControl) length = Math.min(length, 125);
    else begun = !isFinal;
    let first = (isFinal ? 0x80 : 0) | opcode;
    let masked = 0;
    if (isOdd) {
      const what = below(7);
      if (what === 0) opcode = below(16);
      else if (what === 1) masked = 0x80;
      else if (what === 2) length = MOST + 1;
      else if (what === 3) isFinal = !isFinal;
      else if (what === 4) opcode = 1;
      else if (what === 6) {
        opcode = 8; // With a code below 1000, or none.
        length = below(2) * 2;
        isFinal = true;
      }
      first = (isFinal ? 0x80 : 0) | opcode | (what === 5 ? 0x10 << below(3) : 0);
    }
    frames.push(first);
    if (length > 0xffff || random() < 0.1) {
      frames.push(masked | 127, 0, 0, 0, 0, 0, 0, length >> 8, length & 0xff);
    } else if (length > 125) frames.push(masked | 126, length >> 8, length & 0xff);
    else frames.push(masked | length);
    for (let i = 0; i < length; i++) frames.push(97 + (i % 26)); // Text, too, is well-formed.
  }
  const cutTo = random() < 0.2 ? below(frames.length) : frames.length;
  // `ws` judges a header by its first two bytes: a whole one has to come.
  return new Uint8Array([...frames.slice(0, cutTo), ...new Array(14).fill(0)]);
}

function cut(bytes: Uint8Array, random: () => number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const length = 1 + Math.floor(random() ** 3 * 800);
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

/** What `ws` makes of the bytes of a server. */
class Reference {
  readonly log: string[] = [];
  readonly #receiver: Writable;

  constructor() {
    const { Receiver } = createRequire(import.meta.url)("ws") as {
      Receiver: new (options: object) => Writable;
    };
    this.#receiver = new Receiver({ maxPayload: MOST, binaryType: "fragments" });
    this.#receiver.on("message", (data: Buffer[], isBinary: boolean) => {
      this.log.push(isBinary ? `message ${digest(data)}` : `text ${String(data)}`);
    });
    for (const name of ["ping", "pong", "conclude"]) {
      this.#receiver.on(name, (value: unknown) => this.log.push(`${name} ${String(value)}`));
    }
    this.#receiver.on("error", (error: object) => {
      const status = Object.getOwnPropertySymbols(error).map((key) => Reflect.get(error, key));
      this.log.push(`failed ${status.join()}`);
    });
  }

  write(bytes: Uint8Array): void {
    if (this.#receiver.writable) this.#receiver.write(Buffer.from(bytes));
  }

  /** Resolves when its errors have come. */
  rest(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

function digest(parts: readonly Uint8Array[]): string {
  const hash = createHash("sha1");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
