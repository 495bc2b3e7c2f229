import type { PartdError } from "@partd/core";
import type { Welcome } from "./handshake.js";
import { KeyTable } from "./key-table.js";
import { lockLost, outcomeUnknown, tooLarge } from "./link-errors.js";
import { MessageReader, malformed } from "./message-reader.js";
import { MessageWriter } from "./message-writer.js";
import { LAST, MUTATION, Reason, type Terms, Type } from "./protocol.js";
import { type Connected, Reconnector, type ReconnectorOptions } from "./reconnector.js";
import type { Lease, Request } from "./request.js";
import { RequestQueue } from "./request-queue.js";
import { shapes } from "./shapes.js";
import type { Socket } from "./socket.js";
import { soon } from "./soon.js";
import { Spares } from "./spares.js";
import { Upload } from "./upload.js";
import { readError } from "./wire-error.js";

/**
 * A message is sent when it is so long, and the next one written in the loop's next turn: only
 * between turns does the system take more than fits a socket's buffer, and so only then does the
 * server work while we write.
 */
const MESSAGE_BYTES = 131_072;
/** Answered mutations that the server may remember in vain. */
const SEEN_LAG = 256;

/**
 * A client's session with a server, over whatever connection there is: sends requests as the
 * server's terms allow, gives each its answer, and after a lost connection sends again what is safe
 * to send again.
 */
export class Link implements Connected {
  readonly address: string;
  readonly events = new EventTarget();
  /** Kept for as long as the link is. */
  readonly shapes = shapes();
  readonly #reconnector: Reconnector;
  #socket: Socket | undefined;
  #terms: Terms | undefined;
  #keys = new KeyTable(0);
  readonly #writer = new MessageWriter(new Spares(MESSAGE_BYTES + 16_384, 2));
  /** Requests outside of the lock, and inside: these must get through whatever those wait for. */
  readonly #outside = new RequestQueue();
  readonly #inside = new RequestQueue();
  /** Sent and not answered, by number. */
  readonly #mutations = new Map<number, Request>();
  readonly #reads = new Map<number, Request>();
  #nextMutation = 1;
  #nextRead = 1;
  /** All mutations up to it were answered, and the server knows. */
  #seen = 0;
  /** The lock that this connection holds. */
  #lease: Lease | undefined;
  /** Critical sections that are under way. */
  #retained = 0;
  /** Whether a mutation was carried out since the last flush, by the server as it now runs. */
  #dirty = false;
  #leaving = false;
  #scheduled = false;
  /** Whether a message was sent in this turn. */
  #sentOne = false;
  #idle: (() => void)[] = [];

  constructor(options: ReconnectorOptions) {
    this.address = options.address;
    this.#reconnector = new Reconnector(options, this, this.events);
  }

  /** Whether the server may hold something of ours that is not in its lowest store. */
  get dirty(): boolean {
    return this.#dirty;
  }

  submit(request: Request): void {
    if (request.lease?.lost) {
      request.answer.failed(lockLost(this.address));
      return;
    }
    (request.lease ? this.#inside : this.#outside).push(request);
    if (this.#socket) this.#schedule();
    else this.#reconnector.want();
  }

  /** Gives a request up: it is not sent, or its answer not waited for. */
  cancel(request: Request, reason: unknown): void {
    if (request.settled) return;
    request.settled = true;
    if (request.queued) {
      (request.lease ? this.#inside : this.#outside).drop(request);
    } else if (this.#socket && this.#sent(request.isMutation).get(request.number) === request) {
      this.#control(Type.CANCEL, request.isMutation ? MUTATION : 0, request.number);
    }
    request.answer.failed(reason);
    this.#checkIdle();
  }

  /** Lets the server send so much more of a stream. */
  credit(request: Request, byteLength: number): void {
    if (this.#socket && this.#reads.get(request.number) === request) {
      this.#control(Type.CREDIT, 0, request.number, byteLength);
    }
  }

  /** A critical section begins, or ends: `whenIdle` waits for it. */
  retain(): void {
    this.#retained++;
  }

  release(): void {
    this.#retained--;
    this.#checkIdle();
  }

  /** Resolves when every request that has an end is answered. */
  whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#checkIdle();
    });
  }

  /** Ends the session. Only streams can still be under way. */
  close(error: PartdError): void {
    for (const request of [...this.#reads.values(), ...this.#outside.takeAll()]) {
      this.cancel(request, error);
    }
    if (this.#socket) {
      this.#control(Type.BYE, 0);
      this.#flush();
    }
    this.#reconnector.end();
  }

  // ---- Connected -------------------------------------------------------------------------------

  first(): number {
    for (const number of this.#mutations.keys()) return number;
    return this.#nextMutation;
  }

  needed(): boolean {
    return this.#mutations.size + this.#reads.size + this.#outside.size + this.#inside.size > 0;
  }

  opened(socket: Socket, welcome: Welcome, sameServer: boolean): void {
    this.#socket = socket;
    this.#terms = welcome.terms;
    this.#keys = new KeyTable(welcome.terms.keyTable);
    this.#writer.take();
    this.#leaving = false;
    this.#seen = this.first() - 1;
    if (!sameServer) this.#dirty = false;
    const again = [...this.#mutations.values()];
    if (sameServer && welcome.resumed) {
      this.#inside.unshift(again.filter(({ lease }) => lease));
      this.#outside.unshift(again.filter(({ lease }) => !lease));
    } else {
      this.#mutations.clear();
      for (const request of again) this.#settle(request, () => outcomeUnknown(this.address));
    }
    const reads = [...this.#reads.values()].filter((request) => !request.settled);
    this.#reads.clear();
    this.#outside.unshift(reads);
    this.#schedule();
  }

  received(parts: readonly Uint8Array[]): void {
    const reader = new MessageReader(parts);
    while (reader.nextPacket()) this.#packet(reader);
    this.#checkIdle();
    if (this.#outside.size + this.#inside.size > 0) this.#schedule();
  }

  lost(error: Error, final: boolean): void {
    this.#socket = undefined;
    this.#outside.reset();
    this.#inside.reset();
    if (this.#lease) this.#lease.lost = true;
    this.#lease = undefined;
    for (const request of this.#inside.takeAll()) {
      this.#settle(request, () => lockLost(this.address));
    }
    for (const [number, request] of this.#reads) {
      if (!final && !request.settled && !request.lease && request.answer.restart()) continue;
      this.#reads.delete(number);
      this.#settle(request, () => (request.lease ? lockLost(this.address) : error));
    }
    // Nobody asks for the outcome of what was given up.
    for (const [number, request] of this.#mutations) {
      if (request.settled) this.#mutations.delete(number);
    }
    if (final) {
      for (const request of this.#mutations.values()) {
        this.#settle(request, () => outcomeUnknown(this.address, error));
      }
      this.#mutations.clear();
      for (const request of this.#outside.takeAll()) this.#settle(request, () => error);
    }
    this.#checkIdle();
  }

  // ---- Sending ---------------------------------------------------------------------------------

  /** At the end of this turn, so that what is asked for together goes in one message. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    soon(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#socket) return;
    this.#sentOne = false;
    this.#sendQueue(this.#inside);
    if (!this.#leaving) this.#sendQueue(this.#outside);
    if (this.first() - 1 - this.#seen >= SEEN_LAG) this.#confirm();
    this.#send();
  }

  /** Tells the server which answers it need not keep. */
  #confirm(): void {
    this.#seen = this.first() - 1;
    this.#control(Type.SEEN, 0, this.#seen);
  }

  #sendQueue(queue: RequestQueue): void {
    const terms = this.#terms as Terms;
    for (let request = queue.next(terms); request; request = queue.next(terms)) {
      try {
        this.#write(queue, request, terms);
      } catch (error) {
        this.#settle(request, () => error);
      }
      if (!this.#sentOne) continue;
      this.#schedule();
      return;
    }
  }

  #write(queue: RequestQueue, request: Request, terms: Terms): void {
    if (request.body.keyCount > terms.keys || request.body.bound > terms.request) {
      throw tooLarge(request, terms, this.address);
    }
    const upload = queue.uploads(request, terms);
    if (request.number === 0) {
      request.number = request.isMutation ? this.#nextMutation++ : this.#nextRead++;
    }
    this.#sent(request.isMutation).set(request.number, request);
    if (upload) {
      queue.upload = new Upload(request, terms.message);
      queue.upload.begin(this.#writer);
    } else {
      // Within the terms both with what is in this message and by itself.
      const { bound } = request.body;
      if (this.#writer.byteLength > 0 && this.#writer.byteLength + bound + 64 > terms.message) {
        this.#send();
      }
      queue.take(request, request.write(this.#writer, this.#keys));
    }
    if (this.#writer.byteLength >= MESSAGE_BYTES) this.#send();
  }

  #control(type: number, flags: number, ...fields: readonly number[]): void {
    const packet = this.#writer.begin(type, flags, 8 * fields.length);
    for (const field of fields) this.#writer.varint(field);
    this.#writer.end(packet);
    this.#schedule();
  }

  #send(): void {
    if (this.#writer.byteLength === 0) return;
    const parts = this.#writer.take();
    this.#socket?.send(parts, this.#writer.takeFull());
    this.#sentOne = true;
  }

  // ---- Receiving -------------------------------------------------------------------------------

  #packet(reader: MessageReader): void {
    switch (reader.type) {
      case Type.DONE: {
        const first = reader.varint();
        const end = first + reader.varint();
        for (let number = first; number < end; number++) {
          this.#answered(this.#mutations.get(number), undefined);
        }
        return;
      }
      case Type.DATA: {
        const request = this.#sent((reader.flags & MUTATION) !== 0).get(reader.varint());
        if (!request) throw malformed("an answer to no request");
        if (request.settled) reader.skip();
        else request.answer.data(reader, (reader.flags & LAST) !== 0);
        if (reader.flags & LAST) this.#answered(request, undefined);
        return;
      }
      case Type.ERROR: {
        const number = reader.varint();
        const error = readError(reader, this.address);
        if (number === 0) this.#reconnector.fail(error);
        else this.#answered(this.#sent((reader.flags & MUTATION) !== 0).get(number), error);
        return;
      }
      case Type.GO: {
        const mutation = (reader.flags & MUTATION) !== 0;
        const number = reader.varint();
        const byteLength = reader.varint();
        for (const queue of [this.#inside, this.#outside]) {
          if (!queue.upload?.is(mutation, number)) continue;
          this.#send();
          queue.upload.go(byteLength, this.#socket as Socket);
        }
        return;
      }
      case Type.PING:
        this.#control(Type.PONG, 0);
        return;
      case Type.GOODBYE:
        this.#goodbye(reader.u8());
        return;
      default:
        throw malformed(`unknown packet type ${reader.type}`);
    }
  }

  #answered(request: Request | undefined, error: PartdError | undefined): void {
    if (!request) throw malformed("an answer to no request");
    this.#sent(request.isMutation).delete(request.number);
    const queue = request.lease ? this.#inside : this.#outside;
    queue.answered(request);
    if (error) {
      this.#settle(request, () => error);
      return;
    }
    if (request.isMutation) this.#dirty = true;
    else if (request.type === Type.FLUSH) this.#dirty = false;
    if (request.settled) return;
    if (request.grants) this.#lease = request.grants;
    else if (request.type === Type.UNLOCK) this.#lease = undefined;
    request.answer.done();
    request.settled = true;
    if (request.type === Type.POP) this.#confirm(); // The server keeps what it answered.
  }

  /** It flushes, or waits for us to ask again: either way nothing is to be sent to it now. */
  #goodbye(reason: number): void {
    this.#leaving = true;
    if (reason === Reason.CLOSING) this.#dirty = false;
    this.#checkLeft();
  }

  #checkLeft(): void {
    if (!this.#leaving || this.#mutations.size + this.#reads.size > 0 || this.#lease) return;
    this.#socket?.close();
  }

  #settle(request: Request, error: () => unknown): void {
    if (request.settled) return;
    request.settled = true;
    request.answer.failed(error());
  }

  #sent(mutation: boolean): Map<number, Request> {
    return mutation ? this.#mutations : this.#reads;
  }

  #checkIdle(): void {
    this.#checkLeft();
    if (this.#idle.length === 0 || this.#retained > 0) return;
    if (this.#mutations.size + this.#outside.size + this.#inside.size > 0) return;
    for (const { answer, settled } of this.#reads.values()) if (answer.awaited && !settled) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
