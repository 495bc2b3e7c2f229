import { MessageWriter, Spares } from "../protocol/message-writer.js";
import { type Terms, Type } from "../protocol/numbers.js";
import { tooLarge } from "./link.js";
import { KeyNumbers, type Request } from "./request.js";
import { RequestQueue, type SentRequests, Upload } from "./request-queue.js";
import type { Socket } from "./socket.js";

/**
 * A message is sent when it is so long, and the next one written in the loop's next turn: only
 * between turns does the system take more than fits a socket's buffer, and so only then does the
 * server work while we write.
 */
const MESSAGE_BYTES = 131_072;
/** Answered mutations that the server may remember in vain. */
const SEEN_LAG = 256;

/** What a client sends: requests as the server's terms allow, gathered into messages. */
export class Outgoing {
  /** Requests outside of the lock, and inside: these must get through whatever those wait for. */
  readonly outside = new RequestQueue();
  readonly inside = new RequestQueue();
  /** Whether the server takes no more requests but those inside of the lock. */
  leaving = false;
  readonly #address: string;
  readonly #sent: SentRequests;
  readonly #refused: (request: Request, error: unknown) => void;
  readonly #writer = new MessageWriter(new Spares(MESSAGE_BYTES + 16_384, 2));
  #socket: Socket | undefined;
  #terms: Terms | undefined;
  #keys = new KeyNumbers(0);
  /** All mutations up to it were answered, and the server knows. */
  #seen = 0;
  #scheduled = false;
  /** Whether a message was sent in this turn. */
  #sentOne = false;

  /** @param refused is told of a request that the server's terms do not allow. */
  constructor(
    address: string,
    sent: SentRequests,
    refused: (request: Request, error: unknown) => void,
  ) {
    this.#address = address;
    this.#sent = sent;
    this.#refused = refused;
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
    this.leaving = false;
    this.#seen = this.#sent.first - 1;
  }

  lost(): void {
    this.#socket = undefined;
    this.outside.reset();
    this.inside.reset();
  }

  /** Sends at the end of this turn, so that what is asked for together goes in one message. */
  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    soon(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Sends, now, as much as goes in this turn. */
  flush(): void {
    if (!this.#socket) return;
    this.#sentOne = false;
    this.#sendQueue(this.inside);
    if (!this.leaving) this.#sendQueue(this.outside);
    if (this.#sent.first - 1 - this.#seen >= SEEN_LAG) this.confirm();
    this.#send();
  }

  /** Tells the server which answers it need not keep. */
  confirm(): void {
    this.#seen = this.#sent.first - 1;
    this.control(Type.SEEN, 0, this.#seen);
  }

  /** Sends a packet of numbers, if there is a connection. */
  control(type: number, flags: number, ...fields: readonly number[]): void {
    if (!this.#socket) return;
    const packet = this.#writer.begin(type, flags, 8 * fields.length);
    for (const field of fields) this.#writer.varint(field);
    this.#writer.end(packet);
    this.schedule();
  }

  /** The server takes so many bytes more of an upload. */
  go(mutation: boolean, number: number, byteLength: number): void {
    for (const { upload } of [this.inside, this.outside]) {
      if (!this.#socket || !upload?.is(mutation, number)) continue;
      this.#send();
      upload.go(byteLength, this.#socket);
    }
  }

  #sendQueue(queue: RequestQueue): void {
    const terms = this.#terms as Terms;
    for (let request = queue.next(terms); request; request = queue.next(terms)) {
      try {
        this.#write(queue, request, terms);
      } catch (error) {
        this.#refused(request, error);
      }
      if (!this.#sentOne) continue;
      this.schedule();
      return;
    }
  }

  #write(queue: RequestQueue, request: Request, terms: Terms): void {
    if (request.body.keyCount > terms.keys || request.body.bound > terms.request) {
      throw tooLarge(request, terms, this.#address);
    }
    const upload = queue.uploads(request, terms);
    this.#sent.add(request);
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

  #send(): void {
    if (this.#writer.byteLength === 0) return;
    const parts = this.#writer.take();
    this.#socket?.send(parts, this.#writer.takeFull());
    this.#sentOne = true;
  }
}

/** `setImmediate` where there is one: it lets more requests gather than a microtask does. */
export const soon: (callback: () => void) => void =
  (globalThis as { setImmediate?: (callback: () => void) => void }).setImmediate ?? queueMicrotask;
