import { randomBytes } from "node:crypto";
import { PartdError } from "@partd/core";
import type { Argument } from "../connection/connection.js";
import type { BucketNames } from "../data-set.js";
import { END_WRITER } from "../scripts/change-scripts.js";
import type { Script } from "../scripts/script.js";
import { Patience, ScriptAnswer, type Session } from "../session.js";
import { type Trouble, troubleOf } from "../trouble.js";
import { AppendCall, type PendingAppend } from "./append-call.js";

/** One call of a script that changes a bucket. */
export interface Change {
  readonly script: Script;
  /** What it says beyond the beginning that all share. Asked for again at each attempt. */
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
  /** Whether someone still wants it; looked at while it has surely not been carried out. */
  readonly isWanted: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Changes a bucket, exactly once and in order. Each change has the next number of this writer, and the
 * server carries it out only behind the one before it. So several may be on their way at once, and each
 * may be sent again when its outcome is unknown. When one fails, those behind it fail, too, and are sent
 * again one by one, by the numbers that are then due.
 */
export class BucketWriter {
  readonly #session: Session;
  readonly #bucket: BucketNames;
  #writer = newWriter();
  /** The number of the last change that was acknowledged. */
  #last = 0;
  #waiting: (PendingAppend | Change)[] = [];
  #inFlight: Call[] = [];
  #recovering: Promise<void> | undefined;
  #begun = false;
  /** A change was given up that may still be carried out. */
  #isInDoubt = false;
  #idle: (() => void)[] = [];

  constructor(session: Session, bucket: BucketNames) {
    this.#session = session;
    this.#bucket = bucket;
  }

  /** What a reading script compares with what the server knows: {@link KNOWN}. */
  get known(): { readonly writer: string; readonly last: number } {
    return { writer: this.#writer, last: this.#last };
  }

  /** Appends, together with others that wait. */
  append(append: PendingAppend): void {
    this.#waiting.push(append);
    this.#begin();
  }

  change(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ script, keys, args, isWanted: true, resolve, reject });
      this.#begin();
    });
  }

  /** Resolves when all that was begun is done, also what its caller has given up. */
  async settled(): Promise<void> {
    if (this.#waiting.length + this.#inFlight.length === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Begins anew as another writer, whatever the server knows of this one. */
  async renew(): Promise<void> {
    await this.settled();
    await this.#end();
  }

  /** Has the server forget this writer. */
  async end(): Promise<void> {
    if (this.#last === 0) return;
    const { connection } = this.#session;
    await connection.send(this.#bucket.writers, ["HDEL", this.#bucket.writers, this.#writer]);
  }

  /** In the next turn, so that appends of one turn go together. */
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
    if (this.#isInDoubt && this.#waiting.length > 0) {
      this.#recover(() => this.#clearDoubt());
      return;
    }
    while (this.#waiting.length > 0 && this.#inFlight.length < this.#session.limits.maxInFlight) {
      const change = this.#next();
      if (!change) continue;
      const call: Call = {
        change,
        number: this.#last + this.#inFlight.length + 1,
        sent: undefined,
      };
      this.#inFlight.push(call);
      call.sent = this.#send(call).then(() => this.#settle());
    }
    if (this.#inFlight.length > 0 || this.#waiting.length > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** The next change: of appends, as many as fit into one call. */
  #next(): Change | undefined {
    const [first] = this.#waiting;
    if (first && "script" in first) return this.#waiting.shift() as Change;
    let count = 0;
    let bytes = 0;
    for (const append of this.#waiting) {
      if ("script" in append || (count > 0 && bytes + append.cost > GATHER_BYTES)) break;
      bytes += append.cost;
      count++;
    }
    const call = new AppendCall(this.#bucket, this.#waiting.splice(0, count) as PendingAppend[]);
    return call.isWanted ? call : undefined;
  }

  async #send(call: Call): Promise<void> {
    const { connection, expireAfter, limits, token } = this.#session;
    const { script, keys, args } = call.change;
    call.trouble = undefined;
    try {
      this.#session.checkLoss();
      await script.run(
        connection,
        [...this.#bucket.common, ...keys],
        [token, this.#writer, String(call.number), String(expireAfter), ...args],
        limits.waitReplicas,
      );
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

  /** The first in flight is done. */
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

  /** Carries out one by one what is in flight and has failed. */
  async #repeat(): Promise<void> {
    await Promise.all(this.#inFlight.map(({ sent }) => sent));
    // Nothing is carried out before what is in front of it: those have been, too.
    let applied = this.#inFlight.findLastIndex(({ trouble }) => !trouble) + 1;
    while (applied-- > 0) this.#acknowledge();
    while (this.#inFlight.length > 0) {
      const call = this.#inFlight[0] as Call;
      if (call.number !== this.#last + 1) await this.#renumber(call);
      if (this.#inFlight.length === 0) return; // It could not be had.
      const error = await this.#persist(call);
      if (error === undefined) this.#acknowledge();
      else {
        this.#inFlight.shift();
        call.change.reject(error);
      }
      // Those behind may have been carried out, or not: they share its fate.
      if (this.#isInDoubt) {
        for (const behind of this.#inFlight.splice(0)) behind.change.reject(error);
      }
    }
  }

  /**
   * Gives a call the number that is due. A copy of it that is still on its way by the old number could be
   * carried out as well: then the writer has to be another one.
   */
  async #renumber(call: Call): Promise<void> {
    const isAnySent = this.#inFlight.some(
      ({ trouble }) => trouble?.kind === "away" && trouble.isSent,
    );
    if (isAnySent) await this.#clearDoubt();
    call.number = this.#last + 1;
  }

  /** Sends a call until it is carried out, or answers why it never will be. */
  async #persist(call: Call): Promise<unknown> {
    const patience = new Patience(this.#session);
    let isSent = false;
    for (;;) {
      const { trouble } = call;
      if (!trouble) return undefined;
      if (trouble.kind === "replicas" || (trouble.kind === "away" && trouble.isSent)) isSent = true;
      if (trouble.kind === "answer") return new ScriptAnswer(trouble.code, trouble.detail);
      if (trouble.kind === "sequence" && trouble.last < this.#last) {
        return this.#session.lose(this.#bucket, trouble.last, this.#last);
      }
      if (!isSent && !call.change.isWanted) return abandoned;
      const refusal = patience.exhausted(trouble);
      if (refusal) {
        if (trouble.kind === "replicas") this.#last = call.number; // It was carried out.
        if (trouble.kind !== "away" || !isSent) return refusal;
        this.#isInDoubt = true;
        return unknownOutcome(refusal);
      }
      if (trouble.kind !== "sequence") await patience.rest(trouble);
      await this.#send(call);
    }
  }

  /** Makes sure that what was given up is not carried out any more, and goes on as another writer. */
  async #clearDoubt(): Promise<void> {
    try {
      const before = this.#last;
      const last = await this.#end();
      if (last < before) throw this.#session.lose(this.#bucket, last, before);
    } catch (error) {
      this.#isInDoubt = true;
      for (const { change } of this.#inFlight.splice(0)) change.reject(error);
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
    }
  }

  /** @returns the number of the last change that was carried out. */
  async #end(): Promise<number> {
    const { writers } = this.#bucket;
    const last = await this.#session.retry(() =>
      END_WRITER.run(this.#session.connection, [writers], [this.#writer]),
    );
    this.#writer = newWriter();
    this.#last = 0;
    this.#isInDoubt = false;
    return Number(last);
  }
}

interface Call {
  readonly change: Change;
  number: number;
  sent: Promise<void> | undefined;
  isSettled?: boolean;
  trouble?: Trouble | undefined;
}

/** What nobody waits for is rejected with. */
const abandoned = new Error("abandoned");

/** Bytes of appends that are sent in one call: a few milliseconds of the server's time. */
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
