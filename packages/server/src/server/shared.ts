import type { Store } from "@partd/core";
import { WaitQueue } from "@partd/core/author";
import { Spares } from "../protocol/message-writer.js";
import type { Access } from "./access.js";
import type { Census } from "./census.js";
import { type Limits, SHORTEST_MESSAGE } from "./limits.js";
import { type Backlog, SPARE_BYTES } from "./outbox.js";
import { Sessions } from "./session.js";

/** What all connections of a server share. */
export interface Shared {
  readonly store: Store;
  readonly limits: Limits;
  readonly instance: Uint8Array;
  /** When the server was started, by `performance.now()`: the wall clock may be set back. */
  readonly started: number;
  readonly census: Census;
  readonly sessions: Sessions;
  readonly windows: Windows;
  readonly uploads: Budget;
  readonly backlog: Backlog;
  readonly spares: Spares;
  readonly counters: Counters;
  /** @throws `ERR_PARTD_AUTH` if the token is not the server's. */
  checkToken(token: string): void;
}

export function sharedBy(store: Store, limits: Limits, census: Census, access: Access): Shared {
  return {
    store,
    limits,
    census,
    started: performance.now(),
    instance: crypto.getRandomValues(new Uint8Array(16)),
    sessions: new Sessions(limits),
    windows: new Windows(limits.inFlight, limits.inFlightPerConnection, limits.connections),
    uploads: new Budget(Math.max(limits.uploads, limits.request)),
    backlog: { bytes: 0, most: limits.answers * 64 },
    spares: new Spares(SPARE_BYTES, 16),
    counters: new Counters(),
    checkToken: (token) => access.checkToken(token),
  };
}

/** A budget of bytes, handed out in the order of the requests. */
export class Budget {
  readonly total: number;
  #taken = 0;
  /** The waiting requests, each with its bytes. */
  readonly #waiting = new WaitQueue<number>();

  constructor(total: number) {
    this.total = total;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Resolves when `bytes` are reserved. The caller gives them back. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#waiting.size > 0 || !this.#fits(bytes)) {
      return this.#waiting.wait(bytes, signal, () => this.#admit());
    }
    this.#taken += bytes;
  }

  give(bytes: number): void {
    this.#taken -= bytes;
    this.#admit();
  }

  #fits(bytes: number): boolean {
    return this.#taken + bytes <= this.total;
  }

  #admit(): void {
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      if (!this.#fits(next)) return;
      this.#taken += next;
      this.#waiting.take()?.resolve();
    }
  }
}

/**
 * Divides the memory for requests among connections. A connection keeps its window for life. Windows
 * are large while there are few connections, but enough is reserved to give each further connection the
 * least window.
 */
export class Windows {
  readonly #total: number;
  readonly #most: number;
  readonly #least: number;
  readonly #connections: number;
  #granted = 0;
  #count = 0;

  constructor(total: number, most: number, connections: number) {
    this.#total = total;
    this.#most = most;
    this.#connections = connections;
    // A quarter of the memory is reserved for connections to come.
    this.#least = Math.max(SHORTEST_MESSAGE, Math.min(most, Math.floor(total / 4 / connections)));
  }

  /** Windows in use: of connections, and of closed ones whose requests still run. */
  get count(): number {
    return this.#count;
  }

  grant(): number {
    const kept = this.#least * Math.max(0, this.#connections - this.#count - 1);
    const spare = this.#total - this.#granted - kept;
    const window = Math.max(this.#least, Math.min(this.#most, Math.floor(spare / 4)));
    this.#granted += window;
    this.#count++;
    return window;
  }

  give(window: number): void {
    this.#granted -= window;
    this.#count--;
  }
}

/** What a server has done since it was started. */
export class Counters {
  /** Connections that were accepted, and those that were refused. */
  connections = 0;
  refused = 0;
  /** Connections that were closed because of what they sent. */
  protocolErrors = 0;
  requests = 0;
  /** Requests that were answered with an error. */
  errors = 0;
  appends = 0;
  appendedKeys = 0;
  appendedBytes = 0;
  /** Bytes of values that were read. */
  readBytes = 0;
  /** Bytes of messages. */
  receivedBytes = 0;
  sentBytes = 0;
}
