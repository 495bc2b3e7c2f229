import { PartdError } from "@partd/core";
import { malformed } from "../protocol/message-reader.js";
import { type WireError, wireError } from "../protocol/packets.js";
import type { Limits } from "./limits.js";

/** The most sessions kept without a connection; beyond it the oldest ends early. */
const MOST_WAITING = 4_096;
/** Memory of an outcome, measured on Node 20: of a success; of a failure, besides its texts. */
const DONE_BYTES = 64;
const FAILED_BYTES = 256;
/** Memory that a popped value takes besides its bytes. An empty value is a shared reference. */
const VALUE_BYTES = 160;
const EMPTY_BYTES = 8;
/** The share of the memory for outcomes that one session may hold: a sixteenth. */
const SHARE = 16;

/** All sessions of a server: connected ones, and those whose client may come back. */
export class Sessions {
  readonly #sessions = new Map<string, Session>();
  readonly #limits: Limits;
  /** Sessions without a connection, the oldest first. */
  readonly #waiting = new Set<Session>();
  readonly #kept: Kept = { outcomes: 0, values: 0 };
  /** Mutations that clients repeated and that were not carried out again. */
  repeated = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Finds or creates the session of a client that says HELLO, and replaces its earlier connection. */
  resume(id: string, first: number): Resumed {
    const known = this.#sessions.get(id);
    const session = known ?? new Session(id, first, this.#kept, this.#limits);
    this.#sessions.set(id, session);
    this.#waiting.delete(session);
    const replaced = session.connect();
    session.confirm(first - 1);
    return { session, known: known !== undefined, replaced };
  }

  /**
   * A connection of this session is lost; the client may come back.
   *
   * @param replaced the signal that {@link resume} gave the connection.
   */
  leave(session: Session, replaced: AbortSignal): void {
    if (!session.disconnect(replaced)) return;
    if (this.#sessions.get(session.id) !== session) return;
    this.#waiting.add(session);
    session.expireAfter(this.#limits.session, () => this.end(session));
    this.#forgetOldest();
  }

  /** The client will not come back, or has stayed away too long. */
  end(session: Session): void {
    this.#waiting.delete(session);
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
    session.close();
  }

  clear(): void {
    for (const session of [...this.#sessions.values()]) this.end(session);
  }

  /**
   * Ends the oldest disconnected sessions if outcomes exceed their memory.
   *
   * @throws `ERR_PARTD_PROTOCOL` if the client does not confirm its answers.
   */
  makeRoom(session: Session): void {
    const { outcomes, pending, connections } = this.#limits;
    this.#forgetOldest();
    const share = this.#kept.outcomes > outcomes ? connections : SHARE;
    if (session.size > 4 * pending || session.outcomeBytes > outcomes / share) {
      throw malformed("too many answers that the client has not confirmed");
    }
  }

  #forgetOldest(): void {
    for (const oldest of this.#waiting) {
      const full = this.#kept.outcomes > this.#limits.outcomes;
      if (!full && this.#waiting.size <= MOST_WAITING) return;
      this.end(oldest);
    }
  }
}

export interface Resumed {
  readonly session: Session;
  /** Whether the server remembers the session. */
  readonly known: boolean;
  /** Aborted when another connection takes over the session. */
  readonly replaced: AbortSignal;
}

/**
 * What a server remembers of one client across its connections: which of its mutations have begun, and
 * the outcomes that the client has not confirmed. Thereby a repeated mutation is carried out once.
 */
export class Session {
  readonly id: string;
  readonly #outcomes = new Map<number, Outcome>();
  readonly #all: Kept;
  readonly #own: Kept = { outcomes: 0, values: 0 };
  readonly #limits: Limits;
  #seen: number;
  #connection: AbortController | undefined;
  #expiry: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  /** @param all the memory that all sessions hold together. */
  constructor(id: string, first: number, all: Kept, limits: Limits) {
    this.id = id;
    this.#seen = first - 1;
    this.#all = all;
    this.#limits = limits;
  }

  /** The client will never repeat this mutation or an earlier one. */
  get seen(): number {
    return this.#seen;
  }

  /** Mutations that are running, or whose outcome is remembered. */
  get size(): number {
    return this.#outcomes.size;
  }

  get outcomeBytes(): number {
    return this.#own.outcomes;
  }

  /**
   * Lets another connection take over the session. @returns a signal that aborts when it is replaced.
   */
  connect(): AbortSignal {
    clearTimeout(this.#expiry);
    const earlier = this.#connection;
    this.#connection = new AbortController();
    earlier?.abort();
    return this.#connection.signal;
  }

  /** @returns whether that connection still had the session. */
  disconnect(replaced: AbortSignal): boolean {
    if (this.#connection?.signal !== replaced) return false;
    this.#connection = undefined;
    return true;
  }

  expireAfter(milliseconds: number, expire: () => void): void {
    this.#expiry = setTimeout(expire, milliseconds);
    this.#expiry.unref?.();
  }

  find(number: number): Outcome | undefined {
    return this.#outcomes.get(number);
  }

  begin(number: number): Outcome {
    const outcome = new Outcome();
    this.#outcomes.set(number, outcome);
    return outcome;
  }

  /** The client has received the answers to all mutations up to `number`. */
  confirm(number: number): void {
    this.#seen = Math.max(this.#seen, number);
    for (const [seq, outcome] of this.#outcomes) {
      if (seq > number) break;
      if (outcome.running) continue; // The client gave it up; it is forgotten when it ends.
      this.#forget(seq, outcome);
    }
  }

  /**
   * Reserves memory for the answer to a POP, by the known lengths.
   *
   * @throws `ERR_PARTD_VALUE` if there is not enough.
   */
  reserve(outcome: Outcome, bytes: number): void {
    const { request, uploads } = this.#limits;
    if (bytes > request) throw tooMuch(bytes, request);
    const all = Math.max(request, uploads);
    if (this.#own.values + bytes > request || this.#all.values + bytes > all) throw tooMany();
    this.#keepValues(outcome, bytes);
  }

  /** A mutation was carried out. */
  succeed(number: number, outcome: Outcome, values: readonly Uint8Array[] | undefined): void {
    let bytes = 0;
    if (values) {
      // An empty array takes 100 bytes, and a pop of a million absent keys would keep a million of
      // them.
      outcome.values = values.map((value) => (value.byteLength === 0 ? EMPTY : value));
      for (const { byteLength } of values) {
        bytes += byteLength === 0 ? EMPTY_BYTES : VALUE_BYTES + byteLength;
      }
    }
    this.#keepValues(outcome, bytes - outcome.valueBytes);
    this.#end(number, outcome, DONE_BYTES);
  }

  /** A mutation failed. */
  fail(number: number, outcome: Outcome, error: unknown): void {
    outcome.error = wireError(error);
    this.#keepValues(outcome, -outcome.valueBytes);
    const { message, key, path } = outcome.error;
    const texts = 2 * (message.length + (key?.length ?? 0) + (path?.length ?? 0));
    this.#end(number, outcome, FAILED_BYTES + texts);
  }

  /** The client will not come back. */
  close(): void {
    clearTimeout(this.#expiry);
    this.#over = true;
    this.confirm(Number.POSITIVE_INFINITY);
  }

  #end(number: number, outcome: Outcome, bytes: number): void {
    outcome.running = false;
    outcome.abort = undefined;
    outcome.bytes = bytes;
    this.#own.outcomes += bytes;
    this.#all.outcomes += bytes;
    if (number <= this.#seen || this.#over) this.#forget(number, outcome);
    else if (!outcome.error && !outcome.values) this.#outcomes.set(number, CARRIED_OUT);
  }

  #forget(number: number, outcome: Outcome): void {
    this.#outcomes.delete(number);
    this.#own.outcomes -= outcome.bytes;
    this.#all.outcomes -= outcome.bytes;
    this.#keepValues(outcome, -outcome.valueBytes);
  }

  #keepValues(outcome: Outcome, bytes: number): void {
    if (bytes === 0) return;
    outcome.valueBytes += bytes;
    this.#own.values += bytes;
    this.#all.values += bytes;
  }
}

/** The memory that sessions hold. */
interface Kept {
  /** Outcomes that clients have not confirmed. */
  outcomes: number;
  /** Answers to POPs, kept so that they can be sent again. */
  values: number;
}

/** The outcome of a mutation. */
export class Outcome {
  running = true;
  error: WireError | undefined;
  /** For POP. */
  values: readonly Uint8Array[] | undefined;
  /** The charge for `values`. */
  valueBytes = 0;
  /** The charge for the rest of the outcome. */
  bytes = 0;
  /** The latest request for this mutation, on any connection: the one to be answered. */
  asked: Asked | undefined;
  abort: AbortController | undefined;
}

/** Shared by all mutations that succeeded without values, to save up to a million objects. */
const CARRIED_OUT = Object.assign(new Outcome(), { running: false, bytes: DONE_BYTES });

/** A request to be answered when its mutation has ended. */
export interface Asked {
  readonly listener: OutcomeListener;
  readonly charge: Charge;
}

/** Receives the outcomes of mutations. */
export interface OutcomeListener {
  ended(number: number, outcome: Outcome, charge: Charge): void;
}

/** Bytes charged to one of a connection's two windows. */
export interface Charge {
  readonly inside: boolean;
  readonly bytes: number;
  /** Called when the request is answered. */
  readonly settled?: () => void;
}

const EMPTY = new Uint8Array(0);

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
