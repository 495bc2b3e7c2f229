import { PartdError } from "@partd/core";
import { LAST, MUTATION, Reason, type Terms, Type } from "../protocol/constants.js";
import { MessageReader, malformed } from "../protocol/message-reader.js";
import { readError, type Welcome } from "../protocol/packets.js";
import { Outgoing } from "./outgoing.js";
import { type ConnectionEvents, Reconnector, type ReconnectorOptions } from "./reconnector.js";
import { type Lease, lockLost, type Request, SentRequests } from "./request.js";
import type { Socket } from "./socket.js";

/**
 * A client's session with a server, across connections. It sends requests as the server's terms
 * allow, gives each its answer, and after a lost connection repeats those that are safe to repeat.
 */
export class Link implements ConnectionEvents {
  readonly address: string;
  readonly events = new EventTarget();
  readonly #reconnector: Reconnector;
  readonly #sent = new SentRequests();
  readonly #outgoing: Outgoing;
  #socket: Socket | undefined;
  /** The lock that this connection holds. */
  #lease: Lease | undefined;
  /** Critical sections that are under way. */
  #retained = 0;
  /** Whether the present server process has carried out a mutation of ours since the last flush. */
  #dirty = false;
  /** Whether the server is closing. It still flushes what it carries out. */
  #closing = false;
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(options: ReconnectorOptions) {
    this.address = options.address;
    this.#outgoing = new Outgoing(options.address, this.#sent);
    this.#reconnector = new Reconnector(options, this, this.events);
  }

  /** The server's limits, as it last told them; `undefined` before the first connection. */
  get terms(): Terms | undefined {
    return this.#outgoing.terms;
  }

  /** Whether the server may hold our writes in a buffer that only a flush would empty. */
  get dirty(): boolean {
    return this.#dirty;
  }

  submit(request: Request): void {
    if (request.lease?.isLost) {
      request.fail(lockLost(this.address));
      return;
    }
    this.#outgoing.queueOf(request).push(request);
    if (this.#socket) this.#schedule();
    else this.#reconnector.want(this.#sent.first);
  }

  /** Gives a request up: removes it from its queue, or ignores its answer. */
  cancel(request: Request, reason: unknown): void {
    if (request.settled) return;
    if (request.queued) {
      this.#outgoing.queueOf(request).drop(request);
    } else if (this.#sent.has(request)) {
      this.#control(Type.CANCEL, request.isMutation ? MUTATION : 0, request.number);
    }
    request.fail(reason);
    this.#checkIdle();
  }

  /** Allows the server to send `byteLength` more bytes of a stream. */
  credit(request: Request, byteLength: number): void {
    if (!this.#sent.has(request)) return;
    this.#control(Type.CREDIT, 0, request.number, byteLength);
  }

  /** Begins a critical section: `whenIdle` waits until `release`. */
  retain(): void {
    this.#retained++;
  }

  release(): void {
    this.#retained--;
    this.#checkIdle();
  }

  /** Resolves when every request but the streams is answered. */
  whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#checkIdle();
    });
  }

  /** Ends the session. Only streams can still be under way. */
  close(error: PartdError): void {
    for (const request of [...this.#sent.reads.values(), ...this.#outgoing.outside.takeAll()]) {
      this.cancel(request, error);
    }
    this.#outgoing.control(Type.BYE, 0);
    this.#outgoing.flush();
    this.#reconnector.end();
  }

  // ---- Events of the connection ----------------------------------------------------------------

  opened(socket: Socket, welcome: Welcome, sameServer: boolean): void {
    this.#socket = socket;
    this.#outgoing.opened(socket, welcome.terms);
    this.#closing = false;
    if (!sameServer) this.#dirty = false;
    const { inside, outside } = this.#outgoing;
    const again = [...this.#sent.mutations.values()];
    if (sameServer && welcome.resumed) {
      inside.unshift(again.filter(({ lease }) => lease));
      outside.unshift(again.filter(({ lease }) => !lease));
    } else {
      this.#sent.mutations.clear();
      for (const request of again) request.fail(outcomeUnknown(this.address));
    }
    const reads = [...this.#sent.reads.values()].filter((request) => !request.settled);
    this.#sent.reads.clear();
    outside.unshift(reads);
    this.#schedule();
  }

  received(parts: readonly Uint8Array[]): void {
    const reader = new MessageReader(parts);
    while (reader.nextPacket()) this.#packet(reader);
    this.#checkIdle();
    if (this.#outgoing.waiting > 0) this.#schedule();
  }

  lost(error: Error, final: boolean): void {
    this.#socket = undefined;
    this.#outgoing.lost();
    this.#lease?.lose();
    this.#lease = undefined;
    for (const request of this.#outgoing.inside.takeAll()) {
      request.fail(lockLost(this.address));
    }
    for (const [number, request] of this.#sent.reads) {
      if (!final && !request.settled && !request.lease && request.answer.restart()) continue;
      this.#sent.reads.delete(number);
      request.fail(request.lease ? lockLost(this.address) : error);
    }
    // Nobody asks for the outcomes of mutations whose callers have given up.
    for (const [number, request] of this.#sent.mutations) {
      if (request.settled) this.#sent.mutations.delete(number);
    }
    if (final) {
      for (const request of this.#sent.mutations.values()) {
        request.fail(outcomeUnknown(this.address, error));
      }
      this.#sent.mutations.clear();
      for (const request of this.#outgoing.outside.takeAll()) request.fail(error);
    }
    this.#checkIdle();
    if (this.#isNeeded) this.#reconnector.want(this.#sent.first);
  }

  // ---- Receiving -------------------------------------------------------------------------------

  #packet(reader: MessageReader): void {
    switch (reader.type) {
      case Type.DONE: {
        const first = reader.varint();
        const end = first + reader.varint();
        for (let number = first; number < end; number++) {
          this.#answered(this.#sent.find(true, number), undefined);
        }
        return;
      }
      case Type.DATA: {
        const request = this.#sent.find((reader.flags & MUTATION) !== 0, reader.varint());
        if (!request) throw malformed("an answer to no request");
        if (request.settled) reader.skip();
        else request.answer.data(reader);
        if (reader.flags & LAST) this.#answered(request, undefined);
        return;
      }
      case Type.ERROR: {
        const number = reader.varint();
        const error = readError(reader, this.address);
        if (number === 0) this.#reconnector.fail(error);
        else this.#answered(this.#sent.find((reader.flags & MUTATION) !== 0, number), error);
        return;
      }
      case Type.GO: {
        const mutation = (reader.flags & MUTATION) !== 0;
        const number = reader.varint();
        const byteLength = reader.varint();
        const broken = this.#outgoing.go(mutation, number, byteLength);
        if (broken) this.cancel(broken.request, broken.error);
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
    this.#sent.delete(request);
    this.#outgoing.queueOf(request).answered(request);
    if (error) {
      request.fail(error);
      return;
    }
    if (request.isMutation) this.#dirty = !this.#closing;
    else if (request.type === Type.FLUSH) this.#dirty = false;
    if (request.settled) return;
    if (request.grants) this.#lease = request.grants;
    else if (request.type === Type.UNLOCK) this.#lease = undefined;
    request.succeed();
    if (request.type !== Type.POP) return;
    this.#outgoing.confirm(); // Until it is told, the server keeps the outcomes.
    this.#schedule();
  }

  /** The server is closing, or the connection was idle for too long: nothing may be sent on it. */
  #goodbye(reason: number): void {
    this.#outgoing.leave();
    if (reason === Reason.CLOSING) {
      this.#closing = true;
      this.#dirty = false;
    }
    this.#checkLeft();
  }

  #checkLeft(): void {
    if (!this.#outgoing.isLeaving || this.#sent.size > 0 || this.#lease) return;
    this.#socket?.close();
  }

  get #isNeeded(): boolean {
    return this.#sent.size + this.#outgoing.waiting > 0;
  }

  #control(type: number, flags: number, ...fields: readonly number[]): void {
    this.#outgoing.control(type, flags, ...fields);
    if (this.#socket) this.#schedule();
  }

  /**
   * Sends at the end of this turn of the event loop, so that requests made together share a message.
   */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    soon(() => {
      this.#scheduled = false;
      if (this.#outgoing.flush()) this.#schedule();
      if (this.#idle.length > 0) this.#checkIdle(); // A refused request may have been the last one.
    });
  }

  #checkIdle(): void {
    this.#checkLeft();
    if (!this.#isNeeded) this.#reconnector.relax();
    if (this.#idle.length === 0 || this.#retained > 0) return;
    if (this.#sent.mutations.size + this.#outgoing.waiting > 0) return;
    for (const { answer, settled } of this.#sent.reads.values())
      if (answer.awaited && !settled) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function outcomeUnknown(address: string, cause?: unknown): PartdError {
  return new PartdError(
    "ERR_PARTD_CONNECTION",
    `The outcome is unknown: the connection to ${address} was lost before the answer, and the server ${cause ? "did not come back" : "was restarted or has forgotten this session"}. It was carried out whole or not at all; read what is there before you repeat it.`,
    { address, cause },
  );
}

/** `setImmediate` where there is one: it lets more requests gather than a microtask does. */
const soon: (callback: () => void) => void =
  (globalThis as { setImmediate?: (callback: () => void) => void }).setImmediate ?? queueMicrotask;
