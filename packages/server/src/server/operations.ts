import { PartdError, type Store } from "@partd/core";
import { malformed } from "../protocol/message-reader.js";
import { CANCELABLE, isMutation, LOCKED, MUTATION, Type } from "../protocol/numbers.js";
import { writeError } from "../protocol/packets.js";
import type { CountedKey } from "./census.js";
import { GatheredAppends, mutate } from "./mutations.js";
import type { Outbox } from "./outbox.js";
import { answerGet, answerKeys, answerStream, answerValues, Credit, endAnswer } from "./reading.js";
import type { RequestBody } from "./request-body.js";
import type { Charge, Outcome, Session, SessionConnection } from "./session.js";
import type { Shared } from "./shared.js";

/** The requests of one connection that are under way, and the lock that it holds. */
export class Operations implements SessionConnection {
  readonly #shared: Shared;
  readonly #outbox: Outbox;
  readonly #gone: AbortSignal;
  /** Called when another connection speaks for the session. */
  readonly replaced: () => void;
  session: Session | undefined;
  /** The most bytes of requests without an answer. */
  window = 0;
  /** What was sent and not answered: outside of the lock, and inside. */
  readonly #taken: readonly { bytes: number; count: number }[] = [
    { bytes: 0, count: 0 },
    { bytes: 0, count: 0 },
  ];
  readonly #reads = new Map<number, Read>();
  #held: HeldLock | undefined;
  /** Mutations that were begun here and have not ended. */
  #running = 0;
  #whenOver: (() => void) | undefined;
  /** Appends of the message that is read. */
  #gathered = new GatheredAppends();
  /** Numbers of mutations that are done, to be told together. */
  #done: number[] = [];

  /** @param gone is aborted with the connection. */
  constructor(shared: Shared, outbox: Outbox, gone: AbortSignal, replaced: () => void) {
    this.#shared = shared;
    this.#outbox = outbox;
    this.#gone = gone;
    this.replaced = replaced;
    gone.addEventListener("abort", () => this.#end(), { once: true });
  }

  /** Requests without an answer, and the lock. */
  get pending(): number {
    return this.#taken.reduce((sum, { count }) => sum + count, this.#held ? 1 : 0);
  }

  /** Bytes of requests without an answer. */
  get bytes(): number {
    return this.#taken.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get holdsLock(): boolean {
    return this.#held !== undefined;
  }

  /** Calls `over` when nothing of what was sent here is held any longer, however the connection is. */
  whenOver(over: () => void): void {
    if (this.#running === 0) over();
    else this.#whenOver = over;
  }

  /** Begins what a request asks for. */
  request(type: number, flags: number, number: number, body: RequestBody, charge: Charge): void {
    const taken = this.#windowOf(charge);
    taken.bytes += charge.bytes;
    taken.count++;
    if (taken.bytes > this.window || taken.count > this.#shared.limits.pending) {
      throw malformed("more was sent than the server had allowed");
    }
    this.#shared.counters.requests++;
    // Begun in the order in which they come.
    if (type !== Type.APPEND || flags !== 0) this.begin();
    if (isMutation(type)) this.#mutation(type, flags, number, body, charge);
    else this.#read(type, flags, number, body, charge);
  }

  /** Begins the appends that were gathered: at the end of a message, or before another request. */
  begin(): void {
    if (this.#gathered.appends.length === 0) return;
    void this.#carryOut(this.session as Session, this.#gathered);
    this.#gathered = new GatheredAppends();
  }

  /** The client waits for a request no longer. It is answered all the same. */
  cancel(mutation: boolean, number: number): void {
    if (mutation) this.session?.find(number)?.abort?.abort(GIVEN_UP);
    else if (this.#held?.number === number) this.#unlock().catch(() => {});
    else this.#reads.get(number)?.abort.abort(GIVEN_UP);
  }

  /** The client takes so much more of a stream. */
  credit(number: number, bytes: number): void {
    this.#reads.get(number)?.credit.give(bytes);
  }

  /** Writes which mutations are done. */
  tellDone(): void {
    const { writer } = this.#outbox;
    for (let i = 0; i < this.#done.length; ) {
      const first = this.#done[i] as number;
      let count = 1;
      while (this.#done[i + count] === first + count) count++;
      const packet = writer.begin(Type.DONE, 0, 16);
      writer.varint(first);
      writer.varint(count);
      writer.end(packet);
      i += count;
    }
    this.#done = [];
  }

  answer(number: number, { error, values, charge }: Outcome): void {
    if (this.#gone.aborted) return;
    if (charge) this.#settle(charge);
    if (error) this.failed(MUTATION, number, error);
    else if (values) {
      const inside = charge?.inside ?? false;
      answerValues(this.#outbox, MUTATION, number, values, inside, this.#gone).catch(() => {});
    } else this.#done.push(number);
    this.#outbox.schedule();
  }

  /** Answers a request with an error. */
  failed(flags: number, number: number, error: unknown): void {
    this.#shared.counters.errors++;
    writeError(this.#outbox.writer, flags, number, error);
    this.#outbox.schedule();
  }

  // ---- Mutations -------------------------------------------------------------------------------

  #mutation(type: number, flags: number, number: number, body: RequestBody, charge: Charge): void {
    const session = this.session as Session;
    const known = session.find(number);
    if (!known && number <= session.seen) throw malformed("a mutation comes after its answer");
    if (session.size > 4 * this.#shared.limits.pending) {
      throw malformed("too many answers that the client has not confirmed");
    }
    const outcome = known ?? session.begin(number);
    outcome.asked = this;
    outcome.charge = charge;
    if (known) {
      this.#shared.sessions.repeated++;
      if (!outcome.running) this.answer(number, outcome);
      return;
    }
    this.#running++;
    if (type !== Type.APPEND || flags !== 0) {
      void this.#mutate(session, type, flags, number, body, outcome);
    } else {
      if (!this.#gathered.takes(body)) this.begin();
      this.#gathered.add({ number, body, outcome });
    }
  }

  async #carryOut(session: Session, gathered: GatheredAppends): Promise<void> {
    const { census, store } = this.#shared;
    await gathered.carryOut(store, census);
    for (const { number, body, outcome } of gathered.appends) {
      if (!outcome.error) this.#countAppend(body);
      this.#ended(session, number, outcome);
    }
  }

  #countAppend({ keys, batch }: RequestBody): void {
    const { counters } = this.#shared;
    counters.appends++;
    counters.appendedKeys += keys.length;
    counters.appendedBytes += batch.byteLength;
  }

  #ended(session: Session, number: number, outcome: Outcome): void {
    session.end(number, outcome);
    const { asked } = outcome;
    outcome.asked = undefined;
    asked?.answer(number, outcome);
    if (--this.#running === 0) this.#whenOver?.();
  }

  async #mutate(
    session: Session,
    type: number,
    flags: number,
    number: number,
    body: RequestBody,
    outcome: Outcome,
  ): Promise<void> {
    const { census, counters, limits, store } = this.#shared;
    let lock: HeldLock | undefined;
    try {
      if (flags & LOCKED) lock = this.#lock();
      lock?.enter();
      if (flags & CANCELABLE) outcome.abort = new AbortController();
      outcome.values = await mutate(
        { type, keys: body.keys, batch: body.batch },
        lock?.store ?? store,
        census,
        (bytes) => session.keep(outcome, bytes, limits),
        outcome.abort?.signal,
      );
      counters.readBytes += session.kept(outcome);
      if (type === Type.APPEND) this.#countAppend(body);
    } catch (error) {
      outcome.error = error as PartdError;
    } finally {
      lock?.leave();
    }
    this.#ended(session, number, outcome);
  }

  // ---- Reading ---------------------------------------------------------------------------------

  #read(type: number, flags: number, number: number, body: RequestBody, charge: Charge): void {
    if (this.#reads.has(number)) throw malformed("two requests have one number");
    const read = { abort: new AbortController(), credit: new Credit(body.credit) };
    this.#reads.set(number, read);
    let answered = false;
    const settle = () => {
      if (answered) return;
      answered = true;
      this.#reads.delete(number);
      for (const key of body.keys) this.#shared.census.forget(key); // Nothing may be there.
      this.#settle(charge);
    };
    void this.#answer(type, flags, number, body, read, settle)
      .catch((error: unknown) => {
        if (!answered && !this.#gone.aborted) this.failed(0, number, error);
      })
      .finally(settle);
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
    if (type === Type.LOCK) return this.#grant(number, signal, settle);
    if (type === Type.UNLOCK) {
      await this.#unlock();
      endAnswer(this.#outbox, 0, number);
      return;
    }
    const lock = flags & LOCKED ? this.#lock() : undefined;
    lock?.enter();
    try {
      const { census, counters } = this.#shared;
      const reading = {
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
      if (type === Type.GET) await answerGet(reading, body.keys);
      else if (type === Type.STREAM) {
        await answerStream(reading, body.keys[0] as CountedKey, read.credit);
      } else if (type === Type.KEYS) await answerKeys(reading, read.credit);
      else {
        await reading.store.flush({ signal });
        endAnswer(this.#outbox, 0, number);
      }
    } finally {
      lock?.leave();
    }
  }

  // ---- The lock --------------------------------------------------------------------------------

  /** Waits for the store's lock, says so when it is there, and ends when it is let go. */
  async #grant(number: number, signal: AbortSignal, settle: () => void): Promise<void> {
    const ended = this.#shared.store.withLock(
      (store) =>
        new Promise<void>((resolve, reject) => {
          if (this.#gone.aborted || signal.aborted) {
            reject(GIVEN_UP);
            return;
          }
          this.#held = new HeldLock(number, store, () => {
            resolve();
            return ended;
          });
          endAnswer(this.#outbox, 0, number);
          settle();
        }),
      { signal },
    );
    await ended;
  }

  #lock(): HeldLock {
    if (this.#held) return this.#held;
    throw new PartdError(
      "ERR_PARTD_LOCK",
      "The lock that this ran under was lost with the connection that held it; it was not carried out.",
    );
  }

  async #unlock(): Promise<void> {
    const held = this.#lock();
    this.#held = undefined;
    await held.release();
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

  #end(): void {
    for (const read of this.#reads.values()) read.abort.abort(this.#gone.reason);
    this.#held?.release().catch(() => {}); // What happens to the store shows in its next operation.
    this.#held = undefined;
    if (this.session) this.#shared.sessions.leave(this.session, this);
  }
}

/** A reading request that is under way. */
interface Read {
  readonly abort: AbortController;
  readonly credit: Credit;
}

const GIVEN_UP = new PartdError("ERR_PARTD_CONNECTION", "The client gave this up.");

/** The store's lock, held for a connection. */
export class HeldLock {
  /** Of the LOCK request that asked for it. */
  readonly number: number;
  readonly store: Store;
  readonly #release: () => Promise<void>;
  #running = 0;
  #whenIdle: (() => void) | undefined;

  constructor(number: number, store: Store, release: () => Promise<void>) {
    this.number = number;
    this.store = store;
    this.#release = release;
  }

  /** An operation inside of the lock begins. */
  enter(): void {
    this.#running++;
  }

  /** It has ended. */
  leave(): void {
    this.#running--;
    if (this.#running === 0) this.#whenIdle?.();
  }

  /** Lets the lock go as soon as what runs inside has ended. */
  async release(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await this.#release();
  }
}
