import { PartdError } from "@partd/core";
import { Pace, Semaphore } from "@partd/core/author";
import {
  CANCELABLE,
  isMutation,
  LOCKED,
  MUTATION,
  type Terms,
  Type,
} from "../protocol/constants.js";
import { malformed } from "../protocol/message-reader.js";
import { type WireError, wireError, writeError } from "../protocol/packets.js";
import { endAnswer } from "./data-packets.js";
import { type HeldLock, StoreLock } from "./lock.js";
import { GatheredAppends, mutate } from "./mutations.js";
import type { Outbox } from "./outbox.js";
import { answerRead, answerValues, Credit } from "./reading.js";
import type { RequestBody } from "./request-body.js";
import type { Charge, Outcome, OutcomeListener, Session } from "./session.js";
import type { Shared } from "./shared.js";

/** The running requests of one connection, and the lock that it holds. */
export class Operations implements OutcomeListener {
  readonly #shared: Shared;
  readonly #outbox: Outbox;
  readonly #session: Session;
  readonly #terms: Terms;
  readonly #gone: AbortSignal;
  /** Unanswered requests outside the lock, and inside. */
  readonly #taken: readonly { bytes: number; count: number }[] = [
    { bytes: 0, count: 0 },
    { bytes: 0, count: 0 },
  ];
  readonly #reads = new Map<number, Read>();
  /** Limits GETs and SIZES, and KEYS and COUNTs. */
  readonly #gets = new Semaphore(MOST_GETS);
  readonly #listings = new Semaphore(MOST_LISTINGS);
  readonly #pace = new Pace();
  readonly #lock: StoreLock;
  /** Mutations that this connection began and that have not ended. */
  #running = 0;
  #whenOver: (() => void) | undefined;
  /** Appends of the message that is being read. */
  #gathered = new GatheredAppends();

  /** @param gone is aborted with the connection. */
  constructor(shared: Shared, outbox: Outbox, session: Session, terms: Terms, gone: AbortSignal) {
    this.#shared = shared;
    this.#outbox = outbox;
    this.#session = session;
    this.#terms = terms;
    this.#gone = gone;
    this.#lock = new StoreLock(shared.store, gone);
    gone.addEventListener("abort", () => this.#giveUp(), { once: true });
  }

  /** Unanswered requests, and the lock. */
  get pending(): number {
    return this.#taken.reduce(
      (sum, { count }) => sum + count,
      this.lockedSince === undefined ? 0 : 1,
    );
  }

  /** Bytes of unanswered requests. */
  get bytes(): number {
    return this.#taken.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** When the connection got the lock that it holds. */
  get lockedSince(): number | undefined {
    return this.#lock.since;
  }

  /** Resolves when no mutation of this connection runs, also after the connection is lost. */
  whenOver(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#running === 0) resolve();
      else this.#whenOver = resolve;
    });
  }

  /** Begins what a request asks for. */
  request(type: number, flags: number, number: number, body: RequestBody, charge: Charge): void {
    const taken = this.#windowOf(charge);
    taken.bytes += charge.bytes;
    taken.count++;
    if (taken.bytes > this.#terms.window || taken.count > this.#terms.pending) {
      throw malformed("more was sent than the server had allowed");
    }
    this.#shared.counters.requests++;
    // Requests begin in the order in which they come.
    if (type !== Type.APPEND || flags !== 0) this.begin();
    if (isMutation(type)) this.#mutation(type, flags, number, body, charge);
    else this.#read(type, flags, number, body, charge);
  }

  /** Begins the gathered appends: at the end of a message, or before another request. */
  begin(): void {
    if (this.#gathered.appends.length === 0) return;
    void this.#carryOut(this.#gathered);
    this.#gathered = new GatheredAppends();
  }

  /** The client has given a request up. It is answered nevertheless. */
  cancel(mutation: boolean, number: number): void {
    if (mutation) this.#session.find(number)?.abort?.abort(GIVEN_UP);
    else if (this.#lock.isOf(number)) this.#lock.release().catch(() => {});
    else this.#reads.get(number)?.abort.abort(GIVEN_UP);
  }

  /** The client accepts `bytes` more of a stream. */
  credit(number: number, bytes: number): void {
    this.#reads.get(number)?.credit.give(bytes);
  }

  /** Answers a mutation that has ended, if this connection was the last to send it. */
  ended(number: number, { error, values }: Outcome, charge: Charge): void {
    if (this.#gone.aborted) return;
    this.#settle(charge);
    if (error) this.failed(MUTATION, number, error);
    else if (values) {
      const { inside } = charge;
      answerValues(this.#outbox, MUTATION, number, values, inside, this.#gone).catch(() => {});
    } else this.#outbox.done(number);
  }

  /** Answers a request with an error. */
  failed(flags: number, number: number, error: WireError): void {
    this.#shared.counters.errors++;
    writeError(this.#outbox.writer, flags, number, error);
    this.#outbox.schedule();
  }

  // ---- Mutations -------------------------------------------------------------------------------

  #mutation(type: number, flags: number, number: number, body: RequestBody, charge: Charge): void {
    const { sessions } = this.#shared;
    const session = this.#session;
    const known = session.find(number);
    if (known) {
      sessions.repeated++;
      if (known.running) known.asked = { listener: this, charge };
      else this.ended(number, known, charge);
      return;
    }
    if (number <= session.seen) throw malformed("a mutation comes after its answer");
    sessions.makeRoom(session);
    const outcome = session.begin(number);
    outcome.asked = { listener: this, charge };
    this.#running++;
    if (type !== Type.APPEND || flags !== 0) {
      void this.#mutate(type, flags, number, body, outcome);
    } else {
      if (!this.#gathered.takes(body)) this.begin();
      this.#gathered.add({ number, body, outcome });
    }
  }

  async #carryOut(gathered: GatheredAppends): Promise<void> {
    const { census, store } = this.#shared;
    const failures = await gathered.carryOut(store, census);
    gathered.appends.forEach(({ number, body, outcome }, i) => {
      const failure = failures[i];
      if (failure) this.#session.fail(number, outcome, failure.error);
      else {
        this.#countAppend(body);
        this.#session.succeed(number, outcome, undefined);
      }
      this.#tell(number, outcome);
    });
  }

  async #mutate(
    type: number,
    flags: number,
    number: number,
    body: RequestBody,
    outcome: Outcome,
  ): Promise<void> {
    const { census, counters, store } = this.#shared;
    const session = this.#session;
    let lock: HeldLock | undefined;
    try {
      if (flags & LOCKED) lock = this.#lock.held;
      lock?.enter();
      if (flags & CANCELABLE) outcome.abort = new AbortController();
      const values = await mutate(
        { type, keys: body.keys, batch: body.batch },
        lock?.store ?? store,
        census,
        (bytes) => session.reserve(outcome, bytes),
        outcome.abort?.signal,
      );
      for (const { byteLength } of values ?? []) counters.readBytes += byteLength;
      if (type === Type.APPEND) this.#countAppend(body);
      session.succeed(number, outcome, values);
    } catch (error) {
      session.fail(number, outcome, error);
    } finally {
      lock?.leave();
    }
    this.#tell(number, outcome);
  }

  #countAppend({ keys, batch }: RequestBody): void {
    const { counters } = this.#shared;
    counters.appends++;
    counters.appendedKeys += keys.length;
    counters.appendedBytes += batch.byteLength;
  }

  /** Answers the connection that sent the mutation last. */
  #tell(number: number, outcome: Outcome): void {
    const { asked } = outcome;
    outcome.asked = undefined;
    asked?.listener.ended(number, outcome, asked.charge);
    if (--this.#running === 0) this.#whenOver?.();
  }

  // ---- Reading -------------------------------------------------------------------------------------

  #read(type: number, flags: number, number: number, body: RequestBody, charge: Charge): void {
    if (this.#reads.has(number)) throw malformed("two requests have one number");
    const read = { abort: new AbortController(), credit: new Credit(body.credit) };
    this.#reads.set(number, read);
    let answered = false;
    const settle = () => {
      if (answered) return;
      answered = true;
      this.#reads.delete(number);
      // The census need not remember keys that hold nothing.
      for (const key of body.keys) this.#shared.census.forget(key);
      this.#settle(charge);
    };
    const answer = () =>
      this.#answer(type, flags, number, body, read, settle)
        .catch((error: unknown) => {
          if (!answered && !this.#gone.aborted) this.failed(0, number, wireError(error));
        })
        .finally(settle);
    // Inside the lock, requests do not wait for those outside, which wait for the lock.
    const limit = charge.inside ? undefined : this.#limitOf(type);
    void (limit ? limit.run(answer) : answer());
  }

  #limitOf(type: number): Semaphore | undefined {
    if (type === Type.GET || type === Type.SIZES) return this.#gets;
    return type === Type.KEYS || type === Type.COUNT ? this.#listings : undefined;
  }

  async #answer(
    type: number,
    flags: number,
    number: number,
    body: RequestBody,
    read: Read,
    settle: () => void,
  ): Promise<void> {
    const { signal } = read.abort;
    if (this.#pace.due) await this.#pace.rest();
    if (type === Type.LOCK) {
      return this.#lock.take(number, signal, () => {
        endAnswer(this.#outbox, 0, number);
        settle();
      });
    }
    if (type === Type.UNLOCK) {
      await this.#lock.release();
      endAnswer(this.#outbox, 0, number);
      return;
    }
    const lock = flags & LOCKED ? this.#lock.held : undefined;
    lock?.enter();
    try {
      const { census, counters } = this.#shared;
      const context = {
        store: lock?.store ?? this.#shared.store,
        census,
        outbox: this.#outbox,
        number,
        inside: lock !== undefined,
        signal,
        read(bytes: number) {
          counters.readBytes += bytes;
        },
      };
      await answerRead(context, type, body.keys, read.credit);
    } finally {
      lock?.leave();
    }
  }

  #settle(charge: Charge): void {
    const taken = this.#windowOf(charge);
    taken.bytes -= charge.bytes;
    taken.count--;
    charge.settled?.();
  }

  #windowOf({ inside }: Charge): { bytes: number; count: number } {
    return this.#taken[inside ? 1 : 0] as { bytes: number; count: number };
  }

  /** The connection is lost: gives up its reads, and releases its lock. */
  #giveUp(): void {
    for (const read of this.#reads.values()) read.abort.abort(this.#gone.reason);
    this.#lock.giveUp();
  }
}

/**
 * The most GETs and SIZES of a connection that run at once. A store answers faster than a socket takes,
 * and 16,384 GETs that wait for a lock would block the loop for seconds when it is released.
 */
const MOST_GETS = 256;
/**
 * The most KEYS and COUNTs of a connection that run at once. Each may hold all keys of the store for as
 * long as the client accepts no more. This is enough for a program that lists within a listing.
 */
const MOST_LISTINGS = 16;

/** A running reading request. */
interface Read {
  readonly abort: AbortController;
  readonly credit: Credit;
}

const GIVEN_UP = new PartdError("ERR_PARTD_CONNECTION", "The client gave this up.");
