import { randomBytes } from "node:crypto";
import { PartdError } from "@partd/core";
import { changeOf } from "@partd/core/author";
import type { Argument, Reply } from "../connection/connection.js";
import type { BucketNames } from "../data-set.js";
import { END_WRITER } from "../scripts/change-scripts.js";
import type { Script } from "../scripts/script.js";
import { Patience, ScriptAnswer, type Session } from "../session.js";
import { strangeReply, type Trouble, troubleOf } from "../trouble.js";
import { AppendCall, type Change, type PendingAppend, ScriptChange } from "./changes.js";

/**
 * Changes a bucket exactly once and in order. Each change has this writer's next number, and the
 * server carries it out only after the one before it. So several changes may be in flight at once,
 * and each may be repeated when its outcome is unknown. When one fails, those behind it fail too,
 * and are sent again one by one with new numbers.
 */
export class BucketWriter {
  readonly #session: Session;
  readonly #bucket: BucketNames;
  #writer = newWriter();
  /** The number of the last acknowledged change. */
  #last = 0;
  #waiting: (PendingAppend | ScriptChange)[] = [];
  #inFlight: Call[] = [];
  #recovering: Promise<void> | undefined;
  #begun = false;
  /** Whether a change was given up that may still be carried out. */
  #isUncertain = false;
  #idle: (() => void)[] = [];

  constructor(session: Session, bucket: BucketNames) {
    this.#session = session;
    this.#bucket = bucket;
  }

  /** What reading scripts compare with the server's state: {@link KNOWN}. */
  get known(): { readonly writer: string; readonly last: number } {
    return { writer: this.#writer, last: this.#last };
  }

  /** Queues an append, to be sent together with others that wait. */
  append(append: PendingAppend): void {
    this.#waiting.push(append);
    this.#begin();
  }

  change(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push(new ScriptChange(script, keys, args, resolve, reject));
      this.#begin();
    });
  }

  /** Resolves when all changes are done, including those whose caller has given up. */
  async settled(): Promise<void> {
    if (this.#waiting.length + this.#inFlight.length === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Continues as a new writer, whatever the server knows of this one. */
  async renew(): Promise<void> {
    await this.settled();
    await this.#end();
  }

  /** Removes this writer from the server. */
  async end(): Promise<void> {
    if (this.#last === 0) return;
    const { connection } = this.#session;
    await connection.send(this.#bucket.writers, ["HDEL", this.#bucket.writers, this.#writer]);
  }

  /** Starts in the next turn of the event loop, so that appends of this turn go together. */
  #begin(): void {
    if (this.#begun || this.#inFlight.length > 0) return;
    this.#begun = true;
    setImmediate(() => {
      this.#begun = false;
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#recovering) return;
    if (this.#isUncertain && this.#waiting.length > 0) {
      this.#recover(() => this.#resolveUncertainty());
      return;
    }
    while (this.#waiting.length > 0 && this.#inFlight.length < this.#session.limits.maxInFlight) {
      const change = this.#next();
      if (!change) continue;
      const call: Call = {
        change,
        number: this.#last + this.#inFlight.length + 1,
        acknowledged: 0,
        sent: undefined,
      };
      this.#inFlight.push(call);
      call.sent = this.#send(call).then(() => this.#settle());
    }
    if (this.#inFlight.length > 0 || this.#waiting.length > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** The next change: a single script, or as many appends as fit into one call. */
  #next(): Change | undefined {
    const [first] = this.#waiting;
    if (first instanceof ScriptChange) return this.#waiting.shift() as Change;
    let count = 0;
    let bytes = 0;
    for (const append of this.#waiting) {
      if (append instanceof ScriptChange || (count > 0 && bytes + append.cost > GATHER_BYTES))
        break;
      bytes += append.cost;
      count++;
    }
    const appends = this.#waiting.splice(0, count) as PendingAppend[];
    const call = new AppendCall(this.#bucket, appends.filter(isIntact));
    return call.isWanted ? call : undefined;
  }

  async #send(call: Call): Promise<void> {
    const { connection, expireAfter, limits, token } = this.#session;
    const isFirst = !call.isSettled;
    call.trouble = undefined;
    call.acknowledged = this.#last;
    try {
      this.#session.checkLoss();
      const reply = await call.change.send({
        connection,
        keys: this.#bucket.common,
        args: [token, this.#writer, String(call.number), String(expireAfter)],
        replicas: limits.waitReplicas,
        isFirst,
      });
      if (!isDone(reply)) throw strangeReply(reply, connection);
    } catch (error) {
      call.trouble = troubleOf(error, connection);
    }
    call.isSettled = true;
  }

  #settle(): void {
    if (this.#recovering) return;
    while (this.#inFlight[0]?.isSettled && !this.#inFlight[0].trouble) this.#acknowledge();
    if (this.#inFlight[0]?.isSettled) this.#recover(() => this.#repeat());
    else this.#pump();
  }

  /** The first change in flight is done. */
  #acknowledge(): void {
    const call = this.#inFlight.shift() as Call;
    this.#last = call.number;
    call.change.resolve();
  }

  #recover(work: () => Promise<void>): void {
    this.#recovering = work().finally(() => {
      this.#recovering = undefined;
      this.#pump();
    });
  }

  /** Repeats the failed changes in flight, one by one. */
  async #repeat(): Promise<void> {
    await Promise.all(this.#inFlight.map(({ sent }) => sent));
    // The server carries out nothing before its predecessors: those are done, too.
    let applied = this.#inFlight.findLastIndex(({ trouble }) => !trouble) + 1;
    while (applied-- > 0) this.#acknowledge();
    while (this.#inFlight.length > 0) {
      const call = this.#inFlight[0] as Call;
      if (call.number !== this.#last + 1) await this.#renumber(call);
      if (this.#inFlight.length === 0) return; // No new number could be had.
      const error = await this.#persist(call);
      if (error === undefined) this.#acknowledge();
      else {
        this.#inFlight.shift();
        call.change.reject(error);
      }
      // The changes behind it may have been carried out or not: reject them with the same error.
      if (this.#isUncertain) {
        for (const behind of this.#inFlight.splice(0)) behind.change.reject(error);
      }
    }
  }

  /**
   * Gives a call its new number. A copy with the old number that is still under way could be
   * carried out as well: then the writer must be a new one.
   */
  async #renumber(call: Call): Promise<void> {
    const isAnySent = this.#inFlight.some(
      ({ trouble }) => trouble?.kind === "away" && trouble.isSent,
    );
    if (isAnySent) await this.#resolveUncertainty();
    call.number = this.#last + 1;
  }

  /**
   * Repeats a call until it is carried out. Returns undefined, or the error that no repetition changes.
   */
  async #persist(call: Call): Promise<unknown> {
    const patience = new Patience(this.#session.connection, this.#session.limits);
    let isSent = false;
    for (;;) {
      const { trouble } = call;
      if (!trouble) return undefined;
      if (trouble.kind === "replicas" || (trouble.kind === "away" && trouble.isSent)) isSent = true;
      if (trouble.kind === "answer") return new ScriptAnswer(trouble.code, trouble.detail);
      if (trouble.kind === "sequence" && trouble.last < call.acknowledged) {
        return this.#session.lose(this.#bucket, trouble.last, this.#last);
      }
      if (!isSent && !call.change.isWanted) return abandoned;
      const refusal = patience.exhausted(trouble);
      if (refusal) {
        if (trouble.kind === "replicas") this.#last = call.number; // The change was made.
        // Its number may be taken: then the server would take the next change for a repetition.
        if (trouble.kind === "final" && trouble.isInScript) this.#isUncertain = true;
        if (trouble.kind !== "away" || !isSent) return refusal;
        this.#isUncertain = true;
        return unknownOutcome(refusal);
      }
      if (trouble.kind !== "sequence") await patience.rest(trouble);
      await this.#send(call);
    }
  }

  /**
   * Makes sure that changes given up are not carried out any more, and continues as a new writer.
   */
  async #resolveUncertainty(): Promise<void> {
    try {
      const before = this.#last;
      const last = await this.#end();
      if (last < before) throw this.#session.lose(this.#bucket, last, before);
    } catch (error) {
      this.#isUncertain = true;
      for (const { change } of this.#inFlight.splice(0)) change.reject(error);
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    }
  }

  /** Ends this writer. @returns the number of its last change that was carried out. */
  async #end(): Promise<number> {
    const { writers } = this.#bucket;
    const last = await this.#session.retry(() =>
      END_WRITER.run(this.#session.connection, [writers], [this.#writer]),
    );
    this.#writer = newWriter();
    this.#last = 0;
    this.#isUncertain = false;
    return Number(last);
  }
}

interface Call {
  readonly change: Change;
  number: number;
  /** The last acknowledged number when it was sent: a server that has less has lost changes. */
  acknowledged: number;
  sent: Promise<void> | undefined;
  isSettled?: boolean;
  trouble?: Trouble | undefined;
}

/** Rejects an append whose buffers the caller has changed: a value without bytes would be left out. */
function isIntact(append: PendingAppend): boolean {
  const change = changeOf(append);
  if (change) append.reject(change);
  return change === undefined;
}

/** @param reply of a script that changes a bucket, or of a transaction that ends with one. */
function isDone(reply: Reply): boolean {
  return String(Array.isArray(reply) ? reply.at(-1) : reply) === "done";
}

/** The error of a change for which no one waits. */
const abandoned = new Error("abandoned");

/** The most bytes of appends in one call: a few milliseconds of the server's time. */
const GATHER_BYTES = 2 << 20;

function newWriter(): string {
  return randomBytes(9).toString("base64url");
}

function unknownOutcome(refusal: PartdError): PartdError {
  return new PartdError(
    refusal.code,
    `${refusal.message} The outcome is unknown: it was written whole, or not at all.`,
    { address: refusal.address, cause: refusal.cause },
  );
}
