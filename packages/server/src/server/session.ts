import { PartdError } from "@partd/core";

/**
 * What a server remembers of one client, across its connections: which of its mutations it has
 * begun, and how those ended whose answer the client has not confirmed. That is what makes a
 * mutation that is sent again be carried out once.
 */
export class Session {
  readonly id: string;
  /** The client will never ask about this one or a lower one again. */
  seen: number;
  readonly #outcomes = new Map<number, Outcome>();
  /** The connection that speaks for it. */
  connection: SessionConnection | undefined;
  expiry: ReturnType<typeof setTimeout> | undefined;
  /** Bytes of answers that are kept to be given again: of all sessions, and of this one. */
  readonly #all: { bytes: number };
  #keptBytes = 0;
  #over = false;

  constructor(id: string, first: number, all: { bytes: number }) {
    this.id = id;
    this.seen = first - 1;
    this.#all = all;
  }

  get size(): number {
    return this.#outcomes.size;
  }

  find(number: number): Outcome | undefined {
    return this.#outcomes.get(number);
  }

  begin(number: number): Outcome {
    const outcome = new Outcome();
    this.#outcomes.set(number, outcome);
    return outcome;
  }

  /** The client has had the answers to all mutations up to `number`. */
  confirm(number: number): void {
    this.seen = Math.max(this.seen, number);
    for (const [seq, outcome] of this.#outcomes) {
      if (seq > number) break;
      if (outcome.running) continue; // Given up by the client; it goes when it is done.
      this.#keep(outcome, -outcome.keptBytes);
      this.#outcomes.delete(seq);
    }
  }

  /**
   * The answer to a POP that begins will be so long, as far as is known.
   *
   * @throws `ERR_PARTD_VALUE` if there is no memory for it.
   */
  keep(outcome: Outcome, bytes: number, most: { request: number; uploads: number }): void {
    if (bytes > most.request) throw tooMuch(bytes, most.request);
    const all = Math.max(most.request, most.uploads);
    if (this.#keptBytes + bytes > most.request || this.#all.bytes + bytes > all) throw tooMany();
    this.#keep(outcome, bytes);
  }

  /** The answer to a POP is there. Its bytes. */
  kept(outcome: Outcome): number {
    const bytes = (outcome.values ?? []).reduce((sum, { byteLength }) => sum + byteLength, 0);
    this.#keep(outcome, bytes - outcome.keptBytes);
    return bytes;
  }

  /** A mutation has ended; nothing is kept for one that the client has given up. */
  end(number: number, outcome: Outcome): void {
    outcome.running = false;
    const given = number <= this.seen || this.#over;
    if (given) this.#outcomes.delete(number);
    if (given || outcome.error) this.#keep(outcome, -outcome.keptBytes);
  }

  /** Nobody will ask again. */
  close(): void {
    this.#over = true;
    this.confirm(Number.POSITIVE_INFINITY);
  }

  #keep(outcome: Outcome, bytes: number): void {
    outcome.keptBytes += bytes;
    this.#keptBytes += bytes;
    this.#all.bytes += bytes;
  }
}

/** What became of a mutation. */
export class Outcome {
  running = true;
  error: PartdError | undefined;
  /** Of POP: the values, and the keys they belong to. */
  values: readonly Uint8Array[] | undefined;
  keptBytes = 0;
  /** Where the answer is to go: the connection on which the request came last. */
  asked: SessionConnection | undefined;
  /** What it takes of that connection's window. */
  charge: Charge | undefined;
  abort: AbortController | undefined;
}

/** Bytes of one of a connection's two windows. */
export interface Charge {
  readonly inside: boolean;
  readonly bytes: number;
  /** Called when the request is answered. */
  readonly settled?: () => void;
}

/** A connection, for the session that it speaks for. */
export interface SessionConnection {
  /** Tells the client how its mutation ended. */
  answer(number: number, outcome: Outcome): void;
  /** Another connection speaks for the session now. */
  replaced(): void;
}

function tooMuch(bytes: number, most: number): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    `pop would have to answer with ${bytes} bytes at once, and this server holds ${most}; use stream() and delete() inside withLock, or raise limits.request.`,
  );
}

function tooMany(): PartdError {
  return new PartdError(
    "ERR_PARTD_VALUE",
    "The answers to other pops fill the memory that the server has for them (limits.request for a client, limits.uploads for all); pop when those are done.",
  );
}

/** Sessions without a connection that are remembered; of more, the oldest go early. */
const MOST_WAITING = 4_096;

/** All sessions of a server: with a connection, or waiting for their client to come back. */
export class Sessions {
  readonly #sessions = new Map<string, Session>();
  readonly #expiry: number;
  /** Those without a connection, the oldest first. */
  readonly #waiting = new Set<Session>();
  /** Of answers to POPs that are kept to be given again. */
  readonly #kept = { bytes: 0 };
  /** Mutations that were sent again and not carried out again. */
  repeated = 0;

  /** @param expiry milliseconds that a session outlives its connection. */
  constructor(expiry: number) {
    this.#expiry = expiry;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** The session of a client that says hello, and whether it was known. */
  resume(id: string, first: number, connection: SessionConnection): [Session, boolean] {
    const known = this.#sessions.get(id);
    const session = known ?? new Session(id, first, this.#kept);
    this.#sessions.set(id, session);
    this.#waiting.delete(session);
    clearTimeout(session.expiry);
    const earlier = session.connection;
    session.connection = connection;
    earlier?.replaced();
    session.confirm(first - 1);
    return [session, known !== undefined];
  }

  /** The connection is gone; the client may come back. */
  leave(session: Session, connection: SessionConnection): void {
    if (session.connection !== connection) return;
    session.connection = undefined;
    this.#waiting.add(session);
    session.expiry = setTimeout(() => this.end(session), this.#expiry);
    session.expiry.unref?.();
    for (const oldest of this.#waiting) {
      if (this.#waiting.size <= MOST_WAITING) break;
      this.end(oldest);
    }
  }

  /** The client will not come back, or has stayed away for too long. */
  end(session: Session): void {
    clearTimeout(session.expiry);
    this.#waiting.delete(session);
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    session.close();
  }

  clear(): void {
    for (const session of [...this.#sessions.values()]) this.end(session);
  }
}
