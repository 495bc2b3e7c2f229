import { PartdError } from "@partd/core";
import { changedMeanwhile } from "@partd/core/author";
import { KEY_BYTES, MUTATION, type Terms, Type } from "../protocol/constants.js";
import { MessageWriter, Spares } from "../protocol/message-writer.js";
import { NOT_OFFERED, type Request, type SentRequests } from "./request.js";
import { KeyNumbers } from "./request-body.js";
import type { Socket } from "./socket.js";

/**
 * A message of this length is sent, and the next one is written in the event loop's next turn. The
 * system takes more than a socket's buffer only between turns, so the server can work while we write.
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

interface Broken {
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

/** Requests that wait to be sent, and how much of the server's window the sent ones occupy. */
export class RequestQueue {
  #requests: Request[] = [];
  #next = 0;
  /** Requests whose caller has given up. */
  #dropped = 0;
  #takenBytes = 0;
  #takenRequests = 0;
  /** The upload under way, which no request overtakes. */
  upload: Upload | undefined;

  /** How many requests wait, apart from those whose caller has given up. */
  get size(): number {
    return this.#requests.length - this.#next - this.#dropped;
  }

  push(request: Request): void {
    request.queued = true;
    this.#requests.push(request);
  }

  /** Gives up a request that waits here. */
  drop(request: Request): void {
    if (request.queued) this.#dropped++;
  }

  /** Puts requests at the front. */
  unshift(requests: readonly Request[]): void {
    if (requests.length === 0) return;
    const later = this.takeAll();
    for (const request of [...requests, ...later]) this.push(request);
  }

  takeAll(): Request[] {
    const requests = this.#requests.slice(this.#next).filter((request) => !request.settled);
    for (const request of requests) request.queued = false;
    this.#requests = [];
    this.#next = 0;
    this.#dropped = 0;
    return requests;
  }

  /** Takes the next request, if the terms allow it to be sent now. */
  next(terms: Terms): Request | undefined {
    for (; this.#next < this.#requests.length; this.#next++) {
      const request = this.#requests[this.#next] as Request;
      if (request.settled) {
        this.#dropped--;
        continue;
      }
      if (this.upload || this.#takenRequests >= terms.pending) return undefined;
      const bytes = this.uploads(request, terms) ? 0 : mostOf(request);
      if (this.#takenBytes + bytes > terms.window) return undefined;
      this.#next++;
      request.queued = false;
      return request;
    }
    this.#requests = [];
    this.#next = 0;
    return undefined;
  }

  /** Whether a request is too long to be sent in one message. */
  uploads(request: Request, terms: Terms): boolean {
    return request.body.bound + 32 > terms.message || mostOf(request) > terms.window;
  }

  /** Notes that a request was sent, and its length. */
  take(request: Request, bytes: number): void {
    request.taken = bytes + KEY_BYTES * request.body.keyCount;
    this.#takenBytes += request.taken;
    this.#takenRequests++;
  }

  /** Notes that a sent request was answered. */
  answered(request: Request): void {
    if (this.upload?.request === request) {
      this.upload = undefined;
      return;
    }
    this.#takenBytes -= request.taken;
    this.#takenRequests--;
    request.taken = 0;
  }

  /** The connection is lost, and with it what was on its way. */
  reset(): void {
    this.#takenBytes = 0;
    this.#takenRequests = 0;
    this.upload = undefined;
  }
}

/** An upper bound of what a request occupies of the window. */
function mostOf({ body }: Request): number {
  return body.bound + 32 + KEY_BYTES * body.keyCount;
}

const CHUNK_BYTES = 1 << 20;

/**
 * A request that is too long for one message: announced, then sent in chunks as the server grants
 * bytes.
 */
class Upload {
  readonly request: Request;
  readonly #parts: readonly Uint8Array[];
  /** As they were announced. */
  readonly #lengths: readonly number[];
  readonly #longest: number;
  #part = 0;
  #offset = 0;
  #credit = 0;

  constructor(request: Request, message: number) {
    this.request = request;
    this.#parts = request.bodyParts();
    this.#lengths = this.#parts.map(({ byteLength }) => byteLength);
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
    writer.varint(this.#lengths.reduce((sum, length) => sum + length, 0));
    writer.end(packet);
  }

  /**
   * Sends what fits into `byteLength` more granted bytes.
   *
   * @throws `ERR_PARTD_VALUE` if the caller has changed the length of a value meanwhile.
   */
  go(byteLength: number, socket: Socket): void {
    if (this.request.settled) return; // It was given up, and the server was told.
    this.#credit += byteLength;
    while (this.#credit > 0 && this.#part < this.#parts.length) socket.send(this.#chunk());
  }

  /**
   * The next chunk as a message. It is copied only if the caller may reuse its buffers before the
   * answer.
   */
  #chunk(): Uint8Array[] {
    const writer = new MessageWriter();
    const { request } = this;
    const packet = writer.begin(Type.CHUNK, request.isMutation ? MUTATION : 0, 16);
    writer.varint(request.number);
    let room = Math.min(this.#longest, this.#credit);
    while (room > 0 && this.#part < this.#parts.length) {
      const part = this.#parts[this.#part] as Uint8Array;
      if (part.byteLength !== this.#lengths[this.#part]) throw changedMeanwhile();
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
