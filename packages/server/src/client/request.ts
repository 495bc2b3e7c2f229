import { PartdError } from "@partd/core";
import { concatBytes } from "@partd/core/author";
import { CANCELABLE, Feature, isMutation, LOCKED, Type } from "../protocol/constants.js";
import { type MessageReader, malformed } from "../protocol/message-reader.js";
import { MessageWriter } from "../protocol/message-writer.js";
import { type Body, KeyNumbers } from "./request-body.js";

/** A client's request to a server, until it is answered. */
export class Request {
  readonly type: number;
  readonly body: Body;
  readonly answer: Answer;
  /** The lock under which it runs. */
  readonly lease: Lease | undefined;
  /** Whether the caller may abort it, and then change its buffers, before it is answered. */
  readonly cancelable: boolean;
  /** A mutation is numbered in the session, a read in the connection. 0: never sent. */
  number = 0;
  /** Bytes of the server's window that it occupies. */
  taken = 0;
  #settled = false;
  /** Whether it waits in a queue. */
  queued = false;
  /** For LOCK: the lease that the answer grants. */
  readonly grants: Lease | undefined;

  constructor(
    type: number,
    body: Body,
    answer: Answer,
    lease?: Lease,
    cancelable = false,
    grants?: Lease,
  ) {
    this.grants = grants;
    this.type = type;
    this.body = body;
    this.answer = answer;
    this.lease = lease;
    this.cancelable = cancelable;
  }

  /** Whether its caller has stopped waiting: it was answered, has failed, or was given up. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Ends the request with its answer. Throws, and fails it, if the answer is incomplete. */
  succeed(): void {
    if (this.#settled) return;
    this.#settled = true;
    try {
      this.answer.done();
    } catch (error) {
      this.answer.failed(error);
      throw error;
    }
  }

  /** Ends the request with an error, or because its caller gave it up. */
  fail(error: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.answer.failed(error);
  }

  get isMutation(): boolean {
    return isMutation(this.type);
  }

  /** The `Feature` that it needs of a server, or 0. */
  get feature(): number {
    return this.type === Type.SIZES || this.type === Type.COUNT ? Feature.SIZES : 0;
  }

  get flags(): number {
    return (this.lease ? LOCKED : 0) | (this.cancelable ? CANCELABLE : 0);
  }

  /** Writes the request as one packet. @returns its length. */
  write(writer: MessageWriter, keys: KeyNumbers): number {
    const packet = writer.begin(this.type, this.flags, 8);
    writer.varint(this.number);
    this.body.write(writer, keys, !this.cancelable);
    return writer.end(packet);
  }

  /** The body by itself, for an upload in chunks. */
  bodyParts(): Uint8Array[] {
    const writer = new MessageWriter();
    this.body.write(writer, new KeyNumbers(0), true);
    return writer.take();
  }
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

/** The error of a request that the server does not offer; the store then does without it. */
export const NOT_OFFERED = new PartdError(
  "ERR_PARTD_PROTOCOL",
  "The server does not offer this request; use a newer release of @partd/server there.",
);

/** The lock of a `withLock`, held by a connection and lost with it. */
export class Lease {
  #state: "held" | "lost" | "over" = "held";

  get isLost(): boolean {
    return this.#state === "lost";
  }

  lose(): void {
    if (this.#state === "held") this.#state = "lost";
  }

  /** The critical section has ended under the lock. */
  end(): void {
    this.#state = "over";
  }
}

export function lockLost(address: string): PartdError {
  return new PartdError(
    "ERR_PARTD_LOCK",
    `The connection to ${address} broke, and with it the lock was lost: what the critical section had done stays, the rest of it did not run.`,
    { address },
  );
}

// ---- Answers -----------------------------------------------------------------------------------

/** Receives what comes back for a request. */
export interface Answer {
  /** Takes a packet of the answer. Throws for one that does not fit the request. */
  data(reader: MessageReader): void;
  /** The request was carried out. Called once, unless `failed` is. */
  done(): void;
  failed(error: unknown): void;
  /** Forgets what has come, because the request is sent again. @returns false if it cannot. */
  restart(): boolean;
  /**
   * Whether `close()` waits for it. It does not wait for a stream, whose consumer may never finish it.
   */
  readonly awaited: boolean;
}

/** An answer that the caller awaits as a whole. */
abstract class WholeAnswer<T> {
  readonly awaited = true;
  readonly promise: Promise<T>;
  protected resolve!: (value: T) => void;
  protected reject!: (error: unknown) => void;

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** The answer to a request without a result. */
export class Acknowledged extends WholeAnswer<void> implements Answer {
  data(reader: MessageReader): void {
    if (reader.left > 0) throw malformed("an answer has values that were not asked for");
  }

  done(): void {
    this.resolve();
  }

  failed(error: unknown): void {
    this.reject(error);
  }

  restart(): boolean {
    return true;
  }
}

/** The answer to GET and POP: one value for each key. */
export class ValuesAnswer extends WholeAnswer<Uint8Array[]> implements Answer {
  readonly #count: number;
  #values: Uint8Array[] = [];
  /** The pieces so far of a value whose last piece has not come. */
  #pieces: Uint8Array[] = [];

  constructor(count: number) {
    super();
    this.#count = count;
  }

  data(reader: MessageReader): void {
    while (reader.left > 0) {
      const head = reader.varint();
      // A view: the message holds little besides this answer, so it keeps nothing else alive.
      const piece = reader.take(Math.floor(head / 2));
      if (head % 2 === 1) {
        this.#pieces.push(piece);
      } else if (this.#pieces.length > 0) {
        this.#pieces.push(piece);
        this.#values.push(concatBytes(this.#pieces));
        this.#pieces = [];
      } else {
        this.#values.push(piece);
      }
    }
    if (this.#values.length > this.#count) throw malformed("more values than were asked for");
  }

  done(): void {
    if (this.#values.length !== this.#count || this.#pieces.length > 0) {
      throw malformed("fewer values than were asked for");
    }
    this.resolve(this.#values);
  }

  failed(error: unknown): void {
    this.#values = [];
    this.#pieces = [];
    this.reject(error);
  }

  restart(): boolean {
    this.#values = [];
    this.#pieces = [];
    return true;
  }
}

/** The answer to SIZES and COUNT: one count for each key, or one. */
export class CountsAnswer extends WholeAnswer<readonly number[]> implements Answer {
  /** How many counts were asked for. */
  readonly #asked: number;
  #counts: number[] = [];

  constructor(asked: number) {
    super();
    this.#asked = asked;
  }

  data(reader: MessageReader): void {
    while (reader.left > 0) {
      const head = reader.varint();
      const { left } = reader;
      this.#counts.push(reader.varint());
      if (head !== 2 * (left - reader.left)) throw malformed("a number does not fill its string");
      if (this.#counts.length > this.#asked) throw malformed("more numbers than were asked for");
    }
  }

  done(): void {
    if (this.#counts.length < this.#asked) throw malformed("fewer numbers than were asked for");
    this.resolve(this.#counts);
  }

  failed(error: unknown): void {
    this.reject(error);
  }

  restart(): boolean {
    this.#counts = [];
    return true;
  }
}

/** The answer to STREAM and KEYS: pieces, which the consumer takes one at a time. */
export class PiecesAnswer implements Answer {
  readonly awaited = false;
  #pieces: Uint8Array[] = [];
  #next = 0;
  #over = false;
  #error: { readonly reason: unknown } | undefined;
  #begun = false;
  #wake: (() => void) | undefined;

  data(reader: MessageReader): void {
    while (reader.left > 0) {
      const head = reader.varint();
      const byteLength = Math.floor(head / 2);
      // A view, which keeps its message alive until the consumer drops it.
      const piece = reader.take(byteLength);
      if (byteLength > 0) this.#pieces.push(piece);
    }
    this.#wake?.();
  }

  done(): void {
    this.#over = true;
    this.#wake?.();
  }

  failed(reason: unknown): void {
    this.#error ??= { reason };
    this.#wake?.();
  }

  /** Not possible once the consumer has received a piece. */
  restart(): boolean {
    if (this.#begun) return false;
    this.#pieces = [];
    this.#next = 0;
    return true;
  }

  /** The next piece; `undefined` at the end. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#error) throw this.#error.reason;
      if (this.#next < this.#pieces.length) {
        const piece = this.#pieces[this.#next++] as Uint8Array;
        if (this.#next === this.#pieces.length) {
          this.#pieces = [];
          this.#next = 0;
        }
        this.#begun = true;
        return piece;
      }
      if (this.#over) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
