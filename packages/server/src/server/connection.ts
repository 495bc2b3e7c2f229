import type { Socket } from "node:net";
import { isPartdError, PartdError } from "@partd/core";
import type { WebSocket } from "ws";
import { MessageReader, malformed } from "../protocol/message-reader.js";
import {
  isMutation,
  KEY_BYTES,
  LOCKED,
  MUTATION,
  Reason,
  type Terms,
  Type,
} from "../protocol/numbers.js";
import { readHello, writeError, writeWelcome } from "../protocol/packets.js";
import { Operations } from "./operations.js";
import { Outbox } from "./outbox.js";
import { ReceivedKeys, readBody } from "./request-body.js";
import type { Shared } from "./shared.js";
import { IncomingUpload } from "./uploads.js";

/** What a client may send of a chunked request before the server says more. */
const UPLOAD_WINDOW = 4 << 20;

/** A client's connection, seen from the server: packets, uploads, and how it ends. */
export class Connection {
  readonly remote: string;
  readonly since = Date.now();
  readonly #shared: Shared;
  readonly #socket: WebSocket;
  readonly #carrier: Socket;
  /** Bytes that had come over it when it was last looked at. */
  #bytesRead = 0;
  readonly #outbox: Outbox;
  readonly #operations: Operations;
  #terms: Terms | undefined;
  #keys: ReceivedKeys | undefined;
  readonly #uploads = new Map<string, IncomingUpload>();
  readonly #gone = new AbortController();
  #heard = performance.now();
  #asked = performance.now();
  #pinged = performance.now();

  /** @param carrier what the WebSocket goes over. */
  constructor(shared: Shared, socket: WebSocket, carrier: Socket, remote: string) {
    this.#shared = shared;
    this.#socket = socket;
    this.#carrier = carrier;
    this.remote = remote;
    const { backlog, counters, limits, spares } = shared;
    this.#outbox = new Outbox(socket, carrier, backlog, spares, counters, limits.answers, () =>
      this.#operations.tellDone(),
    );
    this.#operations = new Operations(shared, this.#outbox, this.#gone.signal, () => this.end());
  }

  /** Whether the client has said who it is. */
  get welcomed(): boolean {
    return this.#terms !== undefined;
  }

  /** Requests without an answer, and the lock if it is held. */
  get pending(): number {
    return this.#operations.pending + this.#uploads.size;
  }

  /** Bytes of requests without an answer. */
  get requestBytes(): number {
    let bytes = this.#operations.bytes;
    for (const { reserved } of this.#uploads.values()) bytes += reserved;
    return bytes;
  }

  /** Bytes of answers that the client has not taken. */
  get answerBytes(): number {
    return this.#outbox.queued;
  }

  get #over(): boolean {
    return this.#gone.signal.aborted;
  }

  /** A message has come. Whatever is wrong with it ends this connection, and no other. */
  receive(parts: readonly Uint8Array[]): void {
    if (this.#over) return;
    this.#heard = performance.now();
    try {
      const reader = new MessageReader(parts);
      this.#shared.counters.receivedBytes += reader.byteLength;
      for (let length = reader.nextPacket(); length > 0 && !this.#over; ) {
        this.#packet(reader, length);
        length = reader.nextPacket();
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.#operations.begin();
    }
    if (this.#outbox.queued <= 2 * this.#shared.limits.answers) return;
    // It sends and does not read: what it sends next would have to be answered, too.
    this.#socket.pause();
    this.#outbox.whenTaken(() => this.#socket.resume());
  }

  /** Tells the client why, and ends the connection. */
  fail(error: unknown): void {
    if (this.#over) return;
    const { counters } = this.#shared;
    if (isPartdError(error, "ERR_PARTD_PROTOCOL") || isPartdError(error, "ERR_PARTD_KEY")) {
      counters.protocolErrors++;
    }
    writeError(this.#outbox.writer, 0, 0, error);
    this.#outbox.flush();
    this.#socket.close(1008);
    this.closed();
  }

  /** Says that the server closes; the client leaves when it has its answers. */
  goodbye(reason: number): void {
    if (this.#over) return;
    this.#operations.tellDone();
    const { writer } = this.#outbox;
    const packet = writer.begin(Type.GOODBYE, 0, 1);
    writer.u8(reason);
    writer.end(packet);
    this.#outbox.flush();
  }

  /** Sends what was answered, then ends the connection. */
  end(): void {
    if (this.#over) return;
    this.#operations.tellDone();
    this.#outbox.flush();
    this.#socket.close(1001);
    this.closed();
  }

  /** The connection is gone: what only it was waiting for is given up, its lock is let go. */
  closed(): void {
    if (this.#over) return;
    this.#gone.abort(new PartdError("ERR_PARTD_CONNECTION", "The client's connection is gone."));
    this.#outbox.close();
    for (const [name, upload] of this.#uploads) {
      if (!upload.complete) this.#endUpload(name, upload);
    }
    this.#keys?.release();
    // What it sent is held until it was carried out, and so is the memory for it.
    this.#operations.whenOver(() => {
      for (const [name, upload] of this.#uploads) this.#endUpload(name, upload);
      if (this.#terms) this.#shared.windows.give(this.#terms.window);
    });
  }

  /** Looks after the connection every now and then. */
  tick(now: number): void {
    const { limits } = this.#shared;
    const stalled = (since: number) => now - since > limits.stall;
    const { bytesRead } = this.#carrier;
    if (bytesRead !== this.#bytesRead) this.#heard = now; // On a slow line a message takes its time.
    this.#bytesRead = bytesRead;
    if (
      (!this.#terms && stalled(this.#asked)) ||
      now - this.#heard > 3 * limits.ping + 1_000 ||
      (this.#outbox.queued > 0 && stalled(this.#outbox.progress)) ||
      [...this.#uploads.values()].some(
        (upload) => upload.waitsForClient && stalled(upload.progress),
      )
    ) {
      this.#socket.terminate();
      this.closed();
    } else if (this.#terms && now - this.#pinged > limits.ping) {
      this.#pinged = now;
      const { writer } = this.#outbox;
      writer.end(writer.begin(Type.PING, 0, 0));
      this.#outbox.schedule();
    }
    const idle = this.pending === 0 && now - this.#asked > limits.idle;
    if (!idle || !this.#terms || this.#over) return;
    if (stalled(this.#asked + limits.idle)) this.end();
    else this.goodbye(Reason.IDLE);
  }

  // ---- Packets ---------------------------------------------------------------------------------

  #packet(reader: MessageReader, length: number): void {
    const { type } = reader;
    const { session } = this.#operations;
    if (!session || !this.#keys) {
      this.#hello(reader);
      return;
    }
    switch (type) {
      case Type.HELLO:
        throw malformed("a second HELLO");
      case Type.UPLOAD:
        this.#upload(reader);
        return;
      case Type.CHUNK:
        this.#chunk(reader);
        return;
      case Type.CREDIT:
        this.#operations.credit(reader.varint(), reader.varint());
        return;
      case Type.CANCEL:
        this.#cancel((reader.flags & MUTATION) !== 0, reader.varint());
        return;
      case Type.SEEN:
        session.confirm(reader.varint());
        return;
      case Type.PONG:
        return;
      case Type.BYE:
        this.#shared.sessions.end(session);
        this.end();
        return;
      default: {
        const number = reader.varint();
        const body = readBody(type, reader, this.#keys, this.#shared.limits.keys);
        const { flags } = reader;
        this.#asked = this.#heard;
        const bytes = length + KEY_BYTES * body.keys.length;
        const charge = { inside: (flags & LOCKED) !== 0, bytes };
        this.#operations.request(type, flags, number, body, charge);
      }
    }
  }

  #hello(reader: MessageReader): void {
    const { limits, sessions, windows, instance, census } = this.#shared;
    const { session, first, token } = readHello(reader);
    this.#shared.checkToken(token);
    if (first < 1) throw malformed("mutations are counted from 1");
    const window = windows.grant();
    this.#terms = {
      window,
      pending: limits.pending,
      message: Math.min(limits.message, window),
      request: limits.request,
      keys: limits.keys,
      keyTable: limits.keyTable,
      pingInterval: limits.ping,
    };
    this.#keys = new ReceivedKeys(census, limits.keyTable);
    const [known, resumed] = sessions.resume(hex(session), first, this.#operations);
    this.#operations.session = known;
    this.#operations.window = window;
    writeWelcome(this.#outbox.writer, { resumed, instance, terms: this.#terms });
    this.#outbox.flush();
  }

  #upload(reader: MessageReader): void {
    const { limits, uploads } = this.#shared;
    const { flags } = reader;
    const number = reader.varint();
    const type = reader.u8();
    const byteLength = reader.varint();
    const name = uploadName(isMutation(type), number);
    const inside = (flags & LOCKED) !== 0;
    if (byteLength < 1 || byteLength > limits.request)
      throw malformed(`a request of ${byteLength} bytes is refused`);
    // One of each sort, so that what is sent inside of the lock never waits for what waits for it.
    for (const other of this.#uploads.values()) {
      if ((other.flags & LOCKED) === (flags & LOCKED)) throw malformed("two uploads at once");
    }
    if (this.#uploads.has(name)) throw malformed("two uploads have one number");
    this.#asked = this.#heard;
    const upload = new IncomingUpload(type, flags, byteLength);
    this.#uploads.set(name, upload);
    if (inside && this.#operations.holdsLock) {
      this.#go(name, number, upload);
      return;
    }
    uploads.take(byteLength, upload.abort.signal).then(
      () => {
        upload.reserved = byteLength;
        if (this.#over || this.#uploads.get(name) !== upload) this.#endUpload(name, upload);
        else this.#go(name, number, upload);
      },
      () => {}, // Given up, and answered.
    );
  }

  #go(name: string, number: number, upload: IncomingUpload): void {
    const bytes = upload.grant(UPLOAD_WINDOW);
    if (bytes === 0) return;
    const { writer } = this.#outbox;
    const packet = writer.begin(Type.GO, name.startsWith("m") ? MUTATION : 0, 16);
    writer.varint(number);
    writer.varint(bytes);
    writer.end(packet);
    this.#outbox.schedule();
  }

  #chunk(reader: MessageReader): void {
    const mutation = (reader.flags & MUTATION) !== 0;
    const number = reader.varint();
    const name = uploadName(mutation, number);
    const upload = this.#uploads.get(name);
    if (!upload) throw malformed("a chunk of nothing that was announced");
    this.#asked = this.#heard;
    const whole = upload.add(reader.take(reader.left));
    if (!whole) {
      this.#go(name, number, upload);
      return;
    }
    // By itself, without the numbers of keys: other requests may have come between.
    const body = new MessageReader([whole]);
    body.enter();
    const keys = new ReceivedKeys(this.#shared.census, 0);
    const fields = readBody(upload.type, body, keys, this.#shared.limits.keys);
    if (body.left > 0) throw malformed("an upload is longer than its fields");
    const inside = (upload.flags & LOCKED) !== 0;
    const settled = () => this.#endUpload(name, upload);
    const charge = { inside, bytes: 0, settled };
    this.#operations.request(upload.type, upload.flags, number, fields, charge);
  }

  #cancel(mutation: boolean, number: number): void {
    const name = uploadName(mutation, number);
    const upload = this.#uploads.get(name);
    if (!upload || upload.complete) {
      this.#operations.cancel(mutation, number);
      return;
    }
    this.#endUpload(name, upload);
    const reason = new PartdError("ERR_PARTD_CONNECTION", "The client gave this up.");
    this.#operations.failed(mutation ? MUTATION : 0, number, reason);
  }

  #endUpload(name: string, upload: IncomingUpload): void {
    upload.abort.abort(UPLOAD_ENDED);
    if (this.#uploads.get(name) === upload) this.#uploads.delete(name);
    this.#shared.uploads.give(upload.reserved);
    upload.reserved = 0;
  }
}

const UPLOAD_ENDED = new Error("The upload is over.");

function uploadName(mutation: boolean, number: number): string {
  return `${mutation ? "m" : "r"}${number}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}
