import { changedMeanwhile } from "@partd/core/author";
import { KEY_BYTES, MUTATION, type Terms, Type } from "../protocol/constants.js";
import { MessageWriter } from "../protocol/message-writer.js";
import type { Request } from "./request.js";
import type { Socket } from "./socket.js";

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

/** Requests that were sent and not answered, by number. */
export class SentRequests {
  /** In the order of their numbers, which go on from one connection to the next. */
  readonly mutations = new Map<number, Request>();
  readonly reads = new Map<number, Request>();
  #nextMutation = 1;
  #nextRead = 1;

  get size(): number {
    return this.mutations.size + this.reads.size;
  }

  /** The lowest mutation without an answer, or the number of the next one. */
  get first(): number {
    for (const number of this.mutations.keys()) return number;
    return this.#nextMutation;
  }

  /** Notes a request as sent, and numbers it if it was never sent before. */
  add(request: Request): void {
    if (request.number === 0) {
      request.number = request.isMutation ? this.#nextMutation++ : this.#nextRead++;
    }
    this.#of(request.isMutation).set(request.number, request);
  }

  find(mutation: boolean, number: number): Request | undefined {
    return this.#of(mutation).get(number);
  }

  has(request: Request): boolean {
    return this.find(request.isMutation, request.number) === request;
  }

  delete(request: Request): void {
    this.#of(request.isMutation).delete(request.number);
  }

  #of(mutation: boolean): Map<number, Request> {
    return mutation ? this.mutations : this.reads;
  }
}

const CHUNK_BYTES = 1 << 20;

/**
 * A request that is too long for one message: announced, then sent in chunks as the server grants
 * bytes.
 */
export class Upload {
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
