import type { Store } from "@partd/core";
import type { Spares } from "../protocol/message-writer.js";
import type { Budget, Windows } from "./budget.js";
import type { Census } from "./census.js";
import type { Limits } from "./limits.js";
import type { Backlog } from "./outbox.js";
import type { Sessions } from "./session.js";

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
