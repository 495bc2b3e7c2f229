import WebSocket from "ws";
import { SUBPROTOCOL, Type } from "../src/protocol/constants.js";
import { MessageReader } from "../src/protocol/message-reader.js";
import { MessageWriter } from "../src/protocol/message-writer.js";
import { readError, readWelcome, type Welcome, writeHello } from "../src/protocol/packets.js";

/** A client that says whatever a test wants said. */
export class RawClient {
  readonly socket: WebSocket;
  readonly closed: Promise<number>;
  /** The error that the server gave for closing the connection. */
  error: Error | undefined;
  readonly types: number[] = [];

  constructor(address: string, options: WebSocket.ClientOptions = {}) {
    this.socket = new WebSocket(address, SUBPROTOCOL, { perMessageDeflate: false, ...options });
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => this.socket.on("close", resolve));
    this.socket.on("message", (data: Buffer) => {
      const reader = new MessageReader([data]);
      while (reader.nextPacket()) {
        this.types.push(reader.type);
        if (reader.type === Type.ERROR && reader.varint() === 0) this.error = readError(reader, "");
        else reader.skip();
      }
    });
  }

  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.once("open", resolve);
      this.socket.once("error", reject);
    });
  }

  async hello(token = "", first = 1, session = randomSession()): Promise<Welcome> {
    await this.opened();
    const welcome = new Promise<Welcome>((resolve, reject) => {
      this.socket.once("message", (data: Buffer) => {
        const reader = new MessageReader([data]);
        reader.nextPacket();
        if (reader.type === Type.WELCOME) resolve(readWelcome(reader));
        else reject(new Error(`packet ${reader.type}`));
      });
    });
    this.greet(token, first, session);
    return welcome;
  }

  /** Says hello, and waits for no answer. */
  greet(token: string, first: number, session: Uint8Array): void {
    this.packet((writer) => writeHello(writer, { session, first, token }));
  }

  packet(write: (writer: MessageWriter) => void): void {
    const writer = new MessageWriter();
    write(writer);
    for (const part of writer.take()) this.socket.send(part);
  }
}

function randomSession(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(16));
}
