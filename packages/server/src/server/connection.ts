import { isPartdError, PartdError } from "@partd/core";
import {
  Feature,
  KEY_BYTES,
  LOCKED,
  MUTATION,
  Reason,
  type Terms,
  Type,
} from "../protocol/constants.js";
import { MessageReader, malformed } from "../protocol/message-reader.js";
import type { FragmentSocket } from "../protocol/message-writer.js";
import { readHello, wireError, writeError, writeWelcome } from "../protocol/packets.js";
import { Operations } from "./operations.js";
import { type Carrier, Outbox } from "./outbox.js";
import { NumberedKeys, readBody } from "./request-body.js";
import type { Session } from "./session.js";
import type { Shared } from "./shared.js";
import { Uploads } from "./uploads.js";

/**
 * What a waiting request is charged besides its bytes: a STREAM of a `Dict` takes 5.3 kB of heap.
 */
const REQUEST_BYTES = 8_192;
/** What a numbered key is charged: its text, and its place in the census. */
const NUMBERED_BYTES = 512;
/** Requests and numbered keys that every connection may have, however small its window. */
const LEAST_REQUESTS = 64;

/**
 * After this time other work runs. A message of 2 MiB can hold 16,384 requests, which take a second to
 * begin.
 */
const TURN_MS = 10;
/**
 * After a longer packet the clock is read, because checking its key alone may take a millisecond;
 * after shorter ones, at every 32nd.
 */
const LONG_PACKET = 4_096;

/** The part of the `ws` package's WebSocket that a connection uses. */
export interface ServerSocket extends FragmentSocket {
  close(code: number): void;
  terminate(): void;
  pause(): void;
  resume(): void;
}

/** The server's side of a client's connection: its packets, and how it ends. */
export class Connection {
  readonly #shared: Shared;
  readonly #socket: ServerSocket;
  readonly #carrier: Carrier;
  readonly #outbox: Outbox;
  readonly #uploads: Uploads;
  /** `undefined` until HELLO. */
  #client: Welcomed | undefined;
  readonly #gone = new AbortController();
  /** Received messages that have not been read to their end. */
  #messages: MessageReader[] = [];
  /** Bytes received by the last tick. */
  #bytesRead = 0;
  #heard = performance.now();
  #asked = performance.now();
  #pinged = performance.now();
  /** When it was last told to leave because it is idle. */
  #dismissed = 0;

  /** @param carrier the network socket below the WebSocket. */
  constructor(shared: Shared, socket: ServerSocket, carrier: Carrier) {
    this.#shared = shared;
    this.#socket = socket;
    this.#carrier = carrier;
    const { backlog, counters, limits, spares } = shared;
    this.#outbox = new Outbox(socket, carrier, backlog, spares, counters, limits.answers);
    this.#uploads = new Uploads(shared, this.#outbox);
  }

  /** Whether the client has said HELLO. */
  get isWelcomed(): boolean {
    return this.#client !== undefined;
  }

  /** Unanswered requests, and the lock if it is held. */
  get pending(): number {
    return (this.#client?.operations.pending ?? 0) + this.#uploads.size;
  }

  /** Bytes of unanswered requests. */
  get requestBytes(): number {
    return (this.#client?.operations.bytes ?? 0) + this.#uploads.reserved;
  }

  /** Bytes of answers that the client has not taken. */
  get answerBytes(): number {
    return this.#outbox.queued;
  }

  get #isOver(): boolean {
    return this.#gone.signal.aborted;
  }

  /** Takes a message. A faulty message ends this connection and no other. */
  receive(parts: readonly Uint8Array[]): void {
    if (this.#isOver) return;
    this.#heard = performance.now();
    const reader = new MessageReader(parts);
    this.#shared.counters.receivedBytes += reader.byteLength;
    this.#messages.push(reader);
    if (this.#messages.length === 1) this.#readMessages();
  }

  /** Reads messages for `TURN_MS`, and continues in the event loop's next turn. */
  #readMessages(): void {
    const end = performance.now() + TURN_MS;
    try {
      for (let reader = this.#messages[0]; reader && !this.#isOver; reader = this.#messages[0]) {
        if (!this.#readPackets(reader, end)) {
          this.#socket.pause();
          setImmediate(() => {
            this.#socket.resume();
            this.#readMessages();
          });
          return;
        }
        this.#messages.shift();
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.#client?.operations.begin();
    }
    if (this.#isOver) this.#messages = [];
    if (this.#outbox.queued <= 2 * this.#shared.limits.answers) return;
    // The client sends but does not read: its next requests would only add to the waiting answers.
    this.#socket.pause();
    this.#outbox.whenTaken(() => this.#socket.resume());
  }

  /** Tells the client why, and ends the connection. */
  fail(error: unknown): void {
    if (this.#isOver) return;
    const { counters } = this.#shared;
    if (isPartdError(error, "ERR_PARTD_PROTOCOL") || isPartdError(error, "ERR_PARTD_KEY")) {
      counters.protocolErrors++;
    }
    writeError(this.#outbox.writer, 0, 0, wireError(error));
    this.#outbox.flush();
    this.#socket.close(1008);
    this.closed();
  }

  /** Announces that the server closes; the client leaves when it has its answers. */
  goodbye(reason: number): void {
    if (this.#isOver) return;
    const { writer } = this.#outbox;
    const packet = writer.begin(Type.GOODBYE, 0, 1);
    writer.u8(reason);
    writer.end(packet);
    this.#outbox.flush();
  }

  /** Sends the answers that are ready, then ends the connection. */
  end(code = 1001): void {
    if (this.#isOver) return;
    this.#outbox.flush();
    this.#socket.close(code);
    this.closed();
  }

  /** The connection is lost: gives up what only it was waiting for, and releases its lock. */
  closed(): void {
    if (this.#isOver) return;
    this.#gone.abort(new PartdError("ERR_PARTD_CONNECTION", "The client's connection is gone."));
    this.#outbox.close();
    this.#uploads.close();
    if (this.#client) void this.#release(this.#client);
  }

  /** Called at intervals: pings, and ends a connection that is silent, stalled or idle. */
  tick(now: number): void {
    const { limits } = this.#shared;
    const isStalled = (since: number) => now - since > limits.stall;
    const { bytesRead } = this.#carrier;
    if (bytesRead !== this.#bytesRead) this.#heard = now; // Over a slow line a message may take long.
    this.#bytesRead = bytesRead;
    if (
      now - this.#heard > 3 * limits.ping + 1_000 ||
      (this.#outbox.queued > 0 && isStalled(this.#outbox.progress)) ||
      this.#uploads.isStalled(now - limits.stall)
    ) {
      this.#socket.terminate();
      this.closed();
      return;
    }
    if (!this.#client) return;
    if (now - this.#pinged > limits.ping) {
      this.#pinged = now;
      const { writer } = this.#outbox;
      writer.end(writer.begin(Type.PING, 0, 0));
      this.#outbox.schedule();
    }
    const { lockedSince } = this.#client.operations;
    if (lockedSince !== undefined && now - lockedSince > limits.lock) {
      this.end();
      return;
    }
    const isIdle = this.pending === 0 && now - this.#asked > limits.idle;
    if (!isIdle) return;
    // Told first, however late this call is.
    if (this.#dismissed <= this.#asked) {
      this.#dismissed = now;
      this.goodbye(Reason.IDLE);
    } else if (isStalled(this.#dismissed)) this.end();
  }

  /** Frees the client's window and keys when all its requests have been carried out. */
  async #release({ keys, operations, session, replaced, window }: Welcomed): Promise<void> {
    keys.release();
    this.#shared.sessions.leave(session, replaced);
    await operations.whenOver();
    this.#uploads.release();
    this.#shared.windows.give(window);
  }

  // ---- Packets ---------------------------------------------------------------------------------

  /** @returns whether the message was read to its end before `end`. */
  #readPackets(reader: MessageReader, end: number): boolean {
    for (let begun = 0; !this.#isOver; ) {
      const length = reader.nextPacket();
      if (length === 0) return true;
      if (this.#client) this.#packet(this.#client, reader, length);
      else this.#hello(reader);
      // Gathering an append takes little time; the gathered ones begin together later.
      if (reader.type === Type.APPEND) continue;
      const isDue = length > LONG_PACKET || ++begun % 32 === 0;
      if (isDue && performance.now() > end) return false;
    }
    return true;
  }

  #hello(reader: MessageReader): void {
    const { limits, sessions, windows, instance, census } = this.#shared;
    const { session: id, first, token } = readHello(reader);
    this.#shared.checkToken(token);
    if (first < 1) throw malformed("mutations are counted from 1");
    if (windows.count >= limits.connections) {
      this.end(1013); // 1013 means: try again later.
      return;
    }
    const window = windows.grant();
    const terms: Terms = {
      window,
      pending: within(window / REQUEST_BYTES, limits.pending),
      message: Math.min(limits.message, window),
      request: limits.request,
      keys: limits.keys,
      keyTable: within(window / NUMBERED_BYTES, limits.keyTable),
      pingInterval: limits.ping,
      features: Feature.SIZES,
    };
    const { session, known, replaced } = sessions.resume(hex(id), first);
    replaced.addEventListener("abort", () => this.end(), { once: true });
    const gone = this.#gone.signal;
    this.#client = {
      keys: new NumberedKeys(census, terms.keyTable),
      operations: new Operations(this.#shared, this.#outbox, session, terms, gone),
      session,
      replaced,
      window,
    };
    writeWelcome(this.#outbox.writer, { resumed: known, instance, terms });
    this.#outbox.flush();
  }

  #packet({ keys, operations, session }: Welcomed, reader: MessageReader, length: number): void {
    const { type, flags } = reader;
    switch (type) {
      case Type.HELLO:
        throw malformed("a second HELLO");
      case Type.UPLOAD:
        this.#asked = this.#heard;
        this.#uploads.announce(reader, operations.lockedSince !== undefined);
        return;
      case Type.CHUNK:
        this.#asked = this.#heard;
        this.#chunk(operations, reader);
        return;
      case Type.CREDIT:
        operations.credit(reader.varint(), reader.varint());
        return;
      case Type.CANCEL:
        this.#cancel(operations, (flags & MUTATION) !== 0, reader.varint());
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
        const body = readBody(type, reader, keys, this.#shared.limits.keys);
        this.#asked = this.#heard;
        const bytes = length + KEY_BYTES * body.keys.length;
        operations.request(type, flags, number, body, { inside: (flags & LOCKED) !== 0, bytes });
      }
    }
  }

  #chunk(operations: Operations, reader: MessageReader): void {
    const uploaded = this.#uploads.chunk(reader);
    if (!uploaded) return;
    const { type, flags, number, settled } = uploaded;
    // An upload has the texts of its keys, because other requests may number keys while it comes.
    const body = new MessageReader([uploaded.body]);
    body.enter();
    const keys = new NumberedKeys(this.#shared.census, 0);
    const fields = readBody(type, body, keys, this.#shared.limits.keys);
    if (body.left > 0) throw malformed("an upload is longer than its fields");
    const charge = { inside: (flags & LOCKED) !== 0, bytes: 0, settled };
    operations.request(type, flags, number, fields, charge);
  }

  #cancel(operations: Operations, mutation: boolean, number: number): void {
    if (!this.#uploads.cancel(mutation, number)) {
      operations.cancel(mutation, number);
      return;
    }
    const reason = new PartdError("ERR_PARTD_CONNECTION", "The client gave this up.");
    operations.failed(mutation ? MUTATION : 0, number, wireError(reason));
  }
}

/** The state of a connection whose client has said HELLO. */
interface Welcomed {
  readonly keys: NumberedKeys;
  readonly operations: Operations;
  readonly session: Session;
  /** Aborted when another connection takes over the session. */
  readonly replaced: AbortSignal;
  readonly window: number;
}

function within(share: number, most: number): number {
  return Math.min(most, Math.max(LEAST_REQUESTS, Math.floor(share)));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}
