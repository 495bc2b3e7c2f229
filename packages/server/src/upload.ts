import type { MessageWriter } from "./message-writer.js";
import { MessageWriter as Writer } from "./message-writer.js";
import { MUTATION, Type } from "./protocol.js";
import type { Request } from "./request.js";
import type { Socket } from "./socket.js";

const CHUNK_BYTES = 1 << 20;

/** A request that is too long for one message: announced, and sent in chunks as the server says. */
export class Upload {
  readonly request: Request;
  readonly #parts: readonly Uint8Array[];
  readonly #longest: number;
  #part = 0;
  #offset = 0;
  #credit = 0;

  constructor(request: Request, message: number) {
    this.request = request;
    this.#parts = request.bodyParts();
    this.#longest = Math.min(CHUNK_BYTES, message - 64);
  }

  is(mutation: boolean, number: number): boolean {
    return this.request.isMutation === mutation && this.request.number === number;
  }

  /** Writes the announcement. */
  begin(writer: MessageWriter): void {
    const packet = writer.begin(Type.UPLOAD, this.request.flags, 32);
    writer.varint(this.request.number);
    writer.u8(this.request.type);
    writer.varint(this.#parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
    writer.end(packet);
  }

  /** The server takes so many bytes more. */
  go(byteLength: number, socket: Socket): void {
    if (this.request.settled) return; // Given up, and the server was told.
    this.#credit += byteLength;
    while (this.#credit > 0 && this.#part < this.#parts.length) socket.send(this.#chunk());
  }

  /** The next chunk as a message: a copy only if the caller may give the request up and go on. */
  #chunk(): Uint8Array[] {
    const writer = new Writer();
    const { request } = this;
    const packet = writer.begin(Type.CHUNK, request.isMutation ? MUTATION : 0, 16);
    writer.varint(request.number);
    let room = Math.min(this.#longest, this.#credit);
    while (room > 0 && this.#part < this.#parts.length) {
      const part = this.#parts[this.#part] as Uint8Array;
      const end = Math.min(part.byteLength, this.#offset + room);
      const piece = part.subarray(this.#offset, end);
      if (request.cancelable) {
        writer.reserve(piece.byteLength);
        writer.raw(piece);
      } else writer.attach(piece);
      room -= end - this.#offset;
      this.#credit -= end - this.#offset;
      this.#offset = end;
      if (end < part.byteLength) break;
      this.#part++;
      this.#offset = 0;
    }
    writer.end(packet);
    return writer.take();
  }
}
