import { setTimeout as delay } from "node:timers/promises";
import { type OperationOptions, PartdError } from "@partd/core";
import { unlessAborted } from "@partd/core/author";
import type { Connection } from "./connection/connection.js";
import { BucketNames, type Meta } from "./data-set.js";
import { type Trouble, troubleOf, unreachable } from "./trouble.js";

export interface SessionLimits {
  /** Milliseconds for which a call is repeated while the server cannot be reached. */
  readonly retryMs: number;
  /** Milliseconds for which a call waits for another's lock. */
  readonly lockTimeoutMs: number;
  /** Replicas that must confirm a write. */
  readonly waitReplicas: number;
  /** Concurrent calls that change a bucket. */
  readonly maxInFlight: number;
}

/** An open data set, shared by all parts of a store. */
export class Session {
  readonly connection: Connection;
  readonly limits: SessionLimits;
  readonly buckets: readonly BucketNames[];
  /** Milliseconds that a key lives after its last append, or 0 for ever. */
  readonly expireAfter: number;
  #token = "";
  #loss: PartdError | undefined;

  constructor(connection: Connection, prefix: string, meta: Meta, limits: SessionLimits) {
    this.connection = connection;
    this.limits = limits;
    this.expireAfter = meta.expireAfter;
    this.buckets = Array.from({ length: meta.buckets }, (_, i) => new BucketNames(prefix, i));
  }

  /** The token of the held lock, or "". Every script compares it. */
  get token(): string {
    return this.#token;
  }

  /** Sets the token under which all calls are made from now on, or "" for none. */
  fence(token: string): void {
    this.#token = token;
  }

  /** Notes that a server has lost acknowledged changes. */
  lose(bucket: BucketNames, last: number, acknowledged: number): PartdError {
    this.#loss ??= new PartdError(
      "ERR_PARTD_IO",
      `The Redis server has lost ${acknowledged - last} of ${acknowledged} changes that it had acknowledged to this store (bucket ${bucket.index}), in a failover or a restart: drop() the data set and write it again, or open a new store to go on with what is left. Option waitReplicas makes this rarer.`,
    );
    return this.#loss;
  }

  get hasLost(): boolean {
    return this.#loss !== undefined;
  }

  /** @throws the error that {@link lose} noted. */
  checkLoss(): void {
    if (this.#loss) throw this.#loss;
  }

  /** Forgets a loss, because the data set begins anew. */
  forgetLoss(): void {
    this.#loss = undefined;
  }

  /**
   * Makes a call, and repeats it while that can help. The server may carry it out twice.
   *
   * @param known the bucket and the number of this writer's last change in it, which the call
   *   compares.
   * @throws a `PartdError`, the signal's reason, or {@link ScriptAnswer}.
   */
  async retry<T>(
    attempt: () => Promise<T>,
    options: OperationOptions = {},
    known?: { readonly bucket: BucketNames; readonly last: number },
  ): Promise<T> {
    if (known) this.checkLoss();
    const patience = new Patience(this.connection, this.limits);
    for (;;) {
      options.signal?.throwIfAborted();
      try {
        return await unlessAborted(attempt(), options.signal);
      } catch (error) {
        if (options.signal?.aborted && error === options.signal.reason) throw error;
        const trouble = troubleOf(error, this.connection);
        if (trouble.kind === "sequence" && known) {
          throw this.lose(known.bucket, trouble.last, known.last);
        }
        if (trouble.kind === "answer") throw new ScriptAnswer(trouble.code, trouble.detail);
        const refusal = patience.exhausted(trouble);
        if (refusal) throw refusal;
        await unlessAborted(patience.rest(trouble), options.signal);
      }
    }
  }
}

/** Repeats a call that opens a data set, while the server is not ready. */
export async function untilReady<T>(
  connection: Connection,
  limits: SessionLimits,
  attempt: () => Promise<T>,
): Promise<T> {
  const patience = new Patience(connection, limits);
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const trouble = troubleOf(error, connection);
      const refusal = patience.exhausted(trouble);
      if (refusal) throw refusal;
      await patience.rest(trouble);
    }
  }
}

/** A script's answer that it did not do what was asked. */
export class ScriptAnswer extends Error {
  readonly code: string;
  readonly detail: string;

  constructor(code: string, detail: string) {
    super(`${code} ${detail}`);
    this.code = code;
    this.detail = detail;
  }
}

/** Limits how long one call is repeated, and spaces its attempts. */
export class Patience {
  readonly #connection: Connection;
  readonly #limits: SessionLimits;
  #attempts = 0;
  #locked: number | undefined;
  #away: number | undefined;

  constructor(connection: Connection, limits: SessionLimits) {
    this.#connection = connection;
    this.#limits = limits;
  }

  /** The error to reject with if another attempt is useless or the time is over. */
  exhausted(trouble: Trouble): PartdError | undefined {
    const connection = this.#connection;
    const limits = this.#limits;
    const now = performance.now();
    switch (trouble.kind) {
      case "final":
        return trouble.error;
      case "locked":
        this.#away = undefined;
        this.#locked ??= now;
        if (now - this.#locked < limits.lockTimeoutMs) return undefined;
        return lockTimeout(trouble.holder, limits.lockTimeoutMs);
      case "away":
        this.#away ??= now;
        if (now - this.#away < limits.retryMs && !isHopeless(connection)) return undefined;
        return unreachable(trouble.error, connection);
      case "replicas":
        this.#away ??= now;
        if (now - this.#away < limits.retryMs) return undefined;
        return new PartdError(
          "ERR_PARTD_IO",
          `It was written, but ${trouble.error.message} within ${limits.retryMs} ms: a failover may still lose it. Check the replicas, or lower the option waitReplicas.`,
          { cause: trouble.error },
        );
      default:
        return undefined;
    }
  }

  async rest(trouble: Trouble): Promise<void> {
    const most = trouble.kind === "locked" ? 30 : 300;
    const milliseconds = Math.min(2 * 2 ** this.#attempts++, most) * (0.5 + Math.random() / 2);
    await delay(milliseconds);
    if (trouble.kind === "away") await this.#connection.renew();
  }
}

/** Whether another attempt is useless: a server that refuses the credentials will do so again. */
function isHopeless(connection: Connection): boolean {
  const { lastError } = connection;
  return lastError !== undefined && troubleOf(lastError, connection).kind === "final";
}

export function lockTimeout(holder: string, milliseconds: number): PartdError {
  return new PartdError(
    "ERR_PARTD_LOCK",
    `The store's lock could not be had within ${milliseconds} ms: it is held by ${holder}.`,
  );
}
