import { PartdError } from "@partd/core";
import { type Terms, Type } from "../protocol/constants.js";
import { MessageWriter, Spares } from "../protocol/message-writer.js";
import { NOT_OFFERED, type Request } from "./request.js";
import { KeyNumbers } from "./request-body.js";
import { RequestQueue, type SentRequests, Upload } from "./request-queue.js";
import type { Socket } from "./socket.js";

/**
 * A message of this length is sent, and the next is written in the loop's next turn. The system takes
 * more than a socket's buffer only between turns, so the server can work while we write.
 */
const MESSAGE_BYTES = 131_072;
/** After this many answered mutations the client tells the server that it may forget their outcomes. */
const SEEN_LAG = 256;

/** What a client sends: requests as the server's terms allow, gathered into messages. */
export class Outgoing {
  /** Requests inside the lock have their own queue, because those outside may wait for that lock. */
  readonly outside = new RequestQueue();
  readonly inside = new RequestQueue();
  #leaving = false;
  readonly #address: string;
  readonly #sent: SentRequests;
  readonly #writer = new MessageWriter(new Spares(MESSAGE_BYTES + 16_384, 2));
  #socket: Socket | undefined;
  #terms: Terms | undefined;
  #keys = new KeyNumbers(0);
  /** The highest mutation that was confirmed: it and all below were answered. */
  #seen = 0;
  /** Whether a message was sent in this turn. */
  #sentOne = false;

  constructor(address: string, sent: SentRequests) {
    this.#address = address;
    this.#sent = sent;
  }

  /** The terms of the present connection, or of the last one. */
  get terms(): Terms | undefined {
    return this.#terms;
  }

  get isLeaving(): boolean {
    return this.#leaving;
  }

  /** Requests that wait to be sent. */
  get waiting(): number {
    return this.outside.size + this.inside.size;
  }

  queueOf(request: Request): RequestQueue {
    return request.lease ? this.inside : this.outside;
  }

  opened(socket: Socket, terms: Terms): void {
    this.#socket = socket;
    this.#terms = terms;
    this.#keys = new KeyNumbers(terms.keyTable);
    this.#writer.take();
    this.#leaving = false;
    this.#seen = this.#sent.first - 1;
  }

  lost(): void {
    this.#socket = undefined;
    this.outside.reset();
    this.inside.reset();
  }

  /** The server is closing: only requests inside the lock may still be sent. */
  leave(): void {
    this.#leaving = true;
  }

  /** Sends as much as one turn may. @returns whether there is more for the next turn. */
  flush(): boolean {
    if (!this.#socket) return false;
    this.#sentOne = false;
    let hasMore = this.#sendQueue(this.inside);
    if (!this.#leaving) hasMore = this.#sendQueue(this.outside) || hasMore;
    if (this.#sent.first - 1 - this.#seen >= SEEN_LAG) this.confirm();
    this.#send();
    return hasMore;
  }

  /** Tells the server which outcomes it may forget. */
  confirm(): void {
    this.#seen = this.#sent.first - 1;
    this.control(Type.SEEN, 0, this.#seen);
  }

  /** Writes a packet of numbers, if there is a connection; the next flush sends it. */
  control(type: number, flags: number, ...fields: readonly number[]): void {
    if (!this.#socket) return;
    const packet = this.#writer.begin(type, flags, 8 * fields.length);
    for (const field of fields) this.#writer.varint(field);
    this.#writer.end(packet);
  }

  /**
   * The server accepts `byteLength` more bytes of an upload.
   *
   * @returns the upload's request if it cannot go on, and why.
   */
  go(mutation: boolean, number: number, byteLength: number): Broken | undefined {
    for (const { upload } of [this.inside, this.outside]) {
      if (!this.#socket || !upload?.is(mutation, number)) continue;
      this.#send();
      try {
        upload.go(byteLength, this.#socket);
      } catch (error) {
        return { request: upload.request, error };
      }
    }
    return undefined;
  }

  /** Sends what the terms allow, and fails requests that they will never allow. */
  #sendQueue(queue: RequestQueue): boolean {
    const terms = this.#terms as Terms;
    for (let request = queue.next(terms); request; request = queue.next(terms)) {
      try {
        this.#write(queue, request, terms);
      } catch (error) {
        request.fail(error);
      }
      if (this.#sentOne) return true;
    }
    return false;
  }

  #write(queue: RequestQueue, request: Request, terms: Terms): void {
    if (request.feature !== 0 && (terms.features & request.feature) === 0) throw NOT_OFFERED;
    if (request.body.keyCount > terms.keys || request.body.bound > terms.request) {
      throw tooLarge(request, terms, this.#address);
    }
    this.#check(request);
    const upload = queue.uploads(request, terms);
    this.#sent.add(request);
    if (upload) {
      queue.upload = new Upload(request, terms.message);
      queue.upload.begin(this.#writer);
    } else {
      // The request has to fit the terms together with what is in this message, and by itself.
      const { bound } = request.body;
      if (this.#writer.byteLength > 0 && this.#writer.byteLength + bound + 64 > terms.message) {
        this.#send();
      }
      queue.take(request, request.write(this.#writer, this.#keys));
    }
    if (this.#writer.byteLength >= MESSAGE_BYTES) this.#send();
  }

  /** @throws if the values of the request are not as they were, before anything is written. */
  #check(request: Request): void {
    try {
      request.body.check?.();
    } catch (error) {
      if (request.number === 0) throw error;
      this.#sent.delete(request);
      throw new PartdError(
        "ERR_PARTD_CONNECTION",
        `The outcome is unknown: the connection to ${this.#address} was lost before the answer, and the request cannot be sent again, because the buffer of a value was transferred or resized. Read what is there before you repeat it.`,
        { address: this.#address, cause: error },
      );
    }
  }

  #send(): void {
    if (this.#writer.byteLength === 0) return;
    const parts = this.#writer.take();
    this.#socket?.send(parts, this.#writer.takeFull());
    this.#sentOne = true;
  }
}

export interface Broken {
  readonly request: Request;
  readonly error: unknown;
}

function tooLarge(request: Request, terms: Terms, address: string): PartdError {
  const { bound, keyCount } = request.body;
  return new PartdError(
    "ERR_PARTD_VALUE",
    keyCount > terms.keys
      ? `A request names ${keyCount} keys, and the server at ${address} takes ${terms.keys} at once; ask in several, or raise its limits.keys.`
      : `A request has up to ${bound} bytes, and the server at ${address} takes ${terms.request} at once; append in several, or raise its limits.request.`,
    { address },
  );
}
